"""/metrics for Prometheus: this server's requests, and the state of the whole installation."""

import hmac
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.models import Avg, Count, F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector

from apps.cases.models import Case
from apps.classifier.models import Prediction, TrainingExample, TrainingRun, WatchState
from apps.classifier.models.watching import Figure
from apps.classifier.watching import open_alerts
from cancerprediction.parts import parts

REQUEST_SECONDS = Histogram(
    "cancer_request_seconds",
    "Time until the answer, by method, route and status.",
    ["method", "route", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120),
)
RECENTLY = timedelta(minutes=15)


@never_cache
@login_not_required
def metrics(request: HttpRequest) -> HttpResponse:
    """The text that Prometheus reads, for whoever holds METRICS_TOKEN; without one, 404."""
    said = request.headers.get("Authorization", "")
    if not settings.METRICS_TOKEN:
        raise Http404
    if not hmac.compare_digest(said.encode(), f"Bearer {settings.METRICS_TOKEN}".encode()):
        return HttpResponse("The token of METRICS_TOKEN is needed.\n", "text/plain", status=401)
    return HttpResponse(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # gunicorn's processes add up (gunicorn.conf.py)
        MultiProcessCollector(registry)
    else:
        registry.register(REQUEST_SECONDS)
    registry.register(Installation())
    return registry


class Installation:
    """What the rows, the broker and the disk say. The same from every pod: take the maximum."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Asked at each scrape. A part that is away has no value rather than a wrong one."""
        up = parts()
        yield _gauge("up", "Whether a part answers.", ["part"], up)
        if up["database"]:
            yield from _rows()
        if up["broker"]:
            yield _gauge("queue_messages", "Messages that wait.", ["queue"], _queues())
        usage = shutil.disk_usage(settings.STORAGE_DIR)
        yield _gauge("disk_bytes", "The volume of images.", ["kind"], _disk(usage))


def _rows() -> Iterator[GaugeMetricFamily]:
    live = Prediction.objects.filter(shadow=False)
    for rows, name in (
        (Case.objects.all(), "cases"),
        (live, "predictions"),
        (Prediction.objects.filter(shadow=True), "shadow_predictions"),
        (TrainingExample.objects.all(), "training_examples"),
        (TrainingRun.objects.all(), "training_runs"),
    ):
        yield _gauge(name, f"{name} by status.", ["status"], _by_status(rows))
    yield from _watched()
    waiting = live.filter(status="queued").order_by("queued_at").first()
    seconds = (timezone.now() - waiting.queued_at).total_seconds() if waiting else 0
    yield _gauge("prediction_longest_wait_seconds", "Of those queued.", [], seconds)
    yield _gauge("prediction_seconds", "Mean of the last 15 minutes.", [], _recent(live))


def _watched() -> Iterator[GaugeMetricFamily]:
    """What the last measurement of the monitoring found; NaN where there was nothing."""
    state = WatchState.current()
    yield _gauge("ai_display", "1 while doctors see the AI.", [], state.off_since is None)
    measured = {name: value for name, (value, _) in state.figures.items() if value is not None}
    known = {name: measured.get(name, float("nan")) for name in Figure.values}
    yield _gauge("watched", "Figures of the monitoring page.", ["figure"], known)
    raised = {name: 0 for name in Figure.values} | {one.figure: 1 for one in open_alerts()}
    yield _gauge("alert", "1 while a figure is beyond its limit.", ["figure"], raised)


def _recent(predictions: QuerySet) -> float:
    done = predictions.filter(status="done", finished_at__gt=timezone.now() - RECENTLY)
    mean = done.aggregate(mean=Avg(F("finished_at") - F("started_at")))["mean"]
    return mean.total_seconds() if mean else float("nan")


def _by_status(rows: QuerySet) -> dict[str, int]:
    """Every status, those without rows too: a series that vanishes cannot raise an alarm."""
    counted = dict(rows.order_by().values_list("status").annotate(Count("pk")))
    return {value: counted.get(value, 0) for value in rows.model.Status.values}


def _queues() -> dict[str, int]:
    with current_app.connection_for_read() as broker:
        client = broker.default_channel.client
        return {name: client.llen(name) for name in ("inference", "training", "default")}


def _disk(usage: Any) -> dict[str, int]:
    megabyte = 1024 * 1024
    return {
        "free": usage.free,
        "total": usage.total,
        "warning": settings.WARN_FREE_DISK_MB * megabyte,
        "reserve": settings.MIN_FREE_DISK_MB * megabyte,
    }


def _gauge(name: str, help_text: str, labels: list[str], values: Any) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"cancer_{name}", help_text, labels=labels)
    for label, value in values.items() if labels else [("", values)]:
        family.add_metric([label] if labels else [], float(value))
    return family
