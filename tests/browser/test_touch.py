"""A finger on a small screen: scroll, window, pinch, large targets, nothing beside the page."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from apps.cases.models import Case, Measurement
from apps.cases.pictures import ordered_instances
from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import make_prediction
from tests.people import logged_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LEAST_TARGET = 40
# Every control of the viewer that is smaller than a finger; what is scrolled aside counts too.
SMALL = f"""() => [...document.querySelectorAll("ct-viewer :is(button, input, select)")]
    .filter((one) => one.checkVisibility())
    .map((one) => [one.getAttribute("aria-label") || one.textContent, one.getBoundingClientRect()])
    .filter(([, box]) => Math.min(box.width, box.height) < {LEAST_TARGET})
    .map(([name, box]) => `${{name}}: ${{box.width}} x ${{box.height}}`)"""


@pytest.fixture
def phone(browser: Browser, live_server, people) -> Iterator[Page]:
    size = {"width": 390, "height": 844}
    context = browser.new_context(viewport=size, has_touch=True, is_mobile=True)
    session = logged_in(people.owner).cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    yield context.new_page()
    context.close()


@pytest.fixture
def case(people) -> Case:
    case = make_case(people.home, status="sent", slices=9)
    first = ordered_instances(case.study.series.get())[0]
    make_prediction(case, findings=[{"instance": first}], profile=[0.5] + [0] * 8)
    return case


def open_case(page: Page, live_server, case: Case, *, webgl: bool = False) -> None:
    if not webgl:
        page.route("**/viewer/webgl_screen*", lambda route: route.abort())
    page.goto(f"{live_server.url}/doctor/cases/{case.public_id}/")
    ready = "[data-measurements]" if webgl else "[data-ready]"
    expect(page.locator(f"ct-viewer{ready}")).to_be_visible(timeout=20_000)


# The browser hands touches to the page with its frames, and some frames late.
FRAMES = "async () => { for (let i = 0; i < 30; i++) await new Promise(requestAnimationFrame) }"


def fingers(page: Page, start: list[tuple], end: list[tuple], steps: int = 6) -> None:
    """Puts fingers on the image at `start`, moves them to `end`, lifts them; parts of the port."""
    box = page.locator(".ctv-port").first.bounding_box()
    touch = page.context.new_cdp_session(page)

    def send(kind: str, places: list[tuple]) -> None:
        points = [
            {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "id": number}
            for number, (x, y) in enumerate(places)
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", start)
    for step in range(1, steps + 1):
        way = step / steps
        moved = [
            (a[0] + (b[0] - a[0]) * way, a[1] + (b[1] - a[1]) * way)
            for a, b in zip(start, end, strict=True)
        ]
        send("touchMove", moved)
    send("touchEnd", [])
    touch.detach()
    page.evaluate(FRAMES)


def view(page: Page) -> dict:
    return page.evaluate("() => document.querySelector('ct-viewer').view")


def test_one_finger_scrolls_until_another_tool_is_tapped(phone, live_server, case):
    open_case(phone, live_server, case)
    fresh = view(phone)
    fingers(phone, [(0.5, 0.5)], [(0.5, 0.7)])
    assert view(phone)["index"] > fresh["index"]
    assert view(phone)["center"] == fresh["center"]
    phone.locator('[data-tool="window"]').tap()
    before = view(phone)
    fingers(phone, [(0.3, 0.4)], [(0.6, 0.6)])
    after = view(phone)
    assert after["width"] > before["width"]
    assert after["center"] > before["center"]
    assert after["index"] == before["index"]
    phone.locator('[data-preset="bone"]').tap()
    expect(phone.locator('[data-overlay="window"]')).to_contain_text("L 400")
    phone.locator("[data-strip]").tap(position={"x": 4, "y": 30})
    assert view(phone)["index"] == 0


def test_two_fingers_zoom_and_move(phone, live_server, case):
    open_case(phone, live_server, case)
    fresh = view(phone)
    fingers(phone, [(0.4, 0.5), (0.6, 0.5)], [(0.2, 0.5), (0.8, 0.5)])
    wide = view(phone)
    assert wide["zoom"] == pytest.approx(3, rel=0.1)
    assert (wide["index"], wide["center"]) == (fresh["index"], fresh["center"])
    fingers(phone, [(0.4, 0.4), (0.6, 0.4)], [(0.4, 0.6), (0.6, 0.6)])
    assert view(phone)["panY"] > wide["panY"] + 50
    fingers(phone, [(0.2, 0.5), (0.8, 0.5)], [(0.45, 0.5), (0.55, 0.5)])
    assert view(phone)["zoom"] < 1


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_targets_are_as_large_as_a_finger_and_nothing_lies_beside_the_page(
    phone, live_server, case, theme
):
    phone.add_init_script(f'localStorage.setItem("theme", "{theme}")')
    open_case(phone, live_server, case)
    assert phone.evaluate(SMALL) == []
    assert phone.evaluate("() => document.documentElement.scrollWidth") <= 390
    expect(phone.locator("html")).to_have_attribute("data-bs-theme", theme)
    ground = "() => getComputedStyle(document.querySelector('.ctv-port')).backgroundColor"
    assert phone.evaluate(ground) == "rgb(0, 0, 0)"


def test_the_page_can_be_scrolled_past_the_image_to_the_verdict(phone, live_server, case):
    open_case(phone, live_server, case)
    phone.locator("#tab-verdict").tap()
    expect(phone.locator("#verdict-form")).to_be_in_viewport()
    phone.locator('label[for="cancer-no"]').tap()
    expect(phone.locator("#cancer-no")).to_be_checked()


@pytest.mark.long
def test_a_finger_measures(phone, live_server, case, people):
    open_case(phone, live_server, case, webgl=True)
    phone.locator('[data-tool="length"]').tap()
    with phone.expect_response("**/measurements/"):
        fingers(phone, [(0.3, 0.5)], [(0.7, 0.5)])
    assert Measurement.objects.get(author=people.owner).kind == "length"
