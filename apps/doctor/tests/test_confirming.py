"""Pathology or follow-up of a case: recorded once, shown to those who may see it."""

from uuid import uuid4

import pytest
from django.urls import reverse

from apps.audit.models import AuditEvent
from apps.cases.models import Case, Reading
from apps.cases.tests.factories import make_case
from apps.classifier.models import Confirmation
from apps.classifier.tests.factories import make_prediction, make_training_example
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(people: People) -> Case:
    case = make_case(people.home, status="reported", doctor=people.owner)
    make_prediction(case, findings=[{"malignancy_probability": 0.9}])
    return case


def page_of(case: Case) -> str:
    return reverse("doctor:confirm", args=[case.public_id])


def api_of(case: Case) -> str:
    return f"/api/v1/cases/{case.public_id}/confirmations/"


def test_pathology_of_a_finding_is_kept_shown_and_audited(people, case):
    finding = case.findings.get()
    example = make_training_example(
        case, finding=finding, instance=finding.instance, status="accepted", label="benign"
    )
    browser = logged_in(people.owner)
    assert "finding 1, 9 mm" in browser.get(page_of(case)).content.decode()
    form = {
        "finding": finding.public_id,
        "kind": "pathology",
        "label": "malignant",
        "text": "Adenocarcinoma",
    }
    answer = browser.post(page_of(case), form, follow=True)

    assert "Recorded: pathology of finding 1: malignant." in answer.content.decode()
    made = Confirmation.objects.get()
    assert (made.finding, made.recorded_by) == (finding, people.owner)
    history = browser.get(reverse("doctor:case_history", args=[case.public_id])).content.decode()
    assert "Pathology of finding 1: malignant" in history
    assert "Adenocarcinoma" in history
    assert AuditEvent.objects.filter(action="confirmed", actor_pk=people.owner.pk).exists()
    example.refresh_from_db()
    assert example.status == "queued"


def test_a_second_click_records_once_and_a_correction_is_a_newer_row(people, case):
    browser = logged_in(people.owner)
    form = {"finding": "case", "kind": "follow_up", "label": "malignant", "text": ""}
    for _ in range(2):
        browser.post(page_of(case), form)
    assert Confirmation.objects.count() == 1
    assert case.events.filter(kind="confirmed").count() == 1
    browser.post(page_of(case), {**form, "label": "benign"})
    assert [one.label for one in Confirmation.objects.all()] == ["benign", "malignant"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": ""},
        {"label": "not_a_nodule"},
        {"finding": str(uuid4())},
        {"finding": "7"},
        {"text": "x" * 1001},
    ],
)
def test_wrong_input_is_refused_in_words_and_kept_on_the_page(people, case, wrong):
    form = {"finding": "case", "kind": "pathology", "label": "benign", "text": "Hamartoma", **wrong}
    answer = logged_in(people.owner).post(page_of(case), form)
    assert answer.status_code == 400
    assert 'class="errors"' in answer.content.decode()
    body = {name: said for name, said in form.items() if said != "case"}
    assert logged_in(people.owner).post(api_of(case), body).status_code == 400
    assert not Confirmation.objects.exists()


def test_a_finding_of_another_case_is_refused(people, case):
    other = make_prediction(make_case(people.home, status="sent"), findings=[{}]).findings.get()
    body = {"kind": "pathology", "label": "benign", "finding": str(other.public_id)}
    answer = logged_in(people.owner).post(api_of(case), body)
    assert answer.status_code == 400
    assert answer.json()["finding"] == ["This finding is not of this case."]


def test_the_api_records_and_lists(people, case):
    browser = logged_in(people.owner)
    body = {"kind": "pathology", "label": "malignant"}
    made = browser.post(api_of(case), body)
    assert (made.status_code, made.json()["finding"]) == (201, None)
    (listed,) = browser.get(api_of(case)).json()["results"]
    assert (listed["label"], listed["recorded_by"]) == ("malignant", str(people.owner))


def test_a_second_reader_neither_sees_nor_records_it_before_signing(people, case):
    browser = logged_in(people.owner)
    browser.post(api_of(case), {"kind": "pathology", "label": "malignant", "text": "Sarcoma"})
    Case.objects.filter(pk=case.pk).update(stage=Case.Stage.SECOND, status=Case.Status.SENT)
    Reading.objects.filter(case=case).update(doctor=people.teammate)

    assert browser.get(page_of(case)).status_code == 403
    assert browser.post(api_of(case), {"kind": "pathology", "label": "benign"}).status_code == 403
    assert browser.get(api_of(case)).json()["count"] == 0
    history = browser.get(reverse("doctor:case_history", args=[case.public_id])).content.decode()
    assert "Sarcoma" not in history
    assert "Record pathology" not in history
