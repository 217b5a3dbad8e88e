"""Neither doctors nor technicians see anything of a version in shadow, wherever they look."""

import pytest

from apps.accounts.tests.factories import request_of
from apps.cases.tests.factories import make_case, make_measurement
from apps.classifier.adjudication import confirm, confirmation_of
from apps.classifier.tests.factories import (
    make_finding,
    make_heatmap,
    make_model_version,
    make_prediction,
    make_training_example,
)
from apps.doctor.report import report_body
from apps.doctor.services import VerdictAnswer, next_number
from tests.access_table import (
    CASE,
    FINDING,
    INSTANCE,
    MEASUREMENT,
    PREDICTION,
    SERIES,
    TABLE,
    ByRole,
)
from tests.people import People, logged_in
from tests.test_access import filled

SCORE = 0.7351926
TELLING = ["0.735", "73.5", "0.74", "33.7", "34 mm", "shadow-warning", "malignancy-v77"]


@pytest.fixture
def shadowed(people: People):
    """A reported case with a live prediction without findings, and a shadow's with one."""
    case = make_case(people.home, status="reported", doctor=people.owner)
    live = make_prediction(case, score=0.12)
    version = make_model_version(status="candidate", number=77)
    shadow = make_prediction(
        case,
        shadow=True,
        beside=live,
        score=SCORE,
        models_key="chest-v1 malignancy-v77 nodule-v1",
        warnings=["shadow-warning"],
        profile=[[0.0, SCORE]],
    )
    shadow.model_versions.set([version])
    finding = make_finding(shadow, malignancy_probability=SCORE, diameter_mm=33.7)
    make_heatmap(finding)
    return case, shadow, finding


@pytest.mark.parametrize("person", ["owner", "technician"])
def test_no_page_and_no_address_tells_of_a_shadow(people: People, shadowed, person):
    case, shadow, finding = shadowed
    series = case.study.series.get()
    keys = {
        CASE: case.public_id,
        SERIES: series.public_id,
        INSTANCE: series.instances.get().public_id,
        PREDICTION: shadow.public_id,
        FINDING: finding.public_id,
        MEASUREMENT: make_measurement(series.instances.get(), people.owner).public_id,
    }
    telling = [*TELLING, str(shadow.public_id), str(finding.public_id)]
    client, looked = logged_in(getattr(people, person)), 0
    for method, route, kind, answers in TABLE:
        if isinstance(answers, ByRole) and "<" in route:
            continue
        if method != "GET" and "search" not in route:
            continue
        response = client.generic(method, filled(route, keys.get(kind)))
        if kind in {PREDICTION, FINDING}:
            assert response.status_code in {403, 404}, route
        said = b"".join(response.streaming_content if response.streaming else [response.content])
        # A PDF's streams are packed; what is in them is the report body, tested below.
        packed = response.headers.get("Content-Type", "").startswith("application/pdf")
        for word in telling if not packed else []:
            assert word.encode() not in said, (route, word)
        looked += response.status_code == 200
    assert looked > 20 if person == "owner" else looked > 10


def test_a_shadow_cannot_be_asked_again_or_overridden_by_its_id(people: People, shadowed):
    _, shadow, _ = shadowed
    shadow.__class__.objects.filter(pk=shadow.pk).update(status="failed")
    for person in (people.owner, people.technician):
        client = logged_in(person)
        for step in ("retry", "override"):
            response = client.post(f"/api/v1/predictions/{shadow.public_id}/{step}/")
            assert response.status_code in {403, 404}


def test_a_shadows_findings_take_no_number_and_do_not_speak_for_the_case(people: People, shadowed):
    case = shadowed[0]
    assert next_number(case) == 1
    body = report_body(case, people.owner, VerdictAnswer(cancer="no"), 1)
    assert "malignancy-v77" not in body
    assert "0.74" not in body
    live = case.predictions.get(shadow=False)
    only = make_finding(live)
    example = make_training_example(case, doctor=people.owner, finding=only)
    whole = confirm(case, request=request_of(people.owner), kind="pathology", label="malignant")
    assert confirmation_of(example) == whole
