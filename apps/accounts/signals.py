"""Log-ins, failed log-ins, log-outs, passwords and second factors go to the audit trail."""

from typing import Any

from allauth.account.signals import password_changed, password_reset, password_set
from allauth.mfa.signals import (
    authentication_failed,
    authenticator_added,
    authenticator_removed,
    authenticator_reset,
)
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest

from apps.audit.models import AuditEvent
from apps.audit.services import record


@receiver(user_logged_in)
def note_login(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    record(AuditEvent.Action.LOGGED_IN, request=request, user=user)


@receiver(user_logged_out)
def note_logout(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if user is not None:
        because = getattr(request, "logged_out_because", "")
        details = {"because": because} if because else {}
        record(AuditEvent.Action.LOGGED_OUT, request=request, user=user, **details)


@receiver(user_login_failed)
def note_failed_login(
    sender: Any, credentials: dict, request: HttpRequest | None = None, **kwargs: Any
) -> None:
    tried = str(credentials.get("email") or credentials.get("username") or "")
    record(AuditEvent.Action.LOGIN_FAILED, request=request, actor=tried)


@receiver([password_changed, password_set])
def note_new_password(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    record(AuditEvent.Action.PASSWORD_CHANGED, request=request, user=user)


@receiver(password_reset)
def note_reset_password(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    record(AuditEvent.Action.PASSWORD_CHANGED, request=request, user=user, how="link by e-mail")


@receiver(authentication_failed)
def note_failed_second_factor(
    sender: Any, request: HttpRequest, user: Any, authenticator: Any, **kwargs: Any
) -> None:
    """The password was right, the code was not."""
    record(AuditEvent.Action.LOGIN_FAILED, request=request, actor=user.email, how="second factor")


@receiver(authenticator_added)
def note_added_factor(sender: Any, request: HttpRequest, authenticator: Any, **kw: Any) -> None:
    _note_factor(request, authenticator, "added")


@receiver(authenticator_removed)
def note_removed_factor(sender: Any, request: HttpRequest, authenticator: Any, **kw: Any) -> None:
    _note_factor(request, authenticator, "removed")


@receiver(authenticator_reset)
def note_renewed_codes(sender: Any, request: HttpRequest, authenticator: Any, **kw: Any) -> None:
    _note_factor(request, authenticator, "renewed")


def _note_factor(request: HttpRequest, authenticator: Any, step: str) -> None:
    action = AuditEvent.Action.SECOND_FACTOR
    record(action, request=request, user=authenticator.user, step=step, kind=authenticator.type)
