"""Where the suspicion comes from: Grad-CAM where the graph has that output, else occlusion.

Occlusion, after Zeiler & Fergus (ECCV 2014): a piece of the patch is covered with the patch's own
grey of the surroundings and the network is asked again; where the logit falls most, it had looked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from apps.classifier.cnn import finder, patches
from apps.classifier.cnn.finder import Scan
from apps.classifier.cnn.geometry import SliceInput, offsets_mm, sort_slices
from apps.classifier.cnn.runtime import Network

COVER = 14
STEP = 7
OCCLUSION, GRAD_CAM = "occlusion", "Grad-CAM"


@dataclass(frozen=True)
class Heatmap:
    """values: (64, 64) float32, 0…1, to be laid over the square of the slice given in pixels.

    strength: how far the logit fell at most, or the map's peak before scaling; near zero means
    that no place mattered.
    """

    values: np.ndarray
    top: float
    left: float
    side: float
    strength: float
    method: str


def heatmap(
    slices: Sequence[SliceInput],
    key: str,
    row: float,
    column: float,
    malignancy: Network,
    diameter_mm: float = 0.0,
) -> Heatmap:
    """Heatmap of the suspicion at pixel (row, column) of slice `key`. Raises KeyError.

    diameter_mm: of the finding; the map of a mass is as wide as the patch its score came from.
    """
    ordered = sort_slices(slices)
    keys = [item.key for item in ordered]
    if key not in keys:
        raise KeyError(key)
    index = keys.index(key)
    scan = Scan(ordered, offsets_mm(ordered))
    scale = patches.suspicion_scale(diameter_mm)
    patch = finder.patch_at(scan, index, row, column, scale)
    heat, method = malignancy.heat(patch[None]), GRAD_CAM
    if heat is None:
        (values, strength), method = falls(patch, malignancy), OCCLUSION
    else:
        values, strength = enlarged(heat[0])
    side_mm = patches.SIDE * patches.MM_PER_PIXEL * scale
    side = side_mm / ordered[index].pixel_spacing[0]
    return Heatmap(values, row - side / 2, column - side / 2, side, strength, method)


def enlarged(heat: np.ndarray) -> tuple[np.ndarray, float]:
    """(64, 64) the map over the whole patch, scaled to its peak, and that peak."""
    shape, peak = (patches.SIDE, patches.SIDE), float(heat.max())
    smooth = cv2.resize(heat, shape, interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth / max(peak, 1e-6), 0, 1), peak


def falls(patch: np.ndarray, network: Network) -> tuple[np.ndarray, float]:
    """(64, 64) where covering lowers the logit, scaled to its largest fall, and that fall."""
    starts = range(0, patches.SIDE - COVER + 1, STEP)
    corners = [(top, left) for top in starts for left in starts]
    covered = np.stack([patch, *(cover(patch, top, left) for top, left in corners)])
    logits = network.logits(covered)
    fall = np.maximum(logits[0] - logits[1:], 0)
    total, count = np.zeros((2, patches.SIDE, patches.SIDE), np.float32)
    for (top, left), value in zip(corners, fall, strict=True):
        total[top : top + COVER, left : left + COVER] += value
        count[top : top + COVER, left : left + COVER] += 1
    smooth = cv2.GaussianBlur(total / np.maximum(count, 1), (0, 0), STEP / 2)
    return smooth / max(float(smooth.max()), 1e-6), float(fall.max())


def cover(patch: np.ndarray, top: int, left: int) -> np.ndarray:
    """The patch with one square replaced by the lung's grey: the patch's lower quartile."""
    copy = patch.copy()
    copy[top : top + COVER, left : left + COVER] = np.percentile(patch, 25)
    return copy
