"""Sending a case, taking it back, sending it again: each step once, and told when too late."""

import pytest
from django.urls import reverse

from apps.accounts.tests.factories import make_group, make_user
from apps.audit.models import AuditEvent
from apps.cases.models import Case
from apps.cases.tests.factories import make_case
from apps.classifier.models import Prediction
from apps.classifier.tasks import predict
from apps.labtech import services
from tests.people import logged_in

pytestmark = pytest.mark.django_db
Status = Case.Status


@pytest.fixture
def case(people):
    return make_case(technician=people.technician, series=2)


@pytest.fixture
def queued(monkeypatch, django_capture_on_commit_callbacks):
    """Runs a step and gives the ids of the predictions whose tasks it sent on commit."""
    sent: list[int] = []
    monkeypatch.setattr(predict, "delay", sent.append)

    def during(step):
        with django_capture_on_commit_callbacks(execute=True):
            answer = step()
        return answer, sent

    return during


def send(client, case: Case, **values):
    wish = {"revision": case.revision, "receiver": "pool", "priority": 2, **values}
    return client.post(reverse("labtech:send", args=[case.public_id]), wish)


def api(client, case: Case, step: str, **values):
    address = reverse(f"case_{step}", args=[case.public_id])
    return client.post(address, {"revision": case.revision, **values}, "application/json")


def test_a_case_goes_to_the_pool_with_question_priority_and_note(client, case, queued, people):
    answer, sent = queued(
        lambda: send(client, case, clinical_question="Nodule?", priority=1, note="Breathed.")
    )
    assert answer.status_code == 302
    case.refresh_from_db()
    assert (case.status, case.priority) == (Status.SENT, Case.Priority.URGENT)
    assert (case.clinical_question, case.note) == ("Nodule?", "Breathed.")
    assert (case.sent_by, case.receiver, case.receiver_group) == (people.technician, None, None)
    assert case.events.last().kind == "sent"
    assert AuditEvent.objects.filter(action="sent", target_id=str(case.pk)).count() == 1
    assert sorted(sent) == sorted(case.predictions.values_list("pk", flat=True))
    assert len(sent) == 2


def test_a_case_goes_to_a_named_doctor_or_a_group(client, case, people):
    send(client, case, receiver=f"doctor-{people.owner.pk}")
    case.refresh_from_db()
    assert case.receiver == people.owner
    other = make_case(technician=people.technician)
    send(client, other, receiver=f"group-{people.group.pk}")
    other.refresh_from_db()
    assert other.receiver_group == people.group


def test_only_doctors_and_groups_of_the_own_site_can_be_chosen(client, case, people):
    gone = make_user("doctor", site=people.home, is_active=False)
    foreign_group = make_group(people.stranger)
    empty_group = make_group(site=people.home)
    wrong = [
        f"doctor-{people.stranger.pk}",
        f"doctor-{people.technician.pk}",
        f"doctor-{gone.pk}",
        f"group-{foreign_group.pk}",
        f"group-{empty_group.pk}",
        "doctor-x",
        "",
    ]
    for receiver in wrong:
        answer = send(client, case, receiver=receiver)
        assert answer.status_code == 422, receiver
    case.refresh_from_db()
    assert case.status == Status.DRAFT


@pytest.mark.parametrize(
    "values",
    [
        {"priority": "9"},
        {"priority": "x"},
        {"revision": "x"},
        {"revision": str(10**30)},
        {"clinical_question": "x" * 1001},
        {"note": "x" * 4001},
        {"note": "a\0b"},
    ],
)
def test_a_wrong_field_is_told_and_nothing_is_sent(client, case, values):
    answer = send(client, case, **values)
    assert answer.status_code == 422
    case.refresh_from_db()
    assert case.status == Status.DRAFT
    assert not Prediction.objects.exists()


def test_a_second_click_sends_once(client, case):
    assert send(client, case).status_code == 302
    again = send(client, case)
    assert again.status_code == 409
    assert "changed in the meantime" in again.content.decode()
    assert case.events.filter(kind="sent").count() == 1
    assert case.predictions.count() == 2


def test_when_the_predictions_cannot_be_queued_the_case_is_not_sent(client, case, monkeypatch):
    def fail(case):
        raise RuntimeError("no predictions today")

    monkeypatch.setattr(services, "request_predictions", fail)
    client.raise_request_exception = False
    assert send(client, case).status_code == 500
    case.refresh_from_db()
    assert case.status == Status.DRAFT
    assert not case.events.filter(kind="sent").exists()


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_does_not_stop_the_sending(client, case, monkeypatch):
    def away(pk: int):
        raise ConnectionError("no broker")

    monkeypatch.setattr(predict, "delay", away)
    assert send(client, case).status_code == 302
    case.refresh_from_db()
    assert case.status == Status.SENT
    assert set(case.predictions.values_list("status", flat=True)) == {"queued"}


def test_a_sent_case_is_taken_back_with_a_reason_and_can_be_sent_again(client, case):
    send(client, case)
    case.refresh_from_db()
    answer = client.post(
        reverse("labtech:withdraw", args=[case.public_id]),
        {"revision": case.revision, "reason": "wrong patient"},
    )
    assert answer.status_code == 302
    case.refresh_from_db()
    assert case.status == Status.WITHDRAWN
    assert case.events.last().text == "wrong patient"
    assert send(client, case).status_code == 302


def test_a_case_that_a_doctor_reads_is_not_taken_back(client, people):
    case = make_case(technician=people.technician, status="in_review", doctor=people.owner)
    client.post(
        reverse("labtech:withdraw", args=[case.public_id]),
        {"revision": case.revision, "reason": "too late"},
    )
    case.refresh_from_db()
    assert case.status == Status.IN_REVIEW


def test_programs_send_and_take_back_too(client, case, people):
    sent = api(client, case, "send", receiver=people.owner.pk, priority=0)
    assert sent.status_code == 200
    assert sent.json()["status"] == "sent"
    case.refresh_from_db()
    assert case.receiver == people.owner
    assert api(client, case, "withdraw", reason="wrong study").json()["status"] == "withdrawn"


def test_programs_are_told_when_they_come_too_late(client, case):
    assert api(client, case, "send").status_code == 200
    late = api(client, case, "send")
    assert late.status_code == 409
    assert "changed in the meantime" in late.json()["detail"]


@pytest.mark.parametrize(
    "values",
    [
        {"revision": 10**30},
        {"revision": None},
        {"receiver": 10**30},
        {"receiver": "x"},
        {"receiver": {}},
        {"receiver_group": -1},
        {"priority": 7},
        {"note": "a\u0000b"},
        {"clinical_question": ["x"]},
    ],
)
def test_programs_get_a_clear_400_for_wrong_fields(client, case, values):
    answer = api(client, case, "send", **values)
    assert answer.status_code == 400
    assert set(values) <= set(answer.json())


def test_a_doctor_and_a_group_at_once_are_refused(client, case, people):
    answer = api(client, case, "send", receiver=people.owner.pk, receiver_group=people.group.pk)
    assert answer.status_code == 400


def test_a_foreign_doctor_is_no_receiver_for_programs_either(client, case, people):
    assert api(client, case, "send", receiver=people.stranger.pk).status_code == 400


def test_receivers_are_those_of_the_own_site(client, people):
    told = client.get("/api/v1/receivers/").json()
    assert {one["id"] for one in told["doctors"]} == {
        people.owner.pk,
        people.teammate.pk,
        people.colleague.pk,
    }
    assert [one["id"] for one in told["groups"]] == [people.group.pk]


def test_other_people_s_cases_cannot_be_sent_or_taken_back(case, people):
    for user, expected in [(people.foreign_technician, 404), (people.owner, 403)]:
        client = logged_in(user)
        for step in ("send", "withdraw"):
            assert api(client, case, step).status_code == expected
            page = client.post(reverse(f"labtech:{step}", args=[case.public_id]))
            assert page.status_code == expected
    case.refresh_from_db()
    assert case.status == Status.DRAFT


def test_a_case_whose_doctor_has_left_can_be_taken_back_and_sent_again(client, people):
    left = make_user("doctor", site=people.home)
    case = make_case(people.home, status="in_review", doctor=left, receiver=left)
    left.is_active = False
    left.save()
    page = client.get(reverse("labtech:case", args=[case.public_id]))
    assert "Take back" in page.content.decode()
    answer = api(client, case, "withdraw", revision=case.revision, reason="Doctor has left")
    assert answer.status_code == 200, answer.content
    case.refresh_from_db()
    assert (case.status, case.claimed_by) == (Case.Status.WITHDRAWN, None)
