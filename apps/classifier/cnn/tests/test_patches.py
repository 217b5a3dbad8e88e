import numpy as np
import pytest

from apps.classifier.cnn import patches
from apps.classifier.cnn.datasets import as_grey, crop_from_series, crop_slice


def test_an_eight_bit_crop_and_the_slice_in_hounsfield_units_give_the_same_patch(chest_slices):
    item = chest_slices[6]
    crop = crop_slice(item.hu, 250.5, 150.5)
    from_hu = patches.stack([item.hu] * 3, item.pixel_spacing[0], 250.5, 150.5)
    from_png = patches.stack([as_grey(crop)] * 3, item.pixel_spacing[0], 63.5, 63.5)
    assert np.abs(from_hu - from_png).max() < 0.01


def test_the_grey_scale_does_not_matter(chest_slices):
    hu = chest_slices[6].hu
    plain = patches.stack([hu], 0.7, 250, 150)
    scaled = patches.stack([hu * 0.25 + 90], 0.7, 250, 150)
    assert np.allclose(plain, scaled, atol=1e-4)


def test_an_even_patch_is_zero_and_finite():
    assert not patches.stack([np.full((128, 128), 7, np.int16)], 0.7, 60, 60).any()


@pytest.mark.parametrize("place", [(-40, -40), (0, 511), (600, 250)])
def test_places_at_and_beyond_the_border_give_a_patch(chest_slices, place):
    patch = patches.stack([chest_slices[0].hu], 0.7, *place)
    assert patch.shape == (64, 64, 1)
    assert np.isfinite(patch).all()


def test_neighbours_lie_two_and_a_half_millimetres_away():
    assert patches.neighbours(np.arange(0, 30, 1.25), 10) == (8, 10, 12)


def test_thick_slices_stand_in_for_their_missing_neighbours():
    assert patches.neighbours(np.arange(0, 100, 10.0), 4) == (4, 4, 4)
    assert patches.neighbours(np.array([0.0]), 0) == (0, 0, 0)


def test_a_crop_from_a_series_reaches_as_far_as_the_nodule(chest_slices):
    assert crop_from_series(chest_slices, "slice-6", 250, 150, 10.0).shape == (3, 128, 128)
    assert crop_from_series(chest_slices, "slice-6", 2, 2, 0.0).shape == (1, 128, 128)
