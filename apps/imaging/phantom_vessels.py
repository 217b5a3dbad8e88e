"""A branching, tapering tree of lung vessels, and how it looks on slices."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from apps.imaging.phantom_drawing import Grid, Point

_THINNEST = 0.42
_GENERATIONS = 10


@dataclass(frozen=True)
class Segment:
    """A straight piece of vessel, thinner at its end; mm."""

    start: Point
    end: Point
    start_radius: float
    end_radius: float


def vessel_tree(
    rng: np.random.Generator, root: Point, outward: float, inside: Callable[[Point], bool]
) -> list[Segment]:
    """Vessels from a hilum at `root` into the lung on the side `outward` (-1 right, 1 left).

    They stop where `inside` says that the lung ends.
    """
    segments: list[Segment] = []
    for elevation in np.linspace(-1.15, 1.15, 7):
        for azimuth in np.linspace(-1.25, 1.25, 4):
            turn, lift = azimuth + rng.normal(0, 0.2), elevation + rng.normal(0, 0.15)
            direction = np.array(
                [outward * np.cos(turn) * np.cos(lift), np.sin(turn) * np.cos(lift), np.sin(lift)]
            )
            start = np.array(root) + rng.normal(0, 4, 3)
            _grow(rng, segments, start, direction, rng.uniform(2.4, 4.0), 0, inside)
    return segments


def _grow(
    rng: np.random.Generator,
    segments: list[Segment],
    start: np.ndarray,
    direction: np.ndarray,
    radius: float,
    generation: int,
    inside: Callable[[Point], bool],
) -> None:
    """Add a gently bent stretch of vessel, then its two branches."""
    for _ in range(3):
        direction = _unit(direction + rng.normal(0, 0.13, 3))
        end = start + direction * rng.uniform(4.0, 7.0)
        # The first generations may cross the mediastinum on their way into the lung.
        if generation > 1 and not inside(tuple(end)):
            return
        thinner = max(radius * 0.97, _THINNEST)
        segments.append(Segment(tuple(start), tuple(end), radius, thinner))
        start, radius = end, thinner
    if generation >= _GENERATIONS or radius <= _THINNEST:
        return
    # Murray's law, the cubes of the daughters' radii add up to the mother's cube, uneven forks.
    share = rng.uniform(0.5, 0.8)
    for part, spread in ((share, 0.3), (1 - share, 0.75)):
        aside = _unit(np.cross(direction, rng.normal(0, 1, 3)))
        child = radius * part ** (1 / 3)
        if child > _THINNEST:
            bent = _unit(direction + spread * aside)
            _grow(rng, segments, start, bent, child * 0.96, generation + 1, inside)


def vessel_cover(
    segments: list[Segment], grid: Grid, slices: np.ndarray, thickness: float
) -> np.ndarray:
    """The cover of all segments on axial slices at `slices` (mm), shape (slices, rows, columns).

    A vessel thinner than the slice fills only part of it and looks fainter, as on a scanner.
    """
    cover = np.zeros((len(slices), grid.matrix, grid.matrix), np.float32)
    half = thickness / 2
    for segment in segments:
        widest = max(segment.start_radius, segment.end_radius)
        low = min(segment.start[2], segment.end[2]) - widest - half
        high = max(segment.start[2], segment.end[2]) + widest + half
        for index in np.flatnonzero((slices >= low) & (slices <= high)):
            _stamp(cover[index], grid, segment, float(slices[index]), thickness)
    return cover


def _stamp(cover: np.ndarray, grid: Grid, segment: Segment, z: float, thickness: float) -> None:
    start, end = np.array(segment.start), np.array(segment.end)
    reach = max(segment.start_radius, segment.end_radius) + grid.spacing
    rows = grid.window(min(start[1], end[1]) - reach, max(start[1], end[1]) + reach)
    columns = grid.window(min(start[0], end[0]) - reach, max(start[0], end[0]) + reach)
    x, y = grid.axis[columns][None, :], grid.axis[rows][:, None]
    along = end - start
    # The nearest level of the vessel inside this slice, so that slanted vessels stay connected.
    level = np.clip((start[2] + end[2]) / 2, z - thickness / 2, z + thickness / 2)
    reached = (x - start[0]) * along[0] + (y - start[1]) * along[1] + (level - start[2]) * along[2]
    share = np.clip(reached / np.dot(along, along), 0, 1)
    radius = segment.start_radius + share * (segment.end_radius - segment.start_radius)
    off_level = np.maximum(np.abs(start[2] + share * along[2] - z) - thickness / 2, 0)
    distance = np.sqrt(
        (x - start[0] - share * along[0]) ** 2
        + (y - start[1] - share * along[1]) ** 2
        + off_level**2
    )
    filled = np.clip(0.5 + (radius - distance) / grid.spacing, 0, 1)
    filled *= np.minimum(1, 2 * radius / max(thickness, 1e-6))
    np.maximum(cover[rows, columns], filled, out=cover[rows, columns])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
