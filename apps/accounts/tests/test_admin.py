"""People in Django admin: changes are recorded, and nobody can lock everybody out."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse
from rest_framework.authtoken.models import Token

from apps.accounts.models import ReadingGroup, User
from apps.accounts.permissions import Role
from apps.accounts.tests.factories import make_group, make_user
from apps.audit.models import AuditEvent
from tests.people import People, logged_in

NEW_PASSWORD = "another long phrase"


def change_url(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def form_of(user: User, **changes) -> dict:
    form = {
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "role": user.role,
        "site": user.site_id,
        "is_active": "on" if user.is_active else "",
        **changes,
    }
    return {name: value for name, value in form.items() if value != ""}


def changes_recorded() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=AuditEvent.Action.ADMIN_CHANGED).order_by("id"))


@pytest.mark.parametrize("person", ["technician", "owner"])
def test_django_admin_is_closed_to_everybody_else(people: People, person):
    response = logged_in(getattr(people, person)).get(reverse("admin:index"))
    assert response.status_code == 302
    assert reverse("admin:login") in response.url


def test_an_admin_creates_somebody_who_can_then_log_in(people: People, client):
    form = {
        "email": "Nadia@Hospital.example",
        "role": "doctor",
        "site": people.home.pk,
        "password1": NEW_PASSWORD,
        "password2": NEW_PASSWORD,
    }
    logged_in(people.admin).post(reverse("admin:accounts_user_add"), form)
    nadia = User.objects.get(email="nadia@hospital.example")
    assert (nadia.role, nadia.site) == ("doctor", people.home)
    assert client.login(email=nadia.email, password=NEW_PASSWORD)
    (event,) = changes_recorded()
    assert (event.actor, event.target_id) == (people.admin.email, str(nadia.pk))
    assert NEW_PASSWORD not in str(event.details)


def test_a_change_of_role_and_site_is_recorded_with_old_and_new(people: People):
    form = form_of(people.owner, role="labtech", site=people.elsewhere.pk)
    logged_in(people.admin).post(change_url(people.owner), form)
    (event,) = changes_recorded()
    assert event.details["values"] == {
        "role": ["doctor", "labtech"],
        "site": [people.home.pk, people.elsewhere.pk],
    }


def test_saving_without_a_change_records_nothing(people: People):
    logged_in(people.admin).post(change_url(people.owner), form_of(people.owner))
    assert changes_recorded() == []


def test_setting_a_password_is_recorded_without_the_password(people: People):
    form = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "set-password": "1"}
    address = reverse("admin:auth_user_password_change", args=[people.owner.pk])
    logged_in(people.admin).post(address, form)
    people.owner.refresh_from_db()
    assert people.owner.check_password(NEW_PASSWORD)
    (event,) = changes_recorded()
    assert event.details == {"step": "changed", "fields": ["password"], "values": {}}


@pytest.mark.parametrize("lost", [{"role": "doctor"}, {"is_active": ""}])
def test_the_last_active_admin_stays_one(people: People, lost):
    make_user(Role.ADMIN, is_active=False)
    response = logged_in(people.admin).post(change_url(people.admin), form_of(people.admin, **lost))
    assert "last active admin" in response.content.decode()
    people.admin.refresh_from_db()
    assert (people.admin.role, people.admin.is_active) == (Role.ADMIN, True)


def test_an_admin_can_be_switched_off_while_another_one_stays(people: People):
    other = make_user(Role.ADMIN)
    logged_in(people.admin).post(change_url(other), form_of(other, is_active=""))
    other.refresh_from_db()
    assert not other.is_active


def test_people_and_sites_are_never_deleted(people: People):
    client = logged_in(people.admin)
    for name, row in (("user", people.owner), ("site", people.home)):
        address = reverse(f"admin:accounts_{name}_delete", args=[row.pk])
        assert client.post(address, {"post": "yes"}).status_code == 403
        form = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        client.post(reverse(f"admin:accounts_{name}_changelist"), form)
    assert User.objects.filter(pk=people.owner.pk).exists()


def test_whoever_changes_site_leaves_the_reading_groups(people: People):
    form = form_of(people.owner, site=people.elsewhere.pk)
    logged_in(people.admin).post(change_url(people.owner), form)
    assert people.owner not in people.group.members.all()
    assert people.teammate in people.group.members.all()


@pytest.mark.parametrize("person", ["technician", "stranger"])
def test_only_doctors_of_the_site_join_a_reading_group(people: People, person):
    member = getattr(people, person)
    form = {"name": "Lungs", "site": people.home.pk, "members": [member.pk]}
    response = logged_in(people.admin).post(reverse("admin:accounts_readinggroup_add"), form)
    assert "is not a doctor of this site" in response.content.decode()
    assert not ReadingGroup.objects.filter(name="Lungs").exists()


def test_who_joined_or_left_a_group_is_recorded(people: People):
    group = make_group(people.owner)
    form = {"name": group.name, "site": people.home.pk, "members": [people.teammate.pk]}
    address = reverse("admin:accounts_readinggroup_change", args=[group.pk])
    logged_in(people.admin).post(address, form)
    (event,) = changes_recorded()
    assert event.details["values"] == {"members": [[people.owner.pk], [people.teammate.pk]]}


def test_a_token_is_shown_once_and_never_recorded(people: People):
    client = logged_in(people.admin)
    address = reverse("admin:accounts_apitoken_add")
    page = client.post(address, {"user": people.owner.pk}, follow=True)
    key = Token.objects.get(user=people.owner).key
    assert key in page.content.decode()
    assert key not in client.get(reverse("admin:accounts_apitoken_changelist")).content.decode()
    assert all(key not in str(event.details) for event in changes_recorded())


def test_the_key_of_a_token_is_on_no_page_after_the_first_and_not_in_the_admin_log(people: People):
    client = logged_in(people.admin)
    client.post(reverse("admin:accounts_apitoken_add"), {"user": people.owner.pk}, follow=True)
    key = Token.objects.get(user=people.owner).key
    pages = [reverse("admin:index"), reverse("admin:accounts_apitoken_changelist")] + [
        reverse(f"admin:accounts_apitoken_{name}", args=[people.owner.pk])
        for name in ("change", "history", "delete")
    ]
    for address in pages:
        page = client.get(address)
        assert page.status_code == 200, address
        assert key not in page.content.decode(), address
    gone = client.post(pages[-1], {"post": "yes"}, follow=True)
    assert key not in gone.content.decode()
    assert not Token.objects.exists()
    logged = LogEntry.objects.values_list("object_repr", flat=True)
    assert list(logged) == [f"token of {people.owner}"] * 2


def test_deleting_a_token_closes_the_api_and_is_recorded(people: People, client):
    key = Token.objects.create(user=people.owner).key
    headers = {"Authorization": f"Token {key}"}
    assert client.get(reverse("schema"), headers=headers).status_code == 200
    address = reverse("admin:accounts_apitoken_delete", args=[people.owner.pk])
    logged_in(people.admin).post(address, {"post": "yes"})
    assert client.get(reverse("schema"), headers=headers).status_code == 401
    (event,) = changes_recorded()
    assert event.details == {"step": "deleted"}


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_demote_each_other_at_once_leave_one():
    pair = [make_user(Role.ADMIN), make_user(Role.ADMIN)]
    browsers = [logged_in(admin) for admin in pair]
    start = Barrier(2)

    def demote(browser: Client, victim: User) -> None:
        start.wait()
        browser.post(change_url(victim), form_of(victim, role="doctor"))
        connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(demote, browsers, reversed(pair)))
    assert User.objects.filter(role=Role.ADMIN).count() == 1
