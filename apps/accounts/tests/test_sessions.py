"""Sessions: they end unused, end of age, are listed, and can be ended; and the profile."""

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import reverse

from apps.accounts.middleware import LOGGED_IN_AT, SEEN_AT
from apps.accounts.models import User
from apps.accounts.tests.factories import PASSWORD
from apps.audit.models import AuditEvent
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
WORKLIST = "/doctor/"


def at_work(user: User) -> Client:
    """A browser in which this person has logged in and opened a page."""
    client = Client()
    client.force_login(user)
    client.get("/accounts/profile/")
    return client


def earlier(client: Client, **seconds: int) -> None:
    """As if these things had happened so much earlier."""
    session = client.session
    for name, ago in seconds.items():
        session[name] -= ago
    session.save()


def ended_because() -> str:
    event = AuditEvent.objects.filter(action=AuditEvent.Action.LOGGED_OUT).get()
    return event.details["because"]


def test_a_session_that_nobody_uses_ends(people: People):
    client = logged_in(people.owner)
    assert client.get(WORKLIST).status_code == 200
    earlier(client, **{SEEN_AT: 3599})
    assert client.get(WORKLIST).status_code == 200
    earlier(client, **{SEEN_AT: 3600})
    answer = client.get(WORKLIST)
    assert answer.url.startswith("/accounts/login/")
    assert answer["Clear-Site-Data"] == '"cache"'
    assert ended_because() == "not used"


def test_a_page_that_refreshes_by_itself_keeps_no_session_alive(people: People):
    client = logged_in(people.owner)
    client.get(WORKLIST)
    earlier(client, **{SEEN_AT: 1800})
    client.get("/doctor/rows/", headers={"X-By-Itself": "1"})
    earlier(client, **{SEEN_AT: 1800})
    answer = client.get(
        "/doctor/rows/",
        headers={
            "X-By-Itself": "1",
            "HX-Request": "true",
            "HX-Current-URL": "http://testserver/doctor/",
        },
    )
    # The page stays as it is, with what was typed; the log-in is not put into a part of it.
    assert answer.status_code == 401
    assert answer.content.decode().startswith("You are logged out")
    assert "_auth_user_id" not in client.session


def test_even_a_session_in_use_ends_with_its_age(people: People):
    client = logged_in(people.owner)
    client.get(WORKLIST)
    earlier(client, **{LOGGED_IN_AT: 10 * 3600})
    assert client.get(WORKLIST).url.startswith("/accounts/login/")
    assert ended_because() == "too old"


def test_use_is_noted_once_a_minute(people: People):
    client = at_work(people.owner)
    before = UserSession.objects.get().last_seen_at
    client.get("/accounts/profile/")
    assert UserSession.objects.get().last_seen_at == before
    earlier(client, **{SEEN_AT: 61})
    client.get("/accounts/profile/")
    assert UserSession.objects.get().last_seen_at > before


def test_sessions_of_an_older_version_are_listed_too(people: People):
    client = at_work(people.owner)
    UserSession.objects.all().delete()
    earlier(client, **{SEEN_AT: 61})
    assert "this one" in client.get(reverse("usersessions_list")).content.decode()


def test_one_sees_and_ends_only_ones_own_sessions(people: People):
    here, there, other = (at_work(p) for p in (people.owner, people.owner, people.colleague))
    number = UserSession.objects.get(session_key=there.session.session_key).pk
    foreign = UserSession.objects.get(session_key=other.session.session_key).pk
    for pk in (number, number, foreign, 2**62):
        assert here.post(reverse("end_session", args=[pk])).status_code == 302
    assert here.get(WORKLIST).status_code == other.get(WORKLIST).status_code == 200
    assert there.get(WORKLIST).status_code == 302
    event = AuditEvent.objects.get(action=AuditEvent.Action.SESSIONS_ENDED)
    assert (event.actor, event.details) == (people.owner.email, {"number": 1})


def test_logging_out_everywhere_else_stays_here(people: People):
    here, *others = (at_work(people.owner) for _ in range(3))
    page = here.post(reverse("usersessions_list"), follow=True)
    assert "in 2 other places" in page.content.decode()
    assert [one.get(WORKLIST).status_code for one in (here, *others)] == [200, 302, 302]


def test_the_session_list_names_the_address_that_our_proxy_names(people: People, settings):
    settings.TRUSTED_PROXIES = settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    form = {"login": people.owner.email, "password": PASSWORD}
    headers = {"X-Forwarded-For": "203.0.113.9"}
    Client().post(reverse("account_login"), form, headers=headers)
    assert UserSession.objects.get().ip == "203.0.113.9"


def form_of(**changes) -> dict:
    plain = {"first_name": "Ana", "last_name": "Silva", "time_zone": "", "theme": "auto"}
    return {**plain, "keys": "", **changes}


def test_times_are_shown_in_the_zone_of_the_profile(people: People):
    client = at_work(people.owner)
    address = reverse("profile")
    client.post(address, form_of(time_zone="Asia/Tokyo"))
    UserSession.objects.update(created_at="2026-03-01T20:30:00Z")
    page = client.get(reverse("usersessions_list")).content.decode()
    assert "2 Mar 2026, 05:30" in page
    event = AuditEvent.objects.get(action=AuditEvent.Action.PROFILE_CHANGED)
    assert set(event.details["fields"]) == {"first_name", "last_name", "time_zone"}


@pytest.mark.parametrize("wrong", [{"time_zone": "Mars/Olympus"}, {"theme": "pink"}, {"keys": "x"}])
def test_a_profile_that_cannot_be_is_refused(people: People, wrong):
    assert logged_in(people.owner).post(reverse("profile"), form_of(**wrong)).status_code == 422
    people.owner.refresh_from_db()
    assert people.owner.first_name != "Ana"


def test_the_display_is_there_after_the_next_log_in(people: People):
    client = logged_in(people.owner)
    assert client.post(reverse("profile_theme"), {"theme": "dark"}).status_code == 204
    assert client.post(reverse("profile_theme"), {"theme": "pink"}).status_code == 400
    assert 'data-theme-saved="dark"' in logged_in(people.owner).get(WORKLIST).content.decode()


def test_a_browser_is_named_in_words(people: People):
    client = Client()
    client.force_login(people.owner)
    agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Gecko/20100101 Firefox/128.0"
    client.get("/accounts/profile/", headers={"User-Agent": agent})
    assert ">Firefox, Windows<" in client.get(reverse("usersessions_list")).content.decode()
