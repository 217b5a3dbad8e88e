"""What people do with corrections and trainings: send, decide, start, cancel."""

import math
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import Case, CaseEvent, Instance, Patient
from apps.classifier.cnn.datasets import side
from apps.classifier.models import (
    Finding,
    FindingVerdict,
    ModelVersion,
    TrainingExample,
    TrainingRun,
)
from apps.classifier.services import nudge
from apps.classifier.tasks import train
from apps.classifier.training_base import held_out_patients

Status = TrainingExample.Status
Task = ModelVersion.Task

LABELS = {
    Task.MALIGNANCY: {"malignant": "malignant", "benign": "benign"},
    Task.NODULE: {"nodule": "a nodule", "not_a_nodule": "not a nodule"},
    Task.CHEST: {"chest": "chest", "not_chest": "not the chest"},
    Task.CONTRAST: {"contrast": "contrast given", "no_contrast": "no contrast"},
}
TRAINABLE = [Task.MALIGNANCY, Task.NODULE]
OPEN_RUN = [TrainingRun.Status.QUEUED, TrainingRun.Status.RUNNING]
_USUAL_PIXEL_MM = 0.7
_CORRECTED_LATER = "The doctor corrected this answer later."


class NotUsable(Exception):
    """This correction cannot be used for training; `message` says why in plain words."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class LearningConflict(Exception):
    """Something was not as the user's page showed it, and nothing was changed."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@transaction.atomic
def send_for_retraining(
    *,
    request: HttpRequest,
    case: Case,
    task: str,
    instance: Instance,
    label: str,
    finding: Finding | None = None,
    finding_verdict: FindingVerdict | None = None,
    predicted: float | None = None,
    predicted_by: str = "",
    reason: str = TrainingExample.Reason.WRONG_CALL,
    text: str = "",
) -> TrainingExample:
    """Put a correction with its right label into the retrain queue.

    Raises NotUsable without patient identity, for a patient of the frozen test set, and for
    what is in the queue already; ValueError for a label that the task does not know.
    """
    if label not in LABELS[task]:
        raise ValueError(f"{task} has no label {label!r}")
    patient = case.study.patient
    _refuse_patient(patient)
    if instance.burned_in_annotation:
        raise NotUsable("Text is burned into this image; it may name the patient.")
    if finding_verdict and TrainingExample.objects.filter(finding_verdict=finding_verdict).exists():
        raise NotUsable("This correction is in the retrain queue already.")
    key = patient_key(patient)
    example = TrainingExample(
        task=task,
        case=case,
        instance=instance,
        finding=finding,
        finding_verdict=finding_verdict,
        label=label,
        predicted=predicted,
        predicted_by=predicted_by,
        reason=reason,
        text=text,
        patient_key=key,
        pixel_sha256=instance.pixel_sha256,
        side=side(key, settings.TRAINING_KEY),
        sent_by=request.user,
    )
    _compare_with_queue(example, request)
    example.save()
    _note_sent(example, request)
    return example


def patient_key(patient: Patient) -> str:
    """A pseudonym that only this installation can make: 64 hex digits."""
    person = "\n".join([str(patient.site_id), patient.issuer_of_patient_id, patient.patient_id])
    return salted_hmac(
        "apps.classifier.patient_key", person, secret=settings.TRAINING_KEY, algorithm="sha256"
    ).hexdigest()


def _refuse_patient(patient: Patient) -> None:
    if not patient.patient_id:
        raise NotUsable(
            "These images carry no Patient ID, so this correction cannot be used for training: "
            "nobody could tell whether the same patient is among the test patients."
        )
    if patient.patient_id in held_out_patients():
        raise NotUsable(
            "This patient belongs to the frozen test set, so this correction cannot be used "
            "for training."
        )


def _compare_with_queue(example: TrainingExample, request: HttpRequest) -> None:
    """Refuse what is there already; take back what this doctor said before and says no more."""
    earlier = _at_same_place(example).exclude(status=Status.REJECTED)
    same = [other for other in earlier if other.label == example.label]
    if same:
        raise NotUsable(
            "The same place on the same image is in the retrain queue already, with this label."
        )
    replaced = earlier.filter(status=Status.QUEUED, sent_by=example.sent_by)
    for other in replaced.select_for_update():
        _take_back(other, request)


def _at_same_place(example: TrainingExample) -> Any:
    """Other examples of this task on the same pixels, at the same place."""
    same_pixels = TrainingExample.objects.filter(
        task=example.task, pixel_sha256=example.pixel_sha256
    ).exclude(pk=example.pk)
    near = [
        other.pk
        for other in same_pixels.select_related("finding__instance")
        if _near(example.finding, other.finding)
    ]
    return TrainingExample.objects.filter(pk__in=near)


def _near(one: Finding | None, other: Finding | None) -> bool:
    if one is None or other is None:
        return one is other
    pixel_mm = (one.instance.pixel_spacing or [_USUAL_PIXEL_MM])[0]
    distance = math.hypot(one.row - other.row, one.column - other.column) * pixel_mm
    return distance <= max(one.diameter_mm, other.diameter_mm) / 2


def _note_sent(example: TrainingExample, request: HttpRequest) -> None:
    CaseEvent.objects.create(
        case=example.case,
        kind=CaseEvent.Kind.SENT_FOR_RETRAINING,
        actor=str(request.user),
        actor_pk=request.user.pk,
        text=f"{example.get_task_display()}: {label_in_words(example)}",
    )
    record(
        AuditEvent.Action.SENT_FOR_RETRAINING,
        request=request,
        target=example,
        site_pk=example.case.site_id,
        task=example.task,
        label=example.label,
    )


def label_in_words(example: TrainingExample) -> str:
    """The doctor's label as people say it."""
    return LABELS[example.task].get(example.label, example.label)


def contradictions(example: TrainingExample) -> list[TrainingExample]:
    """Accepted examples that say something else about the same place."""
    accepted = _at_same_place(example).filter(status__in=[Status.ACCEPTED, Status.USED])
    return list(accepted.exclude(label=example.label))


@transaction.atomic
def decide_example(
    example: TrainingExample, *, request: HttpRequest, accept: bool, note: str = ""
) -> None:
    """Accept or reject a waiting example. Raises LearningConflict when that cannot be."""
    against = contradictions(example) if accept else []
    if against:
        raise LearningConflict(
            f"Example {against[0].pk} says “{label_in_words(against[0])}” about the same place "
            "and is accepted. Nothing was changed: take that one back first, or reject this one."
        )
    status = Status.ACCEPTED if accept else Status.REJECTED
    _move_example(example, [Status.QUEUED], status, request, note)


@transaction.atomic
def reopen_example(example: TrainingExample, *, request: HttpRequest) -> None:
    """Take a decision back, as long as no training has used or is using the example."""
    if example.runs.filter(status__in=OPEN_RUN).exists():
        raise LearningConflict("A training is using this example right now. Nothing was changed.")
    _move_example(example, [Status.ACCEPTED, Status.REJECTED], Status.QUEUED, request, "")


def _move_example(
    example: TrainingExample, allowed: list[str], status: str, request: HttpRequest, note: str
) -> None:
    back = status == Status.QUEUED
    changed = TrainingExample.objects.filter(pk=example.pk, status__in=allowed).update(
        status=status,
        decided_by=None if back else request.user,
        decided_at=None if back else timezone.now(),
        decision_note=note[:500],
    )
    example.refresh_from_db()
    if not changed:
        raise LearningConflict(
            f"This example is {example.get_status_display()} by now. Nothing was changed."
        )
    record(
        AuditEvent.Action.EXAMPLE_DECIDED,
        request=request,
        target=example,
        site_pk=example.case.site_id,
        decision=status,
    )


@transaction.atomic
def take_back_outdated(finding: Finding, *, request: HttpRequest, label: str) -> None:
    """Take back what this doctor once sent about a finding and says no more.

    `label` is the doctor's answer now. What waits is rejected; what an admin has accepted
    already waits again, so that they look once more; what a training has used stays.
    """
    nodule = label if label == FindingVerdict.Label.NOT_A_NODULE else "nodule"
    said = {Task.MALIGNANCY: label, Task.NODULE: nodule}
    theirs = TrainingExample.objects.select_for_update().filter(
        finding=finding,
        task__in=said,
        sent_by=request.user,
        status__in=[Status.QUEUED, Status.ACCEPTED],
    )
    for example in theirs:
        if example.label != said[Task(example.task)]:
            _take_back(example, request)


def _take_back(example: TrainingExample, request: HttpRequest) -> None:
    back_to = Status.QUEUED if example.status == Status.ACCEPTED else Status.REJECTED
    _move_example(example, [example.status], back_to, request, _CORRECTED_LATER)


@transaction.atomic
def start_run(
    task: str,
    *,
    request: HttpRequest | None = None,
    seed: int = 1,
    epochs: int | None = None,
    nudge_workers: bool = True,
) -> TrainingRun:
    """Queue a training; without a request somebody at the command line asked for it.

    Who runs it in the own process does not tell the workers.

    Raises LearningConflict when one is open for the task, or the task cannot be trained here.
    """
    if task not in TRAINABLE:
        raise LearningConflict(
            f"The {Task(task).label} cannot be trained again here yet: there is no frozen test "
            "set for it. Its corrections wait in the queue."
        )
    try:
        with transaction.atomic():
            run = TrainingRun.objects.create(
                task=task,
                seed=seed,
                epochs=epochs,
                requested_by=request.user if request else None,
            )
    except IntegrityError:
        raise LearningConflict(
            f"A training of the {Task(task).label} is open already. Nothing was started; "
            "wait for it or cancel it."
        ) from None
    _note_run(AuditEvent.Action.RETRAIN_STARTED, run, request, seed=seed, epochs=epochs)
    if nudge_workers:
        nudge(train, run.pk)
    return run


@transaction.atomic
def cancel_run(run: TrainingRun, *, request: HttpRequest) -> None:
    """Stop a waiting or running training; the worker notices within seconds."""
    cancelled = TrainingRun.objects.filter(pk=run.pk, status__in=OPEN_RUN).update(
        status=TrainingRun.Status.CANCELLED,
        finished_at=timezone.now(),
        lease_expires_at=None,
        reason=f"Cancelled by {request.user}.",
    )
    run.refresh_from_db()
    if not cancelled:
        raise LearningConflict(f"This training has ended by now: {run.get_status_display()}.")
    _note_run(AuditEvent.Action.RETRAIN_CANCELLED, run, request)


def _note_run(
    action: AuditEvent.Action, run: TrainingRun, request: HttpRequest | None, **details: Any
) -> None:
    actor = "" if request else "command line"
    record(action, request=request, actor=actor, target=run, task=run.task, **details)
