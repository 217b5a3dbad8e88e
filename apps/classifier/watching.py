"""Alerts on the figures, and the stop-rule: doctors see no AI until an admin has looked."""

import logging
from datetime import timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import Role
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.classifier.figures import Measured, measure
from apps.classifier.labels import LearningConflict
from apps.classifier.models import Alert, WatchSettings, WatchState
from apps.classifier.models.watching import Figure

log = logging.getLogger(__name__)
AT_LEAST = {Figure.AGREEMENT, Figure.SENSITIVITY}


def watch() -> list[Alert]:
    """Measure, raise and end alerts, stop the display where that is set; returns new alerts."""
    limits, now = WatchSettings.current(), timezone.now()
    figures = measure(now - timedelta(days=limits.window_days), now)
    with transaction.atomic():
        WatchState.objects.get_or_create(pk=1)
        state = WatchState.objects.select_for_update().get(pk=1)  # one watch at a time
        raised = [alert for one in figures if (alert := _judge(one, limits))]
        _stop(state, raised, limits)
        state.figures = {one.name: [one.value, one.n] for one in figures}
        state.measured_at = now
        state.save()
        if raised:
            transaction.on_commit(lambda: _mail(raised), robust=True)
    return raised


def _judge(figure: Measured, limits: WatchSettings) -> Alert | None:
    """The alert if this figure raises a new one. Too few cases change nothing."""
    standing = Alert.objects.filter(figure=figure.name, ended_at=None)
    if figure.value is None or figure.n < limits.least_cases:
        return None
    limit = limits.limit_of(figure.name)
    if limit is None or not beyond(figure, limit):
        standing.update(ended_at=timezone.now())
        return None
    if standing.exists():
        return None
    words = in_words(figure, limit)
    return Alert.objects.create(
        figure=figure.name, words=words, value=figure.value, limit=limit, n=figure.n
    )


def beyond(figure: Measured, limit: float) -> bool:
    """Whether a figure is on the wrong side of its limit, and not by chance alone."""
    if figure.value is None:
        return False
    if figure.name in AT_LEAST:
        return figure.value < limit
    return figure.value > limit and figure.value > figure.chance


def in_words(figure: Measured, limit: float) -> str:
    """One sentence for the page, the mail and the doctors."""
    name = Figure(figure.name).label
    side = "below" if figure.name in AT_LEAST else "above"
    return (
        f"{name[0].upper()}{name[1:]}: {figure.value:.3g}, {side} the limit of {limit:g} "
        f"(measured on {figure.n})."
    )


def _stop(state: WatchState, raised: list[Alert], limits: WatchSettings) -> None:
    stopping = [alert for alert in raised if alert.figure in limits.stop_on]
    for alert in stopping:
        alert.stopped_display = True
        alert.save(update_fields=["stopped_display"])
    if stopping and state.off_since is None:
        state.off_since = timezone.now()
        state.off_reason = f"A limit was exceeded. {stopping[0].words}"[:500]
        state.changed_by = None
        record(AuditEvent.Action.AI_DISPLAY, actor="by itself", step="off", note=state.off_reason)


def _mail(raised: list[Alert]) -> None:
    """To every active admin. That no mail goes out must never keep an alert from being raised."""
    admins = User.objects.filter(role=Role.ADMIN, is_active=True).values_list("email", flat=True)
    off = any(alert.stopped_display for alert in raised)
    lines = [alert.words for alert in raised]
    if off:
        lines.append("Doctors see no AI until an admin switches it on again.")
    lines.append(f"{settings.SITE_URL}/operations/monitoring/")
    try:
        for email in admins:  # one by one: admins need not know each other's address
            send_mail("Cancer Prediction: an alert", "\n\n".join(lines), None, [email])
    except Exception:
        log.exception("an alert could not be mailed")


def why_off() -> str:
    """Why doctors see no AI now; empty while they do. One query."""
    state = WatchState.current()
    return state.off_reason if state.off_since else ""


@transaction.atomic
def set_display(*, on: bool, request: HttpRequest, note: str) -> None:
    """An admin hides or shows the AI. Raises LearningConflict when it is so already."""
    WatchState.objects.get_or_create(pk=1)
    changed = WatchState.objects.filter(pk=1, off_since__isnull=not on).update(
        off_since=None if on else timezone.now(),
        off_reason="" if on else note[:500],
        changed_by=request.user,
    )
    if not changed:
        raise LearningConflict(f"The AI display is {'on' if on else 'off'} already.")
    step = "on" if on else "off"
    record(AuditEvent.Action.AI_DISPLAY, request=request, step=step, note=note)


def open_alerts() -> list[Alert]:
    """Figures that are beyond their limit now."""
    return list(Alert.objects.filter(ended_at=None))
