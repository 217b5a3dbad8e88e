"""Places in the lungs that may be a nodule, found without a network.

Blobs of several sizes by the eigenvalues of the Hessian (Sato et al., Medical Image Analysis
2:143, 1998), and large soft masses between lung and wall by a distance transform. Everything
at 1 mm per pixel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from apps.classifier.cnn.lungs import Lungs, disc

SIGMAS_MM = (1.4, 2.0, 2.8, 4.0, 5.6, 8.0)
DIAMETER_PER_SIGMA = 2.83
BLOB_RESPONSE = 70.0
MOST_BLOBS = 60
MOST_MASSES = 8
SMALLEST_MASS_MM = 14
LARGEST_MASS_MM = 100
LONGER = 1.4
SOFT_HU = (-300, 180)
RING_MM = 7
RING_SHARE_SMALL = 0.35
RING_SHARE_LARGE = 0.12
MISSING_SHARE = 0.6
# Heart and liver are huge too, but lie where no lung belongs.
HUGE_MM = 50
HUGE_MISSING_SHARE = 0.4
LARGE_MM = 20


@dataclass(frozen=True)
class Candidate:
    """A place in one slice. row, column: pixels of the slice; diameter: rough, mm."""

    slice_index: int
    row: float
    column: float
    diameter_mm: float
    response: float


def find_candidates(
    lungs: Lungs, pixel_spacing: tuple[float, float], slice_index: int
) -> list[Candidate]:
    """Candidates of one slice, strongest blobs first, then masses."""
    if not lungs.air.any():
        return []
    found = blobs(lungs)
    found += [mass for mass in masses(lungs) if not covered(mass, found)]
    row_mm, column_mm = pixel_spacing
    return [
        Candidate(
            slice_index, (y + 0.5) / row_mm - 0.5, (x + 0.5) / column_mm - 0.5, size, response
        )
        for y, x, d, response in found
        if lies_in_lung(lungs, y, x, d, response)
        for size in sizes(d)
        if size < HUGE_MM or lung_missing(lungs, y, x, size) >= HUGE_MISSING_SHARE
    ]


def lies_in_lung(lungs: Lungs, row: float, column: float, diameter: float, response: float) -> bool:
    """Air stands round the spot; or it is a mass where the other side has lung."""
    if air_round(lungs.air, row, column, diameter) >= air_needed(diameter, response):
        return True
    return response < 0 and lung_missing(lungs, row, column, diameter) >= MISSING_SHARE


def sizes(diameter: float) -> tuple[float, ...]:
    """Sizes to ask the finder network at: a mass's inscribed circle says too little of it."""
    longer = LONGER * diameter
    fits = diameter >= SMALLEST_MASS_MM and longer <= LARGEST_MASS_MM
    return (diameter, longer) if fits else (diameter,)


Spot = tuple[float, float, float, float]


def covered(mass: Spot, found: Sequence[Spot]) -> bool:
    """A large blob already stands where the mass is."""
    return any(abs(mass[0] - y) < 6 and abs(mass[1] - x) < 6 and d > 15 for y, x, d, _ in found)


def blobs(lungs: Lungs) -> list[Spot]:
    """(row, column, diameter, response) in mm of bright round spots inside the closed lungs."""
    image = np.where(lungs.closed > 0, np.clip(lungs.hu, -950, 100), -870).astype(np.float32)
    responses = np.stack([blob_response(image, sigma) for sigma in SIGMAS_MM])
    responses[:, lungs.closed == 0] = 0
    peaks = np.stack([cv2.dilate(r, np.ones((3, 3), np.uint8)) for r in responses])
    highest = peaks.copy()
    highest[1:] = np.maximum(highest[1:], peaks[:-1])
    highest[:-1] = np.maximum(highest[:-1], peaks[1:])
    scales, rows, columns = np.nonzero((responses == highest) & (responses > BLOB_RESPONSE))
    strength = responses[scales, rows, columns]
    spots = [
        (float(rows[i]), float(columns[i]), DIAMETER_PER_SIGMA * SIGMAS_MM[scales[i]], float(s))
        for i, s in sorted(enumerate(strength), key=lambda pair: -pair[1])
    ]
    return apart(spots, MOST_BLOBS)


def blob_response(image: np.ndarray, sigma: float) -> np.ndarray:
    """Scale-normalised geometric mean of both curvatures where the spot is bright and round."""
    smooth = cv2.GaussianBlur(image, (0, 0), sigma)
    xx = cv2.Sobel(smooth, cv2.CV_32F, 2, 0, ksize=3) / 4
    yy = cv2.Sobel(smooth, cv2.CV_32F, 0, 2, ksize=3) / 4
    xy = cv2.Sobel(smooth, cv2.CV_32F, 1, 1, ksize=3) / 4
    middle, spread = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy * xy)
    weaker, stronger = -(middle + spread), -(middle - spread)
    round_enough = (weaker > 0) & (weaker > 0.3 * stronger)
    strength = sigma**2 * np.sqrt(np.maximum(weaker, 0) * np.maximum(stronger, 0))
    return np.where(round_enough, strength, 0).astype(np.float32)


def apart(spots: Sequence[Spot], most: int) -> list[Spot]:
    """Strongest first, dropping those within half a diameter of one already kept."""
    kept: list[Spot] = []
    for spot in spots:
        if all(math.dist(spot[:2], k[:2]) >= max(spot[2], k[2]) / 2 for k in kept):
            kept.append(spot)
        if len(kept) >= most:
            break
    return kept


def masses(lungs: Lungs) -> list[Spot]:
    """(row, column, diameter, -1) in mm of large soft tissue inside the wide lungs."""
    smooth = cv2.GaussianBlur(lungs.hu, (0, 0), 2)
    soft = (smooth > SOFT_HU[0]) & (smooth < SOFT_HU[1]) & (lungs.wide > 0)
    opened = cv2.morphologyEx(soft.astype(np.uint8), cv2.MORPH_OPEN, disc(7))
    depth = cv2.distanceTransform(opened, cv2.DIST_L2, 5)
    rows, columns = np.nonzero(
        (depth == cv2.dilate(depth, disc(9))) & (depth >= SMALLEST_MASS_MM / 2)
    )
    spots = [
        (float(y), float(x), 2 * float(depth[y, x]), -1.0)
        for y, x in sorted(zip(rows, columns, strict=True), key=lambda p: -depth[p])
        if 2 * depth[y, x] <= LARGEST_MASS_MM
    ]
    return apart(spots, MOST_MASSES)


def air_round(air: np.ndarray, row: float, column: float, diameter: float) -> float:
    """Share of lung air in the ring round a spot: low in mediastinum, hilum, chest wall."""
    reach = int(diameter / 2 + RING_MM)
    top, left = max(0, int(row) - reach), max(0, int(column) - reach)
    window = air[top : int(row) + reach + 1, left : int(column) + reach + 1]
    y, x = np.mgrid[top : top + window.shape[0], left : left + window.shape[1]]
    distance = (y - row) ** 2 + (x - column) ** 2
    ring = (distance <= reach**2) & (distance > (diameter / 2 + 1) ** 2)
    return float(window[ring].mean()) if ring.any() else 0.0


def lung_missing(lungs: Lungs, row: float, column: float, diameter: float) -> float:
    """Share of a spot that would be lung if both sides were alike: a tumour as large as a lobe
    has no air round it."""
    y, x = np.ogrid[: lungs.other.shape[0], : lungs.other.shape[1]]
    spot = (y - row) ** 2 + (x - column) ** 2 <= (diameter / 2) ** 2
    return float(lungs.other[spot].mean())


def air_needed(diameter: float, response: float) -> float:
    """Masses lean on the wall, small blobs do not."""
    return RING_SHARE_SMALL if diameter < LARGE_MM and response > 0 else RING_SHARE_LARGE
