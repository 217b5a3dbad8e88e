"""How soon the first image is on screen, and how fast a fetched series of 300 slices scrolls.

`make test-long ARGS="tests/browser/test_viewer_speed.py -s"` prints the figures that
docs/benchmarks.md quotes. With CT_DATA_DIR the slices are those of a real chest series and
clones of them, else a phantom's.
"""

import sys
from pathlib import Path
from statistics import median

import pydicom
import pytest
from playwright.sync_api import Browser, Page
from pydicom.uid import generate_uid

from apps.accounts.tests.factories import request_of
from apps.cases.services import send_case
from apps.cases.tests.factories import receive
from apps.imaging.phantom import PhantomSpec, chest_phantom, write_series
from tests.people import People, log_in
from tests.system import System

pytestmark = [pytest.mark.long, pytest.mark.browser]
SLICES = 300
ROUNDS = 5
COUNT = "document.querySelector('ct-viewer').slices.count"
# One slice on with every frame; what counts is how many slices were really drawn, and on which
# screen: while moving, a slow WebGL is covered by a 2D canvas.
SCROLL = """async (count) => {
  const viewer = document.querySelector('ct-viewer');
  const frame = () => new Promise(requestAnimationFrame);
  viewer.show(0);
  for (let i = 0; i < 10; i++) await frame();
  const canvas = viewer.port.querySelector('.ctv-canvas');
  const rendered = new Set();
  const screens = {};
  viewer.screen.onDrawn = (index) => {
    rendered.add(index);
    const name = canvas.hidden ? 'WebGL' : '2D canvas';
    screens[name] = (screens[name] ?? 0) + 1;
  };
  const begun = performance.now();
  for (let index = 1; index < count; index++) {
    viewer.show(index);
    await frame();
  }
  while (!rendered.has(count - 1)) await frame();
  return { rate: rendered.size / (performance.now() - begun) * 1000, screens };
}"""
RENDERER = """() => { const gl = document.createElement('canvas').getContext('webgl2');
  return gl.getParameter(gl.getExtension('WEBGL_debug_renderer_info').UNMASKED_RENDERER_WEBGL) }"""
FIRST = """() => performance.getEntriesByName('ct-first-image')[0]?.startTime"""


def series_of_300(folder: Path, data: Path | None) -> list[Path]:
    """300 slices in one series: real ones and clones with new UIDs, one slice apart."""
    folder.mkdir(exist_ok=True)
    real = sorted((data / "rider_0117_chest_95").rglob("*.dcm")) if data else []
    if not real:
        spec = PhantomSpec(seed=1, slices=30, slice_spacing=1.0)
        real = write_series(chest_phantom(spec), folder / "phantom")
    study, series = generate_uid(), generate_uid()
    paths = []
    for number in range(SLICES):
        dataset = pydicom.dcmread(real[number % len(real)])
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.PatientID, dataset.InstanceNumber = "SPEED", number + 1
        dataset.ImagePositionPatient = [*dataset.ImagePositionPatient[:2], float(number)]
        paths.append(folder / f"{number:03d}.dcm")
        dataset.save_as(paths[-1])
    return paths


def click_to_first_image(page: Page) -> float:
    """Milliseconds from the click on the worklist's row to the first image, by one clock."""
    row = page.locator("tr[data-href]").first
    row.wait_for()
    page.wait_for_load_state("networkidle")
    page.evaluate(
        "addEventListener('click', () => sessionStorage.setItem('clicked', Date.now()), true)"
    )
    row.click()
    page.wait_for_selector("ct-viewer[data-ready]")
    clicked = float(page.evaluate("sessionStorage.getItem('clicked')"))
    return page.evaluate("performance.timeOrigin") + page.evaluate(FIRST) - clicked


def test_speed_of_the_first_image_and_of_scrolling(
    running_system: System, people: People, browser: Browser, tmp_path: Path, ct_data_dir
) -> None:
    paths = series_of_300(tmp_path / "series", ct_data_dir)
    case = receive(*paths, site=people.home)[-1].case
    send_case(case, request=request_of(people.technician), revision=case.revision)
    page = log_in(browser, running_system.base_url, people.owner.email)
    times = []
    for _ in range(ROUNDS):
        page.goto(f"{running_system.base_url}/doctor/")
        times.append(round(click_to_first_image(page)))
    page.wait_for_selector("ct-viewer[renderer=webgl]", timeout=30_000)
    while page.evaluate(COUNT) < SLICES:
        page.wait_for_timeout(200)
    runs = [page.evaluate(SCROLL, SLICES) for _ in range(3)]
    rates = [round(run["rate"], 1) for run in runs]
    sys.stdout.write(f"\nfirst image, ms after the click: first {times[0]}, then {times[1:]}")
    sys.stdout.write(f"\nslices per second: {rates}, drawn by {[run['screens'] for run in runs]}")
    sys.stdout.write(f"\nWebGL is {page.evaluate(RENDERER)}\n")
    assert max(times) < 1000
    assert median(rates) >= 30
