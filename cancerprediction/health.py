"""Two addresses for probes: alive, and ready to serve (database, broker, storage, models)."""

import os
from collections.abc import Callable

from celery import current_app
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache

from apps.classifier.services import PREDICTION_TASKS, active_versions


@never_cache
@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """Everything that serving needs answers; 503 names the parts that do not."""
    checks = {"database": _database, "broker": _broker, "storage": _storage, "models": _models}
    parts = {name: _works(check) for name, check in checks.items()}
    return JsonResponse(parts, status=200 if all(parts.values()) else 503)


def _works(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone() == (1,)


def _broker() -> bool:
    with current_app.connection_for_read() as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
        return broker.connected


def _storage() -> bool:
    settings.STORAGE_DIR.mkdir(parents=True, exist_ok=True)
    return os.access(settings.STORAGE_DIR, os.W_OK)


def _models() -> bool:
    return {version.task for version in active_versions()} == set(PREDICTION_TASKS)


urlpatterns = [path("healthz", healthz, name="healthz"), path("readyz", readyz, name="readyz")]
