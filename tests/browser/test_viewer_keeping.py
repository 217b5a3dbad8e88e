"""Measurements on a slow line and on other slices; earlier studies that are cut otherwise."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from apps.cases.models import Case, Instance, Measurement
from apps.cases.pictures import ordered_instances
from apps.cases.tests.factories import make_case, make_measurement
from tests.browser.test_viewer import case, desk, drag, open_case, overlay

__all__ = ["case", "desk"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ONES_OWN = "**/api/v1/measurements/*/"
ALL = "**/series/*/measurements/"
POSITIONS = "() => [...document.querySelectorAll('ct-viewer')].map((one) => one.position)"


def drawn(page: Page):
    return page.locator("svg.svg-layer")


def draw_length(page: Page) -> None:
    page.locator('[data-tool="length"]').click()
    drag(page, (0.3, 0.5), (0.5, 0.5))
    expect(drawn(page)).to_contain_text("mm")


def move_its_end(page: Page) -> None:
    drag(page, (0.5, 0.5), (0.7, 0.5))


class Line:
    """What the browser wrote, in order; the first new measurement waits until `go_on`."""

    def __init__(self, page: Page, *, answered: bool = True) -> None:
        self.sent: list[tuple[str, dict | None]] = []
        self.waiting: list[Route] = []
        self.answered = answered
        page.route(ALL, self._first)
        page.route(ONES_OWN, self._other)

    def _note(self, route: Route) -> None:
        body = route.request.post_data
        self.sent.append((route.request.method, json.loads(body) if body else None))

    def _first(self, route: Route) -> None:
        if route.request.method != "POST":
            return route.fallback()
        self._note(route)
        if len(self.methods) > 1:
            return route.fallback()
        return self.waiting.append(route)

    def _other(self, route: Route) -> None:
        self._note(route)
        route.fallback()

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.sent]

    def go_on(self) -> None:
        (route,) = self.waiting
        if self.answered:
            return route.fallback()
        route.fetch()  # it arrives, and its answer does not
        return route.abort()


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    for _ in range(200):
        if holds():
            return
        page.wait_for_timeout(100)
    pytest.fail("waited for 20 s")


def kept_as_wanted(line: Line) -> bool:
    points = [body["points"] for _, body in line.sent if body]
    own = Measurement.objects.kept().first()
    return bool(own) and own.points == points[-1] != points[0]


def test_deleting_and_wiping_spare_what_is_on_other_slices(desk, live_server, case, people):
    here, there = ordered_instances(case.study.series.get())[2:4]
    mine = make_measurement(there, people.owner, points=[[40, 10], [40, 30]])
    open_case(desk, live_server, case, webgl=True)
    draw_length(desk)
    expect(overlay(desk, "saved")).to_have_text("Measurement saved", timeout=20_000)
    expect(desk.locator(".ctv-canvas")).to_be_hidden()
    drag(desk, (0.4, 0.5), (0.4, 0.5))  # a click chooses it
    desk.keyboard.press("ArrowUp")
    expect(overlay(desk, "image")).to_contain_text("Im 2 / 5")
    desk.keyboard.press("Delete")
    expect(overlay(desk, "saved")).to_contain_text("Choose a measurement of yours on this image")
    desk.keyboard.press("ArrowDown")
    expect(drawn(desk)).to_contain_text("mm")
    desk.keyboard.press("Delete")
    expect(overlay(desk, "saved")).to_have_text("Measurement deleted")
    desk.keyboard.press("m")
    desk.locator('[data-input="slice"]').fill("4")
    desk.locator('[data-action="clear-marks"]').click()
    expect(overlay(desk, "saved")).not_to_have_text("Measurement deleted")
    assert list(Measurement.objects.kept()) == [mine]
    assert Measurement.objects.filter(instance=here).count() == 1


@pytest.mark.parametrize(
    "answered",
    [
        pytest.param(True, id="slow"),
        pytest.param(False, id="answer lost", marks=pytest.mark.long),  # until it is tried again
    ],
)
def test_a_change_while_a_new_measurement_is_sent_is_kept(desk, live_server, case, answered):
    open_case(desk, live_server, case, webgl=True)
    line = Line(desk, answered=answered)
    draw_length(desk)
    wait_until(desk, lambda: bool(line.waiting))
    move_its_end(desk)
    desk.wait_for_timeout(900)  # longer than the pause after which a change is sent
    assert line.methods == ["POST"]
    line.go_on()
    wait_until(desk, lambda: kept_as_wanted(line))
    expect(overlay(desk, "saved")).to_have_text("Measurement saved")
    revisions = [body["revision"] for method, body in line.sent if method == "PUT"]
    assert revisions == [1]


def test_a_new_measurement_deleted_while_it_is_sent_is_gone(desk, live_server, case):
    open_case(desk, live_server, case, webgl=True)
    line = Line(desk)
    draw_length(desk)
    wait_until(desk, lambda: bool(line.waiting))
    desk.locator('[data-action="clear-marks"]').click()
    line.go_on()
    wait_until(desk, lambda: line.methods == ["POST", "DELETE"])
    wait_until(desk, lambda: not Measurement.objects.kept().exists())
    assert Measurement.objects.count() == 1


@pytest.mark.long
def test_a_change_is_sent_when_the_page_is_left_at_once(desk, live_server, case):
    open_case(desk, live_server, case, webgl=True)
    draw_length(desk)
    expect(overlay(desk, "saved")).to_have_text("Measurement saved", timeout=20_000)
    before = Measurement.objects.get().points
    move_its_end(desk)
    desk.goto(f"{live_server.url}/doctor/")
    wait_until(desk, lambda: Measurement.objects.get().points != before)


@pytest.mark.long
def test_a_refused_deletion_is_said_and_not_tried_for_ever(desk, live_server, case):
    open_case(desk, live_server, case, webgl=True)
    draw_length(desk)
    expect(overlay(desk, "saved")).to_have_text("Measurement saved", timeout=20_000)
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.method)
        route.fulfill(status=403, json={"detail": "This is not yours."})

    desk.route(ONES_OWN, refuse)
    desk.locator('[data-action="clear-marks"]').click()
    expect(overlay(desk, "saved")).to_contain_text("Not deleted: This is not yours.")
    desk.wait_for_timeout(8500)
    assert asked == ["DELETE"]


def prior_cut(people, direction: str) -> Case:
    """An earlier study whose slices are cut from front to back, or counted from head to feet."""
    prior = make_case(
        people.home, status="sent", slices=5, patient_id="VIEWED", accession_number="PRIOR"
    )
    across = {"coronal": [1, 0, 0, 0, 0, -1], "turned": [1, 0, 0, 0, -1, 0]}[direction]
    for number, one in enumerate(Instance.objects.filter(series__study__case=prior)):
        one.image_orientation_patient = across
        if direction == "coronal":
            x, _, z = one.image_position_patient
            one.image_position_patient = [x, 10.0 * number, z]
        one.save()
    return prior


def open_prior(page: Page) -> None:
    page.locator("[data-prior-study]").click()
    page.wait_for_selector("ct-viewer[data-prior][data-ready]")


def test_a_study_cut_in_another_direction_scrolls_by_itself(desk, live_server, case, people):
    prior_cut(people, "coronal")
    open_case(desk, live_server, case, webgl=False)
    open_prior(desk)
    said = desk.locator(".prior-head .note")
    expect(said).to_contain_text("cut in different directions")
    expect(desk.get_by_role("button", name="Together")).to_be_disabled()
    before = desk.evaluate(POSITIONS)[1]
    desk.evaluate("() => document.querySelector('ct-viewer').show(4)")
    desk.evaluate("() => document.querySelector('ct-viewer').show(0)")
    assert desk.evaluate(POSITIONS)[1] == before


def test_a_study_counted_from_the_other_end_shows_the_same_place(desk, live_server, case, people):
    prior_cut(people, "turned")
    open_case(desk, live_server, case, webgl=False)
    open_prior(desk)
    expect(desk.get_by_role("button", name="Together")).to_have_attribute("aria-pressed", "true")
    desk.evaluate("() => document.querySelector('ct-viewer').show(4)")
    mine, theirs = desk.evaluate(POSITIONS)
    assert mine == -theirs != 0
    desk.evaluate("() => document.querySelector('ct-viewer[data-prior]').step(1)")
    mine, theirs = desk.evaluate(POSITIONS)
    assert mine == -theirs
