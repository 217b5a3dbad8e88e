"""News for one person: on their pages, and by mail where they want it and mail is set up.

A row is written with what it tells of; the mail follows from the sweep, so that no page waits for
a mail server, and none is forgotten. Neither says who the patient is.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.utils import timezone, translation

from apps.accounts.models import Notification, User

log = logging.getLogger(__name__)
MAILS_AT_ONCE = 50
# Older news is no longer worth a mail: the server was away for so long.
TOO_LATE = timedelta(hours=12)
KEPT = timedelta(days=90)


def mail_is_sent() -> bool:
    """Whether this installation can send mail at all."""
    return not settings.EMAIL_BACKEND.endswith("dummy.EmailBackend")


def notify(people: Iterable[User], kind: Notification.Kind, *, key: str, path: str) -> None:
    """Tell these people once; the same `key` of a kind is told to nobody twice."""
    rows = [Notification(user=one, kind=kind, key=key, path=path) for one in people]
    Notification.objects.bulk_create(rows, ignore_conflicts=True)


def send_mails() -> int:
    """Mail what is new to those who want it; how many left. What fails is tried again."""
    if not mail_is_sent():
        return 0
    waiting = Notification.objects.filter(
        mailed_at=None, read_at=None, user__mail_news=True, user__is_active=True
    )
    since = timezone.now() - TOO_LATE
    sent = 0
    for one in waiting.filter(at__gte=since).select_related("user")[:MAILS_AT_ONCE]:
        sent += _mail(one)
    return sent


def forget_old() -> None:
    """Remove what is so old that nobody looks for it; the audit trail keeps what happened."""
    Notification.objects.filter(at__lt=timezone.now() - KEPT).delete()


def _mail(one: Notification) -> bool:
    """Claimed first, so that two sweeps do not both send it."""
    mine = Notification.objects.filter(pk=one.pk, mailed_at=None)
    if not mine.update(mailed_at=timezone.now()):
        return False
    with translation.override(one.user.language or settings.LANGUAGE_CODE):
        said = one.get_kind_display()
    words = f"{said}.\n\n{settings.SITE_URL.rstrip('/')}{one.path}\n"
    try:
        send_mail(said, words, None, [one.user.email])
    except (OSError, SMTPException) as error:
        log.warning("a mail about news was not sent: %s", type(error).__name__)
        Notification.objects.filter(pk=one.pk).update(mailed_at=None)
        return False
    return True
