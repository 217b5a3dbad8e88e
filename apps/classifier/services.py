"""The web side of predictions: ask for them, retry, show them. No network runs here."""

import hashlib
from collections.abc import Iterable

from celery import Task
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import Case, CaseEvent, Series
from apps.classifier.models import ModelVersion, Prediction
from apps.classifier.tasks import predict

PREDICTION_TASKS = ["chest", "nodule", "malignancy"]
Status = Prediction.Status


def active_versions() -> list[ModelVersion]:
    """The active version of each task that a prediction needs."""
    return list(
        ModelVersion.objects.filter(
            task__in=PREDICTION_TASKS, status=ModelVersion.Status.ACTIVE
        ).order_by("task")
    )


def instances_sha256(series: Series) -> str:
    """Hash of the set of a series' instances, so that a later slice asks a new question."""
    rows = series.instances.order_by("sop_instance_uid").values_list("sop_instance_uid", "sha256")
    return hashlib.sha256("\n".join(f"{uid} {sha}" for uid, sha in rows).encode()).hexdigest()


def request_predictions(case: Case) -> list[Prediction]:
    """Queue one prediction per series of the case; what was asked before is not asked again."""
    return [request_prediction(case, series) for series in case.study.series.all()]


def request_prediction(case: Case, series: Series, *, override: bool = False) -> Prediction:
    """Queue a prediction over the series as it is now, unless the same was asked before."""
    return _ask(case, series, override)[0]


def _ask(case: Case, series: Series, override: bool) -> tuple[Prediction, bool]:
    """The prediction that answers this question, and whether it is asked for the first time."""
    versions = active_versions()
    with transaction.atomic():
        prediction, created = Prediction.objects.get_or_create(
            series=series,
            instances_sha256=instances_sha256(series),
            models_key=models_key(versions),
            override=override,
            shadow=False,
            defaults={"case": case},
        )
        if created:
            prediction.model_versions.set(versions)
            nudge(predict, prediction.pk)
            _ask_shadows(prediction, versions)
    return prediction, created


def _ask_shadows(live: Prediction, versions: list[ModelVersion]) -> None:
    """The same question to each version in shadow, in its task's place. The sweep starts them."""
    for version in ModelVersion.objects.filter(shadow_since__isnull=False):
        others = [one for one in versions if one.task != version.task]
        beside = sorted([*others, version], key=lambda one: one.task)
        shadow, created = Prediction.objects.get_or_create(
            series_id=live.series_id,
            instances_sha256=live.instances_sha256,
            models_key=models_key(beside),
            override=live.override,
            shadow=True,
            defaults={"case_id": live.case_id, "beside": live},
        )
        if created:
            shadow.model_versions.set(beside)


def models_key(versions: Iterable[ModelVersion]) -> str:
    """The versions as one text, part of what makes two questions the same."""
    return " ".join(str(version) for version in versions)


def nudge(task: Task, pk: int) -> None:
    """Tell the workers once the row is committed; the message carries its id only.

    Robust: the row is safe by then, so a broker that is down must not fail the user's request.
    The sweep sends the message again.
    """
    # A lambda, because Django logs the name of what failed, and a partial has none.
    transaction.on_commit(lambda: task.delay(pk), robust=True)


def still_failed() -> QuerySet[Prediction]:
    """Failed predictions about whose series nobody has asked again since."""
    newer = Prediction.objects.filter(
        series=OuterRef("series"), shadow=OuterRef("shadow"), pk__gt=OuterRef("pk")
    )
    return Prediction.objects.filter(~Exists(newer), status=Status.FAILED)


@transaction.atomic
def retry_prediction(prediction: Prediction, *, request: HttpRequest) -> bool:
    """Ask again where a prediction failed; False when it is no longer failed (a second click).

    The question is put to the versions active now and to the images there are now; when those
    are the same as before, the very row is queued again.
    """
    if not still_failed().filter(pk=prediction.pk).exists():
        return False
    asked = request_prediction(prediction.case, prediction.series, override=prediction.override)
    requeued = Prediction.objects.filter(pk=asked.pk, status=Status.FAILED).update(
        status=Status.QUEUED, attempts=0, code="", reason="", progress=0, queued_at=timezone.now()
    )
    if requeued:
        nudge(predict, asked.pk)
    record(
        AuditEvent.Action.PREDICTION_REQUESTED,
        request=request,
        target=asked,
        site_pk=asked.case.site_id,
    )
    return True


@transaction.atomic
def override_gate(prediction: Prediction, *, request: HttpRequest) -> Prediction | None:
    """Ask again although the gate refused; logged with who did it. None on a second click."""
    asked, first_time = _ask(prediction.case, prediction.series, override=True)
    if not first_time:
        return None
    CaseEvent.objects.create(
        case=prediction.case,
        kind=CaseEvent.Kind.OVERRIDDEN,
        actor=str(request.user),
        actor_pk=request.user.pk,
        text=prediction.reason,
    )
    record(
        AuditEvent.Action.OVERRIDDEN,
        request=request,
        target=prediction,
        site_pk=prediction.case.site_id,
    )
    return asked


def predictions_of(case: Case) -> QuerySet[Prediction]:
    """What doctors may see of the case's predictions, newest first."""
    known = case.predictions.filter(shadow=False)
    return known.select_related("case__site").prefetch_related("model_versions")


def current_predictions(predictions: Iterable[Prediction]) -> list[Prediction]:
    """The newest prediction of each series, the highest score first."""
    newest: dict[int, Prediction] = {}
    for prediction in sorted(predictions, key=lambda p: p.pk):
        newest[prediction.series_id] = prediction
    return sorted(newest.values(), key=_rank)


def _rank(prediction: Prediction) -> tuple:
    score = prediction.series_score
    return (score is None, -(score or 0), prediction.status != Status.DONE, prediction.pk)


def leading_prediction(case: Case) -> Prediction | None:
    """The prediction that speaks for the case: the highest score among its series."""
    current = current_predictions(p for p in case.predictions.all() if not p.shadow)
    return current[0] if current else None
