"""Corrections into the queue, decisions on them, trainings started and cancelled."""

import threading
from functools import partial

import pytest
from django.db import connection

from apps.accounts.tests.factories import make_user, request_of
from apps.audit.models import AuditEvent
from apps.cases.models import CaseEvent, Patient
from apps.cases.tests.factories import make_case
from apps.classifier import learning
from apps.classifier.adjudication import decide_example, reopen_example
from apps.classifier.cnn.phantom_base import phantom_base
from apps.classifier.labels import LearningConflict, NotUsable
from apps.classifier.learning import cancel_run, patient_key, send_for_retraining, start_run
from apps.classifier.models import TrainingExample, TrainingRun
from apps.classifier.sweep import messages_waiting
from apps.classifier.tests.factories import make_prediction, make_training_run
from apps.classifier.training_base import held_out_patients
from tests.at_once import at_once, meet_after
from tests.system import empty_broker

Status = TrainingExample.Status


@pytest.fixture
def admin(db):
    return request_of(make_user("admin"))


@pytest.fixture
def doctor(db):
    return request_of(make_user("doctor"))


def _finding(**case):
    found = make_case(status="sent", **case)
    prediction = make_prediction(found, findings=[{"malignancy_probability": 0.9}])
    return prediction.findings.get()


def _send(finding, request, label="benign", **more):
    return send_for_retraining(
        request=request,
        case=finding.case,
        task=more.pop("task", "malignancy"),
        instance=finding.instance,
        label=label,
        finding=finding,
        predicted=0.9,
        predicted_by="malignancy-v1",
        **more,
    )


def test_a_correction_waits_in_the_queue_and_is_recorded(doctor):
    example = _send(_finding(), doctor)
    assert example.status == Status.QUEUED
    assert example.sent_by == doctor.user
    assert AuditEvent.objects.filter(action="sent_for_retraining", target_id=example.pk).exists()
    assert example.case.events.filter(kind=CaseEvent.Kind.SENT_FOR_RETRAINING).exists()


def test_without_patient_identity_a_correction_is_not_usable(doctor):
    finding = _finding()
    Patient.objects.update(patient_id="")
    finding.case.study.refresh_from_db()
    with pytest.raises(NotUsable, match="no Patient ID"):
        _send(finding, doctor)
    assert not TrainingExample.objects.exists()


def test_a_patient_of_the_frozen_test_set_is_not_usable(doctor, settings, tmp_path):
    settings.TRAINING_DATA_DIR = tmp_path
    phantom_base(tmp_path / "phantom", patients=4, seed=3)
    held_out = sorted(held_out_patients())[0]
    with pytest.raises(NotUsable, match="frozen test set"):
        _send(_finding(patient_id=held_out), doctor)


def test_the_same_place_with_the_same_label_is_taken_once(doctor):
    finding = _finding()
    _send(finding, doctor)
    with pytest.raises(NotUsable, match="already"):
        _send(finding, request_of(make_user("doctor")))
    assert TrainingExample.objects.count() == 1


def test_another_task_about_the_same_place_is_another_correction(doctor):
    finding = _finding()
    _send(finding, doctor)
    _send(finding, doctor, label="not_a_nodule", task="nodule")
    assert TrainingExample.objects.count() == 2


def test_a_doctor_who_changes_their_mind_takes_the_first_answer_back(doctor):
    finding = _finding()
    first = _send(finding, doctor)
    _send(finding, doctor, label="malignant")
    first.refresh_from_db()
    assert first.status == Status.REJECTED
    assert "corrected" in first.decision_note


def test_a_rejected_correction_may_be_sent_again(doctor, admin):
    finding = _finding()
    decide_example(_send(finding, doctor), request=admin, accept=False, note="unclear")
    assert _send(finding, doctor).status == Status.QUEUED


def test_a_label_that_the_task_does_not_know_is_a_mistake_of_the_caller(doctor):
    with pytest.raises(ValueError, match="no label"):
        _send(_finding(), doctor, label="not_chest")


def test_a_patient_stays_on_their_side_and_has_a_pseudonym(doctor):
    first, second = _finding(patient_id="P-1"), _finding(patient_id="P-2")
    one, two = _send(first, doctor), _send(second, doctor, label="malignant")
    assert one.patient_key == patient_key(first.case.study.patient) != two.patient_key
    assert "P-1" not in one.patient_key
    again = _send(first, doctor, label="nodule", task="nodule")
    assert again.side == one.side


def test_another_key_gives_other_pseudonyms(doctor, settings):
    patient = _finding().case.study.patient
    before = patient_key(patient)
    settings.TRAINING_KEY = "another"
    assert patient_key(patient) != before


def test_an_example_is_decided_once(doctor, admin):
    example = _send(_finding(), doctor)
    decide_example(example, request=admin, accept=True, note="clear")
    assert (example.status, example.decided_by) == (Status.ACCEPTED, admin.user)
    with pytest.raises(LearningConflict, match="accepted by now"):
        decide_example(example, request=admin, accept=False, note="no")
    assert AuditEvent.objects.filter(action="example_decided").count() == 1


def test_two_doctors_who_contradict_each_other_are_not_both_accepted(doctor, admin):
    finding = _finding()
    decide_example(_send(finding, doctor), request=admin, accept=True)
    other = _send(finding, request_of(make_user("doctor")), label="malignant")
    with pytest.raises(LearningConflict, match="same place"):
        decide_example(other, request=admin, accept=True)
    other.refresh_from_db()
    assert other.status == Status.QUEUED


def test_a_decision_can_be_taken_back_until_a_training_uses_the_example(doctor, admin):
    example = _send(_finding(), doctor)
    decide_example(example, request=admin, accept=True)
    reopen_example(example, request=admin)
    assert (example.status, example.decided_by) == (Status.QUEUED, None)
    decide_example(example, request=admin, accept=True)
    make_training_run(status="running").examples.add(example)
    with pytest.raises(LearningConflict, match="right now"):
        reopen_example(example, request=admin)


def test_starting_a_training_tells_the_worker(admin, django_capture_on_commit_callbacks):
    empty_broker()
    with django_capture_on_commit_callbacks(execute=True):
        run = start_run("malignancy", request=admin, seed=7)
    assert (run.status, run.seed, run.requested_by) == ("queued", 7, admin.user)
    assert messages_waiting("training") == 1
    assert AuditEvent.objects.filter(action="retrain_started", target_id=run.pk).exists()
    empty_broker()


def test_one_training_per_task_is_open(admin):
    start_run("malignancy", request=admin)
    with pytest.raises(LearningConflict, match="open already"):
        start_run("malignancy", request=admin)
    assert start_run("nodule", request=admin).status == "queued"


def test_a_task_without_frozen_test_set_is_not_trained(admin):
    with pytest.raises(LearningConflict, match="frozen test"):
        start_run("chest", request=admin)


@pytest.mark.django_db(transaction=True)
def test_the_same_correction_four_times_at_the_same_moment_waits_once(monkeypatch):
    case = make_case(status="sent")
    doctors = [request_of(make_user("doctor")) for _ in range(2)]
    monkeypatch.setattr(learning, "at_same_place", meet_after(learning.at_same_place, 4))

    def send(request) -> TrainingExample:
        image = case.study.series.get().instances.get()
        return send_for_retraining(
            request=request, case=case, task="chest", instance=image, label="not_chest"
        )

    answers = at_once(*[partial(send, request) for request in doctors * 2])
    assert sorted(type(one).__name__ for one in answers) == ["NotUsable"] * 3 + ["TrainingExample"]
    assert TrainingExample.objects.count() == 1
    assert case.events.filter(kind=CaseEvent.Kind.SENT_FOR_RETRAINING).count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_start_at_the_same_moment_start_one_training():
    requests = [request_of(make_user("admin")) for _ in range(2)]
    start, refused = threading.Barrier(2), []

    def press(request) -> None:
        start.wait()
        try:
            start_run("malignancy", request=request)
        except LearningConflict as conflict:
            refused.append(conflict.message)
        connection.close()

    threads = [threading.Thread(target=press, args=[request]) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert TrainingRun.objects.count() == 1
    assert len(refused) == 1
    empty_broker()


def test_a_cancelled_training_makes_room_for_the_next(admin):
    run = start_run("malignancy", request=admin)
    cancel_run(run, request=admin)
    assert run.status == "cancelled"
    with pytest.raises(LearningConflict, match="ended"):
        cancel_run(run, request=admin)
    assert start_run("malignancy", request=admin).status == "queued"
