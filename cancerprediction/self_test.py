"""Use each part of the installation once, for real; /readyz only asks whether it is there."""

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from celery import current_app
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.mail import EmailMessage, get_connection
from django.db import connection, transaction
from django.utils import timezone

from apps.cases import storage
from apps.classifier.model_files import read_network
from apps.classifier.models import ModelVersion
from apps.classifier.services import PREDICTION_TASKS, active_versions
from cancerprediction.startup import unapplied_migrations

_PIECE = os.urandom(1024 * 1024)
_MAIL_SECONDS = 10


class Outcome(NamedTuple):
    """What became of one part, in words for the operator."""

    part: str
    works: bool
    words: str


class Broken(Exception):
    """A part answers, but not as it must."""


def self_test(mail_to: str = "") -> Iterator[Outcome]:
    """Try every part, one after the other; one that fails does not keep the next from its turn.

    Changes nothing that stays. With `mail_to` a mail is sent there.
    """
    tests: dict[str, Callable[[], str]] = {
        "database": _database,
        "broker": _broker,
        "storage": _storage,
        "models": _models,
        "mail": lambda: _mail(mail_to),
    }
    for part, test in tests.items():
        try:
            yield Outcome(part, True, test())
        except Exception as error:
            yield Outcome(part, False, f"{type(error).__name__}: {error}".strip().splitlines()[0])


def _database() -> str:
    """A row is written and taken back: a standby or a full disk answers, but cannot do that."""
    with transaction.atomic():
        Session.objects.create(session_key=uuid.uuid4().hex, expire_date=timezone.now())
        transaction.set_rollback(True)
    if missing := unapplied_migrations():
        raise Broken(f"{len(missing)} migrations are missing, {missing[0]} first")
    return f"{connection.vendor} takes rows and has every migration"


def _broker() -> str:
    key = f"self-test-{uuid.uuid4().hex}"
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
        client = broker.default_channel.client
        client.rpush(key, key)
        back = client.lpop(key)
    if back != key.encode():
        raise Broken("a message did not come back")
    return "takes a message and gives it back"


def _storage() -> str:
    storage.ensure_room(len(_PIECE))
    settings.MODELS_DIR.mkdir(parents=True, exist_ok=True)
    folders = [storage.incoming_dir(), settings.MODELS_DIR]
    for folder in folders:
        _write_and_read(folder)
    return f"{folders[0].parent} and {folders[1]} keep what is written"


def _write_and_read(folder: Path) -> None:
    path = folder / f"{uuid.uuid4().hex}.part"
    try:
        path.write_bytes(_PIECE)
        storage.sync([path])
        if path.read_bytes() != _PIECE:
            raise Broken(f"{folder} gave other bytes back than were written")
    finally:
        path.unlink(missing_ok=True)


def _models() -> str:
    versions = active_versions()
    if missing := set(PREDICTION_TASKS) - {version.task for version in versions}:
        raise Broken(f"no version is active for {', '.join(sorted(missing))}: run load_models")
    for version in versions:
        _ask(version)
    return f"{', '.join(map(str, versions))} load and answer"


def _ask(version: ModelVersion) -> None:
    """Read the file, check its hash, and ask for one answer; raises what reading raises."""
    read_network(version).predict(np.zeros((1, *version.meta["input"]["shape"]), np.float32))


def _mail(to: str) -> str:
    if settings.EMAIL_BACKEND.endswith("dummy.EmailBackend"):
        if to:
            raise Broken("EMAIL_URL is not set, so no mail can be sent")
        return "not set up: EMAIL_URL is empty, so password links reach nobody"
    with get_connection(timeout=_MAIL_SECONDS) as server:
        if not to:
            return "the server lets us in (--mail-to ADDRESS also sends a mail)"
        words = f"The mail of {settings.SITE_URL} works."
        EmailMessage("Cancer Prediction System: test", words, to=[to], connection=server).send()
    return f"a mail was handed on for {to}"
