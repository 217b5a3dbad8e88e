"""Child processes that end with their parent, however the parent ends."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def start(
    command: Iterable[str | Path],
    *,
    log: IO[Any] | int,
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    when_parent_dies: int = signal.SIGTERM,
) -> subprocess.Popen:
    """Start a child in a process group of its own; the kernel signals it when we are gone.

    Call it from the main thread: the kernel watches the thread that started the child.
    """
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=cwd,
        user=user,
        process_group=0,
        preexec_fn=_follow(os.getpid(), when_parent_dies),
    )


def _follow(parent: int, signal_number: int) -> Callable[[], None]:
    def follow() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal_number)
        if os.getppid() != parent:  # it died before the kernel could be told
            os.kill(os.getpid(), signal.SIGKILL)

    return follow


def stop(
    children: Iterable[subprocess.Popen],
    *,
    patience: float = 8,
    signal_number: int = signal.SIGTERM,
) -> None:
    """Ask the children to end; after `patience` seconds kill what is left of their groups."""
    children = list(children)
    for child in children:
        if child.poll() is None:
            child.send_signal(signal_number)
    deadline = time.monotonic() + patience
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, deadline - time.monotonic()))
        kill_group(child)


def kill_group(child: subprocess.Popen) -> None:
    """End the child and everything it started, at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def free_port() -> int:
    """A TCP port on the loopback interface that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Ask again and again; TimeoutError names what did not happen within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)
