"""Logging in and out: by e-mail, no sign-up, limited attempts, nothing left in the browser."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.permissions import Role
from apps.accounts.tests.factories import PASSWORD, make_user
from apps.audit.models import AuditEvent
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
NEW_PASSWORD = "another long phrase"


def log_in(client: Client, email: str, password: str = PASSWORD, **extra):
    return client.post(reverse("account_login"), {"login": email, "password": password, **extra})


@pytest.mark.parametrize("role", list(Role))
def test_each_role_logs_in_by_email_and_lands_on_its_own_page(client, role):
    user = make_user(role)
    response = log_in(client, user.email)
    assert response.url == reverse("home")
    landing = client.get(response.url).url
    portal = {"labtech": "/labtech/", "doctor": "/doctor/", "admin": "/operations/"}[role]
    assert landing.startswith(portal)


def test_the_address_is_accepted_in_any_case(client):
    make_user(email="kim@hospital.example")
    assert log_in(client, "Kim@Hospital.EXAMPLE").status_code == 302


def test_two_accounts_never_share_an_address_in_other_letters():
    make_user(email="kim@hospital.example")
    twin = make_user(email="kim2@hospital.example")
    twin.email = "KIM@hospital.example"
    with pytest.raises(IntegrityError, match="one_account_per_address"):
        twin.save()


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(client):
    user = make_user()
    wrong = log_in(client, user.email, "not the password")
    unknown = log_in(client, "nobody@hospital.example")
    assert wrong.status_code == unknown.status_code == 200
    errors = [response.context["form"].errors for response in (wrong, unknown)]
    assert errors[0] == errors[1]


def test_a_switched_off_account_cannot_log_in(client):
    user = make_user(is_active=False)
    log_in(client, user.email)
    assert "_auth_user_id" not in client.session


def test_switching_an_account_off_ends_its_session_at_once(people: People):
    client = logged_in(people.owner)
    assert client.get(reverse("account_change_password")).status_code == 200
    User.objects.filter(pk=people.owner.pk).update(is_active=False)
    assert client.get(reverse("account_change_password")).url.startswith(reverse("account_login"))


def test_nobody_can_sign_up(client):
    page = client.get(reverse("account_signup"))
    assert "Nobody signs up here" in page.content.decode()
    client.post(
        reverse("account_signup"),
        {"email": "new@example.org", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD},
    )
    assert not User.objects.exists()


def test_after_five_failures_for_one_address_even_the_right_password_must_wait(client):
    user = make_user()
    for _ in range(5):
        log_in(client, user.email, "not the password")
    response = log_in(client, user.email)
    assert "_auth_user_id" not in client.session
    assert "Too many failed" in response.content.decode()


def test_the_next_page_must_be_our_own(client):
    response = log_in(client, make_user().email, next="https://elsewhere.example/")
    assert response.url == reverse("home")


def test_logging_out_by_get_only_asks(people: People):
    client = logged_in(people.owner)
    response = client.get(reverse("account_logout"))
    assert response.status_code == 200
    assert "_auth_user_id" in client.session


@pytest.mark.parametrize("address", ["/accounts/logout/", "/admin/logout/"])
def test_logging_out_makes_the_browser_forget_the_images(people: People, address):
    client = logged_in(people.admin)
    response = client.post(address)
    assert response.status_code == 302
    assert response["Clear-Site-Data"] == '"cache", "storage"'
    assert "_auth_user_id" not in client.session


def test_logging_out_needs_the_form_of_our_own_page(people: People):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.owner)
    assert client.post(reverse("account_logout")).status_code == 403


def test_changing_the_password_logs_other_browsers_out_and_is_recorded(people: People):
    here, elsewhere = logged_in(people.owner), logged_in(people.owner)
    response = here.post(
        reverse("account_change_password"),
        {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD},
    )
    assert response.status_code == 302
    assert here.get(reverse("account_change_password")).status_code == 200
    assert elsewhere.get(reverse("account_change_password")).status_code == 302
    event = AuditEvent.objects.get(action=AuditEvent.Action.PASSWORD_CHANGED)
    assert event.actor == people.owner.email


@pytest.mark.parametrize("password", ["short", "1234567890123", "password1234"])
def test_a_weak_password_is_refused(people: People, password):
    form = {"oldpassword": PASSWORD, "password1": password, "password2": password}
    response = logged_in(people.owner).post(reverse("account_change_password"), form)
    assert response.status_code == 200
    assert response.context["form"].errors


def test_a_forgotten_password_is_reset_by_the_link_in_the_mail(client):
    user = make_user()
    client.post(reverse("account_reset_password"), {"email": user.email})
    link = re.search(r"https?://[^/]+(/\S+)", mail.outbox[0].body).group(1)
    page = client.get(link, follow=True)
    form = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    client.post(page.redirect_chain[-1][0], form)
    assert log_in(client, user.email, NEW_PASSWORD).status_code == 302
    reset = AuditEvent.objects.get(action=AuditEvent.Action.PASSWORD_CHANGED)
    assert (reset.actor, reset.details) == (user.email, {"how": "link by e-mail"})


def test_asking_for_a_reset_does_not_tell_whether_an_account_exists(client):
    known = client.post(reverse("account_reset_password"), {"email": make_user().email})
    unknown = client.post(reverse("account_reset_password"), {"email": "no@hospital.example"})
    assert (known.status_code, known.url) == (unknown.status_code, unknown.url)


def test_the_session_cookie_is_out_of_reach_for_scripts(client):
    log_in(client, make_user().email)
    cookie = client.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_an_address_that_was_changed_opens_the_account_no_more(people: People):
    EmailAddress.objects.create(user=people.owner, email=people.owner.email, verified=True)
    old = people.owner.email
    logged_in(people.admin).post(
        reverse("admin:accounts_user_change", args=[people.owner.pk]),
        {
            "email": "New@Hospital.example",
            "role": "doctor",
            "site": people.home.pk,
            "is_active": "on",
        },
    )
    client = Client()
    assert log_in(client, old).status_code == 200
    assert log_in(client, "new@hospital.example").status_code == 302
