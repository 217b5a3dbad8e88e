"""The servers that the tests run against: a real PostgreSQL and a real Valkey or Redis.

Both are thrown away when the test run ends. DATABASE_URL and BROKER_URL in the environment
name servers of your own instead.
"""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from scripts.broker import Broker
from scripts.processes import free_port, kill_group, start, stop

_POSTGRES_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "listen_addresses": "127.0.0.1",
}


_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def ensure_services() -> None:
    """Name a database, a broker and a folder in the environment, starting what is missing.

    Workers of pytest-xdist and other children inherit the names and start nothing.
    """
    os.environ.update(DEMO="0", DEBUG="0", VAR_DIR=str(_temporary_folder("files")))
    if "DATABASE_URL" not in os.environ:
        os.environ["DATABASE_URL"] = start_postgres()
    if "BROKER_URL" not in os.environ:
        os.environ["BROKER_URL"] = start_broker()
    os.environ.setdefault("SECRET_KEY", "only-for-tests-but-as-long-as-a-real-one-has-to-be-9")
    os.environ.setdefault("TRAINING_KEY", "only-for-tests")
    _take_own_broker_database()


def _take_own_broker_database() -> None:
    """Each worker of pytest-xdist talks to another of the broker's sixteen databases."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    os.environ["BROKER_URL"] = f"{os.environ['BROKER_URL'].rpartition('/')[0]}/{worker}"


def start_broker() -> str:
    """Start a broker that forgets everything; its URL."""
    folder = _temporary_folder("broker")
    broker = Broker(folder, durable=False, log=folder / "log")
    atexit.register(stop, [broker.process])
    return broker.url


def start_postgres(*, durable: bool = False) -> str:
    """Start a PostgreSQL cluster, without fsync unless it is to be durable; its URL."""
    return Postgres(durable=durable).url


class Postgres:
    """A cluster in a folder of its own, on a free port; it can be killed and started again."""

    def __init__(self, *, durable: bool) -> None:
        self.folder, self.user = _temporary_folder("postgres"), _postgres_user()
        if self.user:
            shutil.chown(self.folder, self.user)
        self.port = free_port()
        wanted = _POSTGRES_OPTIONS | (_DURABLE if durable else {})
        self._options = [f"-c{name}={value}" for name, value in wanted.items()]
        self._make_cluster()
        self.start()

    @property
    def url(self) -> str:
        """A database of the cluster that is yet to be made."""
        return f"postgres://tests@127.0.0.1:{self.port}/tests"

    def start(self) -> None:
        """Start the server and wait until it answers; after a kill it recovers first."""
        data, port = self.folder / "data", str(self.port)
        self.process = start(
            [
                *[_postgres_program("postgres"), "-D", data, "-p", port, "-k", self.folder],
                *self._options,
            ],
            log=(self.folder / "log").open("ab"),
            cwd=self.folder,
            user=self.user,
            when_parent_dies=signal.SIGQUIT,
        )
        atexit.register(stop, [self.process], signal_number=signal.SIGINT)
        ready = [_postgres_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", port]
        deadline = time.monotonic() + 30
        while subprocess.run(ready, check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text()
                raise RuntimeError(f"PostgreSQL did not start: {said}")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9 of the server and all its children."""
        kill_group(self.process)

    def _make_cluster(self) -> None:
        data = self.folder / "data"
        initdb = [_postgres_program("initdb"), "-D", data, "-A", "trust", "-U", "tests"]
        subprocess.run(
            [*initdb, "--no-sync", "--encoding=UTF8", "--no-locale"],
            check=True,
            stdout=subprocess.DEVNULL,
            user=self.user,
            cwd=self.folder,
        )


def _postgres_program(name: str) -> str:
    """Debian keeps the server's programs off PATH, in a folder per version."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(debian[-1]) if debian else None)
    if not found:
        raise RuntimeError("PostgreSQL's server is missing. On Debian: apt-get install postgresql")
    return found


def _postgres_user() -> str | None:
    """PostgreSQL refuses to run as root; somebody else must own the cluster then."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _temporary_folder(name: str) -> Path:
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not in a forked child
            shutil.rmtree(folder, ignore_errors=True)

    folder = Path(tempfile.mkdtemp(prefix=f"cancerprediction-tests-{name}-"))
    atexit.register(remove)
    return folder
