"""Second factor: admins must have one, others may; losing it, guessing it, resetting it."""

import subprocess
import sys
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.conf import settings
from django.test import Client, override_settings
from django.urls import reverse
from rest_framework.authtoken.models import Token

from apps.accounts.models import User
from apps.accounts.tests.factories import PASSWORD, make_user
from apps.audit.models import AuditEvent
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
ADMINS_MUST = override_settings(SECOND_FACTOR_ROLES=["admin"])
SETUP = "/accounts/second-factor/"


def with_app(user: User) -> str:
    """Give this person an authenticator app; its secret."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def digits(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def first_step(client: Client, user: User):
    form = {"login": user.email, "password": PASSWORD}
    return client.post(reverse("account_login"), form)


def once_more(client: Client) -> None:
    """What allauth asks before a factor is added or removed."""
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_the_program_itself_asks_admins_unless_it_is_a_demo():
    code = "from cancerprediction import settings; print(settings.SECOND_FACTOR_ROLES)"
    for demo, roles in (("0", ["doctor", "admin"]), ("1", ["doctor"])):
        env = {"SECRET_KEY": "x", "DEMO": demo, "SECOND_FACTOR_ROLES": "doctor"}
        run = [sys.executable, "-c", code]
        done = subprocess.run(
            run, cwd=settings.BASE_DIR, env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(roles)


@ADMINS_MUST
def test_an_admin_without_a_second_factor_can_only_set_one_up(people: People):
    client = logged_in(people.admin)
    for path in ("/operations/", "/admin/", "/admin/accounts/user/", "/doctor/break-glass/"):
        assert client.get(path).url == SETUP, path
    refused = client.get("/api/v1/models/")
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_needed")
    assert client.post("/operations/models/chest/rollback/").url == SETUP
    assert client.get(SETUP).status_code == 200
    with_app(people.admin)
    assert client.get("/operations/").status_code == 200


@ADMINS_MUST
def test_others_may_work_without_one(people: People):
    assert logged_in(people.owner).get("/doctor/").status_code == 200
    assert logged_in(people.technician).get("/labtech/").status_code == 200


@override_settings(SECOND_FACTOR_ROLES=["admin", "doctor"])
def test_a_policy_can_ask_doctors_too(people: People):
    assert logged_in(people.owner).get("/doctor/").url == SETUP
    assert logged_in(people.technician).get("/labtech/").status_code == 200


@ADMINS_MUST
def test_a_recovery_code_alone_is_no_second_factor(people: People):
    RecoveryCodes.activate(people.admin)
    assert logged_in(people.admin).get("/operations/").url == SETUP


@ADMINS_MUST
def test_tokens_of_programs_need_none(people: People, client):
    key = Token.objects.create(user=people.admin).key
    headers = {"Authorization": f"Token {key}"}
    assert client.get("/api/v1/models/", headers=headers).status_code == 200


def test_setting_up_an_app_gives_recovery_codes_and_is_recorded(
    people: People, client, django_capture_on_commit_callbacks
):
    first_step(client, people.owner)
    address = reverse("mfa_activate_totp")
    assert client.get(address).url.startswith(reverse("account_reauthenticate"))
    once_more(client)
    secret = client.get(address).context["form"].secret
    wrong = client.post(address, {"code": "000000"})
    assert "Incorrect code" in wrong.content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(address, {"code": digits(secret)}).status_code == 302
    kinds = set(Authenticator.objects.values_list("type", flat=True))
    assert kinds == {"totp", "recovery_codes"}
    events = AuditEvent.objects.filter(action=AuditEvent.Action.SECOND_FACTOR)
    assert {(e.actor, e.details["kind"]) for e in events} == {
        (people.owner.email, "totp"),
        (people.owner.email, "recovery_codes"),
    }


def test_secrets_are_not_readable_in_the_database(people: People):
    secret = with_app(people.owner)
    stored = Authenticator.objects.get().data
    assert secret not in str(stored)
    with override_settings(SECRET_KEY="another key, as after a restore elsewhere"):
        assert not Authenticator.objects.get().wrap().validate_code(digits(secret))
    assert Authenticator.objects.get().wrap().validate_code(digits(secret))


def test_the_password_alone_logs_nobody_in_who_has_an_app(people: People, client):
    secret = with_app(people.owner)
    assert first_step(client, people.owner).url == reverse("mfa_authenticate")
    assert not is_in(client)
    assert client.get("/doctor/").url.startswith("/accounts/login/")
    done = client.post(reverse("mfa_authenticate"), {"code": digits(secret)})
    assert done.url == reverse("home")
    assert is_in(client)
    assert AuditEvent.objects.filter(action=AuditEvent.Action.LOGGED_IN).count() == 1


def test_the_same_digits_do_not_work_twice(people: People):
    code = digits(with_app(people.owner))
    browsers = [Client(), Client()]
    for browser in browsers:
        first_step(browser, people.owner)
        browser.post(reverse("mfa_authenticate"), {"code": code})
    assert [is_in(browser) for browser in browsers] == [True, False]


def test_a_recovery_code_opens_once(people: People):
    with_app(people.owner)
    code = RecoveryCodes.activate(people.owner).get_unused_codes()[0]
    browsers = [Client(), Client()]
    for browser in browsers:
        first_step(browser, people.owner)
        browser.post(reverse("mfa_authenticate"), {"code": code})
    assert [is_in(browser) for browser in browsers] == [True, False]


def test_guessing_the_digits_is_stopped_and_recorded(people: People, client):
    secret = with_app(people.owner)
    first_step(client, people.owner)
    for _ in range(5):
        client.post(reverse("mfa_authenticate"), {"code": "000000"})
    late = client.post(reverse("mfa_authenticate"), {"code": digits(secret)})
    assert "Too many" in late.content.decode()
    assert not is_in(client)
    failed = AuditEvent.objects.filter(action=AuditEvent.Action.LOGIN_FAILED)
    assert {(e.actor, e.details.get("how")) for e in failed} == {
        (people.owner.email, "second factor")
    }


@ADMINS_MUST
def test_an_admin_keeps_the_last_factor(people: People, client):
    secret = with_app(people.admin)
    first_step(client, people.admin)
    client.post(reverse("mfa_authenticate"), {"code": digits(secret)})
    once_more(client)
    page = client.post(reverse("mfa_deactivate_totp"))
    assert "cannot deactivate" in page.content.decode()
    assert Authenticator.objects.exists()


def test_a_doctor_may_switch_it_off_again(people: People, client):
    secret = with_app(people.owner)
    first_step(client, people.owner)
    client.post(reverse("mfa_authenticate"), {"code": digits(secret)})
    once_more(client)
    client.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.exists()


def test_a_switched_off_account_gets_no_further_than_its_digits(client):
    user = make_user()
    secret = with_app(user)
    first_step(client, user)
    User.objects.filter(pk=user.pk).update(is_active=False)
    client.post(reverse("mfa_authenticate"), {"code": digits(secret)})
    assert not is_in(client) or client.get("/doctor/").status_code == 302


NO_PASSKEY = [
    *("", "{}", "[]", "7", "not json", '{"id": "x", "response": {}}'),
    '{"rawId": "eA", "id": "eA", "type": "public-key", "response": {"clientDataJSON": "eA",'
    ' "authenticatorData": "eA", "signature": "eA", "userHandle": "eA"}}',
]


@pytest.mark.parametrize("credential", NO_PASSKEY)
def test_a_passkey_that_is_none_is_refused_in_words(people: People, client, credential):
    client.get(reverse("mfa_login_webauthn"), headers={"Accept": "application/json"})
    page = client.post(reverse("mfa_login_webauthn"), {"credential": credential}, follow=True)
    assert page.redirect_chain == [(reverse("account_login"), 302)]
    assert not is_in(client)
    first_step(client, people.owner)
    once_more(client)
    client.get(reverse("mfa_add_webauthn"))
    added = client.post(reverse("mfa_add_webauthn"), {"credential": credential})
    assert added.status_code == 200
    assert added.context["form"].errors
