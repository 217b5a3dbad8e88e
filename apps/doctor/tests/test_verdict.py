"""Signing: one transaction, one winner, corrections as new rows, disagreements sent on."""

import pytest
from django.http import HttpResponse
from django.test import Client

from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent
from apps.cases.models import Case, CaseEvent, Reading, Report, Verdict
from apps.cases.services import CaseConflict
from apps.cases.tests.factories import make_case
from apps.classifier.adjudication import decide_example
from apps.classifier.models import Finding, FindingVerdict, TrainingExample
from apps.classifier.tests.factories import (
    make_finding,
    make_prediction,
    make_training_example,
)
from apps.doctor.services import VerdictAnswer, sign
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(people: People) -> Case:
    return make_case(people.home, status="in_review", doctor=people.owner, slices=2)


@pytest.fixture
def suspicious(case: Case) -> Finding:
    """The model calls it malignant."""
    return make_prediction(case, findings=[{"malignancy_probability": 0.9}]).findings.get()


def post(browser: Client, case: Case, **changes: object) -> HttpResponse:
    body = {"revision": case.revision, "cancer": "no", "diagnoses": ["Granuloma"], **changes}
    return browser.post(
        f"/api/v1/cases/{case.public_id}/verdicts/", body, content_type="application/json"
    )


def answer_to(finding: Finding, label: str, **more: object) -> dict:
    return {"finding": str(finding.public_id), "label": label, **more}


def mark_on(case: Case, **changes: object) -> dict:
    instance = case.study.series.first().instances.first()
    return {
        "instance": str(instance.public_id),
        "row": 20,
        "column": 30,
        "diameter_mm": 7.5,
        "label": "malignant",
        "retrain": True,
        **changes,
    }


def test_verdict_report_answers_and_state_are_stored_together(people, case, suspicious):
    answer = post(
        logged_in(people.owner),
        case,
        cancer="yes",
        text="Spiculated.",
        findings=[answer_to(suspicious, "malignant")],
    )

    assert answer.status_code == 201
    case.refresh_from_db()
    verdict = case.verdicts.get()
    assert (case.status, verdict.cancer, verdict.doctor) == ("reported", "yes", people.owner)
    assert verdict.finding_verdicts.get().label == "malignant"
    assert Reading.objects.get(case=case, doctor=people.owner).finished_at is not None
    assert AuditEvent.objects.filter(action="verdict", target_id=str(case.pk)).count() == 1


def test_report_says_word_for_word_what_was_signed(people, case, suspicious):
    post(
        logged_in(people.owner),
        case,
        cancer="yes",
        diagnoses=["Carcinoma"],
        text="Upper lobe.",
        findings=[answer_to(suspicious, "malignant")],
        missed=[mark_on(case, retrain=False)],
    )
    body = Report.objects.get(case=case).body

    version = str(suspicious.prediction.model_versions.get(task="malignancy"))
    for words in (
        str(people.owner),
        "Verdict: cancer",
        "- Carcinoma",
        "Upper lobe.",
        "AI suspicion 0.90 (high): malignant",
        "marked by the doctor: malignant",
        version,
        "operating point 0.50",
        "Research use. Not a diagnosis",
    ):
        assert words in body


def test_second_click_on_sign_makes_one_verdict_and_is_told(people, case):
    browser = logged_in(people.owner)
    assert post(browser, case).status_code == 201
    second = post(browser, case)

    assert second.status_code == 409
    assert "changed in the meantime" in second.json()["detail"]
    assert case.verdicts.count() == 1


def test_of_two_doctors_at_once_one_wins_and_the_other_is_told(people):
    case = make_case(people.home, status="sent")
    assert post(logged_in(people.owner), case).status_code == 201
    other = post(logged_in(people.teammate), case)

    assert other.status_code == 409
    assert str(people.owner) in other.json()["detail"]
    assert [v.doctor for v in case.verdicts.all()] == [people.owner]


def test_loser_leaves_no_answer_mark_or_example_behind(people, case, suspicious):
    stale = case.revision
    post(logged_in(people.owner), case)
    lost = post(
        logged_in(people.owner),
        case,
        revision=stale,
        findings=[answer_to(suspicious, "benign", retrain=True)],
        missed=[mark_on(case)],
    )

    assert lost.status_code == 409
    assert not FindingVerdict.objects.exists()
    assert not Finding.objects.filter(source="doctor").exists()
    assert not TrainingExample.objects.exists()


def test_verdict_is_refused_while_another_doctor_holds_the_case(people, case):
    answer = post(logged_in(people.teammate), case)

    assert answer.status_code == 409
    assert "take it over" in answer.json()["detail"]
    assert not case.verdicts.exists()


def test_correction_is_a_new_row_and_the_earlier_stays(people, case):
    browser = logged_in(people.owner)
    post(browser, case, cancer="no")
    case.refresh_from_db()
    post(browser, case, cancer="yes")

    assert [v.cancer for v in case.verdicts.all()] == ["yes", "no"]
    assert Report.objects.filter(case=case).count() == 2
    assert Report.objects.filter(case=case).last().body.startswith("Corrected report")
    kinds = list(case.events.values_list("kind", flat=True))
    assert kinds[-1] == CaseEvent.Kind.CORRECTED
    history = browser.get(f"/api/v1/cases/{case.public_id}/verdicts/").json()["results"]
    assert [one["cancer"] for one in history] == ["yes", "no"]


def test_disagreement_is_sent_for_retraining_with_the_right_label(people, case, suspicious):
    answer = post(
        logged_in(people.owner),
        case,
        findings=[answer_to(suspicious, "benign", retrain=True, text="old granuloma")],
    )

    assert answer.json()["sent_for_retraining"] == 1
    example = TrainingExample.objects.get()
    assert (example.task, example.label, example.predicted) == ("malignancy", "benign", 0.9)
    assert (example.text, example.sent_by) == ("old granuloma", people.owner)
    assert example.predicted_by == str(suspicious.prediction.model_versions.get(task="malignancy"))
    assert example.finding_verdict.label == "benign"


def test_not_a_nodule_teaches_the_nodule_finder(people, case, suspicious):
    post(
        logged_in(people.owner),
        case,
        findings=[answer_to(suspicious, "not_a_nodule", retrain=True)],
    )

    example = TrainingExample.objects.get()
    assert (example.task, example.label, example.reason) == (
        "nodule",
        "not_a_nodule",
        "wrong_place",
    )
    assert example.predicted == suspicious.nodule_probability


def test_agreement_is_never_sent_for_retraining(people, case, suspicious):
    harmless = make_finding(suspicious.prediction, malignancy_probability=0.1)
    post(
        logged_in(people.owner),
        case,
        findings=[
            answer_to(suspicious, "malignant", retrain=True),
            answer_to(harmless, "benign", retrain=True),
        ],
    )

    assert FindingVerdict.objects.count() == 2
    assert not TrainingExample.objects.exists()


def test_disagreement_without_the_tick_stays_a_verdict_only(people, case, suspicious):
    post(logged_in(people.owner), case, findings=[answer_to(suspicious, "benign")])

    assert FindingVerdict.objects.count() == 1
    assert not TrainingExample.objects.exists()


def correct(people: People, case: Case, finding: Finding, label: str, **more: object) -> None:
    """The owner signs again, with this answer to the finding."""
    case.refresh_from_db()
    answer = post(logged_in(people.owner), case, findings=[answer_to(finding, label, **more)])
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("first", "now", "retrain"),
    [
        ("benign", "malignant", False),
        ("not_a_nodule", "malignant", False),
        ("not_a_nodule", "benign", True),
        ("benign", "not_a_nodule", False),
    ],
)
def test_answer_corrected_later_leaves_the_retrain_queue_and_is_audited(
    people, case, suspicious, first, now, retrain
):
    correct(people, case, suspicious, first, retrain=True)
    outdated = TrainingExample.objects.get()
    correct(people, case, suspicious, now, retrain=retrain)

    outdated.refresh_from_db()
    assert (outdated.status, outdated.decision_note) == (
        "rejected",
        "The doctor corrected this answer later.",
    )
    decided = AuditEvent.objects.get(action="example_decided", target_id=str(outdated.pk))
    assert (decided.actor, decided.details["decision"]) == (people.owner.email, "rejected")
    assert TrainingExample.objects.filter(status="queued").count() == retrain


def test_answer_corrected_after_it_was_accepted_waits_for_the_admin_again(people, case, suspicious):
    correct(people, case, suspicious, "benign", retrain=True)
    example = TrainingExample.objects.get()
    decide_example(example, request=request_of(people.admin), accept=True)
    correct(people, case, suspicious, "malignant")

    example.refresh_from_db()
    assert (example.status, example.decided_by) == ("queued", None)
    assert "corrected this answer later" in example.decision_note
    decisions = AuditEvent.objects.filter(action="example_decided", target_id=str(example.pk))
    assert {one.details["decision"] for one in decisions} == {"accepted", "queued"}


def test_example_stays_while_the_answer_stays(people, case, suspicious):
    correct(people, case, suspicious, "benign", retrain=True)
    used = make_training_example(
        case, doctor=people.owner, finding=suspicious, label="malignant", status="used"
    )
    others = make_training_example(
        case, doctor=people.teammate, finding=suspicious, label="malignant"
    )
    correct(people, case, suspicious, "benign")

    kept = TrainingExample.objects.exclude(pk__in=[used.pk, others.pk]).get()
    used.refresh_from_db()
    others.refresh_from_db()
    assert [one.status for one in (kept, used, others)] == ["queued", "used", "queued"]
    assert not AuditEvent.objects.filter(action="example_decided").exists()


def test_disagreement_is_judged_at_the_operating_point_of_the_model(people, case):
    finding = make_prediction(case, findings=[{"malignancy_probability": 0.3}]).findings.get()
    version = finding.prediction.model_versions.get(task="malignancy")
    version.meta = {"operating_point": {"threshold": 0.25}}
    version.save()
    post(logged_in(people.owner), case, findings=[answer_to(finding, "benign", retrain=True)])

    assert TrainingExample.objects.get().label == "benign"


def test_missed_nodule_becomes_the_doctors_finding_and_two_lessons(people, case):
    answer = post(logged_in(people.owner), case, cancer="yes", missed=[mark_on(case)])

    assert answer.status_code == 201
    assert answer.json()["sent_for_retraining"] == 1
    finding = Finding.objects.get(case=case)
    assert (finding.source, finding.author, finding.diameter_mm) == ("doctor", people.owner, 7.5)
    assert finding.position_mm is not None
    assert finding.verdicts.get().label == "malignant"
    lessons = TrainingExample.objects.order_by("task").values_list("task", "label", "reason")
    assert list(lessons) == [("malignancy", "malignant", "missed"), ("nodule", "nodule", "missed")]


def test_correction_that_cannot_be_learnt_from_does_not_stop_the_verdict(people):
    case = make_case(people.home, status="in_review", doctor=people.owner)
    patient = case.study.patient
    patient.patient_id = ""
    patient.save()
    finding = make_prediction(case, findings=[{"malignancy_probability": 0.9}]).findings.get()
    answer = post(
        logged_in(people.owner), case, findings=[answer_to(finding, "benign", retrain=True)]
    )

    assert answer.status_code == 201
    assert answer.json()["sent_for_retraining"] == 0
    assert "no Patient ID" in answer.json()["not_sent"][0]
    assert case.verdicts.count() == 1


def test_sign_service_raises_conflict_for_a_stale_revision(people, case):
    with pytest.raises(CaseConflict):
        sign(
            case,
            request=request_of(people.owner),
            revision=case.revision - 1,
            answer=VerdictAnswer(cancer="no"),
        )
    assert not Verdict.objects.exists()


@pytest.mark.parametrize("status", ["failed", "refused", "queued", "running"])
def test_ai_that_did_not_answer_never_stops_the_verdict(people, case, status):
    make_prediction(case, status=status)
    assert post(logged_in(people.owner), case).status_code == 201


@pytest.mark.parametrize(
    "changes",
    [
        {"cancer": "maybe"},
        {"cancer": None},
        {"revision": 2**40},
        {"revision": "one"},
        {"text": "x" * 20_001},
        {"text": "a\0b"},
        {"diagnoses": "Granuloma"},
        {"diagnoses": ["x" * 301]},
        {"diagnoses": ["x"] * 51},
        {"findings": {"finding": 1}},
        {"findings": [{"finding": "no uuid", "label": "benign"}]},
        {
            "findings": [
                {"finding": "00000000-0000-0000-0000-000000000000", "label": "benign"},
            ]
        },
        {"missed": [{"instance": "00000000-0000-0000-0000-000000000000"}]},
    ],
)
def test_bad_verdict_is_refused_and_nothing_is_stored(people, case, changes):
    answer = post(logged_in(people.owner), case, **changes)

    assert answer.status_code == 400
    assert not Verdict.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"row": -1},
        {"row": 5000},
        {"column": "nan"},
        {"diameter_mm": 0},
        {"diameter_mm": 1e9},
        {"label": "not_a_nodule"},
    ],
)
def test_mark_that_cannot_be_is_refused(people, case, changes):
    answer = post(logged_in(people.owner), case, missed=[mark_on(case, **changes)])

    assert answer.status_code == 400
    assert not Verdict.objects.exists()


def test_findings_and_images_of_another_case_are_refused(people, case):
    other = make_case(people.home, status="sent")
    foreign = make_prediction(other, findings=[{}]).findings.get()
    browser = logged_in(people.owner)

    assert post(browser, case, findings=[answer_to(foreign, "benign")]).status_code == 400
    assert post(browser, case, missed=[mark_on(other)]).status_code == 400
    assert not Verdict.objects.exists()


def test_same_finding_answered_twice_is_refused(people, case, suspicious):
    twice = [answer_to(suspicious, "benign"), answer_to(suspicious, "malignant")]
    assert post(logged_in(people.owner), case, findings=twice).status_code == 400
