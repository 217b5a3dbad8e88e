"""One training run in this process; the Celery worker starts it, people use `retrain`."""

import ctypes
import os
import signal
import sys

from django.core.management.base import BaseCommand, CommandParser

_PR_SET_PDEATHSIG = 1
_NICER = 10


class Command(BaseCommand):
    help = "Run one queued training run (for the worker; use retrain at the command line)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", type=int)
        parser.add_argument("--parent", type=int, help="end when this process ends")

    def handle(self, *args, run_id: int, parent: int | None, **options) -> None:
        if parent:
            _die_with(parent)
        os.nice(_NICER)
        # Only now: loading TensorFlow takes seconds in which the parent could be gone unnoticed.
        from apps.classifier.training import run_training

        run_training(run_id)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies (Linux, prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("The worker that started this training is gone.")
