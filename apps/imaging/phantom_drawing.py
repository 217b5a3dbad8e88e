"""Soft-edged shapes on slices, from which phantoms are painted.

A *cover* is a float32 array, 0 outside a shape and 1 inside, with an edge about one pixel wide,
as the partial volume effect gives. Coordinates are patient mm.
"""

from dataclasses import dataclass

import cv2
import numpy as np

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """The pixel centres of a square axial slice, centred on the patient."""

    matrix: int
    spacing: float

    @property
    def first(self) -> float:
        """x of the first column and y of the first row, mm."""
        return -self.spacing * (self.matrix - 1) / 2

    @property
    def axis(self) -> np.ndarray:
        """x of every column, and y of every row, mm."""
        return (self.first + self.spacing * np.arange(self.matrix)).astype(np.float32)

    @property
    def x(self) -> np.ndarray:
        """A row of x coordinates that broadcasts over a slice."""
        return self.axis[None, :]

    @property
    def y(self) -> np.ndarray:
        """A column of y coordinates that broadcasts over a slice."""
        return self.axis[:, None]

    def window(self, low: float, high: float) -> slice:
        """The pixels of one axis that reach from `low` to `high` mm."""
        start = int(np.floor((low - self.first) / self.spacing))
        stop = int(np.ceil((high - self.first) / self.spacing)) + 1
        return slice(max(0, start), max(0, min(self.matrix, stop)))


def paint(hu: np.ndarray, cover: np.ndarray, value: float | np.ndarray) -> None:
    """Mix `value` HU into `hu` in place, as much as `cover` says."""
    hu += cover * (value - hu)


def soft(distance: np.ndarray, edge: float) -> np.ndarray:
    """The cover of a shape, from the distance to its border (mm, positive inside)."""
    return np.clip(0.5 + distance / edge, 0, 1)


def ellipse(grid: Grid, center: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """The cover of an upright ellipse."""
    return soft(ellipse_depth(grid, center, radii), grid.spacing)


def ellipse_depth(
    grid: Grid, center: tuple[float, float], radii: tuple[float, float]
) -> np.ndarray:
    """Roughly how deep inside the ellipse each pixel lies, mm; negative outside."""
    across = ((grid.x - center[0]) / radii[0]) ** 2
    down = ((grid.y - center[1]) / radii[1]) ** 2
    return (1 - np.sqrt(across + down)) * min(radii)


def ball_slice(center: Point, radii: Point, z: float) -> tuple[float, float] | None:
    """The two radii of an ellipsoid where the plane z cuts it, or None."""
    left = 1 - ((z - center[2]) / radii[2]) ** 2
    if left <= 0.01:
        return None
    return radii[0] * left**0.5, radii[1] * left**0.5


def paint_turned_ellipse(
    hu: np.ndarray,
    grid: Grid,
    center: tuple[float, float],
    radii: tuple[float, float],
    angle: float,
    shell: tuple[float, float, float],
) -> None:
    """Paint an ellipse turned by `angle` (radians): a rim of `shell[0]` mm and HU, then its core.

    `shell` is (rim thickness in mm, HU of the rim, HU of the core), as bone has.
    """
    reach = max(radii) + 2 * grid.spacing
    rows = grid.window(center[1] - reach, center[1] + reach)
    columns = grid.window(center[0] - reach, center[0] + reach)
    x, y = grid.axis[columns][None, :] - center[0], grid.axis[rows][:, None] - center[1]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    depth = (1 - np.sqrt((along / radii[0]) ** 2 + (across / radii[1]) ** 2)) * min(radii)
    part = hu[rows, columns]
    paint(part, soft(depth, grid.spacing), shell[1])
    paint(part, soft(depth - shell[0], grid.spacing), shell[2])


def smooth_noise(rng: np.random.Generator, grid: Grid, size_mm: float) -> np.ndarray:
    """Random texture of mean 0 and standard deviation 1 whose grains are about `size_mm` wide."""
    coarse = max(4, round(grid.matrix * grid.spacing / size_mm))
    grains = rng.standard_normal((coarse, coarse), dtype=np.float32)
    texture = cv2.resize(grains, (grid.matrix, grid.matrix), interpolation=cv2.INTER_CUBIC)
    return texture / texture.std()
