from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.imaging.geometry import (
    is_axial,
    is_regular,
    order_slices,
    orientation_letters,
    patient_point,
    pixel_at,
    slice_normal,
    slice_spacing,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
TILTED_20 = (1.0, 0.0, 0.0, 0.0, 0.9397, -0.342)


@dataclass(frozen=True)
class Slice:
    image_position_patient: tuple[float, float, float] | None
    instance_number: int | None = None
    image_orientation_patient: tuple[float, ...] | None = AXIAL
    slice_location: float | None = None
    sop_instance_uid: str = "1.2"


def stack(*levels: float) -> list[Slice]:
    return [Slice((0.0, 0.0, z), number) for number, z in enumerate(levels)]


def test_axial_slices_stack_towards_the_head():
    assert slice_normal(AXIAL) == (0, 0, 1)


def test_slices_are_ordered_by_position_whatever_their_numbers():
    slices = [Slice((0, 0, 10), 1), Slice((0, 0, -5), 2), Slice((0, 0, 2.5), 3)]
    assert [one.instance_number for one in order_slices(slices)] == [2, 3, 1]


def test_slices_without_position_come_last_by_location_and_number():
    slices = [
        Slice(None, 9, slice_location=1.0),
        Slice(None, 3, slice_location=1.0),
        Slice((0, 0, 50), 7),
        Slice(None, None),
    ]
    assert [one.instance_number for one in order_slices(slices)] == [7, None, 3, 9]


@given(st.permutations(stack(-7.5, -5, -2.5, 0, 2.5)))
def test_the_order_does_not_depend_on_the_order_of_arrival(slices):
    assert [one.instance_number for one in order_slices(slices)] == [0, 1, 2, 3, 4]


def test_spacing_comes_from_positions():
    assert slice_spacing(stack(0, 1.25, 2.5, 3.75)) == 1.25
    assert slice_spacing(stack(4)) is None
    assert slice_spacing([Slice(None, 1), Slice(None, 2)]) is None


@pytest.mark.parametrize(
    ("levels", "regular"),
    [
        ((0, 5, 10, 15), True),
        ((0, 5.2, 10, 15), True),
        ((0, 5, 15, 20), False),
        ((0, 5, 5, 10), False),
        ((0, 0), False),
        ((0,), False),
    ],
)
def test_a_missing_or_doubled_slice_makes_a_series_irregular(levels, regular):
    assert is_regular(stack(*levels)) is regular


def test_a_pixel_lies_where_the_standard_says():
    # Rows are 2 mm apart, columns 0.5 mm: row 10 is 20 mm to the back, column 4 is 2 mm left.
    point = patient_point(10, 4, position=(-100, -50, 7), orientation=AXIAL, spacing=(2.0, 0.5))
    assert point == (-98, -30, 7)


@given(st.floats(0, 511), st.floats(0, 511))
def test_the_way_to_the_patient_and_back_ends_at_the_same_pixel(row, column):
    place = {"position": (-170.0, -160.0, 33.0), "orientation": AXIAL, "spacing": (0.7, 0.8)}
    assert pixel_at(patient_point(row, column, **place), **place) == pytest.approx((row, column))


@pytest.mark.parametrize(
    ("direction", "letters"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, 1, 0), "P"),
        ((0, 0, 1), "H"),
        ((0, 0.94, -0.34), "PF"),
        ((0.05, -1, 0), "A"),
    ],
)
def test_directions_are_named_by_their_strongest_part(direction, letters):
    assert orientation_letters(direction) == letters


@pytest.mark.parametrize(
    ("orientation", "axial"),
    [(AXIAL, True), (TILTED_20, True), (CORONAL, False), (SAGITTAL, False), (None, False)],
)
def test_a_tilted_gantry_is_still_axial(orientation, axial):
    assert is_axial(orientation) is axial
