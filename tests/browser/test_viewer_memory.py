"""A series larger than the memory the viewer keeps, and a heatmap that is slow or missing."""

import json
import re
from collections.abc import Callable

import pytest
from django.conf import settings
from playwright.sync_api import Page, Route, expect

from apps.cases.models import Case
from apps.cases.pictures import ordered_instances
from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import make_heatmap, make_prediction
from tests.people import logged_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
# A small computer keeps 160 MB: 20 of these 40 slices of 8 MB. Their values come from the page.
SLICES, SIDE = 40, 2048
SMALL_COMPUTER = """() => {
  Object.defineProperty(navigator, "deviceMemory", { value: 2 });
  const real = window.fetch;
  window.fetched = [];
  window.fetch = async (url, options) => {
    const large = String(url).match(/large=(\\d+)/);
    if (!large) return real(url, options);
    window.fetched.push(Number(large[1]));
    await new Promise((resolve) => setTimeout(resolve, 5));
    return new Response(new ArrayBuffer(2 * 2048 * 2048));
  };
}"""
KEPT = """() => { const { slices } = document.querySelector("ct-viewer");
  return [...Array(40).keys()].filter((index) => slices.get(index)) }"""


@pytest.fixture
def desk(page: Page, live_server, people) -> Page:
    session = logged_in(people.owner).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    page.route("**/viewer/webgl_screen*", lambda route: route.abort())
    return page


@pytest.fixture
def case(people) -> Case:
    return make_case(people.home, status="sent", slices=5)


def enlarge(route: Route) -> None:
    """The manifest as if the series had 40 large slices, one millimetre apart."""
    answer = route.fetch()
    manifest = answer.json()
    first = manifest["instances"][0]
    across = first["image_position_patient"][:2]
    manifest["instances"] = [
        {
            **first,
            "public_id": f"{number:08d}{first['public_id'][8:]}",
            "rows": SIDE,
            "columns": SIDE,
            "image_position_patient": [*across, number],
            "hu_url": f"{first['hu_url']}?large={number}",
        }
        for number in range(SLICES)
    ]
    route.fulfill(response=answer, body=json.dumps(manifest))


def open_large(page: Page, live_server, case: Case) -> None:
    page.add_init_script(f"({SMALL_COMPUTER})()")
    page.route("**/manifest/**", enlarge)
    page.goto(f"{live_server.url}/doctor/cases/{case.public_id}/")
    page.wait_for_selector("ct-viewer[data-ready]")
    wait_until(page, lambda: len(page.evaluate(KEPT)) == 20)


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    """The site's policy forbids Playwright's own waiting for an expression."""
    for _ in range(150):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError("what was waited for did not come")


def show(page: Page, index: int) -> None:
    page.evaluate("(index) => document.querySelector('ct-viewer').show(index)", index)


def test_a_full_memory_fetches_ahead_again_after_a_move_and_nothing_twice(desk, live_server, case):
    open_large(desk, live_server, case)
    nearest = list(range(20, 40))
    missing = set(nearest) - set(desk.evaluate(KEPT))
    desk.evaluate("window.fetched.length = 0")
    show(desk, 39)
    wait_until(desk, lambda: desk.evaluate(KEPT) == nearest)
    show(desk, 38)
    show(desk, 39)
    desk.wait_for_timeout(300)
    assert desk.evaluate(KEPT) == nearest
    assert missing
    assert sorted(desk.evaluate("window.fetched")) == sorted(missing)


def test_what_is_waited_for_is_kept_however_far_it_lies(desk, live_server, case):
    open_large(desk, live_server, case)
    show(desk, 39)
    wait_until(desk, lambda: desk.evaluate(KEPT)[0] == 20)
    desk.locator('[data-action="cine"]').click()
    at = "document.querySelector('ct-viewer').view.index"
    wait_until(desk, lambda: desk.evaluate(at) < 10)


def test_a_series_larger_than_the_memory_has_no_other_planes_and_says_so(desk, live_server, case):
    open_large(desk, live_server, case)
    desk.keyboard.press("m")
    words = desk.locator("[data-mpr=words]")
    expect(words).to_contain_text("This series is too large for the other planes on this computer.")
    expect(words).not_to_contain_text("fetching")
    expect(desk.locator('[data-plane="axial"]')).to_be_visible()
    expect(desk.locator('[data-plane="coronal"]')).to_be_hidden()
    desk.keyboard.press("m")
    expect(desk.locator(".ctv-port")).to_be_visible()


def test_a_heatmap_that_comes_or_cannot_come_is_not_called_missing(desk, live_server, case):
    first = ordered_instances(case.study.series.get())[0]
    make_heatmap(
        make_prediction(
            case, findings=[{"instance": first}], profile=[0.5, 0, 0, 0, 0]
        ).findings.get()
    )
    held: list[Route] = []
    desk.route(re.compile("/heatmap"), lambda route: held.append(route))
    desk.goto(f"{live_server.url}/doctor/cases/{case.public_id}/")
    desk.wait_for_selector("ct-viewer[data-ready]")
    desk.locator(".finding-jump").click()
    said = desk.locator('[data-overlay="heatmap"]').first
    desk.keyboard.press("t")
    expect(said).to_have_text("fetching the heatmap")
    held[0].fulfill(status=500, body="{}")
    expect(said).to_have_text("the heatmap could not be fetched")
