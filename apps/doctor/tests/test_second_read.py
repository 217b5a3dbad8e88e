"""Two doctors read apart from each other; where they differ, a third decides."""

import re

import pytest

from apps.accounts.tests.factories import request_of
from apps.cases.models import Case, Measurement
from apps.cases.services import CaseConflict, claim_case, send_case, take_over_case
from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import make_prediction
from apps.doctor.comparison import compared, last_verdicts
from apps.doctor.services import (
    FindingAnswer,
    MissedNodule,
    VerdictAnswer,
    claim_next,
    findings_of,
    sign,
)
from tests.people import logged_in


@pytest.fixture
def case(people) -> Case:
    found = make_case(people.home, status="sent")
    make_prediction(found, findings=[{"malignancy_probability": 0.8}])
    return found


def sign_as(doctor, case, cancer, **more):
    case.refresh_from_db()
    answer = VerdictAnswer(cancer=cancer, **more)
    signed = sign(case, request=request_of(doctor), revision=case.revision, answer=answer)
    case.refresh_from_db()
    return signed.verdict


def read_first(case, people):
    """The owner reads first, marks a nodule of their own and asks for a second read."""
    image = case.study.series.get().instances.get()
    model = case.findings.get()
    return sign_as(
        people.owner,
        case,
        "yes",
        diagnoses=["Carcinoma of the first reader"],
        second_read=True,
        findings=[FindingAnswer(model, "malignant")],
        missed=[MissedNodule(image, 5, 5, 9.0, "malignant")],
    )


def state(client, case) -> dict:
    return client.get(f"/doctor/cases/{case.public_id}/state/").json()


def test_a_first_read_that_asks_for_a_second_goes_back_on_the_list(case, people):
    read_first(case, people)
    assert (case.status, case.stage, case.claimed_by, case.reported_at) == (
        "sent",
        "second",
        None,
        None,
    )
    assert case.events.last().kind == "read"


def test_a_site_that_reads_twice_needs_nobody_to_ask(case, people):
    people.home.reads_twice = True
    people.home.save()
    case.refresh_from_db()
    sign_as(people.owner, Case.objects.get(pk=case.pk), "no")
    case.refresh_from_db()
    assert (case.status, case.stage) == ("sent", "second")


def test_the_second_reader_sees_nothing_of_the_first_before_signing(case, people):
    read_first(case, people)
    client = logged_in(people.teammate)
    now = state(client, case)
    assert (now["blind"], now["can_read"], now["verdicts"]) == (True, True, 0)
    assert [one["source"] for one in now["findings"]] == ["model"]
    assert {one["label"] for one in now["findings"]} == {""}
    assert now["sent_corrections"] == []
    root = f"/api/v1/cases/{case.public_id}/"
    told = [
        client.get(f"/doctor/cases/{case.public_id}/").content.decode(),
        client.get(f"/doctor/cases/{case.public_id}/history/").content.decode(),
        client.get(f"{root}verdicts/").content.decode(),
        client.get(f"{root}findings/").content.decode(),
        client.get(root).content.decode(),
    ]
    for page in told:
        assert "Carcinoma of the first reader" not in page
        assert not re.search('"label": ?"malignant"', page)
        assert not re.search('"text": ?"cancer"', page)
        assert "<div>cancer</div>" not in page
    assert client.get(f"/doctor/cases/{case.public_id}/compare/").status_code == 403
    assert list(findings_of(case, people.teammate).values_list("source", flat=True)) == ["model"]


def test_a_second_reader_cannot_answer_a_mark_that_is_hidden(case, people):
    read_first(case, people)
    hidden = case.findings.get(source="doctor")
    body = {
        "revision": case.revision,
        "cancer": "no",
        "findings": [{"finding": str(hidden.public_id), "label": "benign"}],
    }
    url = f"/api/v1/cases/{case.public_id}/verdicts/"
    answer = logged_in(people.teammate).post(url, body, content_type="application/json")
    assert answer.status_code == 400
    assert case.verdicts.count() == 1


def test_who_read_first_gets_no_second_turn(case, people):
    read_first(case, people)
    request = request_of(people.owner)
    with pytest.raises(CaseConflict):
        claim_case(case, request=request)
    assert claim_next(request) is None
    with pytest.raises(CaseConflict, match="read this case already"):
        sign_as(people.owner, case, "yes")
    claim_case(case, request=request_of(people.teammate))
    with pytest.raises(CaseConflict, match="read this case already"):
        take_over_case(case, request=request, revision=case.revision)
    assert state(logged_in(people.owner), case)["can_read"] is False
    assert case.verdicts.count() == 1


def test_two_that_agree_report_the_case(case, people):
    read_first(case, people)
    claim_case(case, request=request_of(people.teammate))
    second = sign_as(people.teammate, case, "yes")
    assert (case.status, case.claimed_by) == ("reported", people.teammate)
    assert second.reading.kind == "second"
    assert str(people.owner) in second.report.body
    assert state(logged_in(people.owner), case)["blind"] is False


def test_two_that_differ_go_to_a_third_who_sees_both_and_decides(case, people):
    read_first(case, people)
    sign_as(people.teammate, case, "no")
    assert (case.status, case.stage, case.claimed_by) == ("sent", "arbitration", None)
    for reader in (people.owner, people.teammate):
        with pytest.raises(CaseConflict):
            claim_case(case, request=request_of(reader))

    client = logged_in(people.colleague)
    page = client.get(f"/doctor/cases/{case.public_id}/compare/").content.decode()
    assert str(people.owner) in page
    assert str(people.teammate) in page
    assert "differs" in page
    verdict = sign_as(people.colleague, case, "uncertain")
    assert (case.status, verdict.reading.kind) == ("reported", "arbitration")
    assert [one.reading.kind for one in last_verdicts(case)] == ["first", "second", "arbitration"]
    rows = {row.question: row for row in compared(last_verdicts(case))}
    assert rows["Cancer"].answers == ["cancer", "no cancer", "uncertain"]
    assert rows["Cancer"].differs
    assert not rows["Text"].differs


def test_another_reader_may_correct_a_report(people):
    case = make_case(people.home, status="reported", doctor=people.owner)
    verdict = sign_as(people.teammate, case, "yes")
    assert (case.status, case.claimed_by) == ("reported", people.teammate)
    assert case.verdicts.first() == verdict
    assert case.events.last().kind == "corrected"
    assert verdict.reading.kind == "first"


def test_a_case_sent_again_is_read_from_the_beginning(case, people):
    read_first(case, people)
    Case.objects.filter(pk=case.pk).update(status="returned")
    case.refresh_from_db()
    send_case(case, request=request_of(people.technician), revision=case.revision)
    assert case.stage == "first"
    claim_case(case, request=request_of(people.owner))
    assert case.claimed_by == people.owner


def test_what_the_first_reader_measured_is_hidden_too(case, people):
    image = case.study.series.get().instances.get()
    for author in (people.owner, people.technician):
        Measurement.objects.create(
            instance=image, author=author, kind="length", points=[[1, 1], [5, 5]], values={}
        )
    url = f"/api/v1/series/{case.study.series.get().public_id}/measurements/"

    def authors(doctor):
        return {one["author"] for one in logged_in(doctor).get(url).json()}

    assert authors(people.teammate) == {str(people.owner), str(people.technician)}
    read_first(case, people)
    assert authors(people.teammate) == {str(people.technician)}
