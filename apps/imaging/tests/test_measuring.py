"""Measurements against values worked out by hand."""

import math

import numpy as np
import pytest

from apps.imaging import measuring


def test_lengths_are_in_millimetres_along_both_spacings():
    assert measuring.length([(0, 0), (3, 4)], (1.0, 1.0)) == 5
    assert measuring.length([(0, 0), (3, 4)], (2.0, 0.5)) == pytest.approx(math.hypot(6, 2))


def test_the_longer_axis_comes_first():
    assert measuring.two_axes([(0, 0), (0, 2), (0, 0), (5, 0)], (1.0, 1.0)) == (5, 2)


def test_a_value_is_that_of_the_pixel_never_between_two():
    hu = np.array([[0, 100], [200, -300]], np.int16)
    assert measuring.value_at(hu, (0.49, 0.5)) == 100
    assert measuring.value_at(hu, (0.51, 0.6)) == -300


def test_an_ellipse_takes_the_pixels_whose_centres_lie_inside():
    hu = np.arange(25, dtype=np.int16).reshape(5, 5)
    cross = [(1, 2), (3, 2), (2, 1), (2, 3)]  # radius 1 round (2, 2): five pixels
    found = measuring.ellipse(hu, cross, (1.0, 1.0))
    inside = [7, 11, 12, 13, 17]
    assert found["pixels"] == 5
    assert found["mean"] == np.mean(inside)
    assert found["sd"] == pytest.approx(np.std(inside))
    assert (found["min"], found["max"]) == (7, 17)
    assert found["area"] == pytest.approx(math.pi)


def test_an_ellipse_without_a_pixel_inside_names_no_mean():
    found = measuring.ellipse(
        np.zeros((4, 4)), [(1.4, 1.5), (1.6, 1.5), (1.5, 1.4), (1.5, 1.6)], (1, 1)
    )
    assert found["pixels"] == 0
    assert "mean" not in found
