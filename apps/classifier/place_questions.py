"""The web side of "and this?": ask about a place, look for the answer. No network runs here."""

from datetime import timedelta

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import Case, Instance
from apps.classifier.models import PlaceQuestion
from apps.classifier.services import nudge
from apps.classifier.tasks import answer_place

MOST_OPEN = 3
GIVE_UP_AFTER = timedelta(seconds=30)
Status = PlaceQuestion.Status
OPEN = [Status.QUEUED, Status.RUNNING]


class TooManyOpen(Exception):
    """This doctor's earlier questions are not answered yet."""

    message = "The AI is still answering your last questions. Wait a moment, then click again."


@transaction.atomic
def ask_place(
    case: Case, *, request: HttpRequest, instance: Instance, row: float, column: float
) -> PlaceQuestion:
    """Queue the question; workers answer it between the slices of whatever they are at."""
    fresh = timezone.now() - GIVE_UP_AFTER
    waiting = PlaceQuestion.objects.filter(asked_by=request.user, status__in=OPEN)
    if waiting.filter(asked_at__gt=fresh).count() >= MOST_OPEN:
        raise TooManyOpen
    question = PlaceQuestion.objects.create(
        case=case, instance=instance, row=row, column=column, asked_by=request.user
    )
    record(
        AuditEvent.Action.ASKED_PLACE,
        request=request,
        target=case,
        site_pk=case.site_id,
        question=question.pk,
    )
    nudge(answer_place, question.pk)
    return question


def give_up_waiting() -> int:
    """Close what no worker answered in time: the doctor has long looked elsewhere."""
    late = PlaceQuestion.objects.filter(
        status__in=OPEN, asked_at__lt=timezone.now() - GIVE_UP_AFTER
    )
    return late.update(
        status=Status.FAILED,
        answered_at=timezone.now(),
        reason="The AI did not answer in time. Click again, or read without it.",
    )
