import cv2
import numpy as np
import pytest

from apps.imaging.rendering import png, thumbnail

CORNERS = np.array([[-1000, 0], [500, 1000]], np.int16)


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        ({}, [[0, 1], [2, 3]]),
        ({"rotation": 90}, [[2, 0], [3, 1]]),
        ({"rotation": 180}, [[3, 2], [1, 0]]),
        ({"rotation": 270}, [[1, 3], [0, 2]]),
        ({"flip_horizontal": True}, [[1, 0], [3, 2]]),
        ({"flip_vertical": True}, [[2, 3], [0, 1]]),
        ({"flip_horizontal": True, "rotation": 90}, [[3, 1], [2, 0]]),
    ],
)
def test_the_picture_is_flipped_and_then_turned_clockwise(turn, expected):
    shown = decoded(png(CORNERS, center=0, width=2001, **turn))
    order = np.argsort(np.argsort(shown.ravel())).reshape(2, 2)
    assert order.tolist() == expected


def test_the_picture_holds_eight_bit_grey_of_the_window():
    shown = decoded(png(CORNERS, center=0.5, width=2001))
    assert shown.dtype == np.uint8
    assert shown.tolist() == [[0, 128], [191, 255]]


def test_a_thumbnail_keeps_the_shape_of_the_slice_and_never_grows_it():
    assert decoded(thumbnail(np.zeros((512, 256), np.int16), center=40, width=400)).shape == (
        128,
        64,
    )
    assert decoded(thumbnail(CORNERS, center=40, width=400)).shape == (2, 2)


@pytest.mark.parametrize("rotation", [45, -90, 360])
def test_other_rotations_are_refused(rotation):
    with pytest.raises(ValueError, match="rotation"):
        png(CORNERS, center=0, width=100, rotation=rotation)


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(ValueError, match="max_side"):
        png(CORNERS, center=0, width=100, max_side=0)
