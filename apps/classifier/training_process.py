"""A training in a process of its own, so that TensorFlow never loads in a Celery worker."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from apps.classifier.lease import expiry, held
from apps.classifier.models import TrainingRun
from apps.classifier.sweep import MAX_ATTEMPTS, take_back

log = logging.getLogger(__name__)
Status = TrainingRun.Status
LOOK_EVERY = 1.0  # seconds
STOPPED = 1  # the code that stands for a process which we ended
GRACE = 10.0  # seconds that a cancelled training gets to end by itself


def run_in_own_process(run_id: int) -> None:
    """Start the training of a waiting run and stay until it has ended; returns early if cancelled.

    The row tells everything: the process claims it, renews its lease and writes its result.
    """
    waiting = TrainingRun.objects.filter(pk=run_id, status=Status.QUEUED)
    before = waiting.values_list("fencing_token", flat=True).first()
    if before is None:
        return
    manage = settings.BASE_DIR / "manage.py"
    command = [sys.executable, str(manage), "train_run", str(run_id), "--parent", str(os.getpid())]
    child = subprocess.Popen(command)
    try:
        code = _wait(child, run_id, before + 1)
    finally:
        _stop(child)
    if code:
        _note_death(run_id, code, before + 1)


def _wait(child: subprocess.Popen, run_id: int, token: int) -> int:
    """Exit code of the child; 0 when it was stopped because nobody wants its result.

    Renews the lease too: TensorFlow can keep the child's own heartbeat waiting for seconds.
    Only under the `token` that the child's claim is given: the row may be another's by now.
    """
    parent, begun = os.getppid(), time.monotonic()
    while child.poll() is None:
        time.sleep(LOOK_EVERY)
        held(TrainingRun, run_id, token).update(lease_expires_at=expiry())
        cancelled = TrainingRun.objects.filter(pk=run_id, status=Status.CANCELLED).exists()
        if cancelled or os.getppid() != parent:
            return 0
        beyond = _beyond_limits(child.pid, time.monotonic() - begun)
        if beyond:
            _give_up(run_id, token, beyond)
            return STOPPED
    return child.returncode


def _beyond_limits(pid: int, seconds: float) -> str:
    """Which limit of memory or time the process is beyond, in words; empty when none."""
    if seconds > settings.TRAINING_HOURS * 3600:
        return (
            f"The training took longer than {settings.TRAINING_HOURS:g} h (TRAINING_HOURS) and "
            "was stopped."
        )
    if resident_mb(pid) > settings.TRAINING_MEMORY_MB:
        return (
            f"The training needed more than {settings.TRAINING_MEMORY_MB} MB "
            "(TRAINING_MEMORY_MB) and was stopped."
        )
    return ""


def resident_mb(pid: int) -> float:
    """What a process holds in memory (proc(5), statm); 0 when it has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGESIZE") / 1024**2


def _give_up(run_id: int, token: int, words: str) -> None:
    """A training beyond its limits would be beyond them again: it fails and is not retried."""
    log.error("training %s: %s", run_id, words)
    held(TrainingRun, run_id, token).update(
        status=Status.FAILED, finished_at=timezone.now(), lease_expires_at=None, reason=words
    )


def _stop(child: subprocess.Popen) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _note_death(run_id: int, code: int, token: int) -> None:
    """A process that died gives its row back at once, without waiting for the lease to run out.

    A row that another worker claimed since has another `token` and is left alone.
    """
    log.error("training %s: its process ended with code %s", run_id, code)
    held(TrainingRun, run_id, token).update(lease_expires_at=timezone.now())
    # It never came as far as claiming: count that too, or it would be started for ever.
    unclaimed = TrainingRun.objects.filter(pk=run_id, status=Status.QUEUED, fencing_token=token - 1)
    unclaimed.update(attempts=F("attempts") + 1)
    unclaimed.filter(attempts__gte=MAX_ATTEMPTS).update(
        status=Status.FAILED,
        finished_at=timezone.now(),
        reason="The training process could not start; see the training worker's log.",
    )
    take_back(TrainingRun)
