"""What follows a reading: an addendum to the signed report, a critical result that was told."""

from datetime import datetime

from django.db import transaction
from django.http import HttpRequest

from apps.audit.models import AuditEvent
from apps.cases.models import Addendum, Case, CaseEvent, CriticalResult
from apps.cases.services import CaseConflict, record_step


@transaction.atomic
def add_addendum(case: Case, *, request: HttpRequest, revision: int, text: str) -> Addendum:
    """Sign an addition to the newest report of a reported case.

    The row of the case is locked, so that it names the report that the doctor saw.
    """
    seen = Case.objects.select_for_update().filter(pk=case.pk, revision=revision)
    if not seen.filter(status=Case.Status.REPORTED).exists():
        case.refresh_from_db()
        raise CaseConflict(
            f"This case changed in the meantime: it is now {case.get_status_display()}. "
            "Nothing of yours was stored; reload to see it."
        )
    addendum = Addendum.objects.create(
        report=case.reports.latest("pk"), signed_by=request.user, text=text
    )
    record_step(case, request, CaseEvent.Kind.ADDENDUM, AuditEvent.Action.ADDENDUM, text)
    return addendum


@transaction.atomic
def record_critical_result(
    case: Case,
    *,
    request: HttpRequest,
    told_to: str,
    how: str,
    what: str,
    told_at: datetime,
    read_back: bool,
) -> CriticalResult:
    """Keep who was told what, when, and whether they read it back."""
    told = CriticalResult.objects.create(
        case=case,
        told_by=request.user,
        told_to=told_to,
        how=how,
        what=what,
        told_at=told_at,
        read_back=read_back,
    )
    record_step(
        case,
        request,
        CaseEvent.Kind.CRITICAL_RESULT,
        AuditEvent.Action.CRITICAL_RESULT,
        f"{told}: {what}",
    )
    return told
