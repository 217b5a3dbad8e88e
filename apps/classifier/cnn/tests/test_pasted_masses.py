"""Masses pasted into slices for training: where they lie and what they leave alone."""

import numpy as np
import pytest

from apps.classifier.cnn.lungs import find_lungs
from apps.classifier.cnn.pasted_masses import DIAMETERS_MM, LEAST_DIAMETER_MM, paste_mass


@pytest.fixture(scope="module")
def pasted(chest_slices):
    item = chest_slices[6]
    lungs, rng = find_lungs(item.hu, item.pixel_spacing), np.random.default_rng(1)
    made = [paste_mass(item, lungs, rng) for _ in range(30)]
    return item, lungs, [one for one in made if one]


def test_masses_of_all_sizes_are_made(pasted):
    _, _, made = pasted
    sizes = [one.diameter_mm for one in made]
    assert len(made) >= 20
    assert min(sizes) >= LEAST_DIAMETER_MM
    assert max(sizes) > 50
    assert max(sizes) < 1.3 * DIAMETERS_MM[1]


def test_only_lung_becomes_denser_and_nothing_becomes_thinner(pasted):
    item, _, made = pasted
    for one in made:
        changed = one.slice.hu.astype(int) - item.hu
        assert changed.min() >= 0
        assert item.hu[changed > 300].max() < 0


def test_the_place_is_that_of_the_mass(pasted):
    item, _, made = pasted
    for one in made:
        rows, columns = np.nonzero(one.slice.hu.astype(int) - item.hu > 100)
        reach = one.diameter_mm / item.pixel_spacing[0]
        assert np.hypot(rows.mean() - one.row, columns.mean() - one.column) < 0.35 * reach


def test_most_lean_on_the_wall(pasted):
    _, lungs, made = pasted
    outside = lungs.closed == 0
    leaning = 0
    for one in made:
        y, x = np.nonzero(outside)
        pixel_mm = one.slice.pixel_spacing[0]
        away = np.hypot(y - one.row * pixel_mm, x - one.column * pixel_mm).min()
        leaning += away < 0.8 * one.diameter_mm / 2
    assert leaning > len(made) / 3


def test_the_same_seed_pastes_the_same_mass(chest_slices):
    item = chest_slices[6]
    lungs = find_lungs(item.hu, item.pixel_spacing)
    one, other = (paste_mass(item, lungs, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one.slice.hu, other.slice.hu)
