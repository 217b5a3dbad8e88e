"""Where a site reads doctor first, nothing that the AI said is seen before the opinion."""

import re

import pytest

from apps.accounts.models import Site
from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent
from apps.cases.models import Case, Reading, UnaidedOpinion
from apps.cases.services import CaseConflict, break_glass, claim_case
from apps.cases.tests.factories import make_case
from apps.cases.unaided import record_opinion
from apps.classifier.adjudication import opinions_asked_of
from apps.classifier.tests.factories import make_heatmap, make_prediction, make_training_example
from apps.doctor.services import FindingAnswer, VerdictAnswer, sign
from tests.access_table import CASE, FINDING, INSTANCE, PREDICTION, SERIES, TABLE
from tests.people import logged_in

SCORE, NODULE, SIZE = 0.8137, 0.9241, 17.3
NUMBERS = r"0?\.81\b|0?\.8137|0?\.92\b|0?\.9241|17[.,]3|17 mm"
TELLS = re.compile(NUMBERS + r"|[0-9] nodules? found|no nodule found|heatmap/")


@pytest.fixture
def case(people) -> Case:
    """A waiting case with an answer of the AI whose numbers occur nowhere else."""
    people.home.reading_mode = Site.ReadingMode.DOCTOR_FIRST
    people.home.save()
    found = make_case(people.home, status="sent")
    make_prediction(
        found,
        series_score=SCORE,
        profile=[SCORE],
        findings=[
            {
                "malignancy_probability": SCORE,
                "nodule_probability": NODULE,
                "diameter_mm": SIZE,
            }
        ],
    )
    return found


def every_page_of(case: Case) -> list[str]:
    """Every address that a doctor may GET about this case, and the lists that name it."""
    make_heatmap(case.findings.get())
    series = case.study.series.get()
    ids = {
        CASE: case.public_id,
        SERIES: series.public_id,
        INSTANCE: series.instances.get().public_id,
        PREDICTION: case.predictions.get().public_id,
        FINDING: case.findings.get().public_id,
    }
    pages = [
        "/" + route.replace("<uuid:public_id>", str(ids[of]))
        for method, route, of, _ in TABLE
        if method == "GET" and of in ids and not route.startswith("labtech/")
    ]
    lists = ["/doctor/", "/doctor/rows/", "/doctor/opinions/", "/doctor/corrections/"]
    return [*pages, *lists, "/api/v1/worklist/", "/api/v1/cases/", "/api/v1/opinions/"]


def told_by(client, case: Case) -> set[str]:
    """The addresses whose answer tells something of what the AI said."""
    finding = str(case.findings.get().public_id)
    told = set()
    for page in every_page_of(case):
        answer = client.get(page)
        if answer.status_code != 200 or "text" not in answer["Content-Type"] + "text":
            continue
        if answer["Content-Type"].startswith(("image/", "application/octet")):
            continue
        words = answer.content.decode()
        if TELLS.search(words) or f'"id": "{finding}"' in words or f'"id":"{finding}"' in words:
            told.add(page)
    return told


def test_no_address_tells_what_the_ai_said_before_the_opinion(case, people):
    assert told_by(logged_in(people.owner), case) == set()


def test_the_same_addresses_tell_it_after_the_opinion(case, people):
    """Else the test above would pass because its search finds nothing anywhere."""
    client = logged_in(people.owner)
    url = f"/api/v1/cases/{case.public_id}/unaided-opinion/"
    answer = client.post(url, {"cancer": "no", "text": "Looks quiet."}, "application/json")
    assert answer.status_code == 201, answer.content
    told = told_by(client, case)
    root, api = f"/doctor/cases/{case.public_id}/", f"/api/v1/cases/{case.public_id}/"
    assert {root, f"{root}state/", f"{root}history/", f"{api}findings/", "/doctor/"} <= told
    assert {f"{api}predictions/", "/api/v1/worklist/"} <= told


def test_both_times_are_kept_in_order(case, people):
    client = logged_in(people.owner)
    client.get(f"/doctor/cases/{case.public_id}/")
    reading = Reading.objects.get(case=case, doctor=people.owner)
    assert reading.ai_first_shown_at is None
    opinion = record_opinion(
        case, request=request_of(people.owner), cancer="no", diagnoses=[], text=""
    )
    client.get(f"/doctor/cases/{case.public_id}/state/")
    reading.refresh_from_db()
    assert reading.opened_at < opinion.given_at < reading.ai_first_shown_at
    assert case.events.last().kind == "opinion"
    assert AuditEvent.objects.filter(action="opinion", target_id=str(case.pk)).count() == 1
    signed = sign(
        case,
        request=request_of(people.owner),
        revision=case.revision,
        answer=VerdictAnswer("yes", findings=[FindingAnswer(case.findings.get(), "malignant")]),
    )
    body = signed.verdict.report.body
    assert "Opinion before the AI was shown: no cancer" in body
    assert "AI shown" in body


def test_nothing_is_signed_before_the_opinion(case, people):
    client = logged_in(people.owner)
    url = f"/api/v1/cases/{case.public_id}/verdicts/"
    body = {"revision": case.revision, "cancer": "no"}
    answer = client.post(url, body, content_type="application/json")
    assert answer.status_code == 409
    assert "Record your opinion" in answer.json()["detail"]
    named = {"finding": str(case.findings.get().public_id), "label": "benign"}
    body["findings"] = [named]
    assert client.post(url, body, content_type="application/json").status_code == 400
    assert case.verdicts.count() == 0


def test_an_opinion_is_given_once_and_only_where_it_is_unaided(case, people):
    given = {"cancer": "no", "diagnoses": [], "text": ""}
    request = request_of(people.owner)
    record_opinion(case, request=request, **given)
    with pytest.raises(CaseConflict, match="open to you already"):
        record_opinion(case, request=request, **given)
    people.home.reading_mode = Site.ReadingMode.CONCURRENT
    people.home.save()
    with pytest.raises(CaseConflict, match="open to you already"):
        record_opinion(case, request=request_of(people.teammate), **given)
    assert UnaidedOpinion.objects.count() == 1


def test_each_doctor_needs_an_opinion_of_their_own(case, people):
    record_opinion(case, request=request_of(people.owner), cancer="yes", diagnoses=[], text="")
    assert told_by(logged_in(people.teammate), case) == set()
    claim_case(case, request=request_of(people.teammate))
    with pytest.raises(CaseConflict, match="has this case"):
        record_opinion(
            case, request=request_of(people.colleague), cancer="no", diagnoses=[], text=""
        )


def test_an_arbiter_sees_neither_the_readings_nor_the_ai_before_an_opinion(case, people):
    for doctor, cancer in ((people.owner, "yes"), (people.teammate, "no")):
        case.refresh_from_db()
        request = request_of(doctor)
        record_opinion(case, request=request, cancer=cancer, diagnoses=[], text="")
        answer = VerdictAnswer(cancer, ["Words of a reader"], second_read=True)
        sign(case, request=request, revision=case.revision, answer=answer)
    case.refresh_from_db()
    assert case.stage == "arbitration"
    arbiter = logged_in(people.colleague)
    history = f"/doctor/cases/{case.public_id}/history/"
    assert "Words of a reader" not in arbiter.get(history).content.decode()
    assert arbiter.get(f"/doctor/cases/{case.public_id}/compare/").status_code == 403
    assert told_by(arbiter, case) == set()
    record_opinion(case, request=request_of(people.colleague), cancer="no", diagnoses=[], text="")
    assert "Words of a reader" in arbiter.get(history).content.decode()


def test_break_glass_shows_the_images_and_not_the_ai(case, people):
    break_glass(case, request=request_of(people.stranger), reason="called to the ward")
    client = logged_in(people.stranger)
    assert told_by(client, case) == set()
    assert client.get(f"/doctor/cases/{case.public_id}/").status_code == 200


def test_no_correction_of_such_a_case_is_shown_to_a_second_doctor_before_its_report(case, people):
    example = make_training_example(case, doctor=people.owner)
    type(example).objects.filter(pk=example.pk).update(opinion_asked_at=case.sent_at)
    assert not opinions_asked_of(people.teammate).exists()
    Case.objects.filter(pk=case.pk).update(status="reported")
    assert opinions_asked_of(people.teammate).exists()
