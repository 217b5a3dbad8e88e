"""A doctor at the screen: the list that moves by itself, the findings, the verdict, the rest."""

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from apps.accounts.tests.factories import make_group, request_of
from apps.cases.models import Case
from apps.cases.services import claim_case, take_over_case
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier.models import Finding, PlaceQuestion, Prediction, TrainingExample
from apps.classifier.tests.factories import make_finding, make_prediction
from tests.people import logged_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def desk(page: Page, live_server, people) -> Page:
    """The owner's browser, logged in."""
    session = logged_in(people.owner).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    return page


@pytest.fixture
def waiting(people) -> Case:
    return make_case(
        people.home, status="sent", phantom=small_phantom(slices=3), patient_name="OKAFOR^Adaeze"
    )


def open_case(page: Page, live_server, case: Case, *, images: bool = False) -> None:
    """Drawing without a graphics card takes seconds, and most of these tests do not look at it."""
    unwanted = "**/viewer/webgl_screen*" if images else "**/viewer/viewer.js"
    page.route(unwanted, lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.goto(f"{live_server.url}/doctor/cases/{case.public_id}/")
    if images:
        page.wait_for_selector("ct-viewer[data-ready]")


def finding(page: Page, number: int = 0):
    return page.locator(".finding").nth(number)


def write_verdict(page: Page, cancer: str, diagnoses: str) -> None:
    page.locator("#write-verdict").click()
    page.locator(f"label[for=cancer-{cancer}]").click()
    page.fill("#diagnoses", diagnoses)


def refresh_list(page: Page) -> None:
    """Now, instead of at the next of the five-second polls."""
    page.evaluate("() => htmx.trigger('#worklist-live', 'worklist-refresh')")


def test_findings_arrive_by_themselves_and_a_disagreement_goes_to_retraining(
    desk, live_server, waiting
):
    prediction = make_prediction(waiting, status="running", progress=0.4)
    open_case(desk, live_server, waiting)
    expect(desk.locator("#ai-state")).to_contain_text("working on")
    write_verdict(desk, "no", "Granuloma")

    make_finding(prediction, malignancy_probability=0.91, diameter_mm=19)
    Prediction.objects.filter(pk=prediction.pk).update(
        status="done", progress=1, series_score=0.91, finished_at=timezone.now()
    )
    expect(desk.locator("#finding-count")).to_have_text("1", timeout=8000)
    expect(desk.locator("#diagnoses")).to_have_value("Granuloma")

    desk.locator("#tab-findings").click()
    expect(finding(desk)).to_contain_text("0.91 high")
    expect(finding(desk)).to_contain_text("reliability at this size not measured")
    finding(desk).get_by_text("Malignant", exact=True).click()
    expect(finding(desk).locator(".disagree")).to_be_hidden()
    finding(desk).get_by_text("Benign", exact=True).click()
    expect(finding(desk)).to_contain_text("You disagree with the AI here")
    finding(desk).get_by_role("button", name="old granuloma").click()
    expect(finding(desk).get_by_label("Send for retraining as “benign”")).to_be_checked()

    desk.locator("#write-verdict").click()
    desk.locator("#sign-verdict").click()
    expect(desk.locator("#verdict-news")).to_contain_text("1 correction was sent for retraining")
    expect(desk.locator("#case-state")).to_have_text("reported")
    example = TrainingExample.objects.get()
    assert (example.label, example.text) == ("benign", "old granuloma")
    desk.locator("#tab-history").click()
    expect(desk.locator("#pane-history")).to_contain_text("Sent for retraining")


def test_the_page_itself_never_scrolls_however_many_findings_there_are(desk, live_server, waiting):
    make_prediction(waiting, findings=[{"malignancy_probability": 0.4}] * 12)
    open_case(desk, live_server, waiting)
    last = finding(desk, 11)
    last.get_by_text("Benign", exact=True).click()
    last.get_by_text("Malignant", exact=True).click()
    assert desk.evaluate("() => document.body.scrollHeight <= window.innerHeight")
    assert desk.evaluate("() => document.body.scrollTop + window.scrollY") == 0


def test_a_missed_nodule_is_marked_on_the_image(desk, live_server, waiting):
    make_prediction(waiting)
    open_case(desk, live_server, waiting, images=True)
    expect(desk.locator("#ai-state")).to_contain_text("not an all-clear")
    desk.locator("#mark-missed").click()
    box = desk.locator(".ctv-port").bounding_box()
    desk.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    mark = desk.locator("[data-mark]")
    mark.get_by_label("Long axis in mm").fill("12.5")
    expect(desk.locator("ct-viewer [data-finding]")).to_contain_text("malignant · 13 mm")

    write_verdict(desk, "yes", "Carcinoma")
    desk.locator("#sign-verdict").click()
    expect(desk.locator("#verdict-news")).to_contain_text("Signed at")
    stored = Finding.objects.get(source="doctor")
    assert stored.diameter_mm == 12.5
    assert (stored.row, stored.column) == pytest.approx((32, 32), abs=1)
    assert set(TrainingExample.objects.values_list("task", flat=True)) == {"nodule", "malignancy"}


def test_a_lost_connection_or_a_reload_loses_nothing_and_signing_twice_signs_once(
    desk, live_server, waiting
):
    open_case(desk, live_server, waiting)
    write_verdict(desk, "uncertain", "Nodule, to be followed")

    def lose(route: Route) -> None:
        route.abort()

    desk.route("**/verdicts/", lose)
    desk.locator("#sign-verdict").click()
    expect(desk.locator("#sign-problem")).to_contain_text("cannot be reached")
    desk.unroute("**/verdicts/", lose)
    desk.reload()
    desk.locator("#write-verdict").click()
    expect(desk.locator("#diagnoses")).to_have_value("Nodule, to be followed")
    expect(desk.locator("#draft-kept")).to_contain_text("not signed yet")

    desk.locator("#sign-verdict").dblclick()
    expect(desk.locator("#verdict-news")).to_contain_text("Signed at")
    assert waiting.verdicts.count() == 1
    drafts = "Object.keys(sessionStorage).filter((key) => key.startsWith('draft:')).length"
    assert desk.evaluate(drafts) == 0


def test_who_was_slower_is_told_and_keeps_the_text(desk, live_server, waiting, people):
    open_case(desk, live_server, waiting)
    write_verdict(desk, "no", "My own words")
    claim_case(waiting, request=request_of(people.teammate))
    desk.locator("#sign-verdict").click()

    expect(desk.locator("#sign-problem")).to_contain_text(str(people.teammate))
    expect(desk.locator("#diagnoses")).to_have_value("My own words")
    expect(desk.locator("#case-with")).to_contain_text("is reading this case")
    desk.locator("#take-over-case").click()
    expect(desk.locator("#case-with")).to_have_text("This case is with you.")
    desk.locator("#sign-verdict").click()
    expect(desk.locator("#verdict-news")).to_contain_text("Signed at")
    assert waiting.verdicts.get().diagnoses == ["My own words"]


def test_a_case_goes_back_to_the_technician_with_words(desk, live_server, waiting):
    make_prediction(waiting, status="failed", reason="The AI stopped with an error.")
    open_case(desk, live_server, waiting)
    expect(desk.locator("#ai-state")).to_contain_text("The AI failed")
    desk.locator("#return-case").click()
    desk.get_by_role("button", name="Return the case").click()
    expect(desk.locator("#return-reason")).to_be_focused()
    desk.fill("#return-reason", "The upper lobes are missing.")
    desk.get_by_role("button", name="Return the case").click()
    expect(desk.locator("#case-state")).to_have_text("returned")
    assert waiting.events.get(kind="returned").text == "The upper lobes are missing."


def test_the_list_is_worked_by_keys_and_refreshes_without_moving_under_the_pointer(
    desk, live_server, people, waiting
):
    Case.objects.filter(pk=waiting.pk).update(sent_at=timezone.now() - timedelta(hours=2))
    second = make_case(people.home, status="sent", patient_name="SMITH^John")
    desk.goto(f"{live_server.url}/doctor/")
    rows = desk.locator(".worklist tbody tr")
    expect(rows).to_have_count(2)
    desk.keyboard.press("j")
    desk.keyboard.press("j")
    expect(rows.nth(1)).to_have_class(re.compile("selected"))

    rows.nth(1).hover()
    make_case(people.home, status="sent", priority=Case.Priority.EMERGENCY)
    refresh_list(desk)
    expect(desk.locator("#worklist-news")).to_contain_text("1 new case comes in")
    expect(rows.nth(1)).to_contain_text("SMITH")
    desk.mouse.move(5, 5)
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("emergency")
    expect(desk.locator("tr.selected")).to_contain_text("SMITH")

    desk.keyboard.press("c")
    expect(desk.locator("tr.selected")).to_contain_text("in review")
    second.refresh_from_db()
    assert second.claimed_by == people.owner
    desk.keyboard.press("Enter")
    expect(desk).to_have_url(f"{live_server.url}/doctor/cases/{second.public_id}/")


def test_searching_leaves_no_name_in_any_address(desk, live_server, waiting):
    addresses: list[str] = []
    desk.on("request", lambda request: addresses.append(request.url))
    desk.goto(f"{live_server.url}/doctor/")
    desk.keyboard.press("/")
    desk.keyboard.type("okafor")
    desk.keyboard.press("Enter")
    expect(desk.get_by_text("Cases that match")).to_be_visible()
    expect(desk.locator(".worklist tbody tr")).to_have_count(1)
    desk.locator(".worklist tbody tr").click()
    expect(desk.locator(".strip-name")).to_have_text("OKAFOR, Adaeze")
    assert not [one for one in addresses if "okafor" in one.lower()]


def test_a_case_taken_over_elsewhere_cannot_be_signed_here(desk, live_server, people):
    case = make_case(people.home, status="in_review", doctor=people.owner)
    open_case(desk, live_server, case)
    write_verdict(desk, "no", "Mine")
    take_over_case(case, request=request_of(people.teammate), revision=case.revision)
    desk.locator("#sign-verdict").click()
    expect(desk.locator("#sign-problem")).to_contain_text(str(people.teammate))
    expect(desk.locator("#sign-verdict")).to_be_hidden()
    assert not case.verdicts.exists()


def test_a_second_reader_is_told_what_is_hidden_and_the_third_compares(desk, live_server, people):
    case = make_case(people.home, status="sent")
    open_case(desk, live_server, case)
    write_verdict(desk, "yes", "Carcinoma")
    desk.locator("#second-read").check()
    desk.locator("#sign-verdict").click()
    expect(desk.locator("#verdict-news")).to_contain_text("Signed at")
    expect(desk.locator("#sign-verdict")).to_be_hidden()

    enter_as(desk, live_server, people.teammate)
    open_case(desk, live_server, case)
    desk.locator("#write-verdict").click()
    expect(desk.locator("#verdict-news")).to_contain_text("hidden until you sign")
    expect(desk.locator("#diagnoses")).to_have_value("")
    write_verdict_in_open_form(desk, "no", "Granuloma")
    expect(desk.locator("#case-state")).to_have_text("sent")

    enter_as(desk, live_server, people.colleague)
    open_case(desk, live_server, case)
    desk.locator("#write-verdict").click()
    desk.get_by_role("link", name="Compare both readings").click()
    expect(desk.locator(".compare")).to_contain_text("differs")
    expect(desk.locator(".compare")).to_contain_text("Granuloma")


def write_verdict_in_open_form(page: Page, cancer: str, diagnoses: str) -> None:
    page.locator(f"label[for=cancer-{cancer}]").click()
    page.fill("#diagnoses", diagnoses)
    page.locator("#sign-verdict").click()
    expect(page.locator("#verdict-news")).to_contain_text("Signed at")


def enter_as(page: Page, live_server, person) -> None:
    """Another person sits down at this browser."""
    session = logged_in(person).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )


def test_a_draft_is_on_the_server_while_one_types_and_two_tabs_ask(desk, live_server, waiting):
    open_case(desk, live_server, waiting)
    write_verdict(desk, "uncertain", "From the first tab")
    expect(desk.locator("#draft-kept")).to_contain_text("Draft saved at")
    other = desk.context.new_page()
    open_case(other, live_server, waiting)
    other.locator("#write-verdict").click()
    expect(other.locator("#diagnoses")).to_have_value("From the first tab")
    other.fill("#diagnoses", "From the second tab")
    expect(other.locator("#draft-kept")).to_contain_text("Draft saved at")

    desk.fill("#verdict-text", "More from the first")
    expect(desk.locator("#draft-conflict")).to_contain_text("newer draft of yours")
    expect(desk.locator("#diagnoses")).to_have_value("From the first tab")
    desk.get_by_role("button", name="Take the other one").click()
    desk.locator("#write-verdict").click()
    expect(desk.locator("#diagnoses")).to_have_value("From the second tab")


def test_without_a_connection_the_draft_waits_in_the_tab_and_is_saved_later(
    desk, live_server, waiting
):
    open_case(desk, live_server, waiting)
    desk.context.set_offline(True)
    write_verdict(desk, "no", "Typed on the train")
    expect(desk.locator("#draft-kept")).to_contain_text("No connection")
    desk.context.set_offline(False)
    expect(desk.locator("#draft-kept")).to_contain_text("Draft saved at", timeout=15_000)
    assert waiting.drafts.get().data["diagnoses"] == "Typed on the train"


def test_doctor_first_asks_for_the_opinion_and_then_shows_the_ai(
    desk, live_server, waiting, people
):
    people.home.reading_mode = "doctor_first"
    people.home.save()
    make_prediction(waiting, findings=[{"malignancy_probability": 0.91}])
    open_case(desk, live_server, waiting)
    expect(desk.locator("#ai-state")).to_contain_text("hidden for now")
    expect(desk.locator(".finding")).to_have_count(0)
    desk.get_by_role("button", name="Write opinion").click()
    desk.locator("label[for=cancer-no]").click()
    desk.get_by_role("button", name="Record opinion").click()
    expect(finding(desk)).to_contain_text("0.91 high")
    write_verdict(desk, "yes", "Carcinoma")
    desk.locator("#sign-verdict").click()
    expect(desk.locator("#verdict-news")).to_contain_text("Signed at")
    desk.locator("#tab-history").click()
    expect(desk.locator("#pane-history")).to_contain_text("Before the AI was shown No cancer")


def test_a_click_asks_the_ai_about_a_place(desk, live_server, waiting):
    open_case(desk, live_server, waiting, images=True)
    desk.locator("#ask-place").click()
    box = desk.locator(".ctv-port").bounding_box()
    with desk.expect_response("**/places/"):
        desk.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(desk.locator("#place-answers")).to_contain_text("The AI looks")
    question = PlaceQuestion.objects.get()
    assert (question.row, question.column) == pytest.approx((32, 32), abs=1)
    PlaceQuestion.objects.update(
        status="done",
        nodule_probability=0.91,
        malignancy_probability=0.74,
        diameter_mm=9.2,
        models_key="malignancy-v3 nodule-v3",
        answered_at=timezone.now(),
    )
    expect(desk.locator("#place-answers")).to_contain_text("0.74 high")
    expect(desk.locator("ct-viewer [data-finding]")).to_have_count(1)
    desk.get_by_role("button", name="Mark as a nodule").click()
    expect(desk.locator("[data-mark]").get_by_label("Long axis in mm")).to_have_value("9.2")


def test_the_structured_form_calculates_and_is_signed(desk, live_server, waiting):
    make_prediction(waiting, findings=[{"malignancy_probability": 0.6, "diameter_mm": 9.0}])
    open_case(desk, live_server, waiting)
    write_verdict(desk, "uncertain", "Nodule")
    desk.locator("#structured > summary").click()
    desk.get_by_role("button", name="Finding 1, 9 mm").click()
    desk.get_by_label("Short axis, mm").fill("7")
    desk.get_by_label("Place").select_option("rul")
    expect(desk.locator("#lung-rads")).to_contain_text("Lung-RADS 4A")
    expect(desk.locator(".nodule-answer")).to_contain_text("Mean 8 mm")
    desk.get_by_label("Category in the report").select_option("4X")
    desk.locator("#sign-verdict").click()
    expect(desk.locator("#sign-problem")).to_contain_text("Say why you give another one")
    desk.get_by_label("Why not the calculated one?").fill("spiculated")
    desk.fill("#coded-diagnosis", "Solitary pulmonary nodule [ICD-10-CM R91.1]")
    expect(desk.locator("#diagnoses")).to_have_value(re.compile("R91.1"))
    desk.locator("#sign-verdict").click()
    expect(desk.locator("#verdict-news")).to_contain_text("Signed at")
    verdict = waiting.verdicts.get()
    assert (verdict.lung_rads, verdict.nodules[0]["place"]) == ("4X", "rul")


def test_the_report_is_previewed_signed_and_added_to(desk, live_server, waiting):
    open_case(desk, live_server, waiting)
    write_verdict(desk, "no", "Granuloma")
    desk.locator("#preview-report").click()
    expect(desk.locator("#preview-text")).to_contain_text("Verdict: no cancer")
    assert not waiting.verdicts.exists()
    desk.get_by_role("button", name="Go on writing").click()
    expect(desk.locator("#preview-dialog")).to_be_hidden()
    desk.locator("#sign-verdict").click()
    expect(desk.locator("#verdict-news")).to_contain_text("Signed at")
    desk.locator("#add-addendum").click()
    desk.locator("#addendum-text").fill("Rib fracture, right 7.")
    desk.get_by_role("button", name="Sign addendum").click()
    expect(desk.locator("#addendum-dialog")).to_be_hidden()
    desk.locator("#tab-history").click()
    expect(desk.locator("#pane-history")).to_contain_text("Rib fracture, right 7.")


def test_a_lead_ticks_cases_and_gives_them_away(desk, live_server, waiting, people):
    group = make_group(people.owner, people.teammate)
    group.leads.add(people.owner)
    desk.goto(f"{live_server.url}/doctor/")
    desk.locator("[data-assign]").check()
    expect(desk.locator("#assign-count")).to_have_text("1")
    refresh_list(desk)
    expect(desk.locator("[data-assign]")).to_be_checked()
    desk.get_by_label("Give the ticked cases to").select_option(str(people.teammate))
    desk.get_by_role("button", name="Give 1").click()
    expect(desk.get_by_text(f"1 given to {people.teammate}")).to_be_visible()
    waiting.refresh_from_db()
    assert waiting.receiver == people.teammate
