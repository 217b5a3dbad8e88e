"""Audit rows: who, when, what, from where; and what failed log-ins leave."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import RequestFactory
from django.urls import reverse

from apps.accounts.failed_logins import record_refused
from apps.accounts.tests.factories import PASSWORD
from apps.audit.models import AuditEvent
from apps.audit.services import client_address, record
from apps.cases.tests.factories import make_case
from tests.people import People, logged_in


def request_from(remote: str, forwarded: str = "", **headers: str):
    if forwarded:
        headers["X-Forwarded-For"] = forwarded
    return RequestFactory().get("/", headers=headers, REMOTE_ADDR=remote)


def test_a_row_says_who_what_and_from_where(people: People):
    case = make_case(people.home)
    request = request_from("192.0.2.7", **{"User-Agent": "Reading room browser"})
    request.user = people.owner
    event = record(AuditEvent.Action.VIEWED, request=request, target=case, page="case")
    event.refresh_from_db()
    assert (event.actor, event.actor_pk) == (people.owner.email, people.owner.pk)
    assert (event.actor_role, event.site_pk) == ("doctor", people.home.pk)
    assert (event.target_type, event.target_id) == ("cases.case", str(case.pk))
    assert (event.address, event.user_agent) == ("192.0.2.7", "Reading room browser")
    assert event.details == {"page": "case"}


def test_the_actor_stays_readable_after_the_account_got_another_address(people: People):
    event = record(AuditEvent.Action.LOGGED_IN, user=people.owner)
    before = people.owner.email
    people.owner.email = "renamed@hospital.example"
    people.owner.save()
    event.refresh_from_db()
    assert event.actor == before


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "expected"),
    [
        (0, "192.0.2.7", "", "192.0.2.7"),
        (0, "192.0.2.7", "203.0.113.9", "192.0.2.7"),
        (1, "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        (1, "10.0.0.1", "198.51.100.66, 203.0.113.9", "203.0.113.9"),
        (2, "10.0.0.1", "198.51.100.66, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        (2, "10.0.0.1", "203.0.113.9", "10.0.0.1"),
        (1, "10.0.0.1", "not an address", None),
        (0, "", "", None),
        (0, "fe80::1%eth0", "", "fe80::1"),
    ],
)
def test_only_our_own_proxies_are_believed(settings, proxies, remote, forwarded, expected):
    settings.TRUSTED_PROXIES = proxies
    assert client_address(request_from(remote, forwarded)) == expected


def test_an_unprintable_user_agent_is_stored_without_the_rubbish(people: People):
    request = request_from("192.0.2.7", **{"User-Agent": "Browser\x00\x1b[31m" + "x" * 300})
    request.user = people.owner
    event = record(AuditEvent.Action.VIEWED, request=request)
    event.refresh_from_db()
    assert event.user_agent.startswith("Browser[31mxxx")
    assert len(event.user_agent) == 200


def test_log_in_and_log_out_are_recorded(people: People, client):
    cache.clear()
    client.post(reverse("account_login"), {"login": people.owner.email, "password": PASSWORD})
    client.post(reverse("account_logout"))
    actions = AuditEvent.objects.order_by("id").values_list("action", "actor")
    assert list(actions) == [("logged_in", people.owner.email), ("logged_out", people.owner.email)]


def test_a_failed_log_in_is_recorded_with_the_address_tried_and_without_the_password(
    people: People, client
):
    cache.clear()
    form = {"login": people.owner.email, "password": "a wrong guess"}
    client.post(reverse("account_login"), form, REMOTE_ADDR="198.51.100.66")
    event = AuditEvent.objects.get(action=AuditEvent.Action.LOGIN_FAILED)
    assert (event.actor, event.actor_pk, event.address) == (
        people.owner.email,
        None,
        "198.51.100.66",
    )
    assert "guess" not in str(vars(event))


def test_guessing_without_end_does_not_fill_the_trail(people: People, client):
    cache.clear()
    for number in range(30):
        form = {"login": f"guess{number}@hospital.example", "password": "a wrong guess"}
        client.post(reverse("account_login"), form)
    failed = AuditEvent.objects.filter(action=AuditEvent.Action.LOGIN_FAILED).order_by("id")
    assert [one.details for one in failed] == [{}] * 10 + [{"how": "throttled"}]


def test_an_attempt_that_is_throttled_is_recorded_with_the_address_tried(people: People, client):
    cache.clear()
    form = {"login": people.owner.email, "password": "a wrong guess"}
    for _ in range(6):
        answer = client.post(reverse("account_login"), form, REMOTE_ADDR="198.51.100.66")
    assert "Too many" in answer.content.decode()
    event = AuditEvent.objects.filter(action=AuditEvent.Action.LOGIN_FAILED).first()
    assert (event.actor, event.address, event.details) == (
        people.owner.email,
        "198.51.100.66",
        {"how": "throttled"},
    )
    assert "guess" not in str(vars(event))


def test_a_throttled_attempt_a_minute_later_is_recorded_again(people: People, monkeypatch):
    request = RequestFactory().post("/", REMOTE_ADDR="198.51.100.66")
    record_refused(request, how="throttled", actor=people.owner.email)
    record_refused(request, how="throttled", actor=people.owner.email)
    assert AuditEvent.objects.count() == 1
    monkeypatch.setattr("apps.accounts.failed_logins.QUIET", timedelta(0))
    record_refused(request, how="throttled", actor=people.owner.email)
    assert AuditEvent.objects.count() == 2


@pytest.mark.parametrize("size", [10, 2 * 1024 * 1024])
def test_a_wrong_token_is_recorded_and_never_the_token(people: People, client, size):
    sent = {"authorization": "Token 0123456789abcdef"}
    for _ in range(3):
        answer = client.post(
            reverse("break_glass"), b" " * size, content_type="application/json", headers=sent
        )
        assert answer.status_code == 401
    event = AuditEvent.objects.get(action=AuditEvent.Action.LOGIN_FAILED)
    assert (event.actor_pk, event.details, event.address) == (None, {"how": "token"}, "127.0.0.1")
    assert "0123456789abcdef" not in str(vars(event))


def test_the_trail_in_admin_can_be_searched_and_opened_but_not_touched(people: People):
    event = record(AuditEvent.Action.VIEWED, user=people.owner)
    client = logged_in(people.admin)
    listed = client.get(reverse("admin:audit_auditevent_changelist"), {"q": people.owner.email})
    assert people.owner.email in listed.content.decode()
    one = reverse("admin:audit_auditevent_change", args=[event.pk])
    assert client.get(one).status_code == 200
    assert client.post(one, {"actor": "somebody else"}).status_code == 403
    assert client.get(reverse("admin:audit_auditevent_add")).status_code == 403
    delete = reverse("admin:audit_auditevent_delete", args=[event.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403
