"""The tests' own ground: real servers, real processes, nothing left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection

from tests.system import System, environment, eventually

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.django_db
def test_the_tests_run_on_postgresql():
    assert connection.vendor == "postgresql"


def test_the_broker_answers_and_is_shared_with_nobody():
    with current_app.connection_for_write() as line:
        assert line.default_channel.client.ping()


def test_a_worker_takes_a_message_and_works_again_after_a_kill(celery_worker: System):
    queue_length = "apps.classifier.tasks.requeue_stale"
    celery_worker.kill("worker")
    current_app.send_task(queue_length, queue="default")
    assert messages("default") == 1
    celery_worker.restart("worker")
    eventually(lambda: messages("default") == 0, what="the message to be taken")


def test_the_system_answers_over_http(running_system: System, page):
    answer = page.goto(f"{running_system.base_url}/healthz")
    assert answer.status == 200


def test_files_of_tests_lie_in_a_temporary_folder():
    assert ROOT not in settings.STORAGE_DIR.parents


def test_commands_can_run_on_sqlite_in_a_process_of_their_own(tmp_path: Path):
    env = environment(DATABASE_URL=f"sqlite:///{tmp_path / 'db.sqlite3'}", VAR_DIR=str(tmp_path))
    for command in (["migrate", "-v0"], ["check"]):
        subprocess.run([sys.executable, "manage.py", *command], env=env, cwd=ROOT, check=True)
    assert (tmp_path / "db.sqlite3").exists()


def test_servers_end_when_the_test_run_is_killed(tmp_path: Path):
    script = (
        "import os, time, tests.services as s; "
        "s.start_broker(); s.start_postgres(); print(os.getpid(), flush=True); time.sleep(600)"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    runner.stdout.readline()
    children = _children(runner.pid)
    assert len(children) >= 2
    runner.kill()
    runner.wait()
    eventually(lambda: not any(map(_alive, children)), what="the servers to end")


def messages(queue: str) -> int:
    with current_app.connection_for_write() as line:
        return line.default_channel.client.llen(queue)


def _children(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in listing.split()]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
