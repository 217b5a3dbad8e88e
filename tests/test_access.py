"""Every address against everybody: who is let in, who is not, and whose case is hidden."""

import re
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLResolver, get_resolver
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.tests.factories import PASSWORD, request_of
from apps.cases.models import AccessGrant, Case
from apps.cases.services import break_glass
from apps.cases.tests.factories import make_case, make_measurement
from apps.classifier.tests.factories import make_heatmap, make_prediction
from tests.access_table import (
    CASE,
    COLUMNS,
    FINDING,
    HIDDEN,
    INSTANCE,
    MEASUREMENT,
    NO,
    OPEN_TO_ANYBODY,
    PREDICTION,
    SERIES,
    TABLE,
    YES,
    ByRole,
)
from tests.people import People, logged_in

LOG_IN, BROKEN, NO_SUCH_METHOD = "log in", "broken", "no such method"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_ANSWERS = {401: LOG_IN, 403: NO, 404: HIDDEN, 405: NO_SUCH_METHOD}


def addresses(resolver: URLResolver | None = None, prefix: str = "") -> Iterator[str]:
    """Every address of the site, as the URLconf writes it."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern, route)
        else:
            yield re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", route).replace("^", "").replace("$", "")


def filled(route: str, key: object = None) -> str:
    """The address with an id in it; without one, with an id that nothing has."""
    route = re.sub(r"<int:\w+>", "9999", route).replace("<slug:task>", "chest")
    route = route.replace("<slug:step>", "log-out")
    return "/" + re.sub(r"<[^>]+>", str(key or uuid4()), route)


def answer(response: HttpResponse) -> str:
    if response.status_code >= 500:
        return BROKEN
    if response.status_code == 302 and response.url.startswith(LOGIN_PAGES):
        return LOG_IN
    return _ANSWERS.get(response.status_code, YES)


def ask(client: Client, method: str, path: str) -> str:
    """What a request without content is answered; whatever it changed is undone."""
    client.raise_request_exception = False
    with transaction.atomic():
        response = client.generic(method, path, content_type="application/json")
        transaction.set_rollback(True)
    return answer(response)


def name_of(row: tuple) -> str:
    return f"{row[0]} /{row[1]}"


LOGIN_PAGES = ("/accounts/login/", "/admin/login/")
ADDRESSES = sorted(set(addresses()))
ROUTES = [route for route in ADDRESSES if not route.startswith("admin/")]
ADMIN_ROUTES = [route for route in ADDRESSES if route.startswith("admin/")]
# Everybody's own way out and own password, whichever address admins find them under.
OWN_ACCOUNT = {"admin/login/", "admin/logout/", "admin/password_change/"}
ROLE_ROWS = [row for row in TABLE if isinstance(row[3], ByRole)]
CASE_ROWS = [row for row in TABLE if not isinstance(row[3], ByRole)]


def test_without_a_log_in_nothing_but_the_listed_exceptions_answers(client, db):
    let_in = set()
    for route in ADDRESSES:
        methods = ["GET", "POST"] if route in ADMIN_ROUTES else METHODS
        answers = {ask(client, method, filled(route)) for method in methods}
        if not (LOG_IN in answers and answers <= {LOG_IN, NO_SUCH_METHOD}):
            let_in.add(route)
    assert let_in == OPEN_TO_ANYBODY


def test_every_address_has_its_row():
    listed = {route for _, route, _, _ in TABLE}
    assert set(ROUTES) - OPEN_TO_ANYBODY == listed - OPEN_TO_ANYBODY


def test_every_method_that_an_address_takes_has_its_row(people: People):
    clients = [logged_in(one) for one in (people.technician, people.owner, people.admin)]
    listed = {(method, route) for method, route, _, _ in TABLE}
    # Forms of allauth are left out: what they take is its own affair.
    ours = [one for one in ROUTES if not one.startswith("accounts/") and one not in OPEN_TO_ANYBODY]
    for method, route in sorted({(m, r) for m in METHODS for r in ours} - listed):
        answers = {ask(client, method, filled(route)) for client in clients}
        assert answers <= {NO_SUCH_METHOD, NO}, (method, route)


def test_each_role_gets_what_the_table_says(people: People):
    clients = {
        "labtech": logged_in(people.technician),
        "doctor": logged_in(people.owner),
        "admin": logged_in(people.admin),
    }
    found, expected = {}, {}
    for row in ROLE_ROWS:
        method, route, _, answers = row
        expected[name_of(row)] = vars(answers)
        found[name_of(row)] = {
            role: ask(client, method, filled(route)) for role, client in clients.items()
        }
    assert found == expected


@pytest.fixture
def cases(people: People) -> dict[str, Case]:
    """A case in each relation to somebody that the table names."""
    home = people.home
    found = {
        "pool": make_case(home, status="sent"),
        "sent_to_owner": make_case(home, status="sent", receiver=people.owner),
        "sent_to_group": make_case(home, status="sent", receiver_group=people.group),
        "draft": make_case(home),
        "withdrawn": make_case(home, status="withdrawn"),
        "opened_by_stranger": make_case(home, status="sent"),
        "once_opened_by_stranger": make_case(home, status="sent"),
        "opened_by_admin": make_case(home, status="sent"),
    }
    for name, person in [
        ("opened_by_stranger", people.stranger),
        ("opened_by_admin", people.admin),
    ]:
        break_glass(found[name], request=request_of(person), reason="asked by the ward")
    AccessGrant.objects.create(
        user=people.stranger,
        case=found["once_opened_by_stranger"],
        reason="yesterday's emergency",
        expires_at=timezone.now() - timedelta(seconds=1),
    )
    return found


def key_of(case: Case, kind: str, doctor: User) -> object:
    """The id of something of the case; the measurement is this doctor's."""
    series = case.study.series.get()
    if kind == MEASUREMENT:
        return make_measurement(series.instances.get(), doctor).public_id
    if kind == FINDING:
        prediction = make_prediction(case, override=True, findings=[{}])
        return make_heatmap(prediction.findings.get()).finding.public_id
    if kind == PREDICTION:
        return make_prediction(case, status="refused", code="not_chest").public_id
    return {CASE: case, SERIES: series, INSTANCE: series.instances.get()}[kind].public_id


def test_each_case_is_open_to_those_whom_the_table_names(people: People, cases: dict[str, Case]):
    doctors = {"sent_to_group": people.teammate, "pool": people.colleague}
    keys = {
        (kind, name): key_of(case, kind, doctors.get(name, people.owner))
        for kind in (CASE, SERIES, INSTANCE, PREDICTION, MEASUREMENT, FINDING)
        for name, case in cases.items()
    }
    clients = {person: logged_in(getattr(people, person)) for person, _ in COLUMNS.values()}
    found, expected = {}, {}
    for row in CASE_ROWS:
        method, route, kind, answers = row
        expected[name_of(row)] = answers.expected()
        found[name_of(row)] = {
            column: ask(clients[person], method, filled(route, keys[kind, case]))
            for column, (person, case) in COLUMNS.items()
        }
    assert found == expected


def test_an_id_that_does_not_exist_gets_the_answer_of_one_that_is_not_ours(people: People):
    clients = [logged_in(one) for one in (people.technician, people.owner, people.admin)]
    for row in CASE_ROWS:
        answers = {ask(client, row[0], filled(row[1])) for client in clients}
        assert HIDDEN in answers, name_of(row)
        assert answers <= {HIDDEN, NO}, name_of(row)


@pytest.mark.parametrize("person", ["technician", "owner"])
def test_django_admin_is_closed_to_everybody_but_admins(people: People, person):
    client = logged_in(getattr(people, person))
    for route in set(ADMIN_ROUTES) - OWN_ACCOUNT:
        answers = {ask(client, method, filled(route, 1)) for method in ("GET", "POST")}
        assert answers <= {LOG_IN, NO}, route


@pytest.mark.parametrize("person", ["technician", "owner"])
def test_somebody_logged_in_is_told_so_instead_of_sent_in_circles(people: People, person):
    page = logged_in(getattr(people, person)).get("/admin/", follow=True)
    assert page.status_code == 403
    assert "You may not open this" in page.content.decode()


def test_an_admin_without_a_session_finds_back_to_the_page_after_log_in(client, people: People):
    cache.clear()
    page = client.get("/admin/accounts/user/", follow=True)
    assert page.redirect_chain[-1][0].startswith("/accounts/login/?next=/admin/accounts/user/")
    form = {"login": people.admin.email, "password": PASSWORD, "next": "/admin/accounts/user/"}
    assert client.post("/accounts/login/", form).url == "/admin/accounts/user/"


def test_a_doctor_whom_a_case_was_taken_from_still_sees_what_they_claimed(people: People):
    case = make_case(people.home, status="in_review", doctor=people.colleague)
    assert case in Case.objects.visible_to(people.colleague)
    assert case in Case.objects.visible_to(people.owner)
    assert case not in Case.objects.visible_to(people.stranger)
