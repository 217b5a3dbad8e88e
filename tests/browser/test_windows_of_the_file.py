"""What a file says of its own display: windows, tables, functions and MONOCHROME1."""

import numpy as np
import pytest
from django.conf import settings
from playwright.sync_api import Page, expect
from pydicom import Dataset, dcmread

from apps.cases.models import Case, Presentation
from apps.cases.pictures import hu_of, ordered_instances, voi_table_of
from apps.cases.tests.factories import make_case, move_case, receive, small_phantom, write_dicom
from apps.imaging.voi import display, through
from tests.people import logged_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

BLOCK, BLOCKS = 8, 8
MIDDLES = [
    [row * BLOCK + 3.5, column * BLOCK + 3.5] for row in range(BLOCKS) for column in range(BLOCKS)
]
# The grey in the middle of each block, where no interpolation changes it.
GREYS = """([name, places]) => {
    const viewer = document.querySelector("ct-viewer");
    const port = viewer.querySelector(".ctv-port");
    const source = viewer.querySelector(name);
    const { width, height } = source;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    context.drawImage(source, 0, 0);
    const { rows, columns } = viewer.manifest.instances[viewer.index];
    const side = Math.min(port.clientWidth, port.clientHeight);
    const ratio = width / port.clientWidth;
    return places.map(([row, column]) => {
        const x = port.clientWidth / 2 + ((column - (columns - 1) / 2) / columns) * side;
        const y = port.clientHeight / 2 + ((row - (rows - 1) / 2) / rows) * side;
        return context.getImageData(Math.floor(x * ratio), Math.floor(y * ratio), 1, 1).data[0];
    });
}"""


@pytest.fixture
def desk(page: Page, live_server, people) -> Page:
    session = logged_in(people.owner).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    return page


@pytest.fixture
def case(people, tmp_path) -> Case:
    """Three slices of 64 even blocks; the file names two windows, a sigmoid and a table."""
    paths = write_dicom(tmp_path, phantom=small_phantom(slices=3))
    steps = np.linspace(-1000, 1500, BLOCKS * BLOCKS).reshape(BLOCKS, BLOCKS).astype(np.int16)
    stored = np.kron(steps + 1024, np.ones((BLOCK, BLOCK))).astype("<u2")
    for path in paths:
        dataset = dcmread(path)
        dataset.PixelData = stored.tobytes()
        dataset.PhotometricInterpretation = "MONOCHROME1"
        dataset.WindowCenter, dataset.WindowWidth = [40, -500], [400, 1400]
        dataset.WindowCenterWidthExplanation = ["MEDIASTINUM", "LUNG"]
        dataset.VOILUTFunction = "SIGMOID"
        dataset.VOILUTSequence = [table()]
        dataset.save_as(path)
    received = receive(*paths, site=people.home, user=people.technician)
    move_case(received[0].case, "sent", technician=people.technician)
    return received[0].case


def table() -> Dataset:
    """Twelve bits over 2,000 HU, bent, as a scanner's film curve."""
    item = Dataset()
    entries = (np.linspace(0, 1, 2000) ** 0.5 * 4095).round().astype("<u2")
    item.add_new("LUTDescriptor", "SS", [2000, -900, 12])
    item.LUTExplanation = "FILM"
    item.add_new("LUTData", "OW", entries.tobytes())
    return item


def open_case(page: Page, live_server, case: Case, *, webgl: bool = False) -> None:
    if not webgl:
        page.route("**/viewer/webgl_screen*", lambda route: route.abort())
    page.goto(f"{live_server.url}/doctor/cases/{case.public_id}/")
    ready = "[data-measurements]" if webgl else "[data-ready]"
    expect(page.locator(f"ct-viewer{ready}")).to_be_visible(timeout=20_000)


def wait_for_greys(page: Page, renderer: str, expected: np.ndarray) -> None:
    """Wait until the picture shows these greys, within two of 255."""
    wanted = [int(expected[int(row), int(column)]) for row, column in MIDDLES]
    script = f"""([name, places, wanted]) => {{
        const seen = ({GREYS})([name, places]);
        return seen.every((grey, i) => Math.abs(grey - wanted[i]) <= 2);
    }}"""
    page.wait_for_function(script, arg=[renderer, MIDDLES, wanted], timeout=20_000)


@pytest.mark.parametrize(
    "renderer", [".ctv-canvas", pytest.param(".ctv-webgl canvas", marks=pytest.mark.long)]
)
def test_function_table_and_inversion_are_what_the_server_and_the_standard_show(
    desk, live_server, case, renderer
):
    open_case(desk, live_server, case, webgl="webgl" in renderer)
    middle = ordered_instances(case.study.series.get())[1]
    hu = hu_of(middle)
    wait_for_greys(desk, renderer, display(hu, 40, 400, "SIGMOID", inverted=True))
    expect(desk.locator('[data-overlay="window"]')).to_contain_text("inverted by the file")
    desk.locator('[data-input="offer"]').select_option(label="FILM")
    wait_for_greys(desk, renderer, through(hu, voi_table_of(middle, 0), inverted=True))
    desk.keyboard.press("i")
    wait_for_greys(desk, renderer, through(hu, voi_table_of(middle, 0)))
    desk.keyboard.press("1")
    wait_for_greys(desk, renderer, display(hu, -600, 1500, "SIGMOID"))


def test_all_windows_of_the_file_can_be_chosen_by_name_and_by_key(desk, live_server, case):
    open_case(desk, live_server, case)
    offers = desk.locator('[data-input="offer"]')
    names = offers.locator("option").all_inner_texts()
    assert names == ["Windows of the file", "MEDIASTINUM (40 / 400)", "LUNG (-500 / 1400)", "FILM"]
    for name, words in [("5", "L −500 W 1400"), ("5", "FILM"), ("5", "L 40 W 400"), ("2", "L 40")]:
        desk.keyboard.press(name)
        expect(desk.locator('[data-overlay="window"]')).to_contain_text(words)
    with desk.expect_response("**/presentation/"):
        offers.select_option(label="FILM")
    assert Presentation.objects.get().voi_lut == 0
    desk.reload()
    expect(desk.locator('[data-overlay="window"]')).to_contain_text("FILM")
    expect(offers).to_have_value("2")
    desk.locator('[data-input="center"]').fill("100")
    expect(desk.locator('[data-overlay="window"]')).to_contain_text("L 100")
    expect(offers).to_have_value("")


def test_a_file_that_names_one_window_shows_no_list(desk, live_server, people):
    open_case(desk, live_server, make_case(people.home, status="sent", slices=3))
    expect(desk.locator('[data-input="offer"]')).to_be_hidden()
    expect(desk.locator('[data-preset="file"]')).to_be_enabled()
