"""A version in shadow answers live cases too, later than the real ones, and is compared."""

import threading
from hashlib import sha256

import pytest
from django.db import connection

from apps.accounts.tests.factories import make_user, request_of
from apps.audit.models import AuditEvent
from apps.cases.models import Case
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier import sweep
from apps.classifier.activation import activate
from apps.classifier.labels import LearningConflict
from apps.classifier.model_files import keep_weights
from apps.classifier.models import ModelVersion, Prediction
from apps.classifier.prediction import run_prediction, run_shadow
from apps.classifier.services import request_predictions
from apps.classifier.shadow import agreement, start_shadow, stop_shadow
from apps.classifier.shipped import register_shipped
from apps.classifier.tests.factories import make_model_version, make_prediction, make_training_run
from tests.system import empty_broker

Status = Prediction.Status


@pytest.fixture
def admin(db):
    return request_of(make_user("admin"))


@pytest.fixture
def shipped(db):
    return {version.task: version for version in register_shipped()}


def _twin(version: ModelVersion, **fields) -> ModelVersion:
    """A candidate with the weights of another version: whole, and known to run."""
    number = version.number + 100
    return ModelVersion.objects.create(
        task=version.task,
        number=fields.pop("number", number),
        file=version.file,
        sha256=version.sha256,
        meta=version.meta,
        **fields,
    )


def _shadows() -> list[Prediction]:
    return list(Prediction.objects.filter(shadow=True).order_by("pk"))


def test_each_new_question_is_put_to_the_shadow_too_and_only_once(admin, shipped):
    candidate = _twin(shipped["malignancy"])
    start_shadow(candidate, request=admin, note="before I decide")
    case = make_case(status="sent")
    live = request_predictions(case)[0]
    assert request_predictions(case) == [live]
    (shadow,) = _shadows()
    assert (shadow.beside, shadow.status) == (live, Status.QUEUED)
    assert {str(one) for one in shadow.model_versions.all()} == {
        str(shipped["chest"]),
        str(shipped["nodule"]),
        str(candidate),
    }
    event = AuditEvent.objects.get(action="shadowed")
    assert (event.details["step"], event.details["note"]) == ("started", "before I decide")


def test_a_shadow_begins_only_while_nothing_real_waits(admin, shipped):
    empty_broker()
    start_shadow(_twin(shipped["malignancy"]), request=admin, note="")
    case = make_case(status="sent", phantom=small_phantom("chest", slices=2, matrix=128))
    live = request_predictions(case)[0]
    (shadow,) = _shadows()
    sweep.nudge_shadows()
    assert sweep.messages_waiting("training") == 0
    run_shadow(shadow.pk)
    shadow.refresh_from_db()
    assert (shadow.status, shadow.attempts) == (Status.QUEUED, 0)

    run_prediction(live.pk)
    sweep.nudge_shadows()
    assert sweep.messages_waiting("training") == 1
    assert sweep.messages_waiting("inference") == 0
    run_shadow(shadow.pk)
    shadow.refresh_from_db()
    live.refresh_from_db()
    assert shadow.status == live.status != Status.QUEUED
    assert shadow.series_score == live.series_score
    assert not shadow.findings.filter(heatmap__isnull=False).exists()
    empty_broker()


def test_the_sweep_never_sends_a_shadow_to_the_workers_that_answer_doctors(admin, shipped):
    empty_broker()
    case = make_case(status="sent")
    make_prediction(case, status="queued", shadow=True)
    sweep._nudge_forgotten("inference", *sweep.QUEUES["inference"])
    assert sweep.messages_waiting("inference") == 0


def test_a_real_prediction_is_never_run_as_a_shadow(shipped):
    live = request_predictions(make_case(status="sent"))[0]
    run_shadow(live.pk)
    live.refresh_from_db()
    assert live.status == Status.QUEUED


def test_stopping_cancels_what_waits_and_new_cases_are_not_asked(admin, shipped):
    candidate = _twin(shipped["malignancy"])
    start_shadow(candidate, request=admin, note="try")
    request_predictions(make_case(status="sent"))
    stop_shadow(candidate, request=admin, note="enough")
    assert [one.status for one in _shadows()] == [Status.CANCELLED]
    request_predictions(make_case(status="sent"))
    assert len(_shadows()) == 1
    with pytest.raises(LearningConflict, match="not run in shadow any more"):
        stop_shadow(candidate, request=admin, note="again")


def test_what_may_not_run_in_shadow_is_refused_with_the_reason(admin, shipped, settings, tmp_path):
    active, candidate = shipped["malignancy"], _twin(shipped["malignancy"])
    with pytest.raises(LearningConflict, match="It is active"):
        start_shadow(active, request=admin, note="")
    start_shadow(candidate, request=admin, note="")
    with pytest.raises(LearningConflict, match="runs in shadow already"):
        start_shadow(candidate, request=admin, note="")
    other = _twin(shipped["malignancy"], number=900)
    with pytest.raises(LearningConflict, match=f"{candidate} runs in shadow; stop it first"):
        start_shadow(other, request=admin, note="")
    with pytest.raises(LearningConflict, match="do not use versions of this task"):
        start_shadow(make_model_version("contrast", status="candidate"), request=admin, note="")
    settings.MODELS_DIR = tmp_path
    with pytest.raises(LearningConflict, match="missing on this server"):
        start_shadow(_twin(shipped["nodule"]), request=admin, note="")


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_start_a_shadow_at_the_same_moment_leave_one(settings, tmp_path):
    settings.MODELS_DIR = tmp_path
    content = b"weights"
    digest = sha256(content).hexdigest()
    (tmp_path / "trained").write_bytes(content)
    file = keep_weights(tmp_path / "trained", "malignancy", digest)
    rivals = [
        make_model_version(status="candidate", file=file, sha256=digest, number=number)
        for number in range(1, 5)
    ]
    start, told = threading.Barrier(len(rivals)), []

    def press(version: ModelVersion, request) -> None:
        start.wait()
        try:
            start_shadow(version, request=request, note="mine")
        except LearningConflict as conflict:
            told.append(conflict.message)
        connection.close()

    threads = [
        threading.Thread(target=press, args=[version, request_of(make_user("admin"))])
        for version in rivals
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ModelVersion.objects.filter(shadow_since__isnull=False).count() == 1
    assert AuditEvent.objects.filter(action="shadowed").count() == 1
    assert len(told) == len(rivals) - 1


def test_what_becomes_active_leaves_the_shadow(admin, shipped):
    candidate = _twin(shipped["malignancy"])
    make_training_run(status="passed", candidate=candidate, active_version=shipped["malignancy"])
    start_shadow(candidate, request=admin, note="first unseen")
    activate(candidate, request=admin, note="good in shadow")
    candidate.refresh_from_db()
    assert (candidate.status, candidate.shadow_since) == ("active", None)


def _pair(version: ModelVersion, live: float | None, shadow: float | None, **case) -> Case:
    made = make_case(**{"status": "sent", **case})
    key = f"chest-v1 {version} nodule-v1"
    beside = make_prediction(made, score=live)
    answer = make_prediction(made, score=shadow, shadow=True, beside=beside, models_key=key)
    answer.model_versions.set([version])
    return made


def test_agreement_counts_calls_at_each_versions_own_operating_point(db):
    point = {"operating_point": {"threshold": 0.8}}
    version = make_model_version(status="candidate", meta={"task": "malignancy", **point})
    _pair(version, 0.9, 0.9)
    _pair(version, 0.6, 0.7)  # live calls from 0.5, the shadow from 0.8
    _pair(version, 0.1, 0.85)
    _pair(version, None, None)
    found = agreement(version)
    assert (found.both, found.only_live, found.only_shadow, found.neither) == (1, 1, 1, 1)
    assert (found.n, found.share, found.cases) == (4, 0.5, 0)
    assert found.mean_difference == pytest.approx((0.0 + 0.1 + 0.75) / 3)


def test_agreement_with_verdicts_takes_the_last_firm_one_of_each_case(db):
    version = make_model_version(status="candidate")
    for live, shadow in [(0.9, 0.9), (0.2, 0.9), (0.2, 0.9), (0.9, 0.1)]:
        _pair(version, live, shadow, status="reported")
    assert set(Case.objects.values_list("verdicts__cancer", flat=True)) == {"no"}
    found = agreement(version)
    assert (found.cases, found.shadow_right, found.live_right) == (4, 1, 2)
    assert (found.shadow_alone_right, found.live_alone_right) == (1, 2)
    assert found.p == 1.0
