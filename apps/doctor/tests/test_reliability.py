"""The figure beside a score is that of the version which gave it, at the finding's size."""

import pytest
from django.urls import reverse

from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import make_finding, make_prediction
from apps.doctor.reliability import NOT_MEASURED, reliability_of
from tests.people import logged_in

pytestmark = pytest.mark.django_db

CROSS_FITTED = [
    {"band_mm": "0–6", "n": 40, "accuracy": 1.0},
    {"band_mm": "8–15", "n": 200, "accuracy": 0.7},
    {"band_mm": "≥ 25", "n": 10, "accuracy": 0.9},
]
HELD_OUT = [{"band_mm": "8–15", "n": 64, "accuracy": 0.8594}]
MEASURED = {"metrics": {"by_size_band": CROSS_FITTED}, "held_out": {"by_size_band": HELD_OUT}}


def predicted(case, meta, **finding):
    prediction = make_prediction(case)
    version = prediction.model_versions.get(task="malignancy")
    version.meta |= meta
    version.save()
    return make_finding(prediction, **finding).prediction


@pytest.fixture
def case(people):
    return make_case(people.home, status="sent", slices=2)


@pytest.mark.parametrize(
    ("diameter_mm", "words"),
    [
        (5.9, "at 0–6 mm, called from 0.50, right in 100% of 40 (91% to 100%)"),
        (7.0, NOT_MEASURED),
        (8.0, "at 8–15 mm, called from 0.50, right in 86% of 64 (75% to 92%)"),
        (15.0, NOT_MEASURED),
        (60.0, "at ≥ 25 mm, called from 0.50, right in 90% of 10 (60% to 98%)"),
    ],
)
def test_each_size_has_its_own_figure_and_held_out_patients_go_first(case, diameter_mm, words):
    assert reliability_of(predicted(case, MEASURED), diameter_mm) == words


@pytest.mark.parametrize("meta", [{}, {"metrics": {}}, {"held_out": None, "metrics": None}])
def test_a_version_without_figures_says_not_measured(case, meta):
    assert reliability_of(predicted(case, meta), 10.0) == NOT_MEASURED


def test_the_doctor_sees_it_beside_the_score_and_none_beside_own_marks(people, case):
    prediction = predicted(case, MEASURED, diameter_mm=10, malignancy_probability=0.6)
    make_finding(prediction, source="doctor", author=people.owner, diameter_mm=10)
    state = reverse("doctor:case_state", args=[case.public_id])
    shown = logged_in(people.owner).get(state).json()["findings"]
    told = {one["source"]: one["reliability"] for one in shown}
    assert told["model"].startswith("at 8–15 mm, called from 0.50, right in 86% of 64")
    assert told["doctor"] == ""
