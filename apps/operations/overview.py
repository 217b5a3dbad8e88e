"""The numbers of the first page: what waits, what failed, what runs, how full the disk is."""

import shutil
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Count, Model
from django.utils import timezone
from kombu.exceptions import OperationalError

from apps.audit.models import AuditEvent, Tombstone
from apps.cases.models import Case
from apps.classifier.activation import why_not_activate
from apps.classifier.models import ModelVersion, Prediction, TrainingExample, TrainingRun
from apps.classifier.services import still_failed
from apps.classifier.sweep import QUEUES, messages_waiting
from apps.classifier.watching import open_alerts, why_off

FAILURES_SHOWN = 8
LATE = timedelta(minutes=2)
MEGABYTE, GIGABYTE = 1024**2, 1024**3


def overview() -> dict[str, Any]:
    """Everything that the first page shows; no patient is named anywhere in it."""
    return {
        "cases": _by_status(Case),
        "predictions": _by_status(Prediction, shadow=False),
        "examples_waiting": TrainingExample.objects.filter(status="queued").count(),
        "failures": _failures(),
        "queues": _queues(),
        "late": _late(),
        "alerts": open_alerts(),
        "ai_off": why_off(),
        "disk": disk(),
        "backup": AuditEvent.objects.filter(action=AuditEvent.Action.BACKED_UP).first(),
        "deleted": Tombstone.objects.count(),
        "active": ModelVersion.objects.filter(status="active").order_by("task"),
        "candidates": candidates_waiting(),
        "open_runs": TrainingRun.objects.filter(status__in=["queued", "running"]),
        "recent": in_words(AuditEvent.objects.all()[:12]),
    }


def _by_status(model: type[Model], **only: Any) -> list[dict[str, Any]]:
    """Every status with its word and how many rows have it."""
    found = model.objects.filter(**only).order_by()
    counted = found.values_list("status").annotate(Count("pk"))
    numbers = dict(counted)
    return [
        {"status": value, "label": label, "number": numbers.get(value, 0)}
        for value, label in model.Status.choices
    ]


def _failures() -> list[Prediction]:
    """The newest failed predictions that nobody has asked again."""
    failed = still_failed().filter(shadow=False)
    return list(failed.select_related("case__site").order_by("-finished_at")[:FAILURES_SHOWN])


def _queues() -> list[dict[str, Any]] | None:
    """Messages per queue; None when the broker does not answer."""
    try:
        return [{"name": name, "number": messages_waiting(name)} for name in QUEUES]
    except (OperationalError, OSError):
        return None


def _late() -> bool:
    """Whether a prediction has waited so long that no worker seems to be there."""
    return Prediction.objects.filter(
        status=Prediction.Status.QUEUED, shadow=False, queued_at__lt=timezone.now() - LATE
    ).exists()


def disk() -> dict[str, Any]:
    """Room where the images lie, in GB; whether that is low, and whether uploads are refused."""
    settings.STORAGE_DIR.mkdir(parents=True, exist_ok=True)
    usage = shutil.disk_usage(settings.STORAGE_DIR)
    reserve = settings.MIN_FREE_DISK_MB * MEGABYTE
    return {
        "free": round(usage.free / GIGABYTE, 1),
        "total": round(usage.total / GIGABYTE, 1),
        "used_share": round(1 - usage.free / usage.total, 3),
        "refusing": usage.free < reserve,
        "low": usage.free < max(reserve, settings.WARN_FREE_DISK_MB * MEGABYTE),
        "reserve": round(reserve / GIGABYTE, 1),
    }


def in_words(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    """The events, each with `target`: what it was done to, as "training example 4"."""
    listed = list(events)
    for event in listed:
        event.target = f"{_kind(event.target_type)} {event.target_id}".strip()
    return listed


def _kind(label: str) -> str:
    try:
        return str(apps.get_model(label)._meta.verbose_name) if label else ""
    except LookupError:  # a row outlives the model that it names
        return label


def candidates_waiting() -> list[ModelVersion]:
    """Per task the newest version, if it is a candidate that the gate lets through."""
    newest = {version.task: version for version in ModelVersion.objects.order_by("number")}
    return [
        version
        for version in newest.values()
        if version.status == ModelVersion.Status.CANDIDATE and not why_not_activate(version)
    ]
