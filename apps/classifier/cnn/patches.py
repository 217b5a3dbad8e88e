"""Cut the patch a network sees out of a stack of slices.

The last step divides by the patch's own percentiles, so the answer does not depend on the
grey scale: an 8-bit crop scaled by its own minimum and maximum and the slice in Hounsfield
units give the same patch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 64
MM_PER_PIXEL = 0.7
SLICE_GAP_MM = 2.5
# The suspicion score looks closer, at 0.5 mm per pixel: what counts is the margin.
SUSPICION_SCALE = 0.5 / MM_PER_PIXEL
LARGEST_UNSCALED_SUSPICION_MM = 26.0
LARGEST_UNSCALED_MM = 12.5
PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class Warp:
    """How a patch is turned, scaled and shifted; the default changes nothing."""

    angle: float = 0.0
    scale: float = 1.0
    mirror: bool = False
    shift_mm: tuple[float, float] = (0.0, 0.0)


PLAIN = Warp()


def cut(
    image: np.ndarray, pixel_mm: float, row: float, column: float, warp: Warp = PLAIN
) -> np.ndarray:
    """(64, 64) float32 patch centred on (row, column), 0.7 mm per pixel times warp.scale.

    One bilinear interpolation; outside the image its border is repeated.
    """
    step = MM_PER_PIXEL * warp.scale / pixel_mm
    cosine, sine = math.cos(warp.angle) * step, math.sin(warp.angle) * step
    side = -1.0 if warp.mirror else 1.0
    matrix = np.array([[cosine * side, -sine, 0.0], [sine * side, cosine, 0.0]])
    middle = (SIDE - 1) / 2
    centre = np.array([column, row]) + np.array(warp.shift_mm) / pixel_mm
    matrix[:, 2] = centre - matrix[:, :2] @ np.array([middle, middle])
    window, (left, top) = surroundings(image, matrix)
    matrix[:, 2] -= (left, top)
    return cv2.warpAffine(
        window.astype(np.float32),
        matrix,
        (SIDE, SIDE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def surroundings(image: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """The part of the image a patch needs, and its (left, top); converting all would be slow."""
    corners = np.array([[0, 0, 1], [SIDE, 0, 1], [0, SIDE, 1], [SIDE, SIDE, 1]]) @ matrix.T
    low, high = np.floor(corners.min(axis=0)) - 2, np.ceil(corners.max(axis=0)) + 3
    rows, columns = image.shape
    left, top = (
        int(np.clip(value, 0, size - 1)) for value, size in zip(low, (columns, rows), strict=True)
    )
    right, bottom = max(int(high[0]), left + 1), max(int(high[1]), top + 1)
    return image[top:bottom, left:right], (left, top)


def normalise(patch: np.ndarray) -> np.ndarray:
    """Patch scaled so that its 0.5 and 99.5 percentiles become 0 and 1, clipped, float32."""
    low, high = np.percentile(patch, PERCENTILES)
    span = high - low
    if span <= 0:
        return np.zeros(patch.shape, np.float32)
    return np.clip((patch - low) / span, 0, 1).astype(np.float32)


def neighbours(offsets_mm: np.ndarray, middle: int) -> tuple[int, int, int]:
    """Slices 2.5 mm below and above the middle one; the middle itself where none is near."""
    chosen = []
    for wanted in (-SLICE_GAP_MM, 0.0, SLICE_GAP_MM):
        gaps = np.abs(offsets_mm - (offsets_mm[middle] + wanted))
        nearest = int(np.argmin(gaps))
        chosen.append(nearest if gaps[nearest] < SLICE_GAP_MM + 0.5 else middle)
    return chosen[0], chosen[1], chosen[2]


def stack(
    images: Sequence[np.ndarray],
    pixel_mm: float,
    row: float,
    column: float,
    warp: Warp = PLAIN,
) -> np.ndarray:
    """(64, 64, len(images)) normalised patch through neighbouring slices."""
    return normalise(
        np.stack([cut(image, pixel_mm, row, column, warp) for image in images], axis=-1)
    )


def growing_scale(diameter_mm: float) -> float:
    """Scale of the finder's patch: 45 mm wide up to 12.5 mm, then in proportion.

    A fixed patch rejects large tumours, which fill it from edge to edge.
    """
    return max(1.0, diameter_mm / LARGEST_UNSCALED_MM)


def suspicion_scale(diameter_mm: float) -> float:
    """Scale of the suspicion score's patch: fixed, so that size counts, as long as it fits in.

    What is larger than the patch is a mass whatever its size; without its margin the patch
    would show nothing.
    """
    return SUSPICION_SCALE * max(1.0, diameter_mm / LARGEST_UNSCALED_SUSPICION_MM)


def mirrored(batch: np.ndarray) -> np.ndarray:
    """(4n, …) the patches as they are, mirrored both ways and transposed: a steadier mean."""
    turned = [batch, batch[:, ::-1], batch[:, :, ::-1], batch.transpose(0, 2, 1, 3)]
    return np.concatenate(turned)
