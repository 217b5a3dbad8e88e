"""A full day on real processes: thirty cases by three technicians, read, returned, learnt from.

The pictures of its pages, at three sizes in both themes, go to SCREENSHOTS_DIR where it is set.
"""

import json
import os
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest
from django.core.management import call_command
from playwright.sync_api import Browser, expect

from apps.accounts.models import Notification
from apps.accounts.permissions import Role
from apps.accounts.tests.factories import make_user
from apps.cases.models import Case
from apps.cases.tests.factories import small_phantom, write_dicom
from apps.classifier.models import Prediction, TrainingExample
from apps.imaging.phantom import Nodule, PhantomSpec, chest_phantom
from tests.browser.test_day import Desk
from tests.people import People
from tests.system import System, eventually
from tests.test_story import _accept_every_correction, _activate, _train_until_the_gate_permits

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.timeout(2400)]
CASES_EACH = 10
SIZES = [(390, 844), (1366, 768), (3840, 2160)]
RETURNED, READ_TWICE, DIFFERING = 3, 4, 2


@pytest.fixture
def problems() -> dict[str, list]:
    return {}


@pytest.fixture
def desks(
    browser: Browser, running_system: System, people: People, problems
) -> Iterator[dict[str, Desk]]:
    """Three technicians, two doctors and a third for arbitrations, an admin."""
    call_command("load_models", verbosity=0)
    call_command("make_phantom_base", verbosity=0)
    more = {name: make_user(Role.LABTECH, site=people.home) for name in ("tech2", "tech3")}
    who = {"tech1": people.technician, **more, "admin": people.admin}
    who |= {"doctor1": people.owner, "doctor2": people.colleague, "arbiter": people.teammate}
    url = running_system.base_url
    found = {name: Desk(browser, url, user, problems) for name, user in who.items()}
    yield found
    for desk in found.values():
        desk.context.close()


def upload(desk: Desk, folder: Path, number: int) -> None:
    """Drop ten studies at once; in the first of them is a nodule for the networks to find."""
    spec = PhantomSpec(slices=1, nodules=(Nodule((-75.0, -20.0, 0.0), 19.0),))
    paths: list[Path] = []
    for index in range(CASES_EACH):
        place = folder / f"{number}-{index}"
        place.mkdir(parents=True)
        phantom = small_phantom(slices=3) if index else chest_phantom(spec)
        name = f"DAY^{number}-{index}"
        paths += write_dicom(place, phantom=phantom, patient_name=name)
    page = desk.go("/labtech/")
    page.set_input_files('[data-input="files"]', [str(path) for path in paths])
    expect(page.locator('[data-count="drafts"]')).to_have_text(
        str(CASES_EACH * number), timeout=60_000
    )


def send(desk: Desk, case: Case, priority: str) -> None:
    page = desk.go(f"/labtech/cases/{case.public_id}/")
    page.get_by_text(priority, exact=True).click()
    page.get_by_role("button", name="Send to doctor").click()
    expect(page.get_by_role("button", name="Send to doctor")).to_have_count(0)


def give_back(desk: Desk, case: Case) -> None:
    page = desk.go(f"/doctor/cases/{case.public_id}/")
    page.locator("#return-case").click()
    page.fill("#return-reason", "The upper lobes are missing.")
    page.get_by_role("button", name="Return the case").click()
    expect(page.locator("#case-state")).to_have_text("returned")


def correct(desk: Desk, case: Case, *, nodule: bool) -> None:
    """Disagree with what the AI marked first (that it is none, or how it is), and sign."""
    page = desk.go(f"/doctor/cases/{case.public_id}/")
    finding = page.locator("[data-finding-id]").first
    if nodule:
        for answer in ("Benign", "Malignant"):  # one of them is what the AI said
            finding.get_by_text(answer, exact=True).click()
            if finding.locator(".disagree").is_visible():
                break
    else:
        finding.get_by_text("Not a nodule", exact=True).click()
    expect(finding).to_contain_text("You disagree with the AI here")
    page.locator("#write-verdict").click()
    page.locator("label[for=cancer-no]").click()
    page.fill("#diagnoses", "Vessel")
    page.locator("#sign-verdict").click()
    expect(page.locator("#verdict-news")).to_contain_text("sent for retraining", timeout=15_000)


def settled_predictions() -> bool:
    return not Prediction.objects.filter(status__in=["queued", "running"]).exists()


def photograph(desk: Desk, path: str, name: str) -> None:
    """The page at three sizes in both themes, for somebody to look at."""
    folder = os.environ.get("SCREENSHOTS_DIR")
    if not folder:
        return
    for width, height in SIZES:
        for theme in ("light", "dark"):
            desk.page.set_viewport_size({"width": width, "height": height})
            desk.page.emulate_media(color_scheme=theme)
            desk.page.goto(f"{desk.url}{path}")
            desk.page.wait_for_load_state("networkidle")
            desk.page.screenshot(path=Path(folder) / f"{name}-{width}-{theme}.png")
    desk.page.set_viewport_size({"width": 1440, "height": 900})


def test_a_full_day(
    desks: dict[str, Desk],
    running_system: System,
    people: People,
    problems: dict[str, list],
    tmp_path: Path,
) -> None:
    technicians = [desks["tech1"], desks["tech2"], desks["tech3"]]
    for number, desk in enumerate(technicians, start=1):
        upload(desk, tmp_path, number)
    cases = list(Case.objects.order_by("pk"))
    assert len(cases) == 3 * CASES_EACH
    by_whom = {case: technicians[index // CASES_EACH] for index, case in enumerate(cases)}
    priorities = cycle(["Routine", "Routine", "Urgent", "Emergency"])
    for case in cases:
        send(by_whom[case], case, next(priorities))
    eventually(settled_predictions, seconds=400, what="the answers of the networks")
    first, second, arbiter = desks["doctor1"], desks["doctor2"], desks["arbiter"]

    with_nodule = [case for case in cases if case.findings.exists()]
    assert len(with_nodule) == 3
    for index, case in enumerate(with_nodule):
        correct(first, case, nodule=index == 0)
    plain = [case for case in cases if case not in with_nodule]
    for case in plain[:RETURNED]:
        give_back(second, case)
        desk = by_whom[case]
        expect(desk.go("/labtech/?tab=returned").locator("tr[data-unread-case]")).to_have_count(1)
        send(desk, case, "Urgent")
    assert Notification.objects.filter(kind="returned").count() == RETURNED

    twice = plain[RETURNED : RETURNED + READ_TWICE]
    for index, case in enumerate(twice):
        first.read(case, "no", "Granuloma", second=True)
        second.read(case, "yes" if index < DIFFERING else "no", "Second look")
    in_dispute = Case.objects.filter(stage=Case.Stage.ARBITRATION, status=Case.Status.SENT)
    assert in_dispute.count() == DIFFERING
    for case in list(in_dispute):
        arbiter.go(f"/doctor/cases/{case.public_id}/compare/")
        arbiter.read(case, "no", "Scar")
    readers = cycle([first, second])
    for case in [*plain[:RETURNED], *plain[RETURNED + READ_TWICE :]]:
        next(readers).read(case, "no", "No nodule")
    assert Case.objects.filter(status=Case.Status.REPORTED).count() == len(cases)

    reports_of(first, with_nodule[0])
    admin = desks["admin"]
    for path in ("", "people/", "settings/", "audit/", "examples/", "models/"):
        admin.go(f"/operations/{path}")
    _accept_every_correction(admin.page, running_system)
    assert TrainingExample.objects.filter(status="accepted").count() >= len(with_nodule)
    run = _train_until_the_gate_permits(admin.page, running_system, killed=False)
    _activate(admin.page, running_system, run.candidate)
    told = Notification.objects.filter(kind="live", user=people.owner)
    assert told.exists() == run.examples.filter(sent_by=people.owner).exists()
    expect(first.go("/doctor/corrections/").locator("main")).to_contain_text(str(run.candidate))

    photograph(technicians[0], "/labtech/?tab=reported", "today")
    photograph(first, "/doctor/?show=reported", "worklist")
    photograph(first, f"/doctor/cases/{with_nodule[0].public_id}/", "reading")
    photograph(admin, "/operations/", "operations")
    assert {kind: said for kind, said in problems.items() if said} == {}


def reports_of(desk: Desk, case: Case) -> None:
    """The signed report in each of its formats."""
    address = f"{desk.url}/doctor/cases/{case.public_id}/report"
    get = desk.context.request.get
    assert get(f"{address}.pdf").body().startswith(b"%PDF")
    assert json.loads(get(f"{address}.json").text())["resourceType"]
    assert get(f"{address}.sr.dcm").body()[128:132] == b"DICM"
    marks = get(f"{address}.marks.dcm")
    assert marks.body()[128:132] == b"DICM"
