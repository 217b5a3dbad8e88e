"""Where slices and pixels lie in the patient (PS3.3 C.7.6.2.1.1); all lengths in mm.

Patient coordinates: x grows to the patient's left, y to the back, z to the head.
"""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

Vector = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]


class Placed(Protocol):
    """What ordering needs to know of a slice; InstanceFacts is one."""

    @property
    def image_position_patient(self) -> Vector | None: ...
    @property
    def image_orientation_patient(self) -> Orientation | None: ...
    @property
    def slice_location(self) -> float | None: ...
    @property
    def instance_number(self) -> int | None: ...
    @property
    def sop_instance_uid(self) -> str: ...


PlacedSlice = TypeVar("PlacedSlice", bound=Placed)


def slice_normal(orientation: Orientation) -> Vector:
    """The unit vector along which slices of this orientation are stacked.

    For an axial slice of a patient lying face up it points to the head (0, 0, 1).
    """
    normal = np.cross(orientation[:3], orientation[3:])
    return tuple((normal / np.linalg.norm(normal)).tolist())


def position_along(normal: Vector, position: Vector) -> float:
    """Distance of `position` from the origin along `normal`, mm."""
    return float(np.dot(normal, position))


def sort_key(placed: Placed) -> tuple[int, float, int, str]:
    """Orders slices along their normal, feet to head for axial ones.

    Without Image Position (Patient) slices come last, by slice location, then by number.
    """
    position, orientation = placed.image_position_patient, placed.image_orientation_patient
    number = placed.instance_number if placed.instance_number is not None else 0
    if position is not None and orientation is not None:
        along = position_along(slice_normal(orientation), position)
        return 0, round(along, 4), number, placed.sop_instance_uid
    location = placed.slice_location if placed.slice_location is not None else 0.0
    return 1, location, number, placed.sop_instance_uid


def order_slices(placed: Sequence[PlacedSlice]) -> list[PlacedSlice]:
    """The slices of one series in the order of `sort_key`; the same for any order given."""
    return sorted(placed, key=sort_key)


def slice_spacing(placed: Sequence[Placed]) -> float | None:
    """The median distance between neighbouring slice centres, mm; None if it is unknown.

    From positions, because Slice Thickness and Spacing Between Slices are often something else.
    """
    gaps = _gaps(placed)
    return float(np.median(gaps)) if len(gaps) else None


def is_regular(placed: Sequence[Placed], *, tolerance: float = 0.1) -> bool:
    """Whether neighbouring slices are equally far apart, within `tolerance` of the spacing.

    False where a slice is missing or doubled, where positions are unknown, or for one slice.
    """
    gaps = _gaps(placed)
    if not len(gaps) or gaps.min() <= 0:
        return False
    middle = float(np.median(gaps))
    return bool(np.all(np.abs(gaps - middle) <= tolerance * middle))


def patient_point(
    row: float,
    column: float,
    *,
    position: Vector,
    orientation: Orientation,
    spacing: tuple[float, float],
) -> Vector:
    """Patient mm of the centre of pixel (row, column), counted from 0 (equation C.7.6.2.1-1)."""
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    between_rows, between_columns = spacing
    point = np.array(position) + along_row * between_columns * column
    return tuple((point + along_column * between_rows * row).tolist())


def pixel_at(
    point: Vector, *, position: Vector, orientation: Orientation, spacing: tuple[float, float]
) -> tuple[float, float]:
    """(row, column) of the patient point dropped onto the slice: the inverse of `patient_point`."""
    offset = np.array(point) - np.array(position)
    column = float(np.dot(offset, orientation[:3])) / spacing[1]
    return float(np.dot(offset, orientation[3:])) / spacing[0], column


def orientation_letters(direction: Sequence[float]) -> str:
    """Where a direction points: L/R, P/A, H/F (PS3.3 C.7.6.1.1.1), strongest part first.

    `orientation[:3]` gives the right edge of the picture, `orientation[3:]` the lower edge.
    """
    names = (("L", "R"), ("P", "A"), ("H", "F"))
    parts = sorted(zip(direction, names, strict=True), key=lambda part: -abs(part[0]))
    return "".join(pair[0] if size > 0 else pair[1] for size, pair in parts if abs(size) > 0.1)


def is_axial(orientation: Orientation | None, *, tolerance_degrees: float = 30.0) -> bool:
    """Whether the slice lies across the body; a tilted gantry (at most 30 degrees) still does."""
    if orientation is None:
        return False
    upright = abs(slice_normal(orientation)[2])
    return bool(upright >= np.cos(np.radians(tolerance_degrees)) - 1e-6)


def _gaps(placed: Sequence[Placed]) -> np.ndarray:
    keys = [sort_key(one) for one in placed]
    if any(key[0] for key in keys):
        return np.array([])
    return np.diff(sorted(key[1] for key in keys))
