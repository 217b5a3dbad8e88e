"""What a lost message or a dead worker left behind, taken up again every few seconds."""

import logging
from datetime import timedelta

from celery import Task, current_app
from django.db.models import F, Max, Model, Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Notification, User
from apps.accounts.notifications import forget_old, notify, send_mails
from apps.accounts.permissions import Role
from apps.cases.models import Case, Series
from apps.cases.removal import finish_removals
from apps.cases.storage import remove_stale_incoming
from apps.classifier.lease import expired
from apps.classifier.models import Prediction, TrainingRun
from apps.classifier.place_questions import give_up_waiting
from apps.classifier.self_start import start_due_runs
from apps.classifier.services import request_prediction
from apps.classifier.tasks import predict, predict_in_shadow, train

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 3
NUDGE_AT_MOST = 200
SHADOWS_AT_MOST = 20  # a training that is asked for waits behind so many at most
SETTLE_TIME = timedelta(seconds=5)
# A slice's time of receipt is a little before its commit: a question asked in between missed it.
COMMIT_TIME = timedelta(seconds=60)
FAILED_LATELY = timedelta(hours=1)
QUEUES = {"inference": (Prediction, predict), "training": (TrainingRun, train)}


def sweep() -> None:
    """Requeue expired leases, ask for late slices, nudge forgotten rows, clear away files,
    start the trainings that are due, and tell people what they should know."""
    for model, _task in QUEUES.values():
        take_back(model)
    ask_for_late_slices()
    for queue, (model, task) in QUEUES.items():
        _nudge_forgotten(queue, model, task)
    nudge_shadows()
    clear_away_files()
    give_up_waiting()
    start_due_runs()
    tell_of_failures()
    send_mails()
    forget_old()


def tell_of_failures() -> None:
    """Admins hear once of each prediction that failed a short while ago."""
    since = timezone.now() - FAILED_LATELY
    told = Notification.objects.filter(kind=Notification.Kind.FAILED, at__gte=since)
    known = set(told.values_list("key", flat=True))
    failed = Prediction.objects.filter(
        status=Prediction.Status.FAILED, finished_at__gte=since, shadow=False
    )
    keys = {f"prediction {pk}" for pk in failed.values_list("pk", flat=True)} - known
    admins = list(User.objects.filter(role=Role.ADMIN, is_active=True)) if keys else []
    for key in sorted(keys):
        notify(admins, Notification.Kind.FAILED, key=key, path=reverse("operations:home"))


def clear_away_files() -> None:
    """Remove what killed uploads left, and end deletions that were cut off; a full or absent disk
    must not stop the rest."""
    try:
        finish_removals()
        removed = remove_stale_incoming()
    except OSError:
        log.exception("files could not be cleared away")
        return
    if removed:
        log.warning("%d files of uploads that never ended were removed", removed)


def take_back(model: type[Model]) -> None:
    """Queue again what a silent worker holds; after three silent workers it has failed."""
    worn_out = expired(model).filter(attempts__gte=MAX_ATTEMPTS)
    worn_out.update(
        status=model.Status.FAILED,
        finished_at=timezone.now(),
        lease_expires_at=None,
        reason="The worker stopped three times while it was at it. Please tell your admin.",
    )
    requeued = expired(model).update(status=model.Status.QUEUED, lease_expires_at=None)
    if requeued:
        log.warning("%s: %d taken back from silent workers", model._meta.verbose_name, requeued)


def _nudge_forgotten(queue: str, model: type[Model], task: Task) -> None:
    """Send a message for rows that wait although their queue is empty.

    A message too many is harmless: whoever comes second finds nothing to claim.
    """
    waiting = model.objects.filter(status=model.Status.QUEUED).order_by("pk")
    if model is Prediction:
        waiting = waiting.filter(shadow=False)
    if not waiting.exists() or messages_waiting(queue):
        return
    for pk in waiting.values_list("pk", flat=True)[:NUDGE_AT_MOST]:
        task.delay(pk)


def nudge_shadows() -> None:
    """Start shadow predictions on the training worker while nothing real waits for an answer."""
    if live_waits() or messages_waiting("training"):
        return
    waiting = Prediction.objects.filter(status=Prediction.Status.QUEUED, shadow=True)
    for pk in waiting.order_by("pk").values_list("pk", flat=True)[:SHADOWS_AT_MOST]:
        predict_in_shadow.delay(pk)


def live_waits() -> bool:
    """Whether a doctor or technician waits for a prediction."""
    unfinished = [Prediction.Status.QUEUED, Prediction.Status.RUNNING]
    return Prediction.objects.filter(shadow=False, status__in=unfinished).exists()


def messages_waiting(queue: str) -> int:
    """How many messages the broker holds for `queue`."""
    with current_app.connection_for_write() as connection:
        return connection.default_channel.client.llen(queue)


def ask_for_late_slices() -> None:
    """A sent case that got more slices since gets a new prediction, once they have settled."""
    for series in _grown().select_related("study__case"):
        request_prediction(series.study.case, series)


def _grown() -> QuerySet[Series]:
    """Series whose newest slice may not have been in the last question about them."""
    now = timezone.now()
    cases = Case.objects.filter(status__in=[Case.Status.SENT, Case.Status.IN_REVIEW])
    just_now = Q(newest__gt=now - 2 * COMMIT_TIME)
    return (
        Series.objects.filter(study__case__in=cases, instances__received_at__gt=now - timedelta(1))
        .annotate(newest=Max("instances__received_at"))
        .annotate(asked=Max("predictions__queued_at", filter=Q(predictions__shadow=False)))
        .filter(newest__lt=now - SETTLE_TIME)
        .filter(Q(asked=None) | Q(asked__lt=F("newest")) | just_now)
    )
