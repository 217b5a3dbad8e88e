"""make run: one command starts everything, one signal ends everything."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.processes import free_port
from tests.system import eventually

ROOT = Path(__file__).resolve().parent.parent
SUPERVISOR = [sys.executable, "-m", "scripts.run_demo"]
PARTS = {"valkey-server|redis-server", "gunicorn", "-Q inference,default", "-Q training", "beat"}


class Demo:
    """The supervisor as `make run` starts it, with its data in a folder of the test."""

    def __init__(self, var: Path, **changes: str) -> None:
        self.port = free_port()
        self.output = var.parent / "output"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                SUPERVISOR,
                cwd=ROOT,
                env=demo_environment(var, self.port) | changes,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def said(self) -> str:
        return self.output.read_text()

    def wait_until_open(self) -> None:
        eventually(
            lambda: "Ctrl-C stops" in self.said() or self.process.poll() is not None,
            seconds=150,
            what="the address and the logins",
        )
        assert self.process.poll() is None, self.said()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def demo_environment(var: Path, port: int) -> dict[str, str]:
    mine = {"DATABASE_URL", "BROKER_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY", "DEMO"}
    kept = {name: value for name, value in os.environ.items() if name not in mine}
    return kept | {"VAR_DIR": str(var), "PORT": str(port)}


def refusal(var: Path, **changes: str) -> str:
    """What the supervisor says when it must not start; it ends within seconds."""
    answer = subprocess.run(
        SUPERVISOR,
        cwd=ROOT,
        env=demo_environment(var, free_port()) | changes,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert answer.returncode == 1
    return answer.stderr.strip()


@pytest.fixture(scope="module")
def var(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("demo") / "var"


@pytest.fixture(scope="module")
def demo(var: Path) -> Iterator[Demo]:
    demo = Demo(var)
    demo.wait_until_open()
    yield demo
    if demo.process.poll() is None:
        demo.process.terminate()
        demo.process.wait(30)


pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(240)]


def test_it_prints_the_address_and_one_login_per_role(demo: Demo):
    assert f"http://127.0.0.1:{demo.port}/" in demo.said()
    logins = re.findall(r"^(\w+)  (\S+@\S+)  (\S+)$", demo.said(), re.MULTILINE)
    assert [role for role, _email, _password in logins] == ["labtech", "doctor", "admin"]


def test_the_page_answers_and_every_part_runs(demo: Demo):
    with urllib.request.urlopen(f"http://127.0.0.1:{demo.port}/accounts/login/") as page:
        assert page.status == 200
    commands = [" ".join(child.cmdline()) for child in demo.family()]
    assert [p for p in PARTS if not any(re.search(p, line) for line in commands)] == []


def test_each_web_process_stays_below_200_mb(demo: Demo):
    web = [child for child in demo.family() if "gunicorn" in " ".join(child.cmdline())]
    assert len(web) == 3
    assert max(child.memory_info().rss for child in web) < 200e6


def test_a_second_one_in_the_same_folder_is_refused_in_one_line(demo: Demo, var: Path):
    answer = refusal(var)
    assert "already runs" in answer
    assert "\n" not in answer


def test_a_part_that_dies_is_started_again(demo: Demo):
    beat = next(child for child in demo.family() if "beat" in child.cmdline())
    beat.kill()
    eventually(lambda: "beat ended (code -9); starting it again." in demo.said())
    eventually(lambda: any("beat" in child.cmdline() for child in demo.family()))


def test_it_ends_whole_on_sigterm_starts_quickly_again_and_ends_whole_on_kill(tmp_path: Path):
    var = tmp_path / "var"
    first = Demo(var)
    first.wait_until_open()
    family = first.family()
    first.process.send_signal(signal.SIGTERM)
    assert first.process.wait(20) == 0
    assert psutil.wait_procs(family, timeout=1)[1] == []

    key, began = (var / "secret_key").read_text(), time.monotonic()
    second = Demo(var)
    second.wait_until_open()
    took = time.monotonic() - began
    family = second.family()
    second.process.kill()
    assert psutil.wait_procs(family, timeout=20)[1] == [], "kill -9 left orphans"
    assert "No migrations to apply" in (var / "log" / "prepare.log").read_text()
    assert (var / "secret_key").read_text() == key
    share_of_machine = max(1, os.getloadavg()[0] / os.cpu_count())
    assert took < 10 * share_of_machine


def test_the_secret_key_is_readable_by_its_owner_only(demo: Demo, var: Path):
    assert (var / "secret_key").stat().st_mode & 0o777 == 0o600


def test_it_refuses_a_database_that_was_named_for_production(tmp_path: Path):
    answer = refusal(tmp_path, DATABASE_URL="postgres://somewhere/real")
    assert "known passwords" in answer
    assert "\n" not in answer


@pytest.mark.parametrize("port", ["0", "eighty", "70000", "-1"])
def test_it_refuses_a_port_that_is_none(tmp_path: Path, port: str):
    assert "PORT must be a number" in refusal(tmp_path, PORT=port)


def test_it_says_when_the_port_is_taken(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "cannot be used" in refusal(tmp_path, PORT=str(taken.getsockname()[1]))
