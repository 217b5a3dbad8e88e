"""The fixed people of the tests: one who owns a case, a teammate, and strangers."""

import time
from dataclasses import dataclass, field

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from apps.accounts.middleware import LOGGED_IN_AT, SEEN_AT
from apps.accounts.models import ReadingGroup, Site, User
from apps.accounts.permissions import Role
from apps.accounts.tests.factories import PASSWORD, make_group, make_site, make_user


@dataclass(frozen=True)
class People:
    """Two hospitals: everybody works at `home` but the strangers, who work `elsewhere`."""

    home: Site
    elsewhere: Site
    technician: User
    owner: User
    teammate: User
    colleague: User
    admin: User
    stranger: User
    foreign_technician: User
    group: ReadingGroup = field(repr=False)


@pytest.fixture
def people(db: None) -> People:
    """`owner` receives cases; `teammate` shares a reading group with them; `colleague` does not.

    `stranger` is a doctor, `foreign_technician` a technician of the other hospital.
    """
    home, elsewhere = make_site("Home hospital"), make_site("Other hospital")
    owner, teammate = make_user(Role.DOCTOR, site=home), make_user(Role.DOCTOR, site=home)
    return People(
        home=home,
        elsewhere=elsewhere,
        technician=make_user(Role.LABTECH, site=home),
        owner=owner,
        teammate=teammate,
        colleague=make_user(Role.DOCTOR, site=home),
        admin=make_user(Role.ADMIN, site=home),
        stranger=make_user(Role.DOCTOR, site=elsewhere),
        foreign_technician=make_user(Role.LABTECH, site=elsewhere),
        group=make_group(owner, teammate),
    )


def logged_in(user: User) -> Client:
    """A browser in which this user has logged in, and was just seen."""
    client = Client()
    client.force_login(user)
    session = client.session
    session[LOGGED_IN_AT] = session[SEEN_AT] = int(time.time())
    session.save()
    return client


def log_in(browser: Browser, base_url: str, email: str) -> Page:
    """A window in which this person has logged in through the form, cookies of its own."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(f"{base_url}/accounts/login/")
    page.fill("input[name=login]", email)
    page.fill("input[name=password]", PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    return page
