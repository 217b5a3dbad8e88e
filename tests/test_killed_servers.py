"""kill -9 of the broker and of the database in the middle of a training.

On servers of their own, since the other tests need theirs. Real processes: a worker, beat, and
the training that the worker starts.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from django.conf import settings

from scripts.broker import Broker
from scripts.processes import kill_group, start, stop
from tests.services import Postgres
from tests.system import COMMANDS, eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
START = """
from apps.classifier.learning import start_run
print(start_run("malignancy", epochs={epochs}).pk)
"""


class Installation:
    """A database, a broker, files, a worker and beat; nothing is shared with others."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.postgres = folder, Postgres(durable=True)
        self.broker = Broker(folder / "broker", durable=True, log=folder / "broker.log")
        self.processes: dict[str, subprocess.Popen] = {}
        self.models = folder / "models"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "STARTED_BY_TESTS": "1",
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": self.postgres.url.removesuffix("tests") + "postgres",
            "BROKER_URL": self.broker.url,
            "STORAGE_DIR": str(self.folder / "files"),
            "MODELS_DIR": str(self.models),
            "TRAINING_DATA_DIR": str(self.folder / "training"),
            "VAR_DIR": str(self.folder),
            "SWEEP_SECONDS": "1",
            "LEASE_SECONDS": "5",
            "OMP_NUM_THREADS": "1",
        }

    def manage(self, *words: str) -> str:
        command = [sys.executable, "manage.py", *words]
        return subprocess.run(
            command,
            cwd=settings.BASE_DIR,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def start(self, *names: str) -> None:
        for name in names:
            node = ["-n", f"{name}@killed"] if name == "worker" else ["-s", self.folder / "beat"]
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = start(
                    [*COMMANDS[name], *node], log=log, environment=self.environment
                )

    def train(self, epochs: int) -> int:
        return int(self.manage("shell", "-c", START.format(epochs=epochs)).split()[-1])

    def row(self, pk: int) -> dict:
        with psycopg2.connect(self.environment["DATABASE_URL"]) as line, line.cursor() as cursor:
            cursor.execute(
                "SELECT status, reason, attempts, progress::text FROM classifier_trainingrun"
                " WHERE id = %s",
                [pk],
            )
            status, reason, attempts, progress = cursor.fetchone()
        line.close()
        return {
            "status": status,
            "reason": reason,
            "attempts": attempts,
            "epoch": json.loads(progress).get("epoch", 0),
        }

    def candidates(self) -> list[tuple[str, str]]:
        with psycopg2.connect(self.environment["DATABASE_URL"]) as line, line.cursor() as cursor:
            cursor.execute(
                "SELECT file, sha256 FROM classifier_modelversion WHERE status = 'candidate'"
            )
            found = cursor.fetchall()
        line.close()
        return found

    def ended(self, pk: int) -> dict:
        def end() -> dict | None:
            row = self.row(pk)
            return row if row["status"] not in {"queued", "running"} else None

        return eventually(end, seconds=240, what="the end of the training")


@pytest.fixture
def installation(tmp_path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    try:
        made.manage("migrate", "--no-input")
        made.manage("load_models")
        made.manage("make_phantom_base", "--patients", "40")
        made.start("worker", "beat")
        yield made
    finally:
        stop([*made.processes.values(), made.broker.process])
        made.postgres.kill()


def _is_whole_and_alone(installation: Installation) -> None:
    """One candidate, its file the one that was tested, nothing half-written beside it."""
    ((file, sha256),) = installation.candidates()
    assert hashlib.sha256((installation.models / file).read_bytes()).hexdigest() == sha256
    assert not list(installation.models.glob(".*.partial"))


def test_a_training_survives_the_death_of_the_database(installation):
    pk = installation.train(epochs=150)
    eventually(lambda: installation.row(pk)["epoch"] >= 3, seconds=120, what="three epochs")
    installation.postgres.kill()
    installation.postgres.start()
    reached = installation.row(pk)
    assert (reached["status"], installation.candidates()) == ("running", [])
    ended = installation.ended(pk)
    assert ended["status"] in {"passed", "not_better"}, ended["reason"]
    assert ended["attempts"] <= 3
    _is_whole_and_alone(installation)


def test_a_training_survives_the_death_of_the_broker_and_the_next_one_is_still_found(installation):
    pk = installation.train(epochs=150)
    eventually(lambda: installation.row(pk)["epoch"] >= 3, seconds=120, what="three epochs")
    kill_group(installation.broker.process)
    with (installation.folder / "broker.log").open("ab") as log:
        installation.broker.process = start(installation.broker.command, log=log)
    ended = installation.ended(pk)
    assert ended["status"] in {"passed", "not_better"}, ended["reason"]
    assert ended["attempts"] == 1, "the broker's death does not touch a training"
    _is_whole_and_alone(installation)
    next_one = installation.train(epochs=1)
    assert installation.ended(next_one)["status"] in {"passed", "not_better"}
