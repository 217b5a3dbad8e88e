"""While the AI is switched off doctors see nothing of it, and are told so and why."""

import json

import pytest

from apps.accounts.tests.factories import request_of
from apps.cases.tests.factories import make_case
from apps.classifier.models import WatchState
from apps.classifier.tests.factories import make_finding, make_heatmap, make_prediction
from apps.classifier.watching import set_display
from apps.doctor.report import report_body
from apps.doctor.services import VerdictAnswer
from tests.people import People, logged_in

REASON = "The scanner is being calibrated."
SCORE = 0.7351926


@pytest.fixture
def off(people: People):
    """A case that the AI has answered, and the AI hidden since."""
    case = make_case(people.home, status="sent", receiver=people.owner)
    finding = make_finding(make_prediction(case, score=SCORE), malignancy_probability=SCORE)
    make_heatmap(finding)
    set_display(on=False, request=request_of(people.admin), note=REASON)
    return case, finding


def test_worklist_reading_page_and_history_say_that_it_is_off_and_why(people: People, off):
    case, _ = off
    client = logged_in(people.owner)
    pages = {
        "worklist": client.get("/doctor/").content.decode(),
        "history": client.get(f"/doctor/cases/{case.public_id}/history/").content.decode(),
    }
    for name, page in pages.items():
        assert "The AI is switched off" in page, name
        assert REASON in page, name
        assert "0.74" not in page, name
    state = client.get(f"/doctor/cases/{case.public_id}/state/").json()
    assert state["ai"] == {
        "status": "off",
        "words": "switched off",
        "nothing": "AI is off",
        "off": REASON,
    }
    assert (state["predictions"], state["findings"]) == ([], [])
    assert str(SCORE) not in json.dumps(state)


def test_programs_get_the_reason_instead_of_an_empty_answer(people: People, off):
    case, finding = off
    client = logged_in(people.owner)
    for address in (
        f"cases/{case.public_id}/predictions/",
        f"findings/{finding.public_id}/heatmap/",
    ):
        answer = client.get(f"/api/v1/{address}")
        assert answer.status_code == 409
        assert REASON in answer.json()["detail"]
    assert client.get(f"/api/v1/cases/{case.public_id}/findings/").json()["results"] == []
    (row,) = client.get("/api/v1/worklist/").json()["results"]
    assert (row["ai"]["status"], row["ai"]["score"]) == ("off", None)


def test_a_report_signed_meanwhile_says_so(people: People, off):
    body = report_body(off[0], people.owner, VerdictAnswer(cancer="no"), 1)
    assert f"AI: switched off, not shown to the doctor. {REASON}" in body


def test_once_shown_again_everything_is_back(people: People, off):
    case, _ = off
    set_display(on=True, request=request_of(people.admin), note="done")
    assert WatchState.current().off_since is None
    state = logged_in(people.owner).get(f"/doctor/cases/{case.public_id}/state/").json()
    assert state["ai"]["status"] == "done"
    assert len(state["findings"]) == 1
