"""The retrain queue by keyboard, and a training that is watched while it runs."""

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.tests.factories import PASSWORD, make_site, make_user
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier.models import TrainingExample, TrainingRun
from apps.classifier.tests.factories import (
    make_prediction,
    make_training_example,
    make_training_run,
)

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
