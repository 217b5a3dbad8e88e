"""Which version is active: one per task, changed by an admin, one click back."""

import hashlib

from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Notification, User
from apps.accounts.notifications import notify
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.classifier.labels import LearningConflict
from apps.classifier.model_files import weights_path
from apps.classifier.models import ModelVersion, TrainingRun

Status = ModelVersion.Status


def why_not_activate(version: ModelVersion) -> str:
    """Why the gate keeps this version from becoming active; empty when it may."""
    if version.status == Status.ACTIVE:
        return "It is active already."
    if version.status == Status.RETIRED or version.shipped:
        return ""
    run = TrainingRun.objects.filter(candidate=version).select_related("active_version").first()
    if run is None:
        return "It was never tested against the active version."
    if run.status != TrainingRun.Status.PASSED:
        return f"It did not pass the test against the active version: {run.reason}"
    active = active_version(version.task)
    if run.active_version != active:
        return (
            f"It was tested against {run.active_version}, but {active or 'no version'} is active "
            "now. Train and test again."
        )
    return ""


def active_version(task: str) -> ModelVersion | None:
    """The version that answers for `task` now."""
    return ModelVersion.objects.filter(task=task, status=Status.ACTIVE).first()


def activate(version: ModelVersion, *, request: HttpRequest | None, note: str) -> ModelVersion:
    """Make this version the active one of its task; returns the one it replaced, if any.

    Raises LearningConflict when the gate forbids it, its file is damaged, or another admin
    was faster.
    """
    version.refresh_from_db()
    _refuse(version, why_not_activate(version) or damage_of(version))
    try:
        with transaction.atomic():
            return _swap(version, request, note)
    except IntegrityError:
        raise LearningConflict(
            "Another admin changed the active version at the same moment. Nothing of yours was "
            "stored; reload to see which one is active."
        ) from None


def rollback(task: str, *, request: HttpRequest | None, note: str) -> ModelVersion:
    """Activate the version that was active before; returns it. Raises LearningConflict."""
    before = previous_version(task)
    if before is None:
        raise LearningConflict("No other version was active before, so there is no way back.")
    activate(before, request=request, note=note)
    before.refresh_from_db()
    return before


def previous_version(task: str) -> ModelVersion | None:
    """The newest version below the active one that was active before.

    Below it, so that pressing the button twice goes two steps back and never forward again.
    """
    earlier = ModelVersion.objects.filter(task=task, status=Status.RETIRED).exclude(
        activated_at=None
    )
    active = active_version(task)
    if active:
        earlier = earlier.filter(number__lt=active.number)
    return earlier.order_by("-number").first()


def _swap(version: ModelVersion, request: HttpRequest | None, note: str) -> ModelVersion | None:
    active = ModelVersion.objects.filter(task=version.task, status=Status.ACTIVE)
    replaced = active.select_for_update().first()
    _refuse(version, why_not_activate(version))  # again: the active one may have changed
    if replaced:
        ModelVersion.objects.filter(pk=replaced.pk).update(status=Status.RETIRED)
    changed = ModelVersion.objects.filter(pk=version.pk, status=version.status).update(
        status=Status.ACTIVE,
        shadow_since=None,
        activated_at=timezone.now(),
        activated_by=request.user if request else None,
        activation_note=note,
    )
    if not changed:
        raise IntegrityError("the version changed in the meantime")
    record(
        AuditEvent.Action.ACTIVATED,
        request=request,
        actor="" if request else "command line",
        target=version,
        version=str(version),
        replaced=str(replaced or ""),
        note=note,
    )
    version.refresh_from_db()
    _tell_doctors(version)
    return replaced


def _tell_doctors(version: ModelVersion) -> None:
    """Whoever corrected what this version learnt from hears that it answers now."""
    doctors = User.objects.filter(
        is_active=True, training_examples__runs__candidate=version
    ).distinct()
    path = reverse("doctor:corrections")
    notify(doctors, Notification.Kind.LIVE, key=f"model {version}", path=path)


def _refuse(version: ModelVersion, forbidden: str) -> None:
    if forbidden:
        raise LearningConflict(f"{version} was not activated. {forbidden}")


def damage_of(version: ModelVersion) -> str:
    """Why the version's file on this server cannot be used; empty when it is whole."""
    try:
        found = hashlib.sha256(weights_path(version).read_bytes()).hexdigest()
    except OSError:
        return "Its weights file is missing on this server."
    return "" if found == version.sha256 else "Its weights file is not the one that was tested."
