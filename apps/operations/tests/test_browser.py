"""The retrain queue by keyboard, and a training that is watched while it runs."""

from hashlib import sha256
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.tests.factories import PASSWORD, make_site, make_user
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier.models import ModelVersion, TrainingExample, TrainingRun
from apps.classifier.tests.factories import (
    make_model_version,
    make_prediction,
    make_training_example,
    make_training_run,
)
from tests.people import log_in
from tests.system import empty_broker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def admin_page(page: Page, live_server) -> Page:
    """A page in which an admin has logged in."""
    admin = make_user("admin", site=make_site("Home hospital"))
    page.goto(f"{live_server.url}/accounts/login/")
    page.fill("input[name=login]", admin.email)
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/operations/")
    return page


def test_corrections_are_decided_by_keyboard(admin_page: Page, live_server):
    phantom = small_phantom("chest", matrix=256)
    for number in range(3):
        case = make_case(status="sent", phantom=phantom, patient_id=f"K-{number}")
        finding = make_prediction(case, findings=[{}]).findings.get()
        make_training_example(case, finding=finding)
    first, second, third = TrainingExample.objects.order_by("pk")
    admin_page.goto(f"{live_server.url}/operations/examples/")
    cards = admin_page.locator("[data-example]")
    expect(cards).to_have_count(3)
    picture = cards.first.locator("img")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 128

    admin_page.keyboard.press("j")
    admin_page.keyboard.press("a")
    expect(cards.nth(0)).to_contain_text("Take the decision back")
    admin_page.keyboard.press("r")
    admin_page.keyboard.type("a vessel")
    admin_page.keyboard.press("Enter")
    expect(cards.nth(1)).to_contain_text("a vessel")
    admin_page.keyboard.press("a")
    expect(cards.nth(2)).to_contain_text("accepted")
    admin_page.wait_for_timeout(500)  # htmx takes a moment to adopt the new card
    admin_page.keyboard.press("u")
    expect(cards.nth(2).get_by_role("button", name="Accept")).to_be_visible()

    for example in (first, second, third):
        example.refresh_from_db()
    assert [first.status, second.status, third.status] == ["accepted", "rejected", "queued"]
    assert second.decision_note == "a vessel"


def test_rejecting_without_a_reason_is_told_and_changes_nothing(admin_page: Page, live_server):
    make_training_example(make_case(status="sent"))
    admin_page.goto(f"{live_server.url}/operations/examples/")
    admin_page.get_by_role("button", name="Reject").click()
    expect(admin_page.locator(".toasts")).to_contain_text("Say why it is rejected")
    assert TrainingExample.objects.get().status == "queued"


def test_a_training_is_watched_without_reloading_and_cancelled_after_a_question(
    admin_page: Page, live_server
):
    run = make_training_run()
    admin_page.goto(f"{live_server.url}/operations/runs/{run.public_id}/")
    expect(admin_page.locator("#run")).to_contain_text("Waits for the training worker")
    progress = {
        "step": "training",
        "member": 1,
        "members": 2,
        "epoch": 3,
        "epochs": 8,
        "loss": 0.5,
        "losses": [[1, 1, 0.9], [1, 2, 0.7], [1, 3, 0.5]],
        "fraction": 0.2,
        "seconds_left": 21,
    }
    TrainingRun.objects.update(status="running", progress=progress)
    expect(admin_page.locator("#run")).to_contain_text("epoch 3 of 8")
    expect(admin_page.locator("svg.curve polyline")).to_have_count(1)
    questions = []

    def answer(dialog) -> None:
        questions.append(dialog.message)
        dialog.accept()

    admin_page.on("dialog", answer)
    admin_page.get_by_role("button", name="Cancel").click()
    expect(admin_page.locator("#run .page-head")).to_contain_text("cancelled")
    assert "Cancel this training?" in questions[0]
    assert TrainingRun.objects.get().status == "cancelled"


def _file_of(version: ModelVersion, folder: Path) -> None:
    """A weights file that is the version's own, so that it may be activated."""
    content = f"weights {version.number}".encode()
    (folder / version.file).write_bytes(content)
    version.sha256 = sha256(content).hexdigest()
    version.save(update_fields=["sha256"])


def _passed(settings, folder: Path) -> TrainingRun:
    settings.MODELS_DIR = folder
    old, new = make_model_version(number=1), make_model_version(number=2, status="candidate")
    for version in (old, new):
        _file_of(version, folder)
    return make_training_run(status="passed", candidate=new, active_version=old)


def test_a_candidate_is_read_put_in_shadow_and_activated_on_its_card(
    admin_page: Page, live_server, settings, tmp_path
):
    candidate = _passed(settings, tmp_path).candidate
    admin_page.on("dialog", lambda dialog: dialog.accept())
    admin_page.goto(f"{live_server.url}/operations/models/malignancy/2/")
    expect(admin_page.locator(".model-card")).to_contain_text("A made-up version for tests")
    shadow = admin_page.locator("#shadow")
    shadow.get_by_label("Why").fill("first unseen")
    shadow.get_by_role("button", name="Run in shadow").click()
    expect(shadow).to_contain_text("Doctors see nothing of it")
    expect(shadow).to_contain_text("first unseen")

    admin_page.locator("textarea[name=note]").first.fill("better on small ones")
    admin_page.get_by_role("button", name="Activate malignancy-v2").click()
    expect(admin_page.locator(".page-head")).to_contain_text("active")
    candidate.refresh_from_db()
    assert (candidate.status, candidate.shadow_since) == ("active", None)
    admin_page.goto(f"{live_server.url}/operations/models/")
    admin_page.locator("summary").click()
    admin_page.locator("textarea[name=note]").fill("too many alarms")
    admin_page.get_by_role("button", name="Roll back to malignancy-v1").click()
    expect(admin_page.locator("li.active")).to_contain_text("malignancy-v1")


def test_a_failed_training_is_started_again_from_its_page(admin_page: Page, live_server):
    make_training_run(status="failed", reason="The disk was full.")
    admin_page.goto(f"{live_server.url}/operations/runs/")
    admin_page.goto(f"{live_server.url}/operations/runs/{TrainingRun.objects.get().public_id}/")
    expect(admin_page.locator("#run")).to_contain_text("The disk was full.")
    admin_page.get_by_role("button", name="Train again").click()
    expect(admin_page.locator("#run")).to_contain_text("Waits for the training worker")
    assert TrainingRun.objects.filter(status="queued").count() == 1
    empty_broker()


def test_monitoring_shows_its_numbers_and_hides_the_ai_from_doctors(
    admin_page: Page, live_server, browser
):
    site = make_site("Home hospital")
    doctor = make_user("doctor", site=site)
    case = make_case(site, status="sent", receiver=doctor)
    make_prediction(case, findings=[{"malignancy_probability": 0.83}])
    admin_page.on("dialog", lambda dialog: dialog.accept())
    admin_page.goto(f"{live_server.url}/operations/")
    admin_page.get_by_role("link", name="Monitoring", exact=True).click()
    chart = admin_page.locator("figure.chart").first
    expect(chart.locator("svg.plot rect")).to_have_count(1)
    chart.get_by_text("As a table").click()
    expect(chart.locator("tbody tr").last).to_contain_text("1")

    admin_page.get_by_text("Switch it off for all doctors").click()
    admin_page.get_by_label("Why; doctors read this").fill("The scanner is being calibrated.")
    admin_page.get_by_role("button", name="Switch the AI off").click()
    expect(admin_page.locator(".notice-danger")).to_contain_text("Doctors see no AI since")

    reading = log_in(browser, live_server.url, doctor.email)
    expect(reading.locator("#worklist-table")).to_contain_text("The AI is switched off.")
    expect(reading.locator("#worklist-table")).not_to_contain_text("0.83")
    reading.goto(f"{live_server.url}/doctor/cases/{case.public_id}/")
    expect(reading.locator("#ai-state")).to_contain_text("The scanner is being calibrated.")
    expect(reading.locator("#finding-list")).not_to_contain_text("0.83")

    admin_page.get_by_label("What you found").fill("Calibrated.")
    admin_page.get_by_role("button", name="Show the AI again").click()
    expect(admin_page.locator("#display")).to_contain_text("Doctors see the AI.")
    expect(reading.locator("#finding-list")).to_contain_text("0.83", timeout=15_000)
    reading.context.close()
