"""A lead gives waiting cases to a doctor of their group, many at once."""

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest

from apps.accounts.models import ReadingGroup, User
from apps.audit.models import AuditEvent
from apps.cases.models import Case, CaseEvent
from apps.cases.services import record_step

MOST_AT_ONCE = 200


def assignable_by(lead: User) -> QuerySet[Case]:
    """Waiting cases of the groups that they lead, and of their site's pool if they lead any."""
    groups = list(ReadingGroup.objects.filter(leads=lead).values_list("pk", flat=True))
    waiting = Case.objects.filter(status=Case.Status.SENT, site_id=lead.site_id)
    if not groups:
        return waiting.none()
    readers = receivers_of(lead).values("pk")
    pool = Q(receiver__isnull=True, receiver_group__isnull=True)
    return waiting.filter(Q(receiver_group__in=groups) | Q(receiver__in=readers) | pool)


def receivers_of(lead: User) -> QuerySet[User]:
    """The doctors of the groups that they lead."""
    return User.objects.filter(
        reading_groups__leads=lead, is_active=True, site_id=lead.site_id
    ).distinct()


@transaction.atomic
def assign(cases: Sequence[UUID], *, doctor: User, request: HttpRequest) -> int:
    """Give those that still wait to this doctor; returns how many. Each is a row in its history.

    A case that somebody claimed meanwhile, or that its own second reader has read, stays.
    """
    given = 0
    chosen = assignable_by(request.user).filter(public_id__in=cases[:MOST_AT_ONCE])
    for case in chosen.order_by("pk"):
        read_it = ~Q(stage=Case.Stage.FIRST) & Q(
            readings__doctor=doctor, readings__finished_at__isnull=False
        )
        if Case.objects.filter(pk=case.pk).filter(read_it).exists():
            continue
        waiting = Case.objects.filter(pk=case.pk, status=Case.Status.SENT, revision=case.revision)
        if waiting.update(receiver=doctor, receiver_group=None, revision=F("revision") + 1):
            record_step(
                case, request, CaseEvent.Kind.ASSIGNED, AuditEvent.Action.ASSIGNED, f"to {doctor}"
            )
            given += 1
    return given
