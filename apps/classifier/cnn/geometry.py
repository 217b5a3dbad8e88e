"""Where slices lie in the patient (DICOM PS3.3 C.7.6.2.1.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNKNOWN_SPACING_MM = 5.0


@dataclass(frozen=True)
class SliceInput:
    """One axial CT slice in Hounsfield units.

    hu: (rows, columns) int16. pixel_spacing: distance between rows, between columns, in mm.
    position: Image Position (Patient), mm. orientation: Image Orientation (Patient),
    row cosines then column cosines.
    """

    key: str
    hu: np.ndarray
    pixel_spacing: tuple[float, float]
    position: tuple[float, float, float] | None = None
    orientation: tuple[float, float, float, float, float, float] | None = None


AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def normal(orientation: tuple[float, ...] | None) -> np.ndarray:
    """Unit vector across the slices; axial when the orientation is unknown."""
    cosines = np.asarray(orientation or AXIAL, dtype=float)
    across = np.cross(cosines[:3], cosines[3:])
    length = np.linalg.norm(across)
    return across / length if length > 0 else np.array([0.0, 0.0, 1.0])


def sort_slices(slices: Sequence[SliceInput]) -> list[SliceInput]:
    """Slices along their normal, feet first when axial; given order where a position is missing."""
    if any(item.position is None for item in slices):
        return list(slices)
    across = normal(slices[0].orientation)
    return sorted(slices, key=lambda item: float(across @ np.asarray(item.position)))


def offsets_mm(ordered: Sequence[SliceInput]) -> np.ndarray:
    """(n,) position of each sorted slice along the normal, mm; 5 mm apart when unknown."""
    if any(item.position is None for item in ordered):
        return np.arange(len(ordered)) * UNKNOWN_SPACING_MM
    across = normal(ordered[0].orientation)
    return np.array([float(across @ np.asarray(item.position)) for item in ordered])


def pixel_position_mm(
    item: SliceInput, row: float, column: float
) -> tuple[float, float, float] | None:
    """Patient coordinates (x, y, z) in mm of a pixel centre; None without a position."""
    if item.position is None:
        return None
    cosines = np.asarray(item.orientation or AXIAL, dtype=float)
    row_mm, column_mm = item.pixel_spacing
    along_row, along_column = cosines[:3] * column * column_mm, cosines[3:] * row * row_mm
    place = np.asarray(item.position) + along_row + along_column
    return tuple(round(float(value), 2) for value in place)
