"""The CT viewer in both portals: every tool and preset, planes, priors, heatmap, no WebGL."""

import re
from uuid import uuid4

import numpy as np
import pytest
from django.conf import settings
from playwright.sync_api import Page, expect
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut

from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent
from apps.cases import storage
from apps.cases.measurements import add_measurement
from apps.cases.models import Case, Measurement
from apps.cases.pictures import hu_of, ordered_instances
from apps.cases.tests.factories import make_case, make_measurement
from apps.classifier.tests.factories import make_heatmap, make_prediction
from tests.people import logged_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
CENTRE = (0.5, 0.5)
# Each plane draws one ring, and the lines cross in its middle.
AT_THE_CROSSHAIR = r"""() => ["axial", "coronal", "sagittal"].every((name) => {
    const pane = document.querySelector(`[data-plane="${name}"]`);
    const lines = pane.querySelector(".ctv-cross-line").getAttribute("d");
    const [, y, x] = lines.match(/^M0 ([\d.]+)H.*M([\d.]+) 0V/);
    const [ring, ...more] = pane.querySelectorAll(".ctv-ring");
    const away = ring && [ring.cx.baseVal.value - x, ring.cy.baseVal.value - y];
    return ring && !more.length && Math.hypot(...away) < 0.6;
})"""
# Where a pixel [row, column] of an upright, whole slice lies on the screen.
SCREEN_OF = """([row, column]) => {
    const viewer = document.querySelector("ct-viewer");
    const box = viewer.querySelector(".ctv-port").getBoundingClientRect();
    const { rows, columns } = viewer.manifest.instances[viewer.index];
    const pixel = Math.min(box.width / columns, box.height / rows);
    return [box.x + box.width / 2 + (column - (columns - 1) / 2) * pixel,
            box.y + box.height / 2 + (row - (rows - 1) / 2) * pixel];
}"""


@pytest.fixture
def desk(page: Page, live_server, people) -> Page:
    session = logged_in(people.owner).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    return page


@pytest.fixture
def case(people) -> Case:
    return make_case(people.home, status="sent", slices=5, patient_id="VIEWED")


def open_case(page: Page, live_server, case: Case, *, webgl: bool) -> None:
    """Without WebGL the canvas stays, which is enough for all but measuring, and much quicker."""
    if not webgl:
        page.route("**/viewer/webgl_screen*", lambda route: route.abort())
    page.goto(f"{live_server.url}/doctor/cases/{case.public_id}/")
    ready = "[data-measurements]" if webgl else "[data-ready]"
    page.wait_for_selector(f"ct-viewer{ready}")


def view(page: Page) -> dict:
    return page.evaluate("() => document.querySelector('ct-viewer').view")


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    box = page.locator(".ctv-port").first.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(page: Page, start: tuple, end: tuple, button: str = "left") -> None:
    page.mouse.move(*at(page, *start))
    page.mouse.down(button=button)
    page.mouse.move(*at(page, *((a + b) / 2 for a, b in zip(start, end, strict=True))))
    page.mouse.move(*at(page, *end))
    page.mouse.up(button=button)


def overlay(page: Page, name: str):
    return page.locator(f'[data-overlay="{name}"]').first


@pytest.mark.parametrize("by", ["button", "key"])
def test_each_preset_sets_its_window(desk, live_server, case, by):
    open_case(desk, live_server, case, webgl=False)
    wanted = {
        "lung": (-600, 1500),
        "mediastinum": (40, 400),
        "bone": (400, 1800),
        "soft": (50, 350),
    }
    for number, (name, window) in enumerate(wanted.items(), start=1):
        if by == "button":
            desk.locator(f'[data-preset="{name}"]').click()
        else:
            desk.keyboard.press(str(number))
        assert (view(desk)["center"], view(desk)["width"]) == window
        expect(desk.locator(f'[data-preset="{name}"]')).to_have_attribute("aria-pressed", "true")
    desk.keyboard.press("5")
    own = case.study.series.get().instances.first()
    assert (view(desk)["center"], view(desk)["width"]) == (own.window_center, own.window_width)


def test_each_way_of_looking_changes_what_it_says_and_reset_takes_it_back(desk, live_server, case):
    open_case(desk, live_server, case, webgl=False)
    fresh = view(desk)
    desk.locator('[data-tool="window"]').click()
    drag(desk, CENTRE, (0.6, 0.6))
    assert view(desk)["width"] > fresh["width"]
    assert view(desk)["center"] > fresh["center"]
    desk.locator('[data-tool="zoom"]').click()
    drag(desk, CENTRE, (0.5, 0.3))
    assert view(desk)["zoom"] > 1
    desk.locator('[data-tool="pan"]').click()
    drag(desk, CENTRE, (0.6, 0.5))
    assert view(desk)["panX"] > 0
    desk.keyboard.press("r")
    expect(desk.locator(".ctv-letter-top").first).to_have_text("R")
    desk.keyboard.press("h")
    expect(desk.locator(".ctv-letter-top").first).to_have_text("R")
    expect(desk.locator(".ctv-letter-right").first).to_have_text("P")
    desk.keyboard.press("v")
    expect(desk.locator(".ctv-letter-top").first).to_have_text("L")
    desk.keyboard.press("i")
    assert view(desk)["invert"] is True
    expect(overlay(desk, "window")).to_contain_text("inverted")
    desk.keyboard.press("0")
    assert {k: v for k, v in view(desk).items() if k != "index"} == {
        "zoom": 1, "panX": 0, "panY": 0, "rotation": 0, "flipHorizontal": False,
        "flipVertical": False, "invert": False, "lut": None,
        "center": fresh["center"], "width": fresh["width"],
    }  # fmt: skip


def test_scrolling_by_wheel_keys_slider_drag_and_cine(desk, live_server, case):
    open_case(desk, live_server, case, webgl=False)
    assert view(desk)["index"] == 2
    desk.mouse.move(*at(desk, *CENTRE))
    desk.mouse.wheel(0, 100)
    expect(desk.locator('[data-input="slice"]')).to_have_value("4")
    for key, index in [("ArrowUp", 2), ("Home", 0), ("End", 4), ("PageUp", 0)]:
        desk.keyboard.press(key)
        assert view(desk)["index"] == index
    desk.locator('[data-input="slice"]').fill("4")
    assert view(desk)["index"] == 3
    expect(overlay(desk, "image")).to_contain_text("Im 4 / 5")
    desk.locator('[data-tool="scroll"]').click()
    drag(desk, CENTRE, (0.5, 0.1))
    assert view(desk)["index"] == 0
    desk.locator(".ctv-port").focus()
    desk.keyboard.press(" ")
    expect(desk.locator('[data-input="slice"]')).to_have_value("3")
    desk.keyboard.press(" ")
    expect(desk.locator('[data-action="cine"]')).to_have_attribute("aria-label", "Play")


def test_the_image_says_who_where_and_how(desk, live_server, case):
    open_case(desk, live_server, case, webgl=False)
    expect(overlay(desk, "patient")).to_contain_text("PHANTOM, Ada")
    expect(overlay(desk, "technique")).to_contain_text("kV")
    expect(overlay(desk, "scale")).to_contain_text("mm")
    expect(overlay(desk, "lossy")).to_be_empty()
    for side, letter in {"left": "R", "right": "L", "top": "A", "bottom": "P"}.items():
        expect(desk.locator(f".ctv-letter-{side}").first).to_have_text(letter)
    desk.keyboard.press("?")
    expect(desk.get_by_role("dialog", name="All keys")).to_be_visible()
    desk.keyboard.press("Escape")
    expect(desk.get_by_role("dialog", name="All keys")).to_be_hidden()


def test_lossy_images_are_marked(desk, live_server, case):
    case.study.series.get().instances.update(lossy=True)
    open_case(desk, live_server, case, webgl=False)
    expect(overlay(desk, "lossy")).to_have_text("lossy compressed")


def test_each_measuring_tool_is_kept_with_its_author_and_comes_back(
    desk, live_server, case, people
):
    series = case.study.series.get()
    middle = ordered_instances(series)[2]
    theirs = make_measurement(middle, people.colleague, points=[[5, 5], [5, 25]])
    open_case(desk, live_server, case, webgl=True)
    # The first picture by software WebGL takes seconds on a busy machine.
    expect(desk.locator("svg.svg-layer")).to_contain_text(str(people.colleague), timeout=20_000)

    strokes = {
        "length": ((0.4, 0.2), (0.6, 0.2)),
        "bidirectional": ((0.4, 0.35), (0.6, 0.35)),
        "ellipse": ((0.45, 0.6), (0.55, 0.7)),
    }
    for number, (tool, (start, end)) in enumerate(strokes.items(), start=1):
        with desk.expect_response("**/measurements/"):
            desk.locator(f'[data-tool="{tool}"]').click()
            drag(desk, start, end)
        assert Measurement.objects.filter(author=people.owner).count() == number
    with desk.expect_response("**/measurements/"):
        desk.locator('[data-tool="probe"]').click()
        desk.mouse.click(*at(desk, 0.5, 0.85))
    probe = Measurement.objects.get(kind="probe")
    row, column = (int(value + 0.5) for value in probe.points[0])
    assert probe.values["hu"] == hu_of(middle)[row, column]

    desk.reload()
    desk.wait_for_selector("ct-viewer[data-measurements]")
    drawn = desk.locator("svg.svg-layer")
    for one in Measurement.objects.filter(author=people.owner):
        for words in said(one):
            expect(drawn).to_contain_text(words)
    expect(drawn).to_contain_text(str(people.owner))

    desk.locator('[data-action="clear-marks"]').click()
    expect(drawn).not_to_contain_text("SD")
    expect(drawn).to_contain_text(str(people.colleague))
    desk.wait_for_timeout(800)
    kept = Measurement.objects.kept()
    assert [one.pk for one in kept] == [theirs.pk]
    assert AuditEvent.objects.filter(details__what="deleted").count() == 4


def in_the_ellipse(one: Measurement) -> np.ndarray:
    """Hounsfield units by pydicom of the pixels whose centres an upright ellipse holds."""
    dataset = dcmread(storage.path_of(one.instance))
    hu = apply_modality_lut(dataset.pixel_array, dataset)
    (top, middle), (bottom, _), (_, left), (_, right) = one.points
    row, column = np.ogrid[: hu.shape[0], : hu.shape[1]]
    down = (row - (top + bottom) / 2) / ((bottom - top) / 2)
    across = (column - middle) / ((right - left) / 2)
    return hu[down**2 + across**2 <= 1]


def said(one: Measurement) -> list[str]:
    """What the server computed, as the browser writes what it computed itself."""
    values = one.values
    match one.kind:
        case "length":
            return [f"{values['length']:.1f} mm"]
        case "bidirectional":
            return [f"{values['long_axis']:.1f} × {values['short_axis']:.1f} mm"]
        case "ellipse":
            pixels = in_the_ellipse(one)
            mean, sd = (f"{value:.1f}".replace("-", "−") for value in (pixels.mean(), pixels.std()))
            return [f"mean {mean} HU, SD {sd}"]
    place = ", ".join(f"{value:.1f}" for value in values["position_mm"]).replace("-", "−")
    return [f"{values['hu']} HU".replace("-", "−"), f"{place} mm"]


def test_three_planes_share_a_crosshair_and_show_stored_values(desk, live_server, case):
    open_case(desk, live_server, case, webgl=False)
    desk.locator('[data-action="mpr"]').click()
    expect(desk.locator(".ctv-pane-name")).to_have_text(["Axial", "Coronal", "Sagittal"])
    box = desk.locator('[data-plane="coronal"]').bounding_box()
    desk.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 - 25)
    expect(desk.locator('[data-input="slice"]')).not_to_have_value("3")
    crosshair = desk.evaluate("() => document.querySelector('ct-viewer').mpr.at")
    slice_ = ordered_instances(case.study.series.get())[view(desk)["index"]]
    expected = int(hu_of(slice_)[crosshair["row"], crosshair["column"]])
    expect(desk.locator("[data-mpr=words]")).to_contain_text(f"{expected} HU".replace("-", "−"))
    expect(desk.locator('[data-plane="sagittal"] .ctv-letter-top')).to_have_text("H")
    desk.locator('[data-plane="coronal"]').focus()
    desk.keyboard.press("ArrowDown")
    moved = desk.evaluate("() => document.querySelector('ct-viewer').mpr.at.row")
    assert moved == crosshair["row"] + 1
    desk.keyboard.press("m")
    expect(desk.locator(".ctv-port")).to_be_visible()


def test_why_there_are_no_other_planes_is_said(desk, live_server, people):
    case = make_case(people.home, status="sent")
    open_case(desk, live_server, case, webgl=False)
    desk.keyboard.press("m")
    expect(overlay(desk, "saved")).to_contain_text("too few slices")


def test_an_earlier_study_stands_beside_and_scrolls_along(desk, live_server, case, people):
    prior = make_case(
        people.home, status="sent", slices=9, patient_id="VIEWED", accession_number="PRIOR"
    )
    open_case(desk, live_server, case, webgl=False)
    desk.locator("[data-prior-study]").click()
    desk.wait_for_selector("ct-viewer[data-prior][data-ready]")
    series = prior.study.series.get()
    opened = AuditEvent.objects.filter(target_id=str(series.pk), details__what="prior")
    assert opened.count() == 1
    positions = "() => [...document.querySelectorAll('ct-viewer')].map((one) => one.position)"
    desk.evaluate("() => document.querySelector('ct-viewer').show(4)")
    first, second = desk.evaluate(positions)
    assert first == second != 0
    desk.evaluate("() => document.querySelector('ct-viewer[data-prior]').step(-2)")
    first, second = desk.evaluate(positions)
    assert first == second
    desk.get_by_role("button", name="Together").click()
    desk.evaluate("() => document.querySelector('ct-viewer[data-prior]').step(-1)")
    first, second = desk.evaluate(positions)
    assert first != second
    desk.get_by_role("button", name="Close the earlier study").click()
    expect(desk.locator("ct-viewer")).to_have_count(1)


def test_a_study_of_the_patient_at_another_site_is_no_prior(desk, live_server, case, people):
    make_case(people.elsewhere, status="sent", patient_id="VIEWED", accession_number="AWAY")
    open_case(desk, live_server, case, webgl=False)
    expect(desk.locator("[data-prior-study]")).to_have_count(0)


def test_a_finding_jumps_to_its_slice_and_shows_its_heatmap(desk, live_server, case):
    first = ordered_instances(case.study.series.get())[0]
    prediction = make_prediction(case, findings=[{"instance": first}], profile=[0.5, 0, 0, 0, 0])
    make_heatmap(prediction.findings.get())
    open_case(desk, live_server, case, webgl=False)
    desk.locator(".finding-jump").click()
    assert view(desk)["index"] == 0
    expect(desk.locator("ct-viewer [data-finding]")).to_be_visible()
    with desk.expect_response(re.compile("heatmap")):
        desk.keyboard.press("t")
    expect(overlay(desk, "heatmap")).to_have_text("heatmap: occlusion")
    painted = (
        "() => { const c = document.querySelector('.ctv-heat'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; let m = 0;"
        " for (let i = 3; i < d.length; i += 4) m = Math.max(m, d[i]); return m }"
    )
    half = desk.evaluate(painted)
    desk.locator('[data-input="opacity"]').fill("100")
    desk.wait_for_timeout(100)
    assert 0 < half < desk.evaluate(painted)
    desk.locator("[data-strip]").click(position={"x": 5, "y": 30})
    assert view(desk)["index"] == 0
    desk.keyboard.press("a")
    expect(desk.locator("ct-viewer [data-finding]")).to_have_count(0)


def test_without_webgl_the_technician_still_sees_the_image_and_its_window(
    page, live_server, people, case
):
    session = logged_in(people.technician).cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}]
    )
    page.route("**/viewer/webgl_screen*", lambda route: route.abort())
    page.goto(f"{live_server.url}/labtech/cases/{case.public_id}/")
    page.wait_for_selector("ct-viewer[data-ready]")
    middle = (
        "() => { const c = document.querySelector('.ctv-canvas'); return [...c.getContext('2d')"
    )
    middle += ".getImageData(c.width >> 1, c.height >> 1, 1, 1).data] }"
    bone = (page.keyboard.press("3"), page.wait_for_timeout(150), page.evaluate(middle))[-1]
    soft = (page.keyboard.press("4"), page.wait_for_timeout(150), page.evaluate(middle))[-1]
    assert bone != soft
    expect(page.locator('[data-tool="length"]')).to_be_disabled()


def test_without_webgl_measurements_are_drawn_and_say_their_numbers(
    desk, live_server, case, people
):
    middle = ordered_instances(case.study.series.get())[2]
    strokes = {
        "length": [[5, 5], [5, 25]],
        "bidirectional": [[20, 10], [20, 40], [15, 25], [26, 25]],
        "ellipse": [[30, 32], [40, 32], [35, 25], [35, 39]],
        "probe": [[50, 30]],
    }
    kept = [
        add_measurement(
            middle, request=request_of(people.owner), public_id=uuid4(), kind=kind, points=points
        )[0]
        for kind, points in strokes.items()
    ]
    open_case(desk, live_server, case, webgl=False)
    drawn = desk.get_by_role("group", name="Measurements")
    for one in kept:
        for words in said(one):
            expect(drawn).to_contain_text(words)
    expect(drawn).to_contain_text(str(people.owner))
    expect(drawn.locator("path:not(.ctv-halo)")).to_have_count(4)
    row = desk.evaluate(SCREEN_OF, [5, 5])
    box = drawn.locator("path:not(.ctv-halo)").first.bounding_box()
    assert (box["x"], box["y"]) == pytest.approx(row, abs=2)
    desk.keyboard.press("ArrowDown")
    expect(drawn.locator("path")).to_have_count(0)


def test_all_three_planes_show_the_findings_and_the_crosshair_goes_there(desk, live_server, case):
    first = ordered_instances(case.study.series.get())[1]
    make_prediction(
        case, findings=[{"instance": first, "row": 20, "column": 40, "diameter_mm": 24}]
    )
    open_case(desk, live_server, case, webgl=False)
    desk.locator('[data-action="mpr"]').click()
    desk.locator(".finding-jump").click()
    assert desk.evaluate("() => document.querySelector('ct-viewer').mpr.at") == {
        "row": 20,
        "column": 40,
    }
    desk.wait_for_function(AT_THE_CROSSHAIR)
    # Two slices, 20 mm, on: outside of the sphere, the axial plane shows it no more.
    desk.locator('[data-input="slice"]').fill("4")
    expect(desk.locator('[data-plane="axial"] .ctv-ring')).to_have_count(0)
    expect(desk.locator('[data-plane="coronal"] .ctv-ring')).to_have_count(1)
    desk.keyboard.press("a")
    expect(desk.locator(".ctv-mpr .ctv-ring")).to_have_count(0)


def test_a_measurement_of_the_technician_reaches_the_doctor(desk, live_server, case, people):
    instance = ordered_instances(case.study.series.get())[2]
    add_measurement(
        instance,
        request=request_of(people.technician),
        public_id="0b5c5a3e-6f0f-4a57-9a35-1d0c1a2b3c4d",
        kind="length",
        points=[[10, 10], [10, 20]],
    )
    open_case(desk, live_server, case, webgl=True)
    expect(desk.locator("svg.svg-layer")).to_contain_text(str(people.technician), timeout=20_000)
