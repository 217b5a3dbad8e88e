"""Log-ins that are refused before a password is looked at, for the audit trail."""

from datetime import timedelta

from django.http import HttpRequest
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.audit.services import client_address, record

# Anybody can be refused without end, and the trail's rows are for ever: one in so long.
QUIET = timedelta(minutes=1)


def record_refused(request: HttpRequest, *, how: str, actor: str = "") -> None:
    """Audit a refusal: at most one row a minute for each network address and reason."""
    noted = AuditEvent.objects.filter(
        action=AuditEvent.Action.LOGIN_FAILED,
        address=client_address(request),
        details__how=how,
        at__gte=timezone.now() - QUIET,
    )
    if not noted.exists():
        record(AuditEvent.Action.LOGIN_FAILED, request=request, actor=actor, how=how)
