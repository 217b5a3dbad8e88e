"""Measure a nodule in the slice it was found in: its outline at half height, its long axis.

The threshold lies halfway between the nodule and the air round it, so that the grey scale does
not matter and the edge is where the partial volume says it is (RECIST 1.1 measures the same
long axis by hand: Eisenhauer et al., European Journal of Cancer 45:228, 2009).
"""

import cv2
import numpy as np

from apps.classifier.cnn.lungs import disc

STEP_MM = 0.5
SEED_MM = 1.5
AIR_PERCENTILE = 15
NECK_SHARES = (0.3, 0.5, 0.7, 0.85)
REACH = 2.0
SMALLEST_MM = 2.0


def long_axis_mm(
    image: np.ndarray, pixel_mm: float, row: float, column: float, rough_mm: float
) -> float:
    """Long axis in mm of what stands out at (row, column); rough_mm is a first guess.

    image: (rows, columns) HU or grey. What hangs on it by a neck (vessels, the chest wall) is
    cut off. Falls back to the guess where nothing stands out.
    """
    half = int(np.clip(rough_mm * 1.2 + 8, 14, 75) / STEP_MM)
    window = resample(image, pixel_mm, row, column, half)
    inside = bright_side(window, half)
    depth = cv2.distanceTransform(np.pad(inside, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    peak = deepest_near(depth, half, max(rough_mm / 4, SEED_MM) / STEP_MM)
    radius = float(depth[peak])
    if radius < 1:
        return rough_mm
    piece = cut_free(inside, peak, radius)
    outline = max(cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)
    return max(SMALLEST_MM, longest(outline[:, 0]) * STEP_MM)


def resample(
    image: np.ndarray, pixel_mm: float, row: float, column: float, half: int
) -> np.ndarray:
    """(2 half + 1) squared window at 0.5 mm round the place, lightly smoothed."""
    step = STEP_MM / pixel_mm
    matrix = np.array([[step, 0, column - half * step], [0, step, row - half * step]])
    side = 2 * half + 1
    window = cv2.warpAffine(
        image.astype(np.float32),
        matrix,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.GaussianBlur(window, (0, 0), 1.0)


def bright_side(window: np.ndarray, half: int) -> np.ndarray:
    """1 where the window is nearer to the nodule's value than to the air's."""
    reach = round(SEED_MM / STEP_MM)
    middle = window[half - reach : half + reach + 1, half - reach : half + reach + 1]
    nodule = float(np.percentile(middle, 75))
    air = float(np.percentile(window, AIR_PERCENTILE))
    return (window > (nodule + air) / 2).astype(np.uint8)


def deepest_near(depth: np.ndarray, half: int, reach: float) -> tuple[int, int]:
    """Place of the largest inscribed circle whose centre is within reach of the middle."""
    y, x = np.mgrid[: depth.shape[0], : depth.shape[1]] - half
    near = np.where(np.hypot(y, x) <= reach, depth, 0)
    place = np.unravel_index(int(np.argmax(near)), depth.shape)
    return int(place[0]), int(place[1])


def cut_free(inside: np.ndarray, peak: tuple[int, int], radius: float) -> np.ndarray:
    """The piece round the peak, cut from what it hangs on by ever wider necks until it is free.

    Free means: it ends before twice the radius of the inscribed circle.
    """
    y, x = np.mgrid[: inside.shape[0], : inside.shape[1]]
    distance = np.hypot(y - peak[0], x - peak[1])
    near = (inside * (distance <= REACH * radius)).astype(np.uint8)
    piece = near
    for share in NECK_SHARES:
        opened = cv2.morphologyEx(near, cv2.MORPH_OPEN, disc(max(1, radius * share)))
        _, labels = cv2.connectedComponents(opened)
        if not labels[peak]:
            break
        piece = (labels == labels[peak]).astype(np.uint8)
        if distance[piece > 0].max() < REACH * radius - 1:
            break
    return piece


def longest(points: np.ndarray) -> float:
    """Largest distance between two of the points, in steps, edge to edge."""
    hull = cv2.convexHull(points.astype(np.int32))[:, 0].astype(float)
    gaps = np.hypot(*(hull[:, None] - hull[None]).transpose(2, 0, 1))
    return float(gaps.max()) + 1
