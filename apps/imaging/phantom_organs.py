"""Synthetic slices without lung: an abdomen and a head. Patient mm: x left, y back, z head."""

import numpy as np

from apps.imaging.phantom_chest import AIR, BLOOD, BLOOD_CONTRAST, FAT, MUSCLE
from apps.imaging.phantom_drawing import Grid, ellipse, paint, paint_turned_ellipse, smooth_noise


def abdomen_slice(rng: np.random.Generator, grid: Grid, z: float, *, contrast: bool) -> np.ndarray:
    """HU (float32) of one axial slice through liver, spleen, kidneys and bowel."""
    hu = np.full((grid.matrix, grid.matrix), AIR, np.float32)
    paint(hu, ellipse(grid, (0, 0), (162, 116)), FAT)
    paint(hu, ellipse(grid, (0, 0), (146, 100)), MUSCLE)
    paint(hu, ellipse(grid, (0, -4), (136, 88)), FAT)
    enhanced = 55.0 if contrast else 0.0
    sway = 4 * np.sin(z / 30)
    grain = 6 * smooth_noise(rng, grid, 4.0)
    paint(hu, ellipse(grid, (-68, -14 + sway), (64, 62)), 58 + enhanced + grain)
    paint(hu, ellipse(grid, (94, 22), (28, 46)), 50 + enhanced + grain)
    for side in (-1, 1):
        paint(hu, ellipse(grid, (side * 62, 52), (26, 30)), 32 + 2 * enhanced)
        paint(hu, ellipse(grid, (side * 54, 52), (9, 11)), FAT)
        paint(hu, ellipse(grid, (side * 34, 66), (18, 20)), MUSCLE)
    _paint_bowel(hu, grid, z)
    blood = BLOOD_CONTRAST if contrast else BLOOD
    paint(hu, ellipse(grid, (10, 34), (11, 11)), blood)
    paint(hu, ellipse(grid, (-18, 34), (12, 9)), blood)
    paint_turned_ellipse(hu, grid, (0, 64), (23, 18), 0.0, (1.8, 520, 180))
    paint_turned_ellipse(hu, grid, (0, 88), (15, 12), 0.0, (2.2, 600, 280))
    paint(hu, ellipse(grid, (0, 86), (9, 8)), 18)
    return hu


def head_slice(rng: np.random.Generator, grid: Grid, z: float, *, contrast: bool) -> np.ndarray:
    """HU (float32) of one axial slice through skull, brain and ventricles."""
    hu = np.full((grid.matrix, grid.matrix), AIR, np.float32)
    size = max(0.4, 1 - (abs(z) / 130) ** 2)
    paint(hu, ellipse(grid, (0, 0), (80 * size, 99 * size)), 20)
    paint(hu, ellipse(grid, (0, 0), (75 * size, 94 * size)), 1100)
    paint(hu, ellipse(grid, (0, 0), (68 * size, 87 * size)), 8)
    grain = 1.5 * smooth_noise(rng, grid, 5.0)
    paint(hu, ellipse(grid, (0, 0), (66 * size, 85 * size)), 38 + grain)
    paint(hu, ellipse(grid, (0, 0), (54 * size, 72 * size)), 29 + grain)
    for side in (-1, 1):
        paint_turned_ellipse(
            hu, grid, (side * 13 * size, -8 * size), (6 * size, 27 * size), side * 0.2, (0.5, 6, 6)
        )
    paint(hu, ellipse(grid, (0, -2), (1.2, 84 * size)), 48 + (90 if contrast else 0))
    return hu


def _paint_bowel(hu: np.ndarray, grid: Grid, z: float) -> None:
    """Loops with contents, some with gas on top, as the patient lies on the back."""
    for number in range(6):
        x = 18 + 22 * (number % 3) + 6 * np.sin(z / 17 + number)
        y = -58 + 30 * (number // 3) + 5 * np.cos(z / 13 + number)
        paint(hu, ellipse(grid, (x, y), (13, 12)), 40)
        paint(hu, ellipse(grid, (x, y), (10.5, 9.5)), 22)
        if number % 2:
            paint(hu, ellipse(grid, (x, y - 4), (7.5, 4.5)), AIR + 20)
