"""Trainings that start by themselves: when enough corrections wait, or by the clock."""

import logging
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from apps.classifier.adjudication import OPEN_RUN
from apps.classifier.labels import LearningConflict
from apps.classifier.learning import TRAINABLE, start_run
from apps.classifier.models import LoopSettings, TrainingExample, TrainingRun
from apps.classifier.training_set import usable_examples

log = logging.getLogger(__name__)
Schedule = LoopSettings.Schedule
MONDAY = 0


@transaction.atomic
def start_due_runs(now: datetime | None = None) -> list[TrainingRun]:
    """Queue a training for every task that is due; the row is locked, so one sweep does it."""
    settings = LoopSettings.objects.select_for_update(skip_locked=True).filter(pk=1).first()
    if settings is None:
        return []
    now = timezone.localtime(now)
    started = [_start_if_due(task, settings, now) for task in TRAINABLE]
    return [run for run in started if run]


def _start_if_due(task: str, settings: LoopSettings, now: datetime) -> TrainingRun | None:
    if TrainingRun.objects.filter(task=task, status__in=OPEN_RUN).exists():
        return None
    because = _why_due(task, settings, now)
    if not because:
        return None
    try:
        return start_run(task, because=because)
    except LearningConflict:
        log.info("a training of %s was started by somebody else at this moment", task)
        return None


def _why_due(task: str, settings: LoopSettings, now: datetime) -> str:
    """Why a training starts now, in words; empty when none does."""
    by_clock = _is_time(task, settings, now)
    enough = settings.train_after or 0
    if not (by_clock or enough):
        return ""
    number = len(newly_accepted(task))
    if enough and number >= enough:
        return f"{number} newly accepted correction{'' if number == 1 else 's'}"
    if by_clock and number:
        return f"{settings.get_schedule_display()} at {settings.schedule_hour}:00"
    return ""


def _is_time(task: str, settings: LoopSettings, now: datetime) -> bool:
    """Whether this is the hour of the schedule, and no training was asked for within it."""
    if settings.schedule == Schedule.NEVER or now.hour != settings.schedule_hour:
        return False
    if settings.schedule == Schedule.WEEKLY and now.weekday() != MONDAY:
        return False
    begun = now.replace(minute=0, second=0, microsecond=0)
    return not TrainingRun.objects.filter(task=task, requested_at__gte=begun).exists()


def newly_accepted(task: str) -> list[TrainingExample]:
    """Usable corrections that were accepted since the last training of the task was asked for.

    What a training that failed or was cancelled had before it is not new: else it would start
    again every few seconds. It goes into the next training all the same.
    """
    fresh = TrainingExample.objects.filter(status=TrainingExample.Status.ACCEPTED, runs=None)
    last = TrainingRun.objects.filter(task=task).order_by("-requested_at").first()
    if last:
        fresh = fresh.filter(decided_at__gt=last.requested_at)
    return usable_examples(task, among=fresh)
