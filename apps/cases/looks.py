"""Who looked at a case: no part of one is shown without a row in the audit trail.

Pages, lists of findings and manifests write a row for each look. What such a page then fetches by
itself, slice by slice and every few seconds, writes one only where nothing was opened before.
"""

from datetime import timedelta
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.models import Case

_OPENED = "opened_cases"
# A session keeps so many; an older case that is looked at again is a new look.
MOST_KEPT = 200
# Programs log in with a token and have no session: one row per case in so long.
TOKEN_QUIET = timedelta(hours=1)


def record_look(
    request: HttpRequest, case: Case, *, target: Model | None = None, **details: Any
) -> None:
    """Audit one look at a case, or at `target` which is a part of it."""
    record(
        AuditEvent.Action.VIEWED,
        request=request,
        target=target or case,
        site_pk=case.site_id,
        **details,
    )
    if not _by_token(request):
        opened = request.session.get(_OPENED, [])
        if case.pk not in opened:
            request.session[_OPENED] = [*opened, case.pk][-MOST_KEPT:]


def record_first_look(request: HttpRequest, case: Case, **details: Any) -> None:
    """Audit a look at a case that this session has not opened; costs no query where it has."""
    if not _opened_before(request, case):
        record_look(request, case, **details)


def _by_token(request: HttpRequest) -> bool:
    """Whether this is a request of the API that a token let in."""
    return getattr(request, "auth", None) is not None


def _opened_before(request: HttpRequest, case: Case) -> bool:
    if not _by_token(request):
        return case.pk in request.session.get(_OPENED, [])
    return AuditEvent.objects.filter(
        action=AuditEvent.Action.VIEWED,
        actor_pk=request.user.pk,
        target_type=case._meta.label_lower,
        target_id=str(case.pk),
        at__gte=timezone.now() - TOKEN_QUIET,
    ).exists()
