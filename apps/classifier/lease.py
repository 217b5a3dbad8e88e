"""One worker at a time holds a row: a lease with heartbeat and a fencing token.

The claim is one conditional UPDATE. A worker that lost its lease (killed, paused, cut off)
can no longer write, because every write asks for the token that its claim was given.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Model, QuerySet
from django.utils import timezone

log = logging.getLogger(__name__)


@transaction.atomic
def claim(model: type[Model], pk: int) -> int | None:
    """Take a queued row for this worker; None when somebody else has it or it is done.

    In one transaction, so that the token read is the one that this very UPDATE wrote.
    """
    taken = model.objects.filter(pk=pk, status=model.Status.QUEUED).update(
        status=model.Status.RUNNING,
        started_at=timezone.now(),
        lease_expires_at=expiry(),
        fencing_token=F("fencing_token") + 1,
        attempts=F("attempts") + 1,
    )
    return model.objects.values_list("fencing_token", flat=True).get(pk=pk) if taken else None


def held(model: type[Model], pk: int, token: int) -> QuerySet:
    """The row, only while this worker's claim on it stands: update through this, always."""
    return model.objects.filter(pk=pk, status=model.Status.RUNNING, fencing_token=token)


@contextmanager
def heartbeat(model: type[Model], pk: int, token: int) -> Iterator[threading.Event]:
    """Renew the lease in a thread; yields an event that is set once the lease is lost."""
    done, lost = threading.Event(), threading.Event()

    def beat() -> None:
        renewed = time.monotonic()
        while not done.wait(settings.LEASE_SECONDS / 3):
            answer = _renew(model, pk, token)
            if answer:
                renewed = time.monotonic()
            if answer is False or time.monotonic() - renewed > settings.LEASE_SECONDS:
                lost.set()
                break
        connection.close()

    thread = threading.Thread(target=beat, name=f"lease-{model._meta.model_name}-{pk}", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        done.set()
        thread.join()


def _renew(model: type[Model], pk: int, token: int) -> bool | None:
    """Whether the lease still stands; None when the database did not answer."""
    try:
        return bool(held(model, pk, token).update(lease_expires_at=expiry()))
    except DatabaseError as error:
        log.warning("%s %s: lease not renewed (%s)", model._meta.verbose_name, pk, error)
        connection.close()
        return None


def expired(model: type[Model]) -> QuerySet:
    """Rows whose worker has not been heard of for the time of a lease."""
    return model.objects.filter(status=model.Status.RUNNING, lease_expires_at__lt=timezone.now())


def expiry() -> datetime:
    """When a lease ends that is taken or renewed now."""
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)


def between_steps() -> datetime:
    """When the lease of a training ends whose next step is still to be started elsewhere."""
    return timezone.now() + timedelta(seconds=settings.KUBEFLOW_STEP_SECONDS)


class LeaseLost(Exception):
    """Another worker has this row now, or somebody cancelled it; this one stops traceless."""
