"""Break-glass: by a whole number, for a reason, for a while, to look only."""

import pytest
from django.test import Client
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.cases.models import AccessGrant, Case
from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import make_prediction
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
PAGE = reverse("doctor:break_glass")
API = "/api/v1/break-glass/"
REASON = "Patient in the emergency room"


@pytest.fixture
def case(people: People) -> Case:
    return make_case(
        people.elsewhere,
        status="sent",
        patient_id="X-77",
        accession_number="ACC-77",
        patient_name="SECRET^Name",
    )


def opened(browser: Client, case: Case, number: str = "X-77", reason: str = REASON):
    return browser.post(PAGE, {"number": number, "case": str(case.public_id), "reason": reason})


@pytest.mark.parametrize("who", ["owner", "admin"])
@pytest.mark.parametrize("number", ["X-77", "ACC-77"])
def test_a_whole_number_and_a_reason_open_the_case(people, case, who, number):
    user = getattr(people, who)
    browser = logged_in(user)
    address = reverse("doctor:case", args=[case.public_id])
    assert browser.get(address).status_code == 404

    found = browser.post(PAGE, {"number": number})
    assert [one.pk for one in found.context["found"]] == [case.pk]
    assert "SECRET" not in found.content.decode()

    assert opened(browser, case, number)["Location"] == address
    shown = browser.get(address)
    assert shown.status_code == 200
    assert REASON in shown.content.decode()
    assert AccessGrant.objects.get().user == user
    assert AuditEvent.objects.filter(action="break_glass").get().actor == user.email
    assert case.events.get(kind="break_glass").text == REASON


@pytest.mark.parametrize("number", ["X-7", "x-77", "SECRET", "", "%", "a\0b", "9" * 65])
def test_parts_of_numbers_and_names_find_nothing(people, case, number):
    answer = logged_in(people.owner).post(PAGE, {"number": number})
    assert answer.status_code in {400, 404}
    assert not answer.context["found"]


@pytest.mark.parametrize("reason", ["", "urgent", "x" * 501])
def test_without_a_proper_reason_nothing_opens(people, case, reason):
    assert opened(logged_in(people.owner), case, reason=reason).status_code == 400
    assert not AccessGrant.objects.exists()


def test_number_must_be_that_of_the_chosen_case(people, case):
    other = make_case(people.elsewhere, status="sent", patient_id="Y-1")
    assert opened(logged_in(people.owner), other).status_code == 404
    assert not AccessGrant.objects.exists()


def test_technicians_may_not(people, case):
    browser = logged_in(people.technician)
    assert browser.get(PAGE).status_code == 403
    assert browser.post(API, {"number": "X-77", "reason": REASON}).status_code == 403


def test_case_opened_by_break_glass_is_only_to_look_at(people, case):
    browser = logged_in(people.owner)
    make_prediction(case, status="refused")
    opened(browser, case)
    body = {"revision": case.revision, "cancer": "no", "reason": "no", "label": "chest"}

    for step in ("verdicts", "claim", "return", "take-over", "chest-correction"):
        address = f"/api/v1/cases/{case.public_id}/{step}/"
        answer = browser.post(address, body, content_type="application/json")
        assert answer.status_code == 403, step
        assert "break-glass" in answer.json()["detail"]
    override = reverse("prediction_override", args=[case.predictions.get().public_id])
    assert browser.post(override).status_code == 403
    state = browser.get(reverse("doctor:case_state", args=[case.public_id])).json()
    assert state["can_read"] is False
    assert not case.verdicts.exists()


def test_failed_prediction_of_a_case_opened_by_break_glass_is_not_retried(people, case):
    browser = logged_in(people.owner)
    prediction = make_prediction(case, status="failed")
    opened(browser, case)
    assert browser.post(reverse("prediction_retry", args=[prediction.public_id])).status_code == 403
    prediction.refresh_from_db()
    assert prediction.status == "failed"
    state = browser.get(reverse("doctor:case_state", args=[case.public_id])).json()
    assert [one["may_retry"] for one in state["predictions"]] == [False]


def test_own_case_needs_no_break_glass(people):
    own = make_case(people.home, status="sent", patient_id="OWN-1")
    answer = opened(logged_in(people.owner), own, "OWN-1")

    assert answer.status_code == 302
    assert not AccessGrant.objects.exists()


def test_program_names_the_case_where_a_number_has_several(people, case):
    browser = logged_in(people.owner)
    second = make_case(
        people.elsewhere, status="sent", patient_id="X-77", accession_number="ACC-78"
    )
    body = {"number": "X-77", "reason": REASON}
    several = browser.post(API, body, content_type="application/json")
    assert several.status_code == 400
    assert str(second.public_id) in str(several.json())

    body["case"] = str(second.public_id)
    answer = browser.post(API, body, content_type="application/json")
    assert answer.status_code == 201
    assert answer.json()["case"] == str(second.public_id)
    assert AccessGrant.objects.get().case == second


def test_looking_for_a_number_is_audited_before_anything_is_opened(people, case):
    logged_in(people.owner).post(PAGE, {"number": "X-77"})
    event = AuditEvent.objects.get(action="viewed")
    assert event.actor == people.owner.email
    assert event.details == {"what": "break-glass search", "found": 1}


def test_a_number_posted_with_a_bad_reason_lists_its_cases_only_audited(people, case):
    answer = opened(logged_in(people.owner), case, reason="urgent")
    assert [one.pk for one in answer.context["found"]] == [case.pk]
    event = AuditEvent.objects.get(action="viewed")
    assert event.actor == people.owner.email
    assert event.details == {"what": "break-glass search", "found": 1}
