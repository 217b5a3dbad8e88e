"""Try something in a child process first, because native decoders can take a process down."""

import os
import resource
import signal
import time
from collections.abc import Callable


def survives(action: Callable[[], object], *, cpu_seconds: int = 5, seconds: float = 20.0) -> bool:
    """Whether `action` ends, within `cpu_seconds` of work, without killing its process.

    Raises TimeoutError after `seconds` on the clock: the machine was too busy to tell.

    It runs in a forked child; its result and its exceptions are lost with the child. Damaged
    JPEG streams make GDCM call abort(), which no `except` can catch: found by mutating files.
    A fork costs a few milliseconds, a new interpreter half a second for every slice.
    """
    child = os.fork()
    if child == 0:
        _run_and_leave(action, cpu_seconds)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            return status == 0
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError


def _run_and_leave(action: Callable[[], object], cpu_seconds: int) -> None:
    """The child's whole life; leaves without flushing or cleaning what belongs to the parent."""
    try:
        # No core file: it would hold the patient's data.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        for stopping in (signal.SIGTERM, signal.SIGINT, signal.SIGABRT):
            signal.signal(stopping, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        action()
    finally:
        os._exit(0)
