"""An unsigned verdict is kept on the server, for its doctor alone, and never saved over unseen."""

import pytest

from apps.cases.models import Case, VerdictDraft
from apps.cases.tests.factories import make_case
from tests.at_once import at_once
from tests.people import logged_in


@pytest.fixture
def case(people) -> Case:
    return make_case(people.home, status="sent")


def put(client, case, version: int, data: object):
    url = f"/api/v1/cases/{case.public_id}/draft/"
    return client.put(url, {"version": version, "data": data}, content_type="application/json")


def test_a_draft_comes_back_on_another_computer_and_to_nobody_else(case, people):
    first = put(logged_in(people.owner), case, 0, {"text": "Half a sentence"})
    assert (first.status_code, first.json()["version"]) == (200, 1)
    url = f"/api/v1/cases/{case.public_id}/draft/"
    assert logged_in(people.owner).get(url).json()["data"] == {"text": "Half a sentence"}
    page = logged_in(people.owner).get(f"/doctor/cases/{case.public_id}/")
    assert "Half a sentence" in page.content.decode()
    assert logged_in(people.teammate).get(url).json() == {
        "version": 0,
        "data": {},
        "saved_at": None,
    }


def test_two_tabs_never_write_over_each_other(case, people):
    client = logged_in(people.owner)
    put(client, case, 0, {"text": "one"})
    assert put(client, case, 1, {"text": "tab A"}).json()["version"] == 2
    refused = put(client, case, 1, {"text": "tab B"})
    assert refused.status_code == 409
    assert (refused.json()["version"], refused.json()["data"]) == (2, {"text": "tab A"})
    assert put(client, case, 2, {"text": "tab B, seen A"}).status_code == 200


def test_a_save_repeated_after_a_lost_answer_is_no_conflict(case, people):
    client = logged_in(people.owner)
    for _ in range(2):
        assert put(client, case, 0, {"text": "one"}).json()["version"] == 1
    for _ in range(2):
        assert put(client, case, 1, {"text": "two"}).json()["version"] == 2


@pytest.mark.django_db(transaction=True)
def test_of_two_first_saves_at_once_one_is_told(case, people):
    clients = [logged_in(people.owner), logged_in(people.owner)]
    answers = at_once(
        lambda: put(clients[0], case, 0, {"text": "A"}).status_code,
        lambda: put(clients[1], case, 0, {"text": "B"}).status_code,
    )
    assert sorted(answers) == [200, 409]
    assert VerdictDraft.objects.count() == 1


def test_signing_or_giving_up_ends_the_draft(case, people):
    client = logged_in(people.owner)
    put(client, case, 0, {"text": "one"})
    assert client.delete(f"/api/v1/cases/{case.public_id}/draft/").status_code == 204
    put(client, case, 0, {"text": "two"})
    body = {"revision": case.revision, "cancer": "no"}
    url = f"/api/v1/cases/{case.public_id}/verdicts/"
    assert client.post(url, body, content_type="application/json").status_code == 201
    assert not VerdictDraft.objects.exists()


@pytest.mark.parametrize(
    "data", ["text", [1], None, {"text": "x" * 300_001}, {"a\0": 1}, {"a": "\ud800"}]
)
def test_what_is_no_draft_is_refused_in_words(case, people, data):
    answer = put(logged_in(people.owner), case, 0, data)
    assert answer.status_code == 400
    assert not VerdictDraft.objects.exists()
