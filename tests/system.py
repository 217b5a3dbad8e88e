"""The whole program as real processes, for tests that kill parts of it."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from celery import current_app
from django.conf import settings
from django.db import connection

from scripts.processes import free_port, kill_group, start, stop, wait_until

_BIN = Path(sys.executable).parent
_CELERY = [_BIN / "celery", "-A", "cancerprediction"]
COMMANDS = {
    "worker-inference": [*_CELERY, "worker", "-l", "INFO", "-c", "1", "-Q", "inference,default"],
    "worker-training": [*_CELERY, "worker", "-l", "INFO", "-c", "1", "-Q", "training"],
    "worker": [*_CELERY, "worker", "-l", "INFO", "-c", "1", "-Q", "inference,training,default"],
    "beat": [*_CELERY, "beat"],
}


def environment(**changes: str) -> dict[str, str]:
    """The environment in which a child of the tests uses the tests' database, broker and files."""
    database = settings.DATABASES["default"]
    user = f"{database['USER']}:{database['PASSWORD']}".rstrip(":")
    return os.environ | {
        "STARTED_BY_TESTS": "1",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": (
            f"postgres://{user}@{database['HOST']}:{database['PORT']}/"
            f"{connection.settings_dict['NAME']}"
        ),
        "BROKER_URL": settings.BROKER_URL,
        "STORAGE_DIR": str(settings.STORAGE_DIR),
        "MODELS_DIR": str(settings.MODELS_DIR),
        "TRAINING_DATA_DIR": str(settings.TRAINING_DATA_DIR),
        "OMP_NUM_THREADS": "1",
        **changes,
    }


class System:
    """Web, workers and beat on the test's database and broker; each can be killed and restarted."""

    def __init__(self, log_folder: Path, **changes: str) -> None:
        self.log_folder, self.changes = log_folder, changes
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen] = {}

    def start(self, *names: str) -> "System":
        """Start parts by name (web, worker-inference, worker-training, beat); wait for them."""
        for name in names:
            command = self._web() if name == "web" else self._named(name)
            with (self.log_folder / f"{name}.log").open("ab") as log:
                self.processes[name] = start(
                    command, log=log, environment=environment(**self.changes)
                )
        for name in names:
            self._wait_for(name)
        return self

    def kill(self, name: str) -> None:
        """kill -9 the part and its children: nothing of it gets to say goodbye."""
        kill_group(self.processes.pop(name))

    def restart(self, name: str) -> None:
        """Start the part anew after a kill, or after a polite stop if it still runs."""
        if name in self.processes:
            stop([self.processes.pop(name)])
        self.start(name)

    def runs(self, name: str) -> bool:
        """Whether the part was started and has not ended since."""
        return name in self.processes and self.processes[name].poll() is None

    def stop(self) -> None:
        """End everything that still runs."""
        stop(self.processes.values())
        self.processes.clear()

    def log(self, name: str) -> str:
        """What the part has written so far."""
        return (self.log_folder / f"{name}.log").read_text(errors="replace")

    def _web(self) -> list[str | Path]:
        bind = f"127.0.0.1:{self.port}"
        return [_BIN / "gunicorn", "cancerprediction.wsgi", "--bind", bind, "--workers", "1"]

    def _named(self, name: str) -> list[str | Path]:
        node = [] if name == "beat" else ["-n", f"{name}-{self.port}@tests"]
        schedule = ["-s", self.log_folder / "schedule"] if name == "beat" else []
        return [*COMMANDS[name], *node, *schedule]

    def _wait_for(self, name: str) -> None:
        try:
            wait_until(lambda: self._is_up(name), seconds=60, what=f"the start of {name}")
        except TimeoutError as timeout:
            raise RuntimeError(f"{timeout}; it says:\n{self.log(name)[-3000:]}") from timeout

    def _is_up(self, name: str) -> bool:
        if self.processes[name].poll() is not None:
            raise RuntimeError(f"{name} ended at once:\n{self.log(name)[-3000:]}")
        if name == "web":
            return self._answers()
        return name == "beat" or f"{name}-{self.port}@tests ready" in self.log(name)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base_url}/healthz", timeout=2) as response:
                return response.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def empty_broker() -> None:
    """Forget every message that an earlier test left behind."""
    with current_app.connection_for_write() as line:
        line.default_channel.client.flushdb()


def eventually(condition, *, seconds: float = 30, what: str = "the expected state"):
    """The condition's first true answer; fails with `what` when it does not come in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.1)
    return answer
