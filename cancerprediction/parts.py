"""The parts of the installation, and whether each of them answers this process."""

import os
from collections.abc import Callable

from celery import current_app
from django.conf import settings
from django.db import connection

from apps.classifier.services import PREDICTION_TASKS, active_versions
from cancerprediction.startup import unapplied_migrations


def parts() -> dict[str, bool]:
    """Which parts of the installation answer this process."""
    checks = {
        "database": _database,
        "migrations": _migrations,
        "broker": _broker,
        "storage": _storage,
        "models": _models,
    }
    return {name: _works(check) for name, check in checks.items()}


def _works(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone() == (1,)


def _migrations() -> bool:
    """Asked until the answer is yes: what is applied stays applied."""
    global _migrated
    _migrated = _migrated or not unapplied_migrations()
    return _migrated


_migrated = False


def _broker() -> bool:
    with current_app.connection_for_read() as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
        return broker.connected


def _storage() -> bool:
    settings.STORAGE_DIR.mkdir(parents=True, exist_ok=True)
    return os.access(settings.STORAGE_DIR, os.W_OK)


def _models() -> bool:
    return {version.task for version in active_versions()} == set(PREDICTION_TASKS)
