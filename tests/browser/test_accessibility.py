"""No page has a serious or critical accessibility problem that axe-core can find."""

from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Page

from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier.tests.factories import (
    make_model_version,
    make_prediction,
    make_training_example,
    make_training_run,
)
from tests.people import logged_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AXE = Path(__file__).parent / "axe" / "axe.min.js"
RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 5)}`)"""


def problems(page: Page, address: str, theme: str = "light") -> list[str]:
    """What axe calls serious or critical; the page's own policy would forbid its script."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.goto(address)
    page.wait_for_load_state("networkidle")
    if page.locator("ct-viewer").count():
        page.wait_for_selector("ct-viewer[data-ready]")
    page.evaluate(AXE.read_text())
    return page.evaluate(RUN)


def visit(page: Page, live_server, user, *paths: str) -> dict[str, list[str]]:
    """The problems of each page that has any, in both themes."""
    if user:
        session = logged_in(user).cookies[settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
        )
    page.route("**/viewer/webgl_screen*", lambda route: route.abort())
    found = {
        f"{path} ({theme})": problems(page, f"{live_server.url}{path}", theme)
        for path in paths
        for theme in ("light", "dark")
    }
    return {path: said for path, said in found.items() if said}


@pytest.fixture
def case(people):
    case = make_case(people.home, status="sent", phantom=small_phantom(slices=3), patient_id="A1")
    make_prediction(case, findings=[{"malignancy_probability": 0.8}], profile=[0.8, 0.0, 0.0])
    facts = {"patient_id": "A1", "accession_number": "PRIOR"}
    make_case(people.home, status="sent", phantom=small_phantom(slices=3), **facts)
    return case


def test_pages_without_a_log_in(page, live_server, people):
    assert visit(page, live_server, None, "/accounts/login/", "/accounts/password/reset/") == {}


def test_pages_of_technicians(page, live_server, people, case):
    draft = make_case(people.home, phantom=small_phantom(slices=3))
    instance = draft.study.series.get().instances.first().public_id
    paths = [
        "/labtech/",
        f"/labtech/cases/{draft.public_id}/",
        f"/labtech/instances/{instance}/tags/",
    ]
    paths += [f"/labtech/cases/{case.public_id}/", "/accounts/password/change/"]
    assert visit(page, live_server, people.technician, *paths) == {}


def test_pages_of_doctors(page, live_server, people, case):
    make_training_example(case, doctor=people.owner)
    make_training_example(case, doctor=people.teammate, opinion_asked_at=timezone.now())
    paths = ["/doctor/", f"/doctor/cases/{case.public_id}/", "/doctor/corrections/"]
    paths += ["/doctor/opinions/", f"/doctor/cases/{case.public_id}/confirm/"]
    assert visit(page, live_server, people.owner, *paths, "/doctor/break-glass/") == {}


def test_pages_of_admins(page, live_server, people, case):
    version = make_model_version("malignancy", status="candidate")
    make_training_example(case)
    run = make_training_run()
    paths = ["", "audit/", "models/", f"models/malignancy/{version.number}/", "examples/", "runs/"]
    paths.append(f"runs/{run.public_id}/")
    paths = [f"/operations/{path}" for path in paths]
    assert visit(page, live_server, people.admin, *paths, "/admin/") == {}
