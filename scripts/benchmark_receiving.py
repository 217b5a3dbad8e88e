"""How fast a CT of 300 slices is received, through the real page and beside Orthanc.

    python -m scripts.benchmark_receiving [rounds]

Chromium chooses the files on the technician's page; the clock stops when the page says that all
are received. Then the same Chromium posts the same files to Orthanc (Debian's package with its own
configuration file, on a store of this run's) over REST, with the same number of requests at once.
The machine's own Orthanc is not touched, but must not run. PostgreSQL and the broker are started
for it, durable (fsync on). CT_DATA_DIR gives real slices; without it a phantom.
"""

import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from pydicom import dcmread
from pydicom.uid import generate_uid

from scripts.processes import free_port, start, stop, wait_until

SLICES, AT_ONCE = 300, 4
ORTHANC_SETTINGS = Path("/etc/orthanc/orthanc.json")
_ORTHANC_FOLDER = re.compile(r'("(?:Storage|Index)Directory"\s*:\s*)"[^"]*"')
ORTHANC = "http://localhost:8042"
PASSWORD = "benchmark-only-1"  # noqa: S105
# From the choice of the files to the words that all are received, both seen in the page itself.
_CLOCK = """words => {
  const files = document.querySelector('[data-input="files"]');
  const headline = document.querySelector("[data-headline]");
  let began;
  files.addEventListener("change", () => (began = performance.now()), true);
  window.seconds = new Promise((done, failed) => {
    const look = () => headline.textContent === words && done((performance.now() - began) / 1000);
    new MutationObserver(look).observe(headline, { childList: true });
    setTimeout(() => failed(new Error(headline.textContent)), 60000);
  });
}"""
_POST_ALL = """async ([atOnce]) => {
  const files = [...document.getElementById("benchmark").files];
  const began = performance.now();
  const one = async () => {
    for (let file = files.pop(); file; file = files.pop()) {
      const answer = await fetch("/instances", { method: "POST", body: file });
      if (!answer.ok) throw new Error(answer.status);
      await answer.json();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  return (performance.now() - began) / 1000;
}"""


def main(rounds: int) -> None:
    """Print one line for each round and the medians."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        sources = _sources(Path(folder))
        with _ours(Path(folder)) as (address, web), _orthanc(Path(folder)):
            figures = [
                _round(browser, address, web, _clones(sources, Path(folder) / str(number)))
                for number in range(rounds)
            ]
        browser.close()
    ours, theirs = (statistics.median(column) for column in zip(*figures, strict=True))
    print(f"median of {rounds}: ours {ours:.2f} s, Orthanc {theirs:.2f} s")


def _round(browser: Browser, address: str, web: psutil.Process, folder: Path) -> tuple:
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    theirs = _send_to_orthanc(browser, folder)
    ours, most = _send_to_us(browser, address, web, folder)
    print(
        f"{SLICES} slices, {size:.0f} MB: ours {ours:.2f} s, Orthanc {theirs:.2f} s; "
        f"largest web process {most:.0f} MB",
        flush=True,
    )
    return ours, theirs


def _send_to_us(
    browser: Browser, address: str, web: psutil.Process, folder: Path
) -> tuple[float, float]:
    page = browser.new_context().new_page()
    page.goto(f"{address}/accounts/login/")
    page.fill("input[name=login]", "benchmark@example.org")
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator('[data-input="files"]').wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    page.evaluate(_CLOCK, f"{SLICES} images received")
    page.set_input_files('[data-input="files"]', sorted(folder.iterdir()))
    seconds = page.evaluate("window.seconds")
    most = max(one.memory_info().rss for one in [web, *web.children()]) / 1e6
    page.context.close()
    return seconds, most


def _send_to_orthanc(browser: Browser, folder: Path) -> float:
    page: Page = browser.new_context().new_page()
    page.goto(f"{ORTHANC}/system")
    page.evaluate(
        "document.body.innerHTML = '<input type=file multiple id=benchmark>'",
    )
    page.set_input_files("#benchmark", sorted(folder.iterdir()))
    seconds = page.evaluate(_POST_ALL, [AT_ONCE])
    page.context.close()
    return seconds


def _sources(folder: Path) -> list[Path]:
    given = os.environ.get("CT_DATA_DIR")
    if given:
        return sorted((Path(given) / "rider_0117_chest_95").rglob("*.dcm"))
    from apps.imaging.phantom import PhantomSpec, chest_phantom, write_series

    made = folder / "phantom"
    made.mkdir()
    return write_series(chest_phantom(PhantomSpec(slices=30)), made)


def _clones(sources: list[Path], folder: Path) -> Path:
    """Three hundred slices of one new study, so that nothing is known already."""
    folder.mkdir()
    study, series = generate_uid(), {}
    for number in range(SLICES):
        dataset = dcmread(sources[number % len(sources)])
        dataset.StudyInstanceUID = study
        turn = number // len(sources)
        dataset.SeriesInstanceUID = series.setdefault(turn, generate_uid())
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.save_as(folder / f"{number:03}.dcm")
    return folder


@contextmanager
def _ours(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Web server, PostgreSQL and broker on free ports, as they run for a hospital."""
    from tests.services import start_broker, start_postgres

    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": start_postgres(durable=True).removesuffix("tests") + "postgres",
        "BROKER_URL": start_broker(),
        "VAR_DIR": str(folder / "var"),
        "STATIC_ROOT": str(folder / "static"),
        "SECRET_KEY": secrets.token_urlsafe(48),
        "DEBUG": "0",
        "SSL_REDIRECT": "0",
        "PORT": str(port),
        "LOG_LEVEL": "WARNING",
    }
    for command in (["migrate", "-v0"], ["collectstatic", "--noinput", "-v0"], ["shell", "-v0"]):
        subprocess.run(
            [sys.executable, "manage.py", *command],
            env=environment,
            check=True,
            input=_TECHNICIAN if command[0] == "shell" else None,
            text=True,
        )
    gunicorn = Path(sys.executable).parent / "gunicorn"
    # Plain HTTP on the loopback: a browser keeps Secure cookies there too.
    with (folder / "web.log").open("wb") as log:
        process = start([gunicorn, "cancerprediction.wsgi"], log=log, environment=environment)
    address = f"http://localhost:{port}"
    wait_until(lambda: _answers(f"{address}/healthz"), seconds=60, what="the start of the server")
    try:
        yield address, psutil.Process(process.pid)
    finally:
        stop([process])


_TECHNICIAN = f"""
from apps.accounts.models import Site, User
User.objects.create_user(email="benchmark@example.org", password="{PASSWORD}", role="labtech",
    site=Site.objects.first() or Site.objects.create(name="Benchmark"))
"""


@contextmanager
def _orthanc(folder: Path) -> Iterator[None]:
    """Debian's Orthanc with its own settings, but on an empty store of this run's."""
    store = folder / "orthanc"
    store.mkdir()
    ours, replaced = _ORTHANC_FOLDER.subn(rf'\1"{store}"', ORTHANC_SETTINGS.read_text())
    if replaced != 2:
        raise SystemExit(f"{ORTHANC_SETTINGS} does not name its two folders once each.")
    settings = folder / "orthanc.json"
    settings.write_text(ours)
    with (folder / "orthanc.log").open("wb") as log:
        process = start(["Orthanc", settings], log=log)
    wait_until(lambda: _answers(f"{ORTHANC}/system"), seconds=60, what="the start of Orthanc")
    try:
        yield
    finally:
        stop([process])


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as response:  # noqa: S310
            return response.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


if __name__ == "__main__":
    began = time.monotonic()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    print(f"{time.monotonic() - began:.0f} s in all")
