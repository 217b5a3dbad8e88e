"""Corrections into the queue; trainings started and cancelled."""

from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.locks import hold
from apps.cases.models import Case, CaseEvent, Instance, Patient
from apps.classifier.adjudication import OPEN_RUN, take_back
from apps.classifier.cnn.datasets import side
from apps.classifier.labels import (
    LABELS,
    LearningConflict,
    NotUsable,
    Task,
    informativeness,
    label_in_words,
)
from apps.classifier.models import (
    Finding,
    FindingVerdict,
    TrainingExample,
    TrainingRun,
)
from apps.classifier.places import at_same_place, hash_of
from apps.classifier.services import nudge
from apps.classifier.tasks import train
from apps.classifier.training_base import held_out_patients

Status = TrainingExample.Status

TRAINABLE = [Task.MALIGNANCY, Task.NODULE]


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
    disagreement, uncertainty = informativeness(predicted, label)
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
        perceptual_hash=hash_of(finding),
        disagreement=disagreement,
        uncertainty=uncertainty,
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
    # Two who send the same at the same moment would not see each other's row.
    hold([f"retrain queue {example.task} {example.pixel_sha256}"])
    earlier = at_same_place(example).exclude(status=Status.REJECTED)
    same = [other for other in earlier if other.label == example.label]
    if same:
        raise NotUsable(
            "The same place on the same image is in the retrain queue already, with this label."
        )
    replaced = earlier.filter(status=Status.QUEUED, sent_by=example.sent_by)
    for other in replaced.select_for_update():
        take_back(other, request)


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


@transaction.atomic
def start_run(
    task: str,
    *,
    request: HttpRequest | None = None,
    seed: int = 1,
    epochs: int | None = None,
    nudge_workers: bool = True,
    because: str = "",
) -> TrainingRun:
    """Queue a training; without a request somebody at the command line asked for it, or it
    starts by itself and `because` says why.

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
                because=because,
            )
    except IntegrityError:
        raise LearningConflict(
            f"A training of the {Task(task).label} is open already. Nothing was started; "
            "wait for it or cancel it."
        ) from None
    details = {"because": because} if because else {}
    _note_run(AuditEvent.Action.RETRAIN_STARTED, run, request, seed=seed, epochs=epochs, **details)
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
    actor = "" if request else "by itself" if run.because else "command line"
    record(action, request=request, actor=actor, target=run, task=run.task, **details)
