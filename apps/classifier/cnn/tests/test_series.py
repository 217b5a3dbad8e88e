import math
from dataclasses import replace

import numpy as np
import pytest

from apps.classifier.cnn.folders import load_models
from apps.classifier.cnn.geometry import SliceInput
from apps.classifier.cnn.series import analyse_series, probe
from apps.classifier.cnn.tests.conftest import NODULES


@pytest.fixture(scope="module")
def analysis(chest_slices, models):
    return analyse_series(chest_slices, models)


def near(analysis, nodule):
    reach = max(5.0, nodule.diameter_mm / 2)
    return [f for f in analysis.findings if math.dist(f.position_mm, nodule.center) <= reach]


@pytest.mark.parametrize("nodule", NODULES, ids=["14 mm", "20 mm"])
def test_a_phantom_nodule_is_found_at_its_place(analysis, nodule):
    assert near(analysis, nodule)


@pytest.mark.parametrize("nodule", NODULES, ids=["14 mm", "20 mm"])
def test_the_diameter_is_measured_from_the_pixels(analysis, nodule):
    measured = near(analysis, nodule)[0].diameter_mm
    assert measured == pytest.approx(nodule.diameter_mm, abs=3.0)


def test_findings_come_best_first_and_the_score_is_that_of_the_best(analysis):
    ranks = [f.nodule_probability * f.malignancy_probability for f in analysis.findings]
    assert ranks == sorted(ranks, reverse=True)
    assert analysis.series_score == pytest.approx(ranks[0], abs=1e-3)


def test_the_profile_has_one_value_per_slice_and_peaks_at_the_best_finding(analysis):
    assert len(analysis.profile) == len(analysis.order) == len(analysis.chest)
    peak = analysis.order.index(analysis.findings[0].key)
    assert analysis.profile[peak] == pytest.approx(max(analysis.profile))


def test_the_order_of_the_files_does_not_matter(analysis, chest_slices, models):
    assert analyse_series(chest_slices[::-1], models) == analysis


def test_the_numbers_do_not_depend_on_the_run_or_the_threads(analysis, chest_slices, monkeypatch):
    monkeypatch.setenv("CNN_THREADS", "1")
    again = analyse_series(chest_slices, load_models())
    places = [(f.key, f.row, f.column, f.diameter_mm) for f in analysis.findings]
    assert [(f.key, f.row, f.column, f.diameter_mm) for f in again.findings] == places
    scores = [f.malignancy_probability for f in analysis.findings]
    assert [f.malignancy_probability for f in again.findings] == pytest.approx(scores, abs=1e-4)


def test_progress_grows_to_one(chest_slices, models):
    told = []
    analyse_series(chest_slices[:3], models, on_progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_air_round_the_patient_is_measured(analysis):
    assert analysis.air_hu == pytest.approx(-1000, abs=20)


def test_a_miscalibrated_scanner_is_warned_about(chest_slices, models):
    shifted = [replace(s, hu=(s.hu + 120).astype(np.int16)) for s in chest_slices[:2]]
    warnings = analyse_series(shifted, models).warnings
    assert any("check the scanner's calibration" in text for text in warnings)


def test_one_slice_is_enough_and_says_what_it_lacks(chest_slices, models):
    analysis = analyse_series([chest_slices[5]], models)
    assert analysis.refused is None
    assert any("Only one image" in text for text in analysis.warnings)


def test_missing_positions_are_said_and_give_no_place_in_the_patient(chest_slices, models):
    unplaced = [replace(s, position=None) for s in chest_slices]
    analysis = analyse_series(unplaced, models)
    assert any("positions are missing" in text for text in analysis.warnings)
    assert {f.position_mm for f in analysis.findings} == {None}


def test_an_abdomen_is_refused_in_words_and_never_scored(abdomen_slices, models):
    analysis = analyse_series(abdomen_slices, models)
    assert analysis.refused.code == "not_chest"
    assert "lung" in analysis.refused.reason
    assert analysis.series_score is None


def test_the_gate_can_be_overridden_and_nothing_found_is_no_score(abdomen_slices, models):
    analysis = analyse_series(abdomen_slices, models, override_gate=True)
    assert analysis.refused is None
    assert analysis.series_score is None


def flat(**changes):
    given = {"key": "a", "hu": np.zeros((128, 128), np.int16), "pixel_spacing": (0.7, 0.7)}
    return SliceInput(**(given | changes))


@pytest.mark.parametrize(
    ("slices", "code"),
    [
        ([], "no_slices"),
        ([flat(orientation=(0, 1, 0, 0, 0, -1))], "unsupported_orientation"),
        ([flat(pixel_spacing=(5.0, 5.0))], "unsupported_spacing"),
        ([flat(pixel_spacing=(0.7, 1.4))], "unsupported_spacing"),
        ([flat(pixel_spacing=(0.0, 0.0))], "unsupported_spacing"),
        ([flat(), flat(hu=np.zeros((64, 128), np.int16))], "unsupported_size"),
        ([flat(hu=np.zeros((8, 8), np.int16))], "unsupported_size"),
    ],
    ids=["empty", "coronal", "coarse", "not square", "unknown", "mixed", "tiny"],
)
def test_what_lies_outside_the_intended_use_is_refused(slices, code, models):
    assert analyse_series(slices, models).refused.code == code


@pytest.mark.parametrize(("age", "refused"), [(12.0, True), (17.9, True), (18.0, False)])
def test_only_adults_are_analysed(chest_slices, models, age, refused):
    analysis = analyse_series(chest_slices[:1], models, age_years=age)
    assert bool(analysis.refused) == refused
    if refused:
        assert analysis.refused.code == "not_adult"
        assert analysis.series_score is None


@pytest.mark.parametrize("age", [0.0, float("nan")])
def test_an_age_that_is_none_is_no_reason_to_refuse(chest_slices, models, age):
    assert analyse_series(chest_slices[:1], models, age_years=age).refused is None


def test_a_child_is_analysed_after_an_override_with_a_warning(chest_slices, models):
    analysis = analyse_series(chest_slices[:1], models, age_years=12.0, override_gate=True)
    assert analysis.refused is None
    assert any("not an adult" in text for text in analysis.warnings)


@pytest.mark.parametrize("value", [-1024, 0, 3071, -32768, 32767])
def test_an_even_picture_is_refused_without_a_crash(value, models):
    picture = flat(hu=np.full((128, 128), value, np.int16))
    assert analyse_series([picture], models).refused.code == "not_chest"


def test_and_this_answers_for_a_place(chest_slices, models):
    phantom_nodule = NODULES[1]
    index = min(range(12), key=lambda i: abs(chest_slices[i].position[2] - 10 * -1))
    slice_ = chest_slices[index]
    column = (phantom_nodule.center[0] - slice_.position[0]) / slice_.pixel_spacing[1]
    row = (phantom_nodule.center[1] - slice_.position[1]) / slice_.pixel_spacing[0]
    answer = probe(chest_slices, slice_.key, row, column, models)
    air = probe(chest_slices, slice_.key, 5, 5, models)
    assert answer.nodule_probability > 0.5 > air.nodule_probability
    assert answer.diameter_mm == pytest.approx(20, abs=4)


def test_and_this_outside_the_series_is_an_error(chest_slices, models):
    with pytest.raises(KeyError):
        probe(chest_slices, "unknown", 1, 1, models)
    with pytest.raises(ValueError, match="outside"):
        probe(chest_slices, "slice-0", 5000, 1, models)
