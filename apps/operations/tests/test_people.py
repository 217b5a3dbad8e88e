"""People, settings, the audit trail as CSV, the charts: what admins do about accounts."""

import csv
import io
import re
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core import mail
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import Role
from apps.accounts.tests.factories import make_user, request_of
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases.services import break_glass
from apps.cases.tests.factories import make_case
from apps.operations.trends import DAYS, trends
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
NEW = {"email": "Nadia@Hospital.example", "first_name": "Nadia", "last_name": "Karim"}
PASSWORD = "another long phrase"


def act(people: People, user: User, step: str) -> str:
    address = reverse("operations:person_act", args=[user.pk, step])
    return logged_in(people.admin).post(address, follow=True).content.decode()


def at_work(user: User) -> Client:
    client = Client()
    client.force_login(user)
    client.get("/accounts/profile/")
    return client


def choose_password(link: str) -> Client:
    client = Client()
    path = re.search(r"https?://[^/]+(/\S+/)", link).group(1)
    page = client.get(path, follow=True)
    form = {"password1": PASSWORD, "password2": PASSWORD}
    client.post(page.redirect_chain[-1][0], form)
    return client


def test_whoever_is_invited_chooses_a_password_by_the_mail(people: People):
    form = {**NEW, "role": "doctor", "site": people.home.pk}
    logged_in(people.admin).post(reverse("operations:invite"), form)
    nadia = User.objects.get(email="nadia@hospital.example")
    assert not nadia.has_usable_password()
    (letter,) = mail.outbox
    assert letter.to == [nadia.email]
    choose_password(letter.body)
    assert Client().login(email=nadia.email, password=PASSWORD)
    event = AuditEvent.objects.get(action=AuditEvent.Action.INVITED)
    assert (event.target_id, event.details["role"]) == (str(nadia.pk), "doctor")


@override_settings(EMAIL_BACKEND="django.core.mail.backends.dummy.EmailBackend")
def test_without_mail_the_admin_gets_the_link_once(people: People):
    form = {**NEW, "role": "labtech", "site": people.home.pk}
    page = logged_in(people.admin).post(reverse("operations:invite"), form).content.decode()
    link = re.search(r'id="link">(\S+)</p>', page).group(1)
    choose_password(link)
    assert Client().login(email="nadia@hospital.example", password=PASSWORD)
    again = Client().get(re.search(r"https?://[^/]+(/\S+/)", link).group(1), follow=True)
    assert "This link does not work any more" in again.content.decode()
    assert not mail.outbox
    assert link not in str(list(AuditEvent.objects.values_list("details", flat=True)))


def test_an_address_that_is_in_use_is_not_invited_again(people: People):
    form = {**NEW, "email": people.owner.email.upper(), "role": "doctor", "site": people.home.pk}
    page = logged_in(people.admin).post(reverse("operations:invite"), form)
    assert page.status_code == 422
    assert "This e-mail is in use" in page.content.decode()


def test_switching_off_logs_out_at_once_and_can_be_undone(people: People):
    browser = at_work(people.owner)
    act(people, people.owner, "switch-off")
    assert browser.get("/doctor/").status_code == 302
    assert "can log in again" in act(people, people.owner, "switch-on")
    people.owner.refresh_from_db()
    assert people.owner.is_active
    changes = AuditEvent.objects.filter(action="admin_changed").order_by("id")
    values = [one.details["values"]["is_active"] for one in changes]
    assert values == [[True, False], [False, True]]


def test_a_lost_second_factor_is_reset_and_its_sessions_end(people: People):
    TOTP.activate(people.owner, generate_totp_secret())
    browser = at_work(people.owner)
    act(people, people.owner, "reset-factor")
    assert not Authenticator.objects.exists()
    assert browser.get("/doctor/").status_code == 302
    assert "Nothing was changed" in act(people, people.owner, "reset-factor")


def test_somebody_is_logged_out_everywhere(people: People):
    browsers = [at_work(people.owner), at_work(people.owner)]
    assert "logged out in 2 places" in act(people, people.owner, "log-out")
    assert {one.get("/doctor/").status_code for one in browsers} == {302}


def test_nobody_does_it_to_themselves_and_an_admin_stays(people: People):
    for step in ("switch-off", "reset-factor", "log-out"):
        assert "your own account" in act(people, people.admin, step)
    assert User.objects.filter(role=Role.ADMIN, is_active=True).count() == 1


def test_an_unknown_step_or_person_is_not_found(people: People):
    client = logged_in(people.admin)
    for address in (f"{people.owner.pk}/delete", "999999/log-out", f"{2**63}/log-out"):
        assert client.post(f"/operations/people/{address}/").status_code in {400, 404}


def test_the_list_of_people_costs_the_same_for_many(people: People, django_assert_max_num_queries):
    client = logged_in(people.admin)
    client.get(reverse("operations:people"))
    with django_assert_max_num_queries(9):
        client.get(reverse("operations:people"))
    for _ in range(12):
        make_user()
    with django_assert_max_num_queries(9):
        page = client.get(reverse("operations:people"))
    assert len(page.context["page_obj"].object_list) > 12


def test_people_are_found_by_words_that_stay_out_of_the_address(people: People):
    client = logged_in(people.admin)
    words = {"words": f"{people.stranger.email} other"}
    page = client.post(reverse("operations:people"), words, follow=True)
    assert page.redirect_chain == [("/operations/people/", 302)]
    assert list(page.context["page_obj"]) == [people.stranger]


def test_a_sites_settings_are_explained_changed_and_recorded(people: People):
    client = logged_in(people.admin)
    page = client.get(reverse("operations:settings")).content.decode()
    assert "A second doctor reads each case" in page
    assert "SESSION_IDLE_MINUTES" in page
    form = page_form(client, people.home.pk)
    form[f"site-{people.home.pk}-reads_twice"] = "on"
    client.post(reverse("operations:change_site", args=[people.home.pk]), form)
    people.home.refresh_from_db()
    assert people.home.reads_twice
    event = AuditEvent.objects.get(action="admin_changed")
    assert event.details["values"] == {"reads_twice": [False, True]}


def page_form(client: Client, number: int) -> dict:
    """What the browser would send of this site's form, unchanged."""
    sites = client.get(reverse("operations:settings")).context["sites"]
    form = next(form for site, form in sites if site.pk == number)
    values = {field.html_name: field.value() for field in form}
    return {name: value for name, value in values.items() if value not in (None, False)}


def test_no_secret_is_among_the_settings_shown(people: People, settings):
    page = logged_in(people.admin).get(reverse("operations:settings")).content.decode()
    assert settings.SECRET_KEY not in page
    assert (
        settings.DATABASES["default"]["PASSWORD"] not in page
        or not (settings.DATABASES["default"]["PASSWORD"])
    )


def export(people: People, **filters) -> list[dict]:
    response = logged_in(people.admin).post(reverse("operations:export_audit"), filters)
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_the_filtered_trail_is_exported_and_that_is_recorded(people: People):
    record(AuditEvent.Action.LOGIN_FAILED, actor='=HYPERLINK("http://x")')
    record(AuditEvent.Action.LOGGED_IN, user=people.owner)
    rows = export(people, action="login_failed")
    assert [row["actor"] for row in rows] == ['\'=HYPERLINK("http://x")']
    event = AuditEvent.objects.get(action=AuditEvent.Action.AUDIT_EXPORTED)
    assert event.details == {"filters": {"action": "login_failed"}, "rows": 1}
    assert event.actor == people.admin.email


def test_the_trail_is_filtered_by_what_it_was_done_to(people: People):
    case, other = make_case(people.home), make_case(people.home)
    for one in (case, other):
        record(AuditEvent.Action.VIEWED, user=people.owner, target=one)
    rows = export(people, target_type="cases.case", target_id=str(case.pk))
    assert {row["target_id"] for row in rows} == {str(case.pk)}
    assert {row["action"] for row in rows} == {"viewed"}


def test_open_break_glass_is_shown_with_its_reason(people: People):
    case = make_case(people.home, status="sent")
    break_glass(case, request=request_of(people.stranger), reason="asked by the ward")
    page = logged_in(people.admin).get(reverse("operations:audit")).content.decode()
    assert "Opened by break-glass at this moment" in page
    assert "asked by the ward" in page


def test_the_charts_count_what_happened(people: People):
    make_case(people.home)
    case = make_case(people.home, status="reported", priority=1)
    sent = timezone.now() - timedelta(minutes=30)
    type(case).objects.filter(pk=case.pk).update(sent_at=sent, reported_at=timezone.now())
    found = trends()
    received, reported, _ = found["volumes"]
    assert (received["total"], reported["total"]) == (2, 1)
    assert len(received["bars"]) == DAYS
    assert received["bars"][-1]["number"] == 2
    urgent = next(row for row in found["waiting"] if row["label"] == "urgent")
    assert (urgent["number"], round(urgent["median"])) == (1, 30)
    assert found["agreement"]["share"] is None
    page = logged_in(people.admin).get("/operations/").content.decode()
    assert "Studies received per day" in page
