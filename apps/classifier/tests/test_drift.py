"""Shares, PSI, and what chance alone explains."""

import numpy as np
import pytest

from apps.classifier.cnn import drift
from apps.classifier.cnn.geometry import SliceInput

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def _slice(key: str, z: float, hu: float) -> SliceInput:
    return SliceInput(key, np.full((64, 64), hu, np.int16), (0.7, 0.7), (0.0, 0.0, z), AXIAL)


def test_each_value_falls_into_its_bin_and_open_ends_take_the_rest():
    assert drift.shares([-5, 0.1, 0.2, 0.5, 99], "score") == [0.4, 0.2, 0.2, 0.0, 0.2]
    assert drift.shares([], "score") == [0.0] * 5
    assert len(drift.bin_names("hu")) == len(drift.EDGES["hu"]) + 1


def test_alike_is_zero_and_a_shift_is_what_the_formula_says():
    assert drift.psi([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]) == 0
    expected = (0.5 - 0.25) * np.log(2) + (0.5 - 0.75) * np.log(0.5 / 0.75)
    assert drift.psi([0.25, 0.75], [0.5, 0.5]) == pytest.approx(expected)
    assert np.isfinite(drift.psi([1.0, 0.0], [0.0, 1.0]))


def test_psi_without_a_shift_stays_below_what_chance_explains_99_times_of_100():
    rng, truth = np.random.default_rng(3), [0.1, 0.2, 0.3, 0.25, 0.15]
    bound = drift.psi_by_chance(5, 80, 400)
    below = [
        drift.psi(rng.multinomial(400, truth) / 400, rng.multinomial(80, truth) / 80) <= bound
        for _ in range(2000)
    ]
    assert np.mean(below) == pytest.approx(0.99, abs=0.01)
    assert drift.psi_by_chance(5, 0, 400) == np.inf


def test_facts_come_from_chest_slices_only_and_leave_the_air_out():
    slices = [_slice("a", 0, -800), _slice("b", 2.5, 40), _slice("c", 5, -1000)]
    facts = drift.input_facts(slices, {"a", "b", "c"})
    assert (facts["pixel_mm"], facts["slice_mm"]) == (0.7, 2.5)
    assert facts["hu"] == [0, 0.5, 0, 0, 0, 0.5, 0, 0, 0]
    assert drift.input_facts(slices, {"b"})["hu"][5] == 1.0
    assert "hu" not in drift.input_facts(slices, set())
    assert drift.input_facts([], set()) == {}


def test_manufacturers_are_told_apart_by_their_first_word():
    assert drift.maker(" Siemens Healthineers") == drift.maker("SIEMENS") == "SIEMENS"
    assert drift.maker("") == "other"
    assert drift.maker_shares(["GE", "GE", "X", "other"], ["SIEMENS", "GE"]) == [0, 0.5, 0.5]


def test_the_shipped_reference_fits_the_bins_and_names_no_patient():
    known = drift.reference()
    for name in drift.EDGES:
        assert len(known[name]["shares"]) == len(drift.bin_names(name))
        assert sum(known[name]["shares"]) == pytest.approx(1, abs=0.001)
        assert known[name]["n"] > 30
    makers = known["manufacturer"]
    assert len(makers["shares"]) == len(makers["values"]) + 1
    assert "LIDC-IDRI-" not in drift.REFERENCE.read_text()
    assert "TCGA-" not in drift.REFERENCE.read_text()
