"""A short day of a small hospital, in the browsers of those who work there.

Two technicians, three doctors and an admin: uploads, a return, an urgent case, a second reading
that differs, an arbitration, the report in its formats, the trail. Every page that is reached is
looked at by axe-core. The networks' part is set down beforehand: tests/test_full_day.py runs them.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from apps.accounts.models import Notification, User
from apps.accounts.permissions import Role
from apps.accounts.tests.factories import make_user
from apps.audit.models import AuditEvent
from apps.cases.models import Case
from apps.cases.tests.factories import small_phantom, write_dicom
from apps.classifier.models import Prediction
from apps.classifier.tests.factories import make_prediction
from tests.browser.test_accessibility import AXE, RUN
from tests.people import People, logged_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


class Desk:
    """One person's browser, which remembers what axe-core said of each page."""

    def __init__(self, browser: Browser, url: str, user: User, problems: dict[str, list]) -> None:
        self.url, self.problems = url, problems
        self.context = browser.new_context(viewport={"width": 1440, "height": 900})
        session = logged_in(user).cookies[settings.SESSION_COOKIE_NAME].value
        self.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": url}]
        )
        # Drawing without a graphics card takes seconds; other tests look at the images.
        self.context.route("**/viewer/viewer.js", lambda route: route.fulfill(body=""))
        self.page: Page = self.context.new_page()

    def go(self, path: str) -> Page:
        """Open a page of ours and look at it."""
        self.page.goto(f"{self.url}{path}")
        return self.look()

    def look(self) -> Page:
        """Let axe-core look at the page as it is, once for each kind of page."""
        kind = "/".join(
            part for part in self.page.url.split("/")[3:] if not any(c.isdigit() for c in part)
        )
        if kind not in self.problems:
            self.page.wait_for_load_state("load")
            self.page.evaluate(AXE.read_text())
            self.problems[kind] = self.page.evaluate(RUN)
        return self.page

    def read(self, case: Case, cancer: str, diagnosis: str, *, second: bool = False) -> None:
        """Open a case and sign."""
        page = self.go(f"/doctor/cases/{case.public_id}/")
        page.locator("#write-verdict").click()
        page.locator(f"label[for=cancer-{cancer}]").click()
        page.fill("#diagnoses", diagnosis)
        if second:
            page.locator("#second-read").check()
        page.locator("#sign-verdict").click()
        # What stands there then depends on who reads next; that it is signed does not.
        expect(page.locator("#sign-verdict")).to_be_hidden(timeout=15_000)
        expect(page.locator("#sign-problem")).to_be_hidden()


@pytest.fixture
def problems() -> dict[str, list]:
    return {}


@pytest.fixture
def desks(browser: Browser, live_server, people: People, problems) -> Iterator[dict[str, Desk]]:
    """Everybody's browser."""
    second = make_user(Role.LABTECH, site=people.home)
    who = {"tech": people.technician, "tech2": second, "admin": people.admin}
    who |= {"doctor": people.owner, "doctor2": people.colleague, "doctor3": people.teammate}
    found = {name: Desk(browser, live_server.url, user, problems) for name, user in who.items()}
    yield found
    for desk in found.values():
        desk.context.close()


def upload(desk: Desk, folder: Path, name: str) -> Case:
    """Drop one study, and open its case."""
    folder.mkdir()
    paths = write_dicom(folder, phantom=small_phantom(slices=3), patient_name=name)
    page = desk.go("/labtech/")
    page.set_input_files('[data-input="files"]', [str(path) for path in paths])
    page.locator("[data-studies]").get_by_role("link", name="Open").click()
    expect(page.get_by_role("button", name="Send to doctor")).to_be_visible()
    desk.look()
    return Case.objects.get(public_id=page.url.rstrip("/").split("/")[-1])


def send(desk: Desk, case: Case, priority: str = "Routine") -> None:
    page = desk.go(f"/labtech/cases/{case.public_id}/")
    page.get_by_text(priority, exact=True).click()
    page.fill("[name=clinical_question]", "Nodule?")
    page.get_by_role("button", name="Send to doctor").click()
    expect(page.get_by_text("Sent to")).to_have_count(2)
    case.refresh_from_db()
    Prediction.objects.filter(case=case).delete()
    make_prediction(case, findings=[{"malignancy_probability": 0.8}])


def test_a_short_day(desks: dict[str, Desk], people: People, problems, tmp_path: Path):
    tech, tech2, admin = desks["tech"], desks["tech2"], desks["admin"]
    doctor, doctor2, doctor3 = desks["doctor"], desks["doctor2"], desks["doctor3"]

    returned = upload(tech, tmp_path / "a", "OKAFOR^Adaeze")
    send(tech, returned)
    urgent = upload(tech2, tmp_path / "b", "SMITH^John")
    send(tech2, urgent, "Urgent")

    news = doctor.go("/accounts/news/")
    news.get_by_role("button", name="An urgent case waits to be read").click()
    expect(news.get_by_role("heading", name="SMITH, John")).to_be_visible()
    doctor.read(urgent, "yes", "Carcinoma", second=True)

    page = doctor2.go(f"/doctor/cases/{returned.public_id}/")
    page.locator("#return-case").click()
    page.fill("#return-reason", "The upper lobes are missing.")
    page.get_by_role("button", name="Return the case").click()
    expect(page.locator("#case-state")).to_have_text("returned")

    board = tech.go("/labtech/?tab=returned")
    expect(board.locator("tr[data-unread-case]")).to_contain_text("The upper lobes are missing.")
    send(tech, returned)
    doctor2.read(returned, "no", "Granuloma")

    doctor2.read(urgent, "no", "Scar")
    urgent.refresh_from_db()
    assert urgent.stage == Case.Stage.ARBITRATION
    doctor3.go(f"/doctor/cases/{urgent.public_id}/compare/")
    doctor3.read(urgent, "yes", "Carcinoma")
    urgent.refresh_from_db()
    assert urgent.status == Case.Status.REPORTED

    reports = f"{doctor3.url}/doctor/cases/{urgent.public_id}/report"
    pdf = doctor3.context.request.get(f"{reports}.pdf")
    assert pdf.body().startswith(b"%PDF")
    fhir = json.loads(doctor3.context.request.get(f"{reports}.json").text())
    assert fhir["resourceType"] in {"DiagnosticReport", "Bundle"}
    structured = doctor3.context.request.get(f"{reports}.sr.dcm")
    assert structured.body()[128:132] == b"DICM"
    expect(tech2.go("/labtech/?tab=reported").locator("#cases tbody tr")).to_have_count(2)

    for path in ("", "people/", "settings/", "audit/"):
        admin.go(f"/operations/{path}")
    expect(admin.page.get_by_role("cell", name="gave a verdict").first).to_be_visible()
    assert Notification.objects.filter(kind="returned", user=people.technician).count() == 1
    verdicts = AuditEvent.objects.filter(action=AuditEvent.Action.VERDICT)
    assert verdicts.count() == 4
    assert {kind: said for kind, said in problems.items() if said} == {}
