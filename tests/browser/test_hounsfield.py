"""What the viewer holds and what its probe says are the Hounsfield units that pydicom reads."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut

from apps.accounts.models import Site
from apps.cases.models import Instance
from apps.cases.tests.factories import receive, small_phantom, write_dicom
from tests.browser.test_technician import log_in, open_case

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

DATA = Path(os.environ["CT_DATA_DIR"]) if os.environ.get("CT_DATA_DIR") else None
REAL = {
    "chest": "rider_0117_chest_95",
    "abdomen": "cptac_pda_C3L-00189_abdomen_35",
    "nodules": "lidc_idri_0001_0003_partial/LIDC-IDRI-0001",
}
PHANTOMS = {"chest": "chest", "abdomen": "abdomen", "nodules": "head"}
PADDING_SHOWN = -1024

# Every pixel by hash, and single pixels as the probe asks for them.
READ = """async ([number, places]) => {
    const viewer = document.querySelector("ct-viewer");
    const { id } = viewer.manifest.instances[number];
    const hu = await viewer.slices.load(number);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", hu));
    const probed = [];
    for (const [row, column] of places) probed.push(await viewer.huAt(id, row, column));
    const hex = [...hash].map((one) => one.toString(16).padStart(2, "0")).join("");
    return { id, kind: hu.constructor.name, hash: hex, probed };
}"""


@pytest.mark.parametrize("what", REAL)
def test_the_viewer_probes_the_hounsfield_units_of_pydicom_in_every_slice(
    page: Page, live_server, people, tmp_path, what
):
    paths = files_of(what, tmp_path)
    received = receive(*paths, site=Site.objects.get(pk=people.home.pk), user=people.technician)
    log_in(page, live_server.url, people.technician)
    open_case(page, live_server, received[0].case)
    expect(page.locator("ct-viewer[data-ready]")).to_be_visible(timeout=20_000)
    expected = {one.instance.public_id: path for one, path in zip(received, paths, strict=True)}
    heights = []
    for number in range(len(paths)):
        compare(page, number, expected)
        heights.append(height_of(page, number))
    assert heights == sorted(heights)
    assert page.evaluate("document.querySelector('ct-viewer').manifest.instances.length") == len(
        paths
    )


def files_of(what: str, folder: Path) -> list[Path]:
    if DATA:
        return sorted((DATA / REAL[what]).rglob("*.dcm"))
    return write_dicom(folder, phantom=small_phantom(PHANTOMS[what], slices=12, matrix=128))


def compare(page: Page, number: int, expected: dict) -> None:
    """All values of slice `number`, and nine places of it through the probe's own question."""
    ids = page.evaluate(f"document.querySelector('ct-viewer').manifest.instances[{number}].id")
    path = next(path for one, path in expected.items() if str(one) == ids)
    hu = pydicom_hu(path)
    rows, columns = hu.shape
    places = [[rows * i // 8, columns * j // 8] for i in (1, 4, 7) for j in (2, 4, 6)]
    seen = page.evaluate(READ, [number, places])
    assert seen["kind"] == "Int16Array"
    assert seen["probed"] == [int(hu[row, column]) for row, column in places]
    assert seen["hash"] == hashlib.sha256(hu.astype("<i2").tobytes()).hexdigest()


def pydicom_hu(path: Path) -> np.ndarray:
    """Hounsfield units by pydicom alone; what the file calls padding is shown as air."""
    dataset = dcmread(path)
    stored = dataset.pixel_array
    hu = np.rint(apply_modality_lut(stored, dataset))
    padding = dataset.get("PixelPaddingValue")
    if padding is not None:
        # The value is sometimes written unsigned (63536 for -2000), as its 16 bits are the same.
        hu[stored == np.array(int(padding) & 0xFFFF, np.uint16).view(stored.dtype)] = PADDING_SHOWN
    return hu


def height_of(page: Page, number: int) -> float:
    shown = page.evaluate(f"document.querySelector('ct-viewer').manifest.instances[{number}].id")
    return Instance.objects.get(public_id=shown).image_position_patient[2]
