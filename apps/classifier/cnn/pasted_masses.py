"""Masses pasted into real slices: at the pleura, at the hilum, in the lung, 15 to 90 mm.

Public data hold few large tumours that nobody measures the finder on, and a network that has
seen none rejects them. What is pasted replaces lung only, so that the mass takes its outline
from the wall it leans on.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from apps.classifier.cnn.geometry import SliceInput
from apps.classifier.cnn.lungs import Lungs

DIAMETERS_MM = (15.0, 90.0)
LEAST_SHARE = 0.5
LEAST_DIAMETER_MM = 13.0
EDGE_MM = 0.8
HOLLOW_SHARE = 0.15
TRIES = 12


@dataclass(frozen=True)
class Pasted:
    """A slice with a mass. row, column: its middle in pixels; diameter_mm: of the same area."""

    slice: SliceInput
    row: float
    column: float
    diameter_mm: float


def paste_mass(item: SliceInput, lungs: Lungs, rng: np.random.Generator) -> Pasted | None:
    """The slice with one mass of random size, shape and place; None where no place was found."""
    radius = rng.uniform(*DIAMETERS_MM) / 2
    for _ in range(TRIES):
        cover = random_cover(lungs, radius, rng)
        if cover is not None:
            return pasted(item, lungs, cover, rng)
    return None


def random_cover(lungs: Lungs, radius: float, rng: np.random.Generator) -> np.ndarray | None:
    """(rows, columns) bool at 1 mm: a lobed disc, half of it at least in the closed lung.

    In two of three cases its middle lies nearer to the wall than its radius.
    """
    depth = cv2.distanceTransform(np.pad(lungs.closed, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    attached = rng.random() < 0.67
    inside = (depth > 0.1 * radius) & (depth < 0.75 * radius) if attached else depth >= radius
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return None
    chosen = int(rng.integers(len(rows)))
    disc = lobed_disc(lungs.closed.shape, (rows[chosen], columns[chosen]), radius, rng)
    cover = disc & (lungs.closed > 0)
    enough = cover.sum() >= max(LEAST_SHARE * disc.sum(), np.pi * (LEAST_DIAMETER_MM / 2) ** 2)
    return cover if enough else None


def lobed_disc(
    shape: tuple[int, int], middle: tuple[int, int], radius: float, rng: np.random.Generator
) -> np.ndarray:
    """A disc drawn out in one direction, its outline waved."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    y, x = y - middle[0], x - middle[1]
    angle = np.arctan2(y, x)
    outline = np.ones(shape)
    for waves in range(2, 7):
        height = rng.normal(0, 0.16 / waves)
        outline += height * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    return np.hypot(y, x) < radius * outline


def pasted(item: SliceInput, lungs: Lungs, cover: np.ndarray, rng: np.random.Generator) -> Pasted:
    """Soft tissue of uneven density where the cover is, with the slice's own noise."""
    rows, columns = item.hu.shape
    large = cv2.resize(cover.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
    row_mm, column_mm = item.pixel_spacing
    share = cv2.GaussianBlur(large, (0, 0), EDGE_MM / row_mm)
    tissue = mass_tissue(item.hu, lungs, rng)
    if rng.random() < HOLLOW_SHARE:
        share = share - hollow(cover, (columns, rows), rng)
    mixed = item.hu + np.clip(share, 0, 1) * np.maximum(tissue - item.hu, 0)
    y, x = np.nonzero(cover)
    return Pasted(
        slice=SliceInput(
            f"{item.key}-mass",
            np.rint(mixed).astype(np.int16),
            item.pixel_spacing,
            item.position,
            item.orientation,
        ),
        row=(y.mean() + 0.5) / row_mm - 0.5,
        column=(x.mean() + 0.5) / column_mm - 0.5,
        diameter_mm=2 * float(np.sqrt(cover.sum() / np.pi)),
    )


def hollow(cover: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Share 0…1 of a cavity somewhere in the mass, at the slice's size (columns, rows)."""
    depth = cv2.distanceTransform(np.pad(cover, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    rows, columns = np.nonzero(depth > 0.6 * depth.max())
    chosen = int(rng.integers(len(rows)))
    radius = rng.uniform(0.1, 0.5) * depth.max()
    hole = lobed_disc(cover.shape, (rows[chosen], columns[chosen]), radius, rng)
    large = cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(large, (0, 0), 1.5)


def mass_tissue(hu: np.ndarray, lungs: Lungs, rng: np.random.Generator) -> np.ndarray:
    """(rows, columns) HU of a tumour: 10 to 90, cloudy, as noisy as the soft tissue round it."""
    clouds = cv2.GaussianBlur(rng.standard_normal(hu.shape).astype(np.float32), (0, 0), 8)
    clouds *= rng.uniform(0, 25) / clouds.std()
    grain = cv2.GaussianBlur(rng.standard_normal(hu.shape).astype(np.float32), (0, 0), 0.7)
    return rng.uniform(10, 90) + clouds + grain * soft_noise(lungs) / grain.std()


def soft_noise(lungs: Lungs) -> float:
    """Noise in soft tissue, HU; by the median, because edges are no noise."""
    soft = (lungs.hu > -20) & (lungs.hu < 120) & (lungs.body > 0)
    fine = lungs.hu - cv2.GaussianBlur(lungs.hu, (0, 0), 2)
    spread = 1.4826 * float(np.median(np.abs(fine[soft]))) if soft.any() else 8.0
    return float(np.clip(spread, 2, 60))
