"""What a measurement drawn on a slice says, from stored Hounsfield units at whole pixels.

Points are (row, column) in pixels, counted from 0 at the centre of the first pixel, fractions
allowed. `spacing` is (between rows, between columns) in mm, as Pixel Spacing (PS3.3 10.7.1.3)
has it; without one pass (1, 1), and every length is in pixels.
"""

import math
from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]
Spacing = tuple[float, float]


def length(points: Sequence[Point], spacing: Spacing) -> float:
    """Distance between two points, mm."""
    (row, column), (other_row, other_column) = points
    return math.hypot((row - other_row) * spacing[0], (column - other_column) * spacing[1])


def two_axes(points: Sequence[Point], spacing: Spacing) -> tuple[float, float]:
    """The longer and the shorter of two lines given as four points, mm."""
    first, second = length(points[:2], spacing), length(points[2:], spacing)
    return max(first, second), min(first, second)


def value_at(hu: np.ndarray, point: Point) -> int:
    """The stored value of the pixel that holds the point, HU; nothing is interpolated."""
    return int(hu[nearest(point[0]), nearest(point[1])])


def nearest(coordinate: float) -> int:
    """The whole pixel that a coordinate lies in; halves go up, as in the browser."""
    return math.floor(coordinate + 0.5)


def ellipse(hu: np.ndarray, points: Sequence[Point], spacing: Spacing) -> dict[str, float]:
    """Mean, SD (of the population), smallest and largest HU of the pixels whose centres lie inside.

    `points` are the ends of one axis, then the ends of the other. `pixels` counts them, `area`
    is that of the drawn ellipse in mm². Without any pixel centre inside, only these two.
    """
    inside = hu[_inside(hu.shape, points, spacing)]
    first, second = length(points[:2], spacing), length(points[2:], spacing)
    found = {"pixels": int(inside.size), "area": math.pi * first * second / 4}
    if not inside.size:
        return found
    values = inside.astype(np.float64)
    return found | {
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "min": int(inside.min()),
        "max": int(inside.max()),
    }


def _inside(shape: tuple[int, int], points: Sequence[Point], spacing: Spacing) -> np.ndarray:
    """(rows, columns) bool: pixel centres inside the ellipse, borders included."""
    ends = np.array(points) * spacing
    middle = ends.mean(axis=0)
    halves = [(ends[1] - ends[0]) / 2, (ends[3] - ends[2]) / 2]
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    down, right = rows * spacing[0] - middle[0], columns * spacing[1] - middle[1]
    reach = [(down * h[0] + right * h[1]) / max(h @ h, 1e-12) for h in halves]
    return reach[0] ** 2 + reach[1] ** 2 <= 1 + 1e-9
