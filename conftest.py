"""Fixtures for all tests: Chromium, real workers, the running system, real CT data.

The servers behind them (PostgreSQL, Valkey or Redis) start in tests/settings.py.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, sync_playwright
from redis import Redis

from tests.system import System, empty_broker

pytest_plugins = ["tests.people"]
_IMPATIENT = {"SWEEP_SECONDS": "1", "LEASE_SECONDS": "3"}
_CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
]


@pytest.fixture(autouse=True)
def _no_attempts_counted() -> None:
    """Forget the attempts and requests that earlier tests made: they all share one address."""
    with Redis.from_url(settings.CACHES["default"]["LOCATION"]) as server:
        for key in server.scan_iter(f"{settings.CACHES['default']['KEY_PREFIX']}:*"):
            server.delete(key)


@pytest.fixture(scope="session")
def ct_data_dir() -> Path | None:
    """Real CT data, or None: then tests use phantoms and say so."""
    folder = os.environ.get("CT_DATA_DIR")
    if folder and not Path(folder).is_dir():
        pytest.fail(f"CT_DATA_DIR names no folder: {folder}")
    return Path(folder) if folder else None


def pytest_report_header() -> str:
    """Say at the top of each run which images the tests use."""
    return f"CT data: {os.environ.get('CT_DATA_DIR') or 'phantoms only (CT_DATA_DIR is not set)'}"


@pytest.fixture(scope="session")
def _worker(django_db_setup, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("worker"), **_IMPATIENT)
    yield system
    system.stop()


@pytest.fixture
def celery_worker(transactional_db, _worker: System) -> System:
    """A real Celery worker for all queues, on the test's database, broker and files.

    It stays warm from test to test; `.kill("worker")` and `.restart("worker")` are allowed.
    """
    empty_broker()
    if not _worker.runs("worker"):
        _worker.start("worker")
    return _worker


@pytest.fixture
def running_system(transactional_db, tmp_path: Path) -> Iterator[System]:
    """Web, both workers and beat as real processes: `.base_url`, `.kill(name)`, `.restart(name)`.

    Sweeps run every second and leases last three, so that recovery is quick to watch.
    """
    empty_broker()
    system = System(tmp_path, **_IMPATIENT)
    try:
        yield system.start("web", "worker-inference", "worker-training", "beat")
    finally:
        system.stop()
        empty_broker()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """System Chromium as it starts by itself: WebGL in software where there is no graphics card."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.fail("Chromium is missing. On Debian: apt-get install chromium")
    # Playwright keeps an event loop in this thread, which Django takes for an async context.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """One page in a context of its own: no cookies, the size of a reading monitor's window."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()
