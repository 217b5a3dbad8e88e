"""The API as programs meet it: a schema without gaps, no 5xx for whatever is sent, bounds."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
import schemathesis
from django.core.cache import cache
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page
from rest_framework.authtoken.models import Token
from rest_framework.throttling import UserRateThrottle

from apps.accounts.api import BoundedPages
from apps.accounts.models import User
from apps.accounts.tests.factories import request_of
from apps.cases.services import break_glass
from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import (
    make_finding,
    make_prediction,
    make_training_example,
    make_training_run,
)
from tests.people import People, logged_in

QUICK, LONG = 5, 50


def test_the_schema_is_made_without_a_warning(db):
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=StringIO())


def test_every_operation_says_in_words_what_it_does():
    described = [
        (path, method, operation.get("description") or operation.get("summary"))
        for path, method, operation in operations_in_schema()
    ]
    assert described
    assert [entry for entry in described if not entry[2]] == []


def operations_in_schema() -> Iterator[tuple[str, str, dict]]:
    for path, methods in SchemaGenerator().get_schema(public=True)["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


@pytest.fixture
def keys(people: People) -> dict[str, Any]:
    """Ids that exist, by the word before them in an address."""
    case = make_case(people.home, status="in_review", doctor=people.owner)
    break_glass(case, request=request_of(people.admin), reason="asked by the ward")
    prediction = make_prediction(case, status="failed")
    make_finding(make_prediction(case, findings=[{}], override=True))
    series = case.study.series.get()
    return {
        "cases": case.public_id,
        "series": series.public_id,
        "instances": series.instances.get().public_id,
        "predictions": prediction.public_id,
        "examples": make_training_example(case, doctor=people.owner).public_id,
        "runs": make_training_run().public_id,
    }


@pytest.fixture
def one_connection() -> Iterator[None]:
    """Requests through WSGI stay in the test's transaction, as those of Django's test client do."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def send_anything(user: User, keys: dict[str, Any], examples: int) -> dict[str, set[int]]:
    """Send generated requests to every operation as `user`; the status codes of the answers."""
    schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(public=True))
    schema.app = get_wsgi_application()
    headers = {"Authorization": f"Token {Token.objects.get_or_create(user=user)[0].key}"}
    operations = [found.ok() for found in schema.get_all_operations()]
    return {
        f"{one.method.upper()} {one.path}": _send(one, headers, keys, examples)
        for one in operations
    }


def _send(operation: Any, headers: dict, keys: dict[str, Any], examples: int) -> set[int]:
    key = keys.get(operation.path.strip("/").split("/")[2])
    statuses = set()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), known=st.booleans())
    def one(case: Any, known: bool) -> None:
        if known and key and "public_id" in (case.path_parameters or {}):
            case.path_parameters["public_id"] = str(key)
        with transaction.atomic():
            statuses.add(case.call(headers=headers).status_code)
            transaction.set_rollback(True)

    one()
    return statuses


def check_answers(answers: dict[str, set[int]]) -> None:
    broken = {name: codes for name, codes in answers.items() if max(codes) >= 500}
    assert broken == {}
    let_in = [name for name, codes in answers.items() if codes & {200, 201, 304, 400, 409, 422}]
    assert len(let_in) > 8, "too few requests got as far as the views"


@pytest.mark.parametrize("person", ["technician", "owner", "admin"])
def test_whatever_is_sent_is_answered_without_a_5xx(people: People, keys, one_connection, person):
    check_answers(send_anything(getattr(people, person), keys, QUICK))


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("person", ["technician", "owner", "admin"])
def test_whatever_is_sent_for_long_is_answered_without_a_5xx(
    people: People, keys, one_connection, person
):
    check_answers(send_anything(getattr(people, person), keys, LONG))


ODD_BODIES = [b"", b"null", b"[]", b'"text"', b"{", b"\xff\xfe", b'{"revision": NaN}', b"1e999"]
ODD_BODIES += [b"[" * 1000, b'{"text":' * 100_000]


@pytest.mark.parametrize("body", ODD_BODIES)
def test_an_odd_body_is_a_4xx_in_json(people: People, keys, body):
    client = logged_in(people.owner)
    path = f"/api/v1/cases/{keys['cases']}/verdicts/"
    response = client.post(path, data=body, content_type="application/json")
    assert response.status_code == 400
    assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "receiver", ["1e400", "-1e400", "true", "[]", '"x"', "99999999999999999999"]
)
@pytest.mark.parametrize("field", ["receiver", "receiver_group"])
def test_a_receiver_that_is_none_is_a_400(people: People, keys, field, receiver):
    body = f'{{"revision": 1, "{field}": {receiver}}}'
    path = f"/api/v1/cases/{keys['cases']}/send/"
    answer = logged_in(people.technician).post(path, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert field in answer.json()


@pytest.mark.parametrize("limit", ["0", "-1", "201", "100000000000000000000", "all", ""])
@pytest.mark.parametrize("offset", ["0", "-1", "9223372036854775808", "x"])
def test_pages_have_bounds(people: People, limit, offset):
    for _ in range(3):
        make_case(people.home)
    path = "/api/v1/cases/"
    response = logged_in(people.technician).get(path, {"limit": limit, "offset": offset})
    assert response.status_code == 200
    assert response.json()["count"] == 3
    assert len(response.json()["results"]) <= 3


def test_a_page_never_holds_more_than_the_bound(people: People, monkeypatch):
    monkeypatch.setattr(BoundedPages, "max_limit", 2)
    for _ in range(3):
        make_case(people.home)
    answer = logged_in(people.technician).get("/api/v1/cases/", {"limit": "1000"}).json()
    assert len(answer["results"]) == 2
    assert answer["next"].endswith("limit=2&offset=2")


def test_who_asks_too_often_is_told_when_to_come_back(people: People, monkeypatch):
    cache.clear()
    monkeypatch.setattr(UserRateThrottle, "THROTTLE_RATES", {"user": "3/min"})
    client = logged_in(people.technician)
    answers = [client.get("/api/v1/cases/") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert "throttled" in answers[-1].json()["detail"]
    assert 0 < int(answers[-1]["Retry-After"]) <= 60
    assert logged_in(people.owner).get("/api/v1/cases/").status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "Token", "\u00e9"])
def test_a_wrong_token_is_a_401_in_json(client, db, token):
    response = client.get("/api/v1/cases/", headers={"Authorization": f"Token {token}"})
    assert response.status_code == 401
    assert response.json()["detail"]


def test_a_token_of_a_switched_off_account_opens_nothing(people: People, client):
    key = Token.objects.create(user=people.owner).key
    User.objects.filter(pk=people.owner.pk).update(is_active=False)
    headers = {"Authorization": f"Token {key}"}
    assert client.get("/api/v1/cases/", headers=headers).status_code == 401


def test_a_session_needs_the_csrf_token_to_change_anything(people: People, keys):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.owner)
    response = client.post(f"/api/v1/cases/{keys['cases']}/release/")
    assert response.status_code == 403
    assert "CSRF" in response.json()["detail"]


@pytest.mark.browser
def test_the_page_of_the_api_works_offline_under_our_security_policy(
    live_server, page: Page, people: People
):
    session = logged_in(people.owner).cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    outside: list[str] = []
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((live_server.url, "data:", "blob:"))
            else outside.append(request.url)
        ),
    )
    page.goto(f"{live_server.url}/api/v1/docs/")
    page.wait_for_selector("#operations-cases-case_list")
    assert page.locator(".opblock").count() == len(list(operations_in_schema()))
    assert (complaints, outside) == ([], [])
