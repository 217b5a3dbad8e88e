"""Take the pictures of docs/screenshots from a running demo (synthetic patients only).

`make run` in one terminal, then `python -m scripts.screenshots [http://127.0.0.1:8000]`.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
WEBGL = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PEOPLE = {
    "technician": ("technician@demo.example", "demo-technician"),
    "doctor": ("doctor@demo.example", "demo-doctor-1"),
    "admin": ("admin@demo.example", "demo-admin-01"),
}


def main(address: str) -> None:
    """Log in as each role and photograph its pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=WEBGL)
        _technician(_page(browser, address, "technician"))
        _doctor(_page(browser, address, "doctor"))
        _admin(_page(browser, address, "admin"), address)
        browser.close()


def _page(browser: Browser, address: str, role: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    email, password = PEOPLE[role]
    page.goto(f"{address}/accounts/login/")
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Log out").wait_for()
    return page


def _technician(page: Page) -> None:
    _take(page, "today")
    page.get_by_role("link", name="Open").first.click()
    _wait_for_image(page)
    _take(page, "technician-case")


def _doctor(page: Page) -> None:
    _take(page, "worklist")
    page.locator("tr[data-href]").first.click()
    _wait_for_image(page)
    page.locator("[data-finding-id] .finding-jump").first.click()
    _take(page, "reading")
    page.locator('ct-viewer [data-action="mpr"]').click()
    _take(page, "planes")
    page.locator('ct-viewer [data-action="mpr"]').click()
    page.locator('ct-viewer [data-action="heatmap"]').click()
    _take(page, "heatmap")
    if page.locator("[data-prior-study]").count():
        page.locator("[data-prior-study]").first.click()
        page.locator("ct-viewer[data-prior][data-ready]").wait_for(timeout=30_000)
        _take(page, "prior")


def _admin(page: Page, address: str) -> None:
    _take(page, "operations")
    for name in ("models", "examples", "runs"):
        page.goto(f"{address}/operations/{name}/")
        _take(page, name)


def _wait_for_image(page: Page) -> None:
    page.locator("ct-viewer[data-ready]").wait_for(timeout=30_000)


def _take(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000")
