"""Everything on this machine for a first try: broker, web, two workers and beat, watched over.

`make run` calls this. Data and logs lie under var/. Ctrl-C or SIGTERM ends all parts; if this
process is killed outright, the kernel ends them.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

from scripts.broker import Broker
from scripts.demo_setup import (
    ROOT,
    CannotRun,
    demo_environment,
    only_one,
    refuse_busy,
    wanted_port,
)
from scripts.processes import start, stop

BIN = Path(sys.executable).parent
CELERY = [BIN / "celery", "-A", "cancerprediction"]
COMMANDS = {
    "web": [BIN / "gunicorn", "cancerprediction.wsgi"],
    "worker-inference": [*CELERY, "worker", "-l", "INFO", "-c", "1", "-Q", "inference,default"],
    "worker-training": [*CELERY, "worker", "-l", "INFO", "-c", "1", "-Q", "training"],
    "beat": [*CELERY, "beat"],
}
START_SECONDS = 90
RESTARTS_PER_MINUTE = 3
LOG_BYTES = 10_000_000


class StopRequested(BaseException):
    """Somebody pressed Ctrl-C or sent SIGTERM."""


@dataclass
class Part:
    """One child process that should always be running."""

    name: str
    command: list[str | Path]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen | None = None
    restarts: list[float] = field(default_factory=list)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = start(self.command, log=log, environment=self.environment, cwd=ROOT)

    def restart_if_dead(self) -> None:
        """A part may fall a few times a minute; after that something is wrong with it."""
        code = self.process.poll()
        if code is None:
            return
        now = time.monotonic()
        self.restarts = [moment for moment in self.restarts if now - moment < 60] + [now]
        if len(self.restarts) > RESTARTS_PER_MINUTE:
            raise CannotRun(f"{self.name} keeps ending (code {code}). {tail(self.log)}")
        print(f"{self.name} ended (code {code}); starting it again.", flush=True)
        self.start()


def main() -> int:
    """Run until told to stop; 0 after a wish to stop, 1 when something is wrong."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _request_stop)
    parts: list[Part] = []
    try:
        port = wanted_port()
        var = Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve()
        with only_one(var):
            run(var, port, parts)
    except StopRequested:
        return 0
    except CannotRun as reason:
        print(reason, file=sys.stderr)
        return 1


def run(var: Path, port: int, parts: list[Part]) -> None:
    """Start the parts, tell the address and the logins, and keep the parts running."""
    refuse_busy(port)
    try:
        environment = start_broker(var, demo_environment(var, port), parts)
        logins = prepare(environment, var)
        for name, command in COMMANDS.items():
            parts.append(Part(name, command, environment, log_file(var, name)))
            parts[-1].start()
            if name == "web":  # the others would only slow its start down
                wait_for_web(port, parts)
        print(f"\nOpen http://127.0.0.1:{port}/ and sign in:\n\n{logins}", flush=True)
        print("Ctrl-C stops everything.", flush=True)
        watch(parts)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop_all(parts)


def start_broker(var: Path, environment: dict[str, str], parts: list[Part]) -> dict[str, str]:
    """Start the broker that belongs to var/; the environment that knows where it listens."""
    log = log_file(var, "broker")
    try:
        broker = Broker(var / "broker", durable=True, log=log)
    except (RuntimeError, TimeoutError) as error:
        raise CannotRun(f"{error}. {tail(log)}") from error
    parts.append(Part("broker", broker.command, environment, log, broker.process))
    return environment | {"BROKER_URL": broker.url, "CACHE_URL": broker.url}


def prepare(environment: dict[str, str], var: Path) -> str:
    """Migrate, collect static files, load models, make users and samples; the logins."""
    print("Preparing (the first time takes about a minute) ...", flush=True)
    log = log_file(var, "prepare")
    with log.open("ab") as stream:
        done = _run_to_end(["-m", "scripts.prepare_demo"], environment, stream)
    if done.returncode:
        raise CannotRun(f"Preparing failed. {tail(log)}")
    return done.stdout


def _run_to_end(
    command: list[str], environment: dict[str, str], log: IO[Any]
) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        check=False,
    )


def wait_for_web(port: int, parts: list[Part]) -> None:
    """Return once the web server answers; meanwhile look after the parts."""
    deadline = time.monotonic() + START_SECONDS
    while not answers(port):
        if time.monotonic() > deadline:
            raise CannotRun(f"The web server does not answer. {tail(parts[1].log)}")
        look_after(parts)
        time.sleep(0.1)


def answers(port: int) -> bool:
    """Whether /healthz says that the web server is alive."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def watch(parts: list[Part]) -> None:
    """Look after the parts until somebody wishes to stop."""
    while True:
        look_after(parts)
        time.sleep(0.5)


def look_after(parts: list[Part]) -> None:
    """Start again what has ended."""
    for part in parts:
        part.restart_if_dead()


def stop_all(parts: list[Part]) -> None:
    """The broker goes last: until then the workers hand their messages back to it."""
    running = [part for part in parts if part.process]
    stop([part.process for part in running if part.name != "broker"])
    stop([part.process for part in running if part.name == "broker"])


def log_file(var: Path, name: str) -> Path:
    """var/log/<name>.log; a log that has grown long makes way for a new one."""
    path = var / "log" / f"{name}.log"
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path


def tail(log: Path) -> str:
    """The last lines of a log, and where the rest is."""
    lines = log.read_text(errors="replace").splitlines()[-12:] if log.exists() else []
    return "\n".join([f"The last lines of {log}:", *lines])


def _request_stop(_number: int, _frame: FrameType | None) -> None:
    raise StopRequested


if __name__ == "__main__":
    sys.exit(main())
