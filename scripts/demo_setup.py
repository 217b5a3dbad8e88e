"""What must be true before the demo starts, and the settings that it runs with."""

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class CannotRun(Exception):
    """Why the demo does not start or go on, in one line for the person at the keyboard."""


def wanted_port() -> int:
    """PORT from the environment, 8000 if it says nothing."""
    port = os.environ.get("PORT") or "8000"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise CannotRun(f"PORT must be a number from 1 to 65535, not {port!r}.")
    return int(port)


def refuse_busy(port: int) -> None:
    """Tell a port that is taken from one that is free before anything starts."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotRun(
                f"Port {port} cannot be used ({error.strerror}). Try: PORT={port + 1} make run"
            ) from error


@contextmanager
def only_one(var: Path) -> Iterator[None]:
    """Hold var/run.lock; the kernel gives it back however this process ends."""
    (var / "log").mkdir(parents=True, exist_ok=True)
    with (var / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotRun(f"The demo already runs here ({var}). Stop it first.") from error
        yield


def demo_environment(var: Path, port: int) -> dict[str, str]:
    """The settings of the demo; it never touches a database that was named for production."""
    if os.environ.get("DATABASE_URL"):
        raise CannotRun(
            "make run creates users with known passwords, so it only runs on its own database: "
            "unset DATABASE_URL first. For production see docs/deploy-rancher.md."
        )
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "cancerprediction.settings",
        "DEMO": "1",
        "DEBUG": "0",
        "SECRET_KEY": secret_key(var),
        "VAR_DIR": str(var),
        "STATIC_ROOT": str(var / "static"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "SITE_URL": f"http://127.0.0.1:{port}",
        "OMP_NUM_THREADS": "1",
        # Threads share two heaps: eight kept 20 MB more of decoded images in each web process.
        "MALLOC_ARENA_MAX": "2",
        "PYTHONUNBUFFERED": "1",
    }


def secret_key(var: Path) -> str:
    """The key of this installation, made once and readable by its owner only."""
    path = var / "secret_key"
    if not path.exists():
        with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secrets.token_urlsafe(50))
    return path.read_text()
