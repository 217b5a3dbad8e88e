"""The Celery application: three queues, late acknowledgement, prefetch one."""

import logging.config
import os
from typing import Any

from celery import Celery, signals

from cancerprediction.logs import request_id, task_id

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cancerprediction.settings")

app = Celery("cancerprediction")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.setup_logging.connect
def use_our_logging(**kwargs: Any) -> None:
    """Celery would replace our handlers, and with them what keeps names out of the log."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)


@signals.worker_init.connect
@signals.beat_init.connect
def refuse_mistakes(**kwargs: Any) -> None:
    """Before the first task."""
    from cancerprediction import startup

    startup.refuse_mistakes()


@signals.worker_process_init.connect
def trace(**kwargs: Any) -> None:
    """In each process that runs tasks."""
    from cancerprediction import tracing

    tracing.start("worker")


@signals.before_task_publish.connect
def send_request_id(headers: dict[str, Any], **kwargs: Any) -> None:
    """The task's lines will carry the id of the request that asked for it."""
    headers["request_id"] = request_id.get()


@signals.task_prerun.connect
def begin_task(task_id: str, task: Any, **kwargs: Any) -> None:
    """From here on this thread's lines belong to the task."""
    _now_about(task_id, getattr(task.request, "request_id", None) or "")


@signals.task_postrun.connect
def end_task(**kwargs: Any) -> None:
    """The next line is about nothing in particular."""
    _now_about("", "")


def _now_about(task: str, request: str) -> None:
    task_id.set(task)
    request_id.set(request)
