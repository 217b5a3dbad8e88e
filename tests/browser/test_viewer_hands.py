"""Mouse, series list, strip and scale bar of the viewer; what it says is what the files hold."""

import numpy as np
import pytest
from django.conf import settings
from playwright.sync_api import Page, expect
from pydicom import dcmread

from apps.cases import storage
from apps.cases.models import Case
from apps.cases.pictures import ordered_instances
from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import make_prediction
from tests.browser.test_viewer import at, drag, open_case, overlay, view
from tests.people import logged_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def desk(page: Page, live_server, people) -> Page:
    session = logged_in(people.owner).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    return page


@pytest.fixture
def case(people) -> Case:
    return make_case(people.home, status="sent", slices=5, series=2)


def pydicom_hu(instance) -> np.ndarray:
    dataset = dcmread(storage.path_of(instance))
    return dataset.pixel_array.astype(int) * int(dataset.RescaleSlope) + int(
        dataset.RescaleIntercept
    )


def test_right_and_middle_button_and_ctrl_wheel_zoom_and_move(desk, live_server, case):
    open_case(desk, live_server, case, webgl=False)
    drag(desk, (0.5, 0.5), (0.5, 0.3), button="right")
    assert view(desk)["zoom"] > 1
    drag(desk, (0.5, 0.5), (0.6, 0.4), button="middle")
    moved = view(desk)
    assert moved["panX"] > 0 > moved["panY"]
    desk.keyboard.press("0")
    desk.mouse.move(*at(desk, 0.3, 0.3))
    desk.mouse.move(*at(desk, 0.6, 0.4))
    port = desk.locator(".ctv-port").first.bounding_box()
    pixel = min(port["width"], port["height"]) / 64
    row, column = (31.5 + part / pixel for part in (-0.1 * port["height"], 0.1 * port["width"]))
    place = f"({row:.0f}, {column:.0f})"
    expect(overlay(desk, "probe")).to_contain_text(place)
    desk.keyboard.down("Control")
    desk.mouse.wheel(0, -300)
    desk.keyboard.up("Control")
    expect(overlay(desk, "window")).to_contain_text("zoom 2.7")
    # What lies under the pointer stays there.
    desk.mouse.move(*(one + 0.2 for one in at(desk, 0.6, 0.4)))
    expect(overlay(desk, "probe")).to_contain_text(place)


def test_the_pointer_says_the_stored_value_of_the_pixel_under_it(desk, live_server, case):
    open_case(desk, live_server, case, webgl=False)
    middle = ordered_instances(case.study.series.first())[2]
    hu = pydicom_hu(middle)
    port = desk.locator(".ctv-port").first.bounding_box()
    width, height = port["width"], port["height"]
    pixel = min(width, height) / middle.rows
    for row, column in [(32, 32), (20, 16), (45, 50), (10, 31)]:
        x = 0.5 + (column - (middle.columns - 1) / 2) * pixel / width
        y = 0.5 + (row - (middle.rows - 1) / 2) * pixel / height
        # A third of a pixel aside: nothing between two pixels is made up.
        desk.mouse.move(*at(desk, x + pixel / 3 / width, y - pixel / 3 / height))
        words = f"{hu[row, column]} HU  ({row}, {column})".replace("-", "−")
        expect(overlay(desk, "probe")).to_have_text(words)


def test_the_scale_bar_is_as_long_as_it_says(desk, live_server, case):
    open_case(desk, live_server, case, webgl=False)
    spacing = ordered_instances(case.study.series.first())[2].pixel_spacing[0]
    desk.keyboard.press("ArrowDown")
    for zoom in (1, 2.5):
        desk.mouse.move(*at(desk, 0.5, 0.5))
        desk.keyboard.down("Control")
        desk.mouse.wheel(0, -300 * np.log(zoom))
        desk.keyboard.up("Control")
        expect(overlay(desk, "window")).to_contain_text(f"zoom {zoom:.1f}")
        bar = desk.locator(".ctv-scale-line").first.bounding_box()["width"]
        millimetres = float(overlay(desk, "scale").inner_text().split()[0])
        port = desk.locator(".ctv-port").first.bounding_box()
        shown = min(port["width"], port["height"]) * view(desk)["zoom"] / (64 * spacing)
        assert bar == pytest.approx(millimetres * shown, rel=0.02)


def test_another_series_is_shown_by_its_picture_in_the_list(desk, live_server, case):
    open_case(desk, live_server, case, webgl=False)
    first, second = case.study.series.order_by("series_number")
    shown = "() => document.querySelector('ct-viewer').manifest?.public_id"
    assert desk.evaluate(shown) == str(first.public_id)
    desk.locator(f'[data-series="{second.public_id}"]').click()
    expect(desk.locator(f'[data-series="{second.public_id}"]')).to_have_attribute(
        "aria-current", "true"
    )
    desk.wait_for_function(f"id => ({shown})() === id", arg=str(second.public_id))
    expect(desk.locator("ct-viewer[data-ready]")).to_be_visible()


def test_a_click_on_the_strip_goes_to_that_part_of_the_chest(desk, live_server, case):
    first = ordered_instances(case.study.series.first())[0]
    make_prediction(case, findings=[{"instance": first}], profile=[0.5, 0, 0, 0, 0])
    open_case(desk, live_server, case, webgl=False)
    strip = desk.locator("[data-strip]")
    width = strip.bounding_box()["width"]
    for part, index in [(0.05, 0), (0.95, 4), (0.5, 2)]:
        strip.click(position={"x": part * width, "y": 30})
        expect(desk.locator('[data-input="slice"]')).to_have_value(str(index + 1))
        assert view(desk)["index"] == index
