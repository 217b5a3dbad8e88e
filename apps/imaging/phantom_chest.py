"""The fixed anatomy of the synthetic chest. Patient mm: x left, y back, z head."""

from dataclasses import dataclass

import numpy as np

from apps.imaging.phantom_drawing import (
    Grid,
    Point,
    ball_slice,
    ellipse,
    ellipse_depth,
    paint,
    paint_turned_ellipse,
    smooth_noise,
    soft,
)

_LUNG_TOP, _LUNG_BOTTOM = 120.0, -130.0
_LUNG_CENTER, _LUNG_RADII = (76.0, -4.0), (58.0, 80.0)
_DOME_CENTER = {-1: (-74.0, 4.0, -205.0), 1: (74.0, 4.0, -214.0)}
_DOME_RADII = (98.0, 118.0, 125.0)
_HEART_CENTER, _HEART_RADII = (17.0, -26.0, -45.0), (56.0, 45.0, 62.0)
_WALL_RADII = (144.0, 99.0)
_CARINA = 18.0

AIR, FAT, MUSCLE, MARROW, CORTEX = -1000.0, -95.0, 48.0, 220.0, 780.0
BLOOD, BLOOD_CONTRAST = 42.0, 260.0


@dataclass(frozen=True)
class Body:
    """How this patient differs from the next: size, and the density of the lungs."""

    scale: float
    lung_hu: float

    @classmethod
    def of(cls, seed: int) -> "Body":
        """The body that belongs to a phantom's seed."""
        rng = np.random.default_rng([seed, 3])
        return cls(scale=float(rng.uniform(0.94, 1.04)), lung_hu=float(rng.uniform(-880, -835)))


def hila(body: Body) -> dict[int, Point]:
    """Where the vessels enter each lung: -1 the right one, 1 the left one."""
    size = body.scale
    return {-1: (-30 * size, 2 * size, 0.0), 1: (36 * size, 4 * size, 4.0)}


def inside_lung(body: Body, point: Point) -> bool:
    """Whether a patient point lies in a lung, at least 2 mm below the pleura."""
    x, y, z = point[0] / body.scale, point[1] / body.scale, point[2]
    side = -1 if x < 0 else 1
    size = _lung_size(z)
    if size <= 0.05 or abs(x) < 14:
        return False
    return (
        _inside(x, y, (side * _LUNG_CENTER[0], _LUNG_CENTER[1]), _LUNG_RADII, size, -2)
        and not _inside_ball(x, y, z, _DOME_CENTER[side], _DOME_RADII)
        and not _inside_ball(x, y, z, _HEART_CENTER, _HEART_RADII)
        and not _inside(x, y, (0.0, -8.0), (34.0, 62.0), 1, 0)
    )


def pleura_point(body: Body, side: float, angle: float, z: float, depth: float) -> Point:
    """The point `depth` mm below the outer pleura; angle 0 is sideways, positive to the back."""
    size = max(_lung_size(z), 0.05)
    across, down = (radius * size for radius in _LUNG_RADII)
    surface = np.array([across * np.cos(angle), down * np.sin(angle)])
    inward = np.array([np.cos(angle) / across, np.sin(angle) / down])
    found = surface * body.scale - depth * inward / np.linalg.norm(inward)
    center_x, center_y = (part * body.scale for part in _LUNG_CENTER)
    return side * (center_x + float(found[0])), center_y + float(found[1]), z


def lung_cover(body: Body, grid: Grid, z: float) -> np.ndarray:
    """The cover of both lungs on the slice at z."""
    size = _lung_size(z)
    cover = np.zeros((grid.matrix, grid.matrix), np.float32)
    if size <= 0.05:
        return cover
    scaled = _scaled(grid, body)
    for side in (-1, 1):
        radii = (_LUNG_RADII[0] * size, _LUNG_RADII[1] * size)
        lung = ellipse(scaled, (side * _LUNG_CENTER[0], _LUNG_CENTER[1]), radii)
        lung *= 1 - _ball(scaled, _DOME_CENTER[side], _DOME_RADII, z)
        cover = np.maximum(cover, lung)
    # The mediastinum is wider where the spine and the heart are.
    cover *= 1 - ellipse(scaled, (0.0, -8.0), (33.0, 61.0))
    cover *= 1 - ellipse(scaled, (0.0, 66.0), (30.0, 34.0))
    return (cover * (1 - _ball(scaled, _HEART_CENTER, _HEART_RADII, z))).astype(np.float32)


def chest_slice(
    rng: np.random.Generator,
    body: Body,
    grid: Grid,
    z: float,
    lung: np.ndarray,
    *,
    contrast: bool,
) -> np.ndarray:
    """HU (float32) of the slice at z, without the vessels of the lungs; `lung` is its cover."""
    scaled = _scaled(grid, body)
    hu = np.full((grid.matrix, grid.matrix), AIR, np.float32)
    paint(hu, ellipse(scaled, (0, 0), (166, 118)), 20.0)
    paint(hu, ellipse(scaled, (0, 0), (164, 116)), FAT)
    paint(hu, ellipse(scaled, (0, 0), (153, 106)), MUSCLE)
    paint(hu, ellipse(scaled, (0.0, -10.0), (40.0, 58.0)) * 0.55, FAT)
    _paint_abdomen_below(hu, scaled, z)
    _paint_lung(rng, hu, scaled, body, z, lung)
    _paint_great_vessels(hu, scaled, z, BLOOD_CONTRAST if contrast else BLOOD)
    _paint_airways(hu, scaled, z)
    _paint_spine(hu, scaled, z)
    _paint_ribs(hu, scaled, z)
    return hu


def _scaled(grid: Grid, body: Body) -> Grid:
    """The grid in the coordinates of a body of size 1."""
    return Grid(grid.matrix, grid.spacing / body.scale)


def _lung_size(z: float) -> float:
    """How wide the lungs are at this level, 0...1: widest below the middle, a dome at the top."""
    height = (z - _LUNG_BOTTOM) / (_LUNG_TOP - _LUNG_BOTTOM)
    left = 1 - abs((height - 0.38) / 0.62) ** 3
    return left**0.5 if 0 <= height <= 1 and left > 0 else 0.0


def _inside(
    x: float,
    y: float,
    center: tuple[float, float],
    radii: tuple[float, float],
    size: float,
    margin: float,
) -> bool:
    across = (x - center[0]) / max(radii[0] * size + margin, 1)
    down = (y - center[1]) / max(radii[1] * size + margin, 1)
    return across**2 + down**2 < 1


def _inside_ball(x: float, y: float, z: float, center: Point, radii: Point) -> bool:
    parts = zip((x, y, z), center, radii, strict=True)
    return sum(((at - middle) / radius) ** 2 for at, middle, radius in parts) < 1


def _ball(grid: Grid, center: Point, radii: Point, z: float) -> np.ndarray | float:
    cut = ball_slice(center, radii, z)
    return ellipse(grid, center[:2], cut) if cut else 0.0


def _paint_abdomen_below(hu: np.ndarray, grid: Grid, z: float) -> None:
    """Liver under the right dome, stomach and spleen under the left one."""
    for side, value in ((-1, 58.0), (1, 40.0)):
        paint(hu, _ball(grid, _DOME_CENTER[side], _DOME_RADII, z), value)


def _paint_lung(
    rng: np.random.Generator, hu: np.ndarray, grid: Grid, body: Body, z: float, lung: np.ndarray
) -> None:
    # Lying on the back, blood makes the back of the lung denser.
    value = body.lung_hu + 0.35 * grid.y
    value = value + 14 * smooth_noise(rng, grid, 6.0) + 10 * smooth_noise(rng, grid, 2.2)
    paint(hu, lung, value)
    # The oblique fissures: a thin plane that rises to the back.
    level = -22 - 0.55 * z
    fissure = np.exp(-(((grid.y - level + 0.18 * np.abs(grid.x)) / 0.9) ** 2))
    hu += lung * fissure * 95


def _paint_great_vessels(hu: np.ndarray, grid: Grid, z: float, blood: float) -> None:
    heart = ball_slice(_HEART_CENTER, _HEART_RADII, z)
    if heart:
        depth = ellipse_depth(grid, _HEART_CENTER[:2], heart)
        paint(hu, soft(depth, grid.spacing), MUSCLE)
        for x, y, size in ((34.0, -22.0, 0.36), (-4.0, -36.0, 0.32), (8.0, 2.0, 0.30)):
            paint(hu, ellipse(grid, (x, y), (heart[0] * size, heart[1] * size)), blood)
    paint(hu, ellipse(grid, (24.0, 44.0), (11.5, 11.5)), blood)
    if -8 < z <= 62:
        paint(hu, ellipse(grid, (-9.0, -26.0), (15.5, 15.5)), blood)
        paint(hu, ellipse(grid, (-30.0, -20.0), (9.0, 10.0)), blood)
    if -8 < z <= 34:
        paint(hu, ellipse(grid, (19.0, -24.0), (13.5, 13.0)), blood)
    if 62 < z <= 78:
        # The aortic arch, from front right to back left.
        paint_turned_ellipse(hu, grid, (8.0, 8.0), (44.0, 12.0), 1.15, (0.5, blood, blood))
    if z > 78:
        for x, y in ((-14.0, -14.0), (8.0, -12.0), (20.0, 4.0)):
            paint(hu, ellipse(grid, (x, y), (6.5, 6.5)), blood)


def _paint_airways(hu: np.ndarray, grid: Grid, z: float) -> None:
    places = [((0.0, 6.0), (8.5, 9.5))]
    if z <= _CARINA:
        fallen = _CARINA - z
        if fallen > 38:
            return
        places = [
            ((side * (8.0 + 0.75 * fallen), 8.0), (9.5 - 0.1 * fallen, 7.0 - 0.05 * fallen))
            for side in (-1, 1)
        ]
    for center, radii in places:
        paint(hu, ellipse(grid, center, (radii[0] + 1.6, radii[1] + 1.6)), 30.0)
    for center, radii in places:
        paint(hu, ellipse(grid, center, radii), AIR + 5)
    paint(hu, ellipse(grid, (7.0, 26.0), (7.0, 5.0)), 35.0)


def _paint_spine(hu: np.ndarray, grid: Grid, z: float) -> None:
    """A vertebra every 25 mm: body, disc, canal, arch and spinous process."""
    in_disc = (z % 25.0) < 4.5
    if in_disc:
        paint(hu, ellipse(grid, (0.0, 62.0), (18.0, 14.0)), 85.0)
    else:
        paint_turned_ellipse(hu, grid, (0.0, 62.0), (19.0, 15.0), 0.0, (1.8, 520.0, MARROW - 40))
        for side in (-1, 1):
            transverse = (side * 21.0, 84.0)
            paint_turned_ellipse(hu, grid, transverse, (15.0, 5.0), side * 0.35, (1.4, 560, 240))
        paint_turned_ellipse(hu, grid, (0.0, 97.0), (4.0, 11.0), 0.0, (1.4, 600.0, 260.0))
        paint_turned_ellipse(hu, grid, (0.0, 82.0), (14.0, 12.5), 0.0, (2.2, 620.0, 300.0))
    paint(hu, ellipse(grid, (0.0, 81.0), (9.0, 8.0)), 18.0)
    paint(hu, ellipse(grid, (0.0, 81.0), (5.0, 4.5)), 38.0)
    if z > -70:
        paint_turned_ellipse(hu, grid, (0.0, -97.0), (22.0, 6.0), 0.0, (1.5, 480.0, 160.0))


def _paint_ribs(hu: np.ndarray, grid: Grid, z: float) -> None:
    """Ribs run down from the spine to the front, so a slice cuts several of them aslant."""
    for number in range(16):
        start = 190.0 - 25.0 * number
        turned = (start - z) / 58.0
        if not 0.35 < turned < 2.75:
            continue
        # Turned 0 is at the spine (back), pi at the breastbone (front).
        for side in (-1, 1):
            x = side * _WALL_RADII[0] * np.sin(turned)
            y = _WALL_RADII[1] * np.cos(turned)
            tangent = np.arctan2(
                -_WALL_RADII[1] * np.sin(turned), side * _WALL_RADII[0] * np.cos(turned)
            )
            aslant = 4.6 + 0.8 * np.sin(3 * turned + number)
            paint_turned_ellipse(hu, grid, (x, y), (14.0, aslant), tangent, (1.3, CORTEX, MARROW))
