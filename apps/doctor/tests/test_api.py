"""The doctor's API: the same rules as the pages, and bad input is never a server error."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.authtoken.models import Token

from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import make_prediction
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
WORKLIST = "/api/v1/worklist/"


def test_worklist_has_the_rows_of_the_page_in_pages(people: People):
    for _ in range(3):
        make_prediction(make_case(people.home, status="sent"), findings=[{}])
    answer = logged_in(people.owner).get(WORKLIST, {"limit": 2}).json()

    assert (answer["count"], len(answer["results"])) == (3, 2)
    row = answer["results"][0]
    assert row["ai"]["words"] == "answered"
    assert row["waiting_minutes_target"] == 24 * 60


def test_worklist_of_reported_cases_has_no_waiting_target(people: People):
    make_case(people.home, status="reported", doctor=people.owner)
    answer = logged_in(people.owner).get(WORKLIST, {"show": "reported"}).json()
    assert answer["results"][0]["waiting_minutes_target"] is None


def test_token_opens_the_same_and_nothing_without_one(people: People, client):
    case = make_case(people.home, status="sent")
    assert client.get(WORKLIST).status_code == 401
    token = Token.objects.create(user=people.owner)
    answer = client.get(WORKLIST, headers={"Authorization": f"Token {token.key}"}).json()
    assert answer["results"][0]["case"]["public_id"] == str(case.public_id)


def test_predictions_and_findings_are_listed_for_those_who_may_see_the_case(people: People):
    case = make_case(people.home, status="sent", receiver=people.owner)
    make_prediction(case, findings=[{"malignancy_probability": 0.8}])
    make_prediction(case, shadow=True, findings=[{}])
    for path in ("predictions", "findings", "verdicts"):
        address = f"/api/v1/cases/{case.public_id}/{path}/"
        assert logged_in(people.owner).get(address).status_code == 200
        for who in ("colleague", "stranger", "admin"):
            assert logged_in(getattr(people, who)).get(address).status_code == 404
        for who in ("technician", "foreign_technician"):
            assert logged_in(getattr(people, who)).get(address).status_code == 403
    base = f"/api/v1/cases/{case.public_id}"
    findings = logged_in(people.owner).get(f"{base}/findings/").json()
    assert [one["malignancy_probability"] for one in findings["results"]] == [0.8]
    assert logged_in(people.owner).get(f"{base}/predictions/").json()["count"] == 1


def test_query_count_of_findings_does_not_grow(people: People):
    case = make_case(people.home, status="sent")
    browser = logged_in(people.owner)
    address = f"/api/v1/cases/{case.public_id}/findings/"

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            browser.get(address)
        return len(captured)

    make_prediction(case, findings=[{}])
    browser.get(address)
    few = queries()
    make_prediction(case, instances_sha256="more", findings=[{}] * 8)
    assert queries() == few


@pytest.mark.parametrize("step", ["claim", "release", "take-over", "return", "verdicts"])
def test_technicians_may_not_act_as_doctors(people: People, step: str):
    case = make_case(people.home, status="sent")
    answer = logged_in(people.technician).post(
        f"/api/v1/cases/{case.public_id}/{step}/", {"revision": 2}, "application/json"
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("take-over", {"revision": 10**30}),
        ("take-over", {"revision": []}),
        ("return", {"revision": 1, "reason": "a\0b"}),
        ("return", {"revision": 1, "reason": "x" * 1001}),
        ("chest-correction", {"instance": "x", "label": "chest"}),
        ("chest-correction", {"instance": None, "label": {}}),
        ("verdicts", []),
        ("verdicts", "text"),
    ],
)
def test_bad_input_is_answered_with_400(people: People, path: str, body: object):
    case = make_case(people.home, status="in_review", doctor=people.owner)
    answer = logged_in(people.owner).post(
        f"/api/v1/cases/{case.public_id}/{path}/", body, content_type="application/json"
    )
    assert answer.status_code == 400


@pytest.mark.parametrize("query", [{"show": "everything"}, {"show": "a\0b"}])
def test_unknown_filter_is_answered_with_400(people: People, query: dict):
    assert logged_in(people.owner).get(WORKLIST, query).status_code == 400


def test_strange_pages_are_answered(people: People):
    browser = logged_in(people.owner)
    for query in ({"limit": "9" * 30}, {"offset": "9" * 30}, {"limit": "-1"}, {"offset": "x"}):
        assert browser.get(WORKLIST, query).status_code < 500
