"""Take the pictures of docs/screenshots from a running demo (synthetic patients only).

`make run` in one terminal, then `python -m scripts.screenshots [http://127.0.0.1:8000]`. An earlier
phantom study of the first patient is sent before, so that there is something to compare with.
"""

import io
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from apps.imaging.phantom import Nodule, PhantomSpec, chest_phantom, write_series

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
WEBGL = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PEOPLE = {
    "technician": ("technician@demo.example", "demo-technician"),
    "doctor": ("doctor@demo.example", "demo-doctor-1"),
    "admin": ("admin@demo.example", "demo-admin-01"),
}
PATIENT = "PHANTOM-1"
EARLIER = PhantomSpec(
    seed=11,
    slices=30,
    slice_spacing=5.0,
    nodules=(
        Nodule((-75.0, -20.0, 22.0), 9.0, spiculated=True),
        Nodule((70.0, 25.0, -18.0), 8.0),
    ),
)


def main(address: str) -> None:
    """Log in as each role and photograph its pages, the reading pages in both themes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=WEBGL)
        _send_earlier_study(_page(browser, address, "technician"))
        _technician(_page(browser, address, "technician"))
        _technician_case(_page(browser, address, "technician", theme="light"), "-light")
        _doctor(_page(browser, address, "doctor"))
        _reading(_page(browser, address, "doctor", theme="light"), "reading-light")
        _reading(_page(browser, address, "doctor", theme="dark", size=PHONE), "reading-phone")
        _admin(_page(browser, address, "admin"), address)
        browser.close()


def _page(
    browser: Browser, address: str, role: str, *, theme: str = "auto", size: dict = DESK
) -> Page:
    phone = size is PHONE
    context = browser.new_context(viewport=size, has_touch=phone, is_mobile=phone)
    context.add_init_script(f'localStorage.setItem("theme", "{theme}")')
    page = context.new_page()
    email, password = PEOPLE[role]
    page.goto(f"{address}/accounts/login/")
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Log out").wait_for()
    return page


def _send_earlier_study(page: Page) -> None:
    """Uploads and sends it as a technician does; what is known already is not sent again."""
    with TemporaryDirectory() as folder:
        paths = write_series(
            chest_phantom(EARLIER),
            Path(folder),
            patient_id=PATIENT,
            study_date="20230614",
            study_time="091500",
        )
        page.set_input_files('[data-input="files"]', paths)
        page.locator("[data-studies]").get_by_role("link", name="Open").click(timeout=60_000)
    _wait_for_image(page)
    send = page.get_by_role("button", name="Send to doctor")
    if send.count():
        page.get_by_role("button", name="That is all").click()
        page.get_by_role("button", name="That is all").wait_for(state="detached")
        send.click()
        page.wait_for_load_state("networkidle")


def _technician(page: Page) -> None:
    _take(page, "today")
    _technician_case(page, "")


def _technician_case(page: Page, theme: str) -> None:
    page.get_by_role("link", name="Open").first.click()
    _wait_for_image(page)
    _take(page, f"technician-case{theme}")


def _doctor(page: Page) -> None:
    _take(page, "worklist")
    _reading(page, "reading")
    page.locator('ct-viewer [data-action="mpr"]').click()
    _take(page, "planes")
    page.locator('ct-viewer [data-action="mpr"]').click()
    page.locator('ct-viewer [data-action="heatmap"]').click()
    page.locator('[data-overlay="heatmap"]').filter(has_text="heatmap:").wait_for()
    _take(page, "heatmap")
    page.locator('ct-viewer [data-action="heatmap"]').click()
    page.locator("[data-prior-study]").first.click()
    page.locator("ct-viewer[data-prior][data-ready]").wait_for(timeout=30_000)
    _take(page, "prior")


def _reading(page: Page, name: str) -> None:
    """The most pressing case, at the finding that is suspected most."""
    page.locator("tr[data-href]").first.click()
    _wait_for_image(page)
    page.locator("[data-finding-id] .finding-jump").first.click()
    page.locator("ct-viewer [data-finding]").first.wait_for()
    page.evaluate("() => scrollTo(0, 0)")
    _take(page, name)


def _admin(page: Page, address: str) -> None:
    _take(page, "operations")
    for name in ("models", "examples", "runs"):
        page.goto(f"{address}/operations/{name}/")
        _take(page, name)


def _wait_for_image(page: Page) -> None:
    page.locator("ct-viewer[data-measurements]").wait_for(timeout=30_000)


def _take(page: Page, name: str) -> None:
    """A PNG of 256 colours: a third of the size, and nobody sees it."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1000)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    small = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000")
