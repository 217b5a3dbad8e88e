"""No page has a serious or critical accessibility problem that axe-core can find."""

from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.admin import site
from django.db.models import Model
from django.test import RequestFactory
from django.utils import timezone
from playwright.sync_api import Page
from rest_framework.authtoken.models import Token

from apps.accounts.models import ReadingGroup, User
from apps.cases.models import Case
from apps.cases.tests.factories import make_case, make_measurement, small_phantom
from apps.classifier.tests.factories import (
    make_model_version,
    make_prediction,
    make_training_example,
    make_training_run,
)
from tests.access_table import CASE, FINDING, INSTANCE, PREDICTION, SERIES, TABLE
from tests.people import logged_in
from tests.test_access import filled

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
AXE = Path(__file__).parent / "axe" / "axe.min.js"
RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).slice(0, 5)}`)"""


# On reading pages "auto" is dark; there the other theme is shown to who chooses it.
CHOOSE = """localStorage.setItem("theme",
  matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")"""


def problems(page: Page, address: str, theme: str = "light") -> list[str]:
    """What axe calls serious or critical; the page's own policy would forbid its script."""
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.goto(address)
    page.wait_for_load_state("networkidle")
    if page.locator("ct-viewer").count():
        page.wait_for_selector("ct-viewer[data-ready]")
    page.evaluate(AXE.read_text())
    return page.evaluate(RUN)


def enter(page: Page, live_server, user) -> None:
    """Log in; pages take the theme of the system, and draw without WebGL."""
    if user:
        session = logged_in(user).cookies[settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
        )
    page.add_init_script(CHOOSE)
    page.route("**/viewer/webgl_screen*", lambda route: route.abort())


def visit(page: Page, live_server, user, *paths: str) -> dict[str, list[str]]:
    """The problems of each page that has any, in both themes."""
    enter(page, live_server, user)
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
    paths = ["/accounts/login/", "/accounts/password/reset/", "/accounts/password/reset/done/"]
    assert visit(page, live_server, None, *paths, "/accounts/signup/", "/not/here/") == {}


def test_pages_of_technicians(page, live_server, people, case):
    draft = make_case(people.home, phantom=small_phantom(slices=3))
    instance = draft.study.series.get().instances.first().public_id
    paths = [
        "/labtech/",
        f"/labtech/cases/{draft.public_id}/",
        f"/labtech/instances/{instance}/tags/",
    ]
    paths += [f"/labtech/cases/{case.public_id}/", "/accounts/password/change/"]
    paths += ["/accounts/logout/", "/accounts/reauthenticate/", "/doctor/"]
    assert visit(page, live_server, people.technician, *paths) == {}


def test_pages_of_doctors(page, live_server, people, case):
    make_training_example(case, doctor=people.owner)
    make_training_example(case, doctor=people.teammate, opinion_asked_at=timezone.now())
    paths = ["/doctor/", f"/doctor/cases/{case.public_id}/", "/doctor/corrections/"]
    paths += ["/doctor/opinions/", f"/doctor/cases/{case.public_id}/confirm/"]
    # Somebody else's case is refused with a page of its own.
    away = make_case(people.elsewhere, status="sent")
    paths += [f"/doctor/cases/{away.public_id}/", f"/doctor/cases/{case.public_id}/compare/"]
    assert visit(page, live_server, people.owner, *paths, "/doctor/break-glass/") == {}


def listed_for(user: User, case: Case) -> list[str]:
    """Whatever the access table lists and this person gets as a whole page, of this case."""
    series = case.study.series.first()
    finding = case.predictions.first().findings.first()
    keys = {
        CASE: case.public_id,
        SERIES: series.public_id,
        INSTANCE: series.instances.first().public_id,
        PREDICTION: finding.prediction.public_id,
        FINDING: finding.public_id,
    }
    client = logged_in(user)
    gets = {filled(route, keys.get(kind)) for method, route, kind, _ in TABLE if method == "GET"}
    return sorted(path for path in gets if b"<html" in client.get(path).getvalue()[:200])


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("person", "least"), [("technician", 8), ("owner", 15), ("admin", 15)])
def test_every_page_of_the_access_table(page, live_server, people, case, person, least):
    user = getattr(people, person)
    paths = listed_for(user, case)
    assert len(paths) >= least
    assert visit(page, live_server, user, *paths) == {}


def test_every_tab_and_drawer_of_the_reading_page(page, live_server, people, case):
    enter(page, live_server, people.owner)
    for theme in ("light", "dark"):
        assert problems(page, f"{live_server.url}/doctor/cases/{case.public_id}/", theme) == []
        for press in (
            "#tab-verdict",
            "#tab-history",
            '[data-action="mpr"]',
            '[data-action="help"]',
        ):
            page.locator(press).first.click()
            page.wait_for_load_state("networkidle")
            assert page.evaluate(RUN) == [], (theme, press)


def test_pages_of_admins(page, live_server, people, case):
    version = make_model_version("malignancy", status="candidate")
    make_training_example(case)
    run = make_training_run()
    paths = ["", "audit/", "models/", f"models/malignancy/{version.number}/", "examples/", "runs/"]
    paths.append("monitoring/")
    paths.append(f"runs/{run.public_id}/")
    paths = [f"/operations/{path}" for path in paths]
    assert visit(page, live_server, people.admin, *paths, "/admin/") == {}


@pytest.fixture
def whole_site(people, case):
    """Rows behind nearly every list of Django admin."""
    make_model_version("malignancy", status="candidate")
    make_training_run()
    make_training_example(case)
    make_measurement(case.study.series.get().instances.first(), people.owner)
    make_case(people.home, status="reported", doctor=people.owner)
    Token.objects.create(user=people.owner)


@pytest.mark.long
def test_some_inner_pages_of_django_admin(page, live_server, people, whole_site):
    group = ReadingGroup.objects.get(pk=people.group.pk)
    paths = ["accounts/user/", f"accounts/user/{people.owner.pk}/change/", "cases/case/"]
    paths += [f"accounts/readinggroup/{group.pk}/{what}/" for what in ("history", "delete")]
    paths = [f"/admin/{path}" for path in [*paths, "password_change/"]]
    assert visit(page, live_server, people.admin, *paths) == {}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("app", ["audit", "accounts", "cases", "classifier"])
def test_every_inner_page_of_django_admin(page, live_server, people, whole_site, app):
    paths = [path for model in models_of(app) for path in pages_of(model)]
    paths.append(f"/admin/accounts/user/{people.owner.pk}/password/")
    assert visit(page, live_server, people.admin, *paths) == {}


def models_of(app: str) -> list[type[Model]]:
    return [one for one in site._registry if one._meta.app_label == app]


def pages_of(model: type[Model]) -> list[str]:
    """List, empty list, form, history, and where they exist adding and deleting."""
    root, admin = f"/admin/{model._meta.label_lower.replace('.', '/')}/", site._registry[model]
    request = RequestFactory().get("/")
    request.user = User.objects.filter(role="admin").first()
    found = [root, f"{root}?q=nothing-is-called-that"]
    if admin.has_add_permission(request):
        found.append(f"{root}add/")
    row = model._default_manager.first()
    if row:
        found += [f"{root}{row.pk}/change/", f"{root}{row.pk}/history/"]
        if admin.has_delete_permission(request, row):
            found.append(f"{root}{row.pk}/delete/")
    return found
