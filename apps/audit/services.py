"""The one way to write an audit row."""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.http import HttpRequest

from apps.audit.models import AuditEvent


def record(
    action: AuditEvent.Action,
    *,
    request: HttpRequest | None = None,
    user: Any = None,
    target: Model | None = None,
    site_pk: int | None = None,
    actor: str = "",
    **details: Any,
) -> AuditEvent:
    """Write one audit row inside the caller's transaction.

    `user` defaults to the request's user. `details` must be JSON and must not hold a
    patient's name: the target's key is enough to find it.
    """
    event = _event(action, request=request, user=user, site_pk=site_pk, actor=actor)
    event.target_type, event.target_id = _named(target)
    event.details = details
    event.save()
    return event


def record_each(
    action: AuditEvent.Action,
    targets: Iterable[tuple[Model, dict[str, Any]]],
    *,
    request: HttpRequest | None = None,
    user: Any = None,
    site_pk: int | None = None,
) -> None:
    """One audit row for each (target, details), written in one statement."""
    events = []
    for target, details in targets:
        event = _event(action, request=request, user=user, site_pk=site_pk)
        event.target_type, event.target_id = _named(target)
        event.details = details
        events.append(event)
    AuditEvent.objects.bulk_create(events)


def _event(
    action: AuditEvent.Action,
    *,
    request: HttpRequest | None,
    user: Any,
    site_pk: int | None,
    actor: str = "",
) -> AuditEvent:
    user = user or getattr(request, "user", None)
    known = user is not None and user.is_authenticated
    return AuditEvent(
        action=action,
        actor=(user.email if known else actor)[:254],
        actor_pk=user.pk if known else None,
        actor_role=user.role if known else "",
        site_pk=site_pk or (user.site_id if known else None),
        address=client_address(request) if request else None,
        user_agent=_printable(request.headers.get("User-Agent", ""))[:200] if request else "",
    )


def _named(target: Model | None) -> tuple[str, str]:
    return (target._meta.label_lower, str(target.pk)) if target else ("", "")


def client_address(request: HttpRequest) -> str | None:
    """The caller's address; X-Forwarded-For counts only as far as our own proxies wrote it."""
    hops = request.headers.get("X-Forwarded-For", "").split(",")
    trusted = settings.TRUSTED_PROXIES
    hop = hops[-trusted].strip() if 0 < trusted <= len(hops) else request.META.get("REMOTE_ADDR")
    try:
        return str(ip_address((hop or "").partition("%")[0]))  # a zone means something only here
    except ValueError:
        return None


def _printable(text: str) -> str:
    """Without what PostgreSQL cannot store (NUL) and what would garble a list."""
    return "".join(character for character in text if character.isprintable())
