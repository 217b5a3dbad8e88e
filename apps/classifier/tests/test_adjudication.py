"""Whether a correction may be learnt from: disagreement, pathology, look-alikes, order."""

from functools import partial

import cv2
import numpy as np
import pytest

from apps.accounts.tests.factories import make_user, request_of
from apps.audit.models import AuditEvent
from apps.cases.models import CaseEvent
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier import adjudication
from apps.classifier.adjudication import (
    ask_opinion,
    confirm,
    conflicts,
    decide_example,
    give_opinion,
    may_be_used,
    must_settle,
    opinions_waiting,
    reopen_example,
)
from apps.classifier.cnn.phantom_base import phantom_base
from apps.classifier.cnn.similarity import distance, perceptual_hash
from apps.classifier.labels import LearningConflict, informativeness
from apps.classifier.learning import send_for_retraining
from apps.classifier.models import Confirmation, FindingVerdict, Opinion, TrainingExample
from apps.classifier.places import near_duplicates
from apps.classifier.tests.factories import make_prediction
from apps.classifier.training_base import read_base
from apps.classifier.training_set import usable_examples
from tests.at_once import at_once, meet_after

Status = TrainingExample.Status


@pytest.fixture
def admin(db):
    return request_of(make_user("admin"))


@pytest.fixture
def doctor(db):
    return request_of(make_user("doctor"))


@pytest.fixture
def colleague(db):
    return request_of(make_user("doctor"))


@pytest.fixture
def finding(db):
    case = make_case(status="sent")
    return make_prediction(case, findings=[{"malignancy_probability": 0.9}]).findings.get()


def _send(finding, request, label="benign", task="malignancy", **more) -> TrainingExample:
    return send_for_retraining(
        request=request,
        case=finding.case,
        task=task,
        instance=finding.instance,
        label=label,
        finding=finding,
        predicted=0.9,
        **more,
    )


def _accepted(example: TrainingExample, admin) -> TrainingExample:
    decide_example(example, request=admin, accept=True)
    return example


def _verdict(finding, by, label):
    case = finding.case
    reading = case.readings.create(doctor=by.user)
    verdict = case.verdicts.create(reading=reading, doctor=by.user, cancer="yes")
    return FindingVerdict.objects.create(finding=finding, verdict=verdict, label=label)


def test_two_doctors_who_disagree_raise_a_conflict_that_needs_a_reason(
    finding, doctor, colleague, admin
):
    mine, theirs = _send(finding, doctor), _send(finding, colleague, label="malignant")
    assert [one.label for one in conflicts(mine)] == ["malignant"]
    with pytest.raises(LearningConflict, match="Doctors disagree"):
        decide_example(mine, request=admin, accept=True)
    mine.refresh_from_db()
    assert mine.status == Status.QUEUED
    decide_example(mine, request=admin, accept=True, note="Calcified on the prior CT.")
    theirs.refresh_from_db()
    assert (mine.status, theirs.status) == (Status.ACCEPTED, Status.REJECTED)
    assert "Calcified" in theirs.decision_note
    assert usable_examples("malignancy") == [mine]


@pytest.mark.django_db(transaction=True)
def test_of_two_admins_who_accept_opposites_at_the_same_moment_one_wins(monkeypatch):
    case = make_case(status="sent")
    found = make_prediction(case, findings=[{"malignancy_probability": 0.9}]).findings.get()
    examples = [_send(found, request_of(make_user()), label=one) for one in ("benign", "malignant")]
    monkeypatch.setattr(adjudication, "_move", meet_after(adjudication._move, 2))

    def accept(example: TrainingExample, request) -> None:
        decide_example(example, request=request, accept=True, note="Seen in conference.")

    admins = [request_of(make_user("admin")) for _ in examples]
    answers = at_once(*[partial(accept, *both) for both in zip(examples, admins, strict=True)])
    refused = [one for one in answers if one is not None]
    assert [type(one) for one in refused] == [LearningConflict]
    assert "is accepted" in refused[0].message
    statuses = TrainingExample.objects.values_list("status", flat=True)
    assert sorted(statuses) == [Status.ACCEPTED, Status.REJECTED]


def test_a_second_reader_s_verdict_is_a_conflict_too(finding, doctor, colleague):
    example = _send(finding, doctor)
    _verdict(finding, colleague, "malignant")
    assert [one.who for one in conflicts(example)] == [str(colleague.user)]
    _verdict_again = finding.case.verdicts.create(
        reading=finding.case.readings.get(doctor=colleague.user),
        doctor=colleague.user,
        cancer="no",
    )
    FindingVerdict.objects.create(finding=finding, verdict=_verdict_again, label="benign")
    assert conflicts(example) == []


def test_a_conflict_that_arises_after_acceptance_stops_the_use_until_it_is_settled(
    finding, doctor, colleague, admin
):
    example = _accepted(_send(finding, doctor), admin)
    assert may_be_used(example)
    _verdict(finding, colleague, "malignant")
    assert not may_be_used(example)
    assert usable_examples("malignancy") == []
    reopen_example(example, request=admin)
    decide_example(example, request=admin, accept=True, note="Seen in conference.")
    assert usable_examples("malignancy") == [example]


def test_a_colleague_of_the_same_opinion_accepts(finding, doctor, colleague, admin):
    example = _send(finding, doctor)
    assert list(opinions_waiting(colleague.user)) == []
    ask_opinion(example, request=admin)
    assert list(opinions_waiting(colleague.user)) == [example]
    assert list(opinions_waiting(doctor.user)) == []
    give_opinion(example, request=colleague, label="benign", text="Fat inside.")
    example.refresh_from_db()
    assert (example.status, example.decided_by) == (Status.ACCEPTED, colleague.user)
    assert list(opinions_waiting(colleague.user)) == []


def test_a_colleague_of_another_opinion_leaves_it_to_the_admin(finding, doctor, colleague, admin):
    example = _send(finding, doctor)
    ask_opinion(example, request=admin)
    give_opinion(example, request=colleague, label="malignant")
    example.refresh_from_db()
    assert example.status == Status.QUEUED
    assert [one.label for one in must_settle(example)] == ["malignant"]
    with pytest.raises(LearningConflict, match="answered"):
        give_opinion(example, request=colleague, label="benign")


def test_who_cannot_tell_neither_accepts_nor_contradicts(finding, doctor, colleague, admin):
    example = _send(finding, doctor)
    ask_opinion(example, request=admin)
    give_opinion(example, request=colleague, label="")
    example.refresh_from_db()
    assert (example.status, conflicts(example)) == (Status.QUEUED, [])


def test_nobody_gives_a_second_opinion_on_their_own_correction(finding, doctor, admin):
    example = _send(finding, doctor)
    ask_opinion(example, request=admin)
    with pytest.raises(LearningConflict, match="own correction"):
        give_opinion(example, request=doctor, label="benign")
    with pytest.raises(LearningConflict, match="already"):
        ask_opinion(example, request=admin)
    assert not Opinion.objects.exists()


def test_pathology_outranks_whoever_accepted(finding, doctor, admin):
    example = _accepted(_send(finding, doctor), admin)
    confirm(finding.case, request=doctor, kind="pathology", label="malignant", finding=finding)
    example.refresh_from_db()
    assert example.status == Status.QUEUED
    assert "Pathology says malignant" in example.decision_note
    with pytest.raises(LearningConflict, match="outranks"):
        decide_example(example, request=admin, accept=True, note="I insist.")
    assert finding.case.events.filter(kind=CaseEvent.Kind.CONFIRMED).exists()
    assert AuditEvent.objects.filter(action="confirmed").exists()


def test_pathology_also_keeps_out_what_a_training_has_used(finding, doctor, admin):
    example = _accepted(_send(finding, doctor), admin)
    TrainingExample.objects.filter(pk=example.pk).update(status=Status.USED)
    assert usable_examples("malignancy") == [example]
    confirm(finding.case, request=doctor, kind="pathology", label="malignant", finding=finding)
    assert usable_examples("malignancy") == []


def test_pathology_settles_what_doctors_disagree_about(finding, doctor, colleague, admin):
    mine, theirs = _send(finding, doctor), _send(finding, colleague, label="malignant")
    confirm(finding.case, request=doctor, kind="follow_up", label="benign", finding=finding)
    decide_example(mine, request=admin, accept=True)
    assert usable_examples("malignancy") == [mine]
    with pytest.raises(LearningConflict, match="Follow-up says benign"):
        decide_example(theirs, request=admin, accept=True)


def test_cancer_somewhere_in_a_case_says_nothing_of_one_finding_among_several(doctor, admin):
    case = make_case(status="sent")
    prediction = make_prediction(case, findings=[{}, {"row": 5.0}])
    first, _ = prediction.findings.all()
    example = _send(first, doctor)
    confirm(case, request=doctor, kind="pathology", label="malignant")
    _accepted(example, admin)
    confirm(case, request=doctor, kind="follow_up", label="benign")
    assert may_be_used(example)


def test_the_newest_confirmation_counts(finding, doctor, admin):
    example = _send(finding, doctor)
    for label in ("malignant", "benign"):
        confirm(finding.case, request=doctor, kind="pathology", label=label, finding=finding)
    _accepted(example, admin)
    assert Confirmation.objects.count() == 2


def _picture(seed: int, *, blur: float = 0.0) -> np.ndarray:
    """(1, 128, 128) smooth noise: as different from another seed's as two places are."""
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(rng.normal(0, 1, (128, 128)).astype(np.float32), (0, 0), 6)
    return (image / image.std() * 300 + rng.normal(0, blur, image.shape))[None]


def test_the_perceptual_hash_knows_the_same_place_under_noise_and_another_window():
    for seed in range(20):
        hashed = perceptual_hash(_picture(seed))
        assert distance(hashed, perceptual_hash(_picture(seed, blur=20))) <= 48
        assert distance(hashed, perceptual_hash(_picture(seed) * 0.4 + 100)) <= 48
        assert distance(hashed, perceptual_hash(_picture(seed + 100))) > 64


def test_a_near_duplicate_on_the_other_side_is_not_accepted(doctor, admin):
    examples = []
    for patient, matrix in (("A", 64), ("B", 66)):
        case = make_case(status="sent", patient_id=patient, phantom=small_phantom(matrix=matrix))
        examples.append(_send(make_prediction(case, findings=[{}]).findings.get(), doctor))
    first, second = examples
    TrainingExample.objects.update(perceptual_hash=perceptual_hash(_picture(1)).zfill(64))
    TrainingExample.objects.filter(pk=first.pk).update(side="train")
    TrainingExample.objects.filter(pk=second.pk).update(side="test")
    first.refresh_from_db()
    second.refresh_from_db()
    assert near_duplicates(first) == [second]
    with pytest.raises(LearningConflict, match="learnt and tested"):
        decide_example(first, request=admin, accept=True)
    TrainingExample.objects.filter(pk=second.pk).update(side="train")
    _accepted(first, admin)


def test_what_looks_like_the_frozen_test_set_is_not_accepted(
    finding, doctor, admin, settings, tmp_path
):
    settings.TRAINING_DATA_DIR = tmp_path
    phantom_base(tmp_path / "phantom", patients=4, seed=3)
    _, test = read_base()
    example = _send(finding, doctor)
    TrainingExample.objects.filter(pk=example.pk).update(
        perceptual_hash=perceptual_hash(test[0].crops)
    )
    example.refresh_from_db()
    with pytest.raises(LearningConflict, match="frozen test set"):
        decide_example(example, request=admin, accept=True)


def test_a_correction_keeps_the_look_of_its_place(finding, doctor):
    assert len(_send(finding, doctor).perceptual_hash) == 64


@pytest.mark.parametrize(
    ("predicted", "label", "expected"),
    [
        (0.9, "benign", (0.9, 0.2)),
        (0.5, "malignant", (0.5, 1.0)),
        (None, "nodule", (1.0, 0.0)),
        (0.1, "not_a_nodule", (0.1, 0.2)),
    ],
)
def test_how_much_a_correction_can_teach(predicted, label, expected):
    assert informativeness(predicted, label) == pytest.approx(expected)
