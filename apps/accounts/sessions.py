"""Where somebody is logged in, and ending it."""

from allauth.usersessions.models import UserSession
from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import User
from apps.audit.models import AuditEvent
from apps.audit.services import record


@transaction.atomic
def end_sessions(user: User, *, request: HttpRequest, only: int | None = None) -> int:
    """Log this person out everywhere but here (or in the one session `only`); how many ended."""
    sessions = UserSession.objects.filter(user=user).exclude(
        session_key=request.session.session_key or ""
    )
    if only is not None:
        sessions = sessions.filter(pk=only)
    ended = list(sessions)
    for session in ended:
        session.end()
    if ended:
        number = len(ended)
        record(AuditEvent.Action.SESSIONS_ENDED, request=request, target=user, number=number)
    return len(ended)
