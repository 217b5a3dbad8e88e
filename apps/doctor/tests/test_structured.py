"""The structured form: what the doctor measures gives growth and category; the report says both."""

from datetime import date

import pytest

from apps.cases.models import Case, Study, TextTemplate
from apps.cases.tests.factories import make_case
from apps.doctor.phrases import ICD_10_CM, code_of, suggestions
from tests.people import logged_in

NODULE = {"kind": "solid", "long_mm": 9.0, "short_mm": 7.0, "place": "rul"}


@pytest.fixture
def case(people) -> Case:
    found = make_case(people.home, status="sent", patient_id="SAME", accession_number="A1")
    Study.objects.filter(pk=found.study_id).update(study_date=date(2026, 6, 1))
    return Case.objects.get(pk=found.pk)


def calculated(client, case, *nodules, **more):
    url = f"/api/v1/cases/{case.public_id}/lung-rads/"
    return client.post(url, {"nodules": nodules, **more}, content_type="application/json")


def signed(client, case, **structured):
    url = f"/api/v1/cases/{case.public_id}/verdicts/"
    body = {"revision": case.revision, "cancer": "uncertain", "structured": structured}
    return client.post(url, body, content_type="application/json")


def test_the_category_comes_with_the_rule_that_gave_it(case, people):
    told = calculated(logged_in(people.owner), case, NODULE).json()
    assert (told["category"], told["nodules"][0]["mean_mm"]) == ("4A", 8.0)
    assert told["rule"] == "Solid, 8.0 mm at the first CT: 8 to below 15 mm is 4A."
    assert calculated(logged_in(people.owner), case).json()["category"] == "1"
    assert calculated(logged_in(people.owner), case, incomplete=True).json()["category"] == "0"


def test_growth_against_the_prior_in_mm_percent_and_doubling_time(case, people):
    before = {"before_mm": 6.0, "before_date": "2025-12-01"}
    one = calculated(logged_in(people.owner), case, {**NODULE, **before}).json()["nodules"][0]
    assert one["growth"]["change_mm"] == 2.0
    assert one["growth"]["change_percent"] == 33.3
    assert one["growth"]["days"] == 182
    # Volume grows by (8/6)^3: 182 * ln 2 / (3 * ln(8/6)) days.
    assert one["growth"]["doubling_days"] == 146
    assert (one["behaviour"], one["category"]) == ("growing", "4B")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"short_mm": 9.5}, "short axis"),
        ({"kind": "part_solid"}, "solid part"),
        ({"kind": "part_solid", "solid_mm": 9.5}, "larger than the nodule"),
        ({"before_mm": 5}, "earlier size and its date"),
        ({"before_mm": 5, "before_date": "2026-06-01"}, "before this one"),
        ({"long_mm": 0}, "0.5"),
        ({"kind": "cloud"}, "cloud"),
        ({"long_mm": "nan"}, "number"),
    ],
)
def test_what_cannot_be_is_refused_in_words(case, people, wrong, words):
    answer = calculated(logged_in(people.owner), case, NODULE | wrong)
    assert answer.status_code == 400
    assert words in answer.content.decode()


def test_the_verdict_keeps_what_was_measured_and_what_was_calculated(case, people):
    answer = signed(logged_in(people.owner), case, nodules=[{**NODULE, "label": "Finding 1"}])
    assert answer.status_code == 201, answer.content
    verdict = case.verdicts.get()
    assert (verdict.lung_rads, verdict.nodules[0]["category"]) == ("4A", "4A")
    assert "8 to below 15 mm is 4A" in verdict.lung_rads_rule
    body = verdict.report.body
    line = "- Finding 1: right upper lobe, solid, 9.0 x 7.0 mm, mean 8.0 mm, first CT."
    assert line in body
    assert "Lung-RADS v2022: 4A" in body


def test_another_category_than_the_calculated_one_needs_a_reason(case, people):
    client = logged_in(people.owner)
    refused = signed(client, case, nodules=[NODULE], lung_rads="4X")
    assert refused.status_code == 400
    assert "calculated Lung-RADS category is 4A" in refused.content.decode()
    why = "spiculated, with a pleural tag"
    assert signed(client, case, nodules=[NODULE], lung_rads="4X", lung_rads_reason=why)
    verdict = case.verdicts.get()
    assert (verdict.lung_rads, verdict.lung_rads_reason) == ("4X", why)
    assert f"Changed by the doctor: {why}" in verdict.report.body
    assert "Calculated: 4A." in verdict.report.body


def test_without_nodules_the_report_says_nothing_of_lung_rads(case, people):
    assert signed(logged_in(people.owner), case).status_code == 201
    assert case.verdicts.get().lung_rads == ""
    assert "Lung-RADS" not in case.reports.get().body


def test_the_page_offers_the_nodules_of_earlier_reports_of_the_patient(case, people):
    client = logged_in(people.owner)
    before = make_case(people.home, status="sent", patient_id="SAME", accession_number="A2")
    Study.objects.filter(pk=before.study_id).update(study_date=date(2025, 12, 1))
    assert signed(client, before, nodules=[NODULE]).status_code == 201
    page = client.get(f"/doctor/cases/{case.public_id}/")
    assert page.context["nodules_before"] == [
        {
            "date": "2025-12-01",
            "mean_mm": 8.0,
            "category": "4A",
            "kind": "solid",
            "place": "rul",
            "label": "",
        }
    ]
    earlier_page = client.get(f"/doctor/cases/{before.public_id}/")
    assert earlier_page.context["nodules_before"] == []


def test_texts_are_each_doctors_own(case, people):
    mine, theirs = logged_in(people.owner), logged_in(people.teammate)
    url = "/api/v1/text-templates/"
    for text in ("first wording", "second wording"):
        kept = mine.post(url, {"name": "Quiet", "text": text}, content_type="application/json")
        assert kept.status_code == 201
    assert [one["text"] for one in mine.get(url).json()["results"]] == ["second wording"]
    assert theirs.get(url).json()["results"] == []
    one = f"{url}{kept.json()['public_id']}/"
    assert theirs.delete(one).status_code == 404
    assert mine.delete(one).status_code == 204
    assert not TextTemplate.objects.exists()


def test_a_chosen_diagnosis_keeps_its_code_and_a_free_line_has_none():
    line = next(one for one in suggestions() if "R91.1" in one)
    assert code_of(line) == ("R91.1", ICD_10_CM["R91.1"])
    assert code_of("Nodule, to be followed") is None
    assert code_of("Invented [ICD-10-CM Z99.999]") is None
