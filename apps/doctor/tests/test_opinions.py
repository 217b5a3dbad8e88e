"""Second opinions: who is asked, what they see, and what an answer does."""

from uuid import uuid4

import pytest
from django.urls import reverse

from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent
from apps.cases.models import Case
from apps.cases.storage import path_of
from apps.cases.tests.factories import make_case
from apps.classifier.adjudication import ask_opinion, decide_example
from apps.classifier.models import Opinion, TrainingExample
from apps.classifier.tests.factories import make_prediction, make_training_example
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
PAGE, API = reverse("doctor:opinions"), "/api/v1/opinions/"


@pytest.fixture
def asked(people: People) -> TrainingExample:
    """The owner called it benign, and an admin asked the colleagues."""
    case = make_case(people.home, status="sent", receiver=people.owner, patient_id="OPINION-1")
    finding = make_prediction(case, findings=[{"malignancy_probability": 0.9}]).findings.get()
    example = make_training_example(
        case, doctor=people.owner, finding=finding, instance=finding.instance, text="Fat inside."
    )
    ask_opinion(example, request=request_of(people.admin))
    return example


def answer(example: TrainingExample, user, label: str, text: str = "", **headers):
    address = reverse("doctor:opinion_answer", args=[example.public_id])
    return logged_in(user).post(address, {"label": label, "text": text}, **headers)


def post(example: TrainingExample, user, **body):
    address = f"{API}{example.public_id}/"
    return logged_in(user).post(address, body, content_type="application/json")


def test_a_colleague_sees_image_ai_and_first_answer_but_no_patient(people, asked):
    browser = logged_in(people.colleague)
    page = browser.get(PAGE).content.decode()
    picture = browser.get(reverse("doctor:opinion_crop", args=[asked.public_id]))

    for shown in ("0.90", "malignancy-v1", "benign", "Fat inside.", str(people.owner)):
        assert shown in page
    assert picture.content.startswith(b"\x89PNG")
    assert "no-store" in picture["Cache-Control"]
    patient = asked.case.study.patient
    assert patient.patient_id not in page
    assert patient.display_name not in page
    assert str(asked.case.public_id) not in page  # sent to somebody else: not theirs to open
    looks = AuditEvent.objects.filter(action="viewed", actor_pk=people.colleague.pk)
    assert looks.filter(target_type="classifier.trainingexample").count() == 2


def test_who_may_open_the_case_finds_it_linked(people, asked):
    Case.objects.filter(pk=asked.case_id).update(receiver=None)
    page = logged_in(people.colleague).get(PAGE).content.decode()
    assert reverse("doctor:case", args=[asked.case.public_id]) in page


@pytest.mark.parametrize("who", ["owner", "stranger"])
def test_the_sender_and_another_hospital_are_not_asked(people, asked, who):
    user = getattr(people, who)
    assert "Nobody waits for your opinion" in logged_in(user).get(PAGE).content.decode()
    assert logged_in(user).get(API).json()["count"] == 0
    crop = reverse("doctor:opinion_crop", args=[asked.public_id])
    assert logged_in(user).get(crop).status_code == 404
    assert logged_in(user).get(f"{API}{asked.public_id}/crop.png").status_code == 404
    assert answer(asked, user, "benign").status_code == 404
    assert post(asked, user, label="benign").status_code == 404
    assert not Opinion.objects.exists()


def test_nobody_was_asked_so_nobody_may_look(people):
    example = make_training_example(make_case(people.home, status="sent"), doctor=people.owner)
    crop = reverse("doctor:opinion_crop", args=[example.public_id])
    assert logged_in(people.colleague).get(crop).status_code == 404
    assert answer(example, people.colleague, "benign").status_code == 404


def test_a_second_reader_is_told_nothing_before_signing(people, asked):
    Case.objects.filter(pk=asked.case_id).update(stage=Case.Stage.SECOND)
    assert logged_in(people.colleague).get(API).json()["count"] == 0
    assert answer(asked, people.colleague, "benign").status_code == 404
    Case.objects.filter(pk=asked.case_id).update(status=Case.Status.REPORTED)
    assert logged_in(people.colleague).get(API).json()["count"] == 1


def test_the_same_answer_accepts_and_the_page_says_so(people, asked):
    page = answer(asked, people.colleague, "benign", "I see fat too.", HTTP_HX_REQUEST="true")
    asked.refresh_from_db()
    assert (asked.status, asked.decided_by) == ("accepted", people.colleague)
    assert "accepted for the next training" in page.content.decode()
    assert AuditEvent.objects.filter(
        action="example_decided", actor_pk=people.colleague.pk, target_id=str(asked.pk)
    ).exists()
    listed = logged_in(people.colleague).get(PAGE).content.decode()
    assert "Nobody waits for your opinion" in listed
    assert "I see fat too." in listed


@pytest.mark.parametrize(("label", "stored"), [("malignant", "malignant"), ("cannot_tell", "")])
def test_another_answer_or_none_leaves_it_to_the_admin(people, asked, label, stored):
    assert answer(asked, people.colleague, label).url == PAGE
    asked.refresh_from_db()
    assert asked.status == "queued"
    assert Opinion.objects.get().label == stored


@pytest.mark.parametrize("wrong", ["", "nodule", "x" * 500])
def test_an_answer_that_the_task_does_not_know_is_refused_in_words(people, asked, wrong):
    page = answer(asked, people.colleague, wrong)
    assert page.status_code == 422
    assert "Choose" in page.content.decode()
    assert post(asked, people.colleague, label=wrong).status_code == 400
    assert not Opinion.objects.exists()


def test_a_second_click_and_a_decision_in_between_are_told(people, asked):
    assert answer(asked, people.colleague, "cannot_tell").status_code == 302
    again = answer(asked, people.colleague, "benign")
    assert (again.status_code, "answered this one" in again.content.decode()) == (409, True)
    decide_example(asked, request=request_of(people.admin), accept=True)
    late = post(asked, people.teammate, label="malignant")
    assert (late.status_code, "decided in the meantime" in late.json()["detail"]) == (409, True)
    assert Opinion.objects.count() == 1


def test_the_api_does_the_same(people, asked):
    (row,) = logged_in(people.colleague).get(API).json()["results"]
    assert (row["label"], row["predicted"], row["sent_by"]) == ("benign", 0.9, str(people.owner))
    crop = logged_in(people.colleague).get(f"{API}{row['public_id']}/crop.png")
    assert crop.content.startswith(b"\x89PNG")
    said = post(asked, people.colleague, label="benign")
    assert (said.status_code, said.json()["status"]) == (201, "accepted")
    assert logged_in(people.colleague).get(API).json()["count"] == 0
    assert post(asked, people.colleague, label=["benign"]).status_code == 400


def test_a_crop_whose_file_is_gone_is_told_in_words(people, asked):
    path_of(asked.instance).unlink()
    crop = reverse("doctor:opinion_crop", args=[asked.public_id])
    assert logged_in(people.colleague).get(crop).status_code == 503


def test_the_worklist_says_that_an_opinion_is_waited_for(people, asked):
    worklist = reverse("doctor:worklist")
    words = "1 correction of colleagues waits for your second opinion"
    assert words in logged_in(people.colleague).get(worklist).content.decode()
    assert words not in logged_in(people.owner).get(worklist).content.decode()


def test_an_id_that_nothing_has_is_not_found(people):
    assert logged_in(people.colleague).get(f"{API}{uuid4()}/crop.png").status_code == 404
