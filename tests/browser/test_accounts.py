"""One's own account in a real browser: passkeys, the display, the keys."""

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.tests.factories import PASSWORD
from apps.cases.tests.factories import make_case, small_phantom
from tests.people import log_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def with_virtual_key(page: Page) -> None:
    """A platform authenticator of Chromium's, which always says yes."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
    trust = {
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options | trust})


def test_a_passkey_is_added_and_then_opens_the_account_without_a_password(
    browser, live_server, people
):
    page = log_in(browser, live_server.url, people.owner.email)
    with_virtual_key(page)
    page.goto(f"{live_server.url}/accounts/second-factor/")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Name").fill("Ward computer")
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    expect(page.locator(".codes li")).to_have_count(10)
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Use a passkey instead").click()
    expect(page.get_by_role("link", name="Worklist")).to_be_visible()
    page.goto(f"{live_server.url}/accounts/second-factor/webauthn/")
    expect(page.get_by_role("cell", name="Ward computer")).to_be_visible()
    page.context.close()


def test_shortcuts_obey_the_profile(browser, live_server, people):
    for _ in range(2):
        make_case(people.home, status="sent", phantom=small_phantom(slices=1))
    page = log_in(browser, live_server.url, people.owner.email)
    chosen = page.locator("tr.selected")
    for keys, key, works in [("off", "j", False), ("alt", "j", False), ("alt", "Alt+j", True)]:
        people.owner.keys = keys
        people.owner.save()
        page.goto(f"{live_server.url}/doctor/")
        page.keyboard.press(key)
        page.wait_for_timeout(100)  # nothing happening takes a moment too
        expect(chosen).to_have_count(int(works))
    page.context.close()


def test_the_display_that_was_chosen_is_there_after_the_next_log_in(browser, live_server, people):
    page = log_in(browser, live_server.url, people.technician.email)
    page.get_by_role("button", name="Display and account").click()
    with page.expect_response("**/profile/theme/"):
        page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("button", name="Log out").click()
    page.context.close()
    page = log_in(browser, live_server.url, people.technician.email)
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.context.close()
