"""Preview, addendum, critical results, statistics."""

import base64
import json
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent
from apps.cases.models import Addendum, Case, CriticalResult, Reading
from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import make_prediction
from apps.doctor.services import FindingAnswer, VerdictAnswer, sign
from apps.doctor.statistics import work_of
from tests.people import logged_in


@pytest.fixture
def case(people) -> Case:
    return make_case(people.home, status="reported", doctor=people.owner)


def post(client, case, path, body):
    url = f"/api/v1/cases/{case.public_id}/{path}/"
    return client.post(url, body, content_type="application/json")


def test_the_preview_is_what_is_signed_then_and_stores_nothing(people):
    waiting = make_case(people.home, status="sent")
    client = logged_in(people.owner)
    body = {"revision": waiting.revision, "cancer": "yes", "diagnoses": ["Carcinoma"]}
    shown = post(client, waiting, "verdicts/preview", body).json()["report"]
    assert not waiting.verdicts.exists()
    signed = post(client, waiting, "verdicts", body).json()["verdict"]["report"]

    def without_time(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith("Signed by")]

    assert without_time(shown) == without_time(signed)


def test_an_addendum_is_added_and_the_report_stays(case, people):
    body = case.reports.get().body
    added = post(
        logged_in(people.teammate),
        case,
        "addenda",
        {"revision": case.revision, "text": "Rib fracture, right 7."},
    )
    assert added.status_code == 201, added.content
    assert case.reports.get().body == body
    assert Addendum.objects.get().signed_by == people.teammate
    assert AuditEvent.objects.filter(action="addendum", target_id=str(case.pk)).count() == 1
    client = logged_in(people.owner)
    assert "Rib fracture" in client.get(f"/doctor/cases/{case.public_id}/history/").content.decode()
    fhir = json.loads(client.get(f"/doctor/cases/{case.public_id}/report.json").content)
    assert fhir["status"] == "appended"
    assert "Rib fracture" in base64.b64decode(fhir["presentedForm"][0]["data"]).decode()


def test_an_addendum_needs_a_report_and_the_state_that_was_seen(case, people):
    client = logged_in(people.owner)
    stale = {"revision": case.revision - 1, "text": "x"}
    assert post(client, case, "addenda", stale).status_code == 409
    assert post(client, case, "addenda", {"revision": case.revision, "text": ""}).status_code == 400
    waiting = make_case(people.home, status="sent")
    refused = post(client, waiting, "addenda", {"revision": waiting.revision, "text": "x"})
    assert refused.status_code == 409
    assert not Addendum.objects.exists()


def test_who_was_told_a_critical_result_is_kept_with_the_case(case, people):
    url = f"/doctor/cases/{case.public_id}/critical/"
    told_at = timezone.localtime().strftime("%Y-%m-%dT%H:%M")
    body = {
        "told_to": "Dr Ward, emergency room",
        "how": "phone",
        "what": "Tension pneumothorax, left",
        "told_at": told_at,
        "read_back": "on",
    }
    assert logged_in(people.owner).post(url, body).status_code == 302
    told = CriticalResult.objects.get()
    assert (told.told_by, told.read_back, told.how) == (people.owner, True, "phone")
    page = logged_in(people.teammate).get(f"/doctor/cases/{case.public_id}/history/")
    assert "Tension pneumothorax" in page.content.decode()
    assert case.events.last().kind == "critical_result"
    technician = logged_in(people.technician).get(f"/api/v1/cases/{case.public_id}/")
    assert "pneumothorax" not in technician.content.decode()
    assert AuditEvent.objects.filter(action="critical_result").count() == 1


@pytest.mark.parametrize("missing", ["told_to", "how", "what", "told_at"])
def test_a_critical_result_says_everything_or_is_refused(case, people, missing):
    body = {
        "told_to": "Dr Ward",
        "how": "phone",
        "what": "Pneumothorax",
        "told_at": timezone.localtime().strftime("%Y-%m-%dT%H:%M"),
    }
    url = f"/doctor/cases/{case.public_id}/critical/"
    assert logged_in(people.owner).post(url, {**body, missing: ""}).status_code == 400
    later = (timezone.localtime() + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    assert logged_in(people.owner).post(url, {**body, "told_at": later}).status_code == 400
    assert not CriticalResult.objects.exists()


def read_by(doctor, case, cancer: str, label: str, *, minutes: int, second: bool = False):
    case.refresh_from_db()
    answer = VerdictAnswer(
        cancer, second_read=second, findings=[FindingAnswer(case.findings.get(), label)]
    )
    sign(case, request=request_of(doctor), revision=case.revision, answer=answer)
    reading = Reading.objects.filter(case=case, doctor=doctor)
    opened = reading.get().finished_at - timedelta(minutes=minutes)
    reading.update(opened_at=opened)


def test_statistics_count_cases_time_and_agreement(people):
    since = timezone.now() - timedelta(days=1)
    for label, minutes in (("malignant", 4), ("benign", 8)):
        case = make_case(people.home, status="sent")
        make_prediction(case, findings=[{"malignancy_probability": 0.9}])
        read_by(people.owner, case, "yes", label, minutes=minutes, second=True)
        read_by(people.teammate, case, "yes" if minutes == 4 else "no", label, minutes=1)
    mine = work_of(people.owner, since)
    assert (mine.cases, mine.median_minutes) == (2, 6.0)
    assert (mine.with_ai.same, mine.with_ai.compared) == (1, 2)
    assert (mine.with_colleagues.same, mine.with_colleagues.compared) == (1, 2)
    assert work_of(people.colleague, since).median_minutes is None


def test_statistics_are_ones_own_unless_the_site_shows_them(people):
    client = logged_in(people.owner)

    def shown():
        return {row.doctor for row in client.get("/doctor/statistics/").context["rows"]}

    assert shown() == {people.owner}
    people.home.shows_statistics = True
    people.home.save()
    assert shown() == {people.owner, people.teammate, people.colleague}
