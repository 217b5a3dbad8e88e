"""Tell a vessel that runs through a place from a nodule that ends there.

In one slice a vessel cut across looks like a small nodule. In the volume it leaves the place
twice, about as thick as it is; a nodule ends, or hangs on the wall or on a thin vessel. Only
for series whose slices lie close enough together.
"""

import cv2
import numpy as np

from apps.classifier.cnn.finder import Marked, Scan

STEP_MM = 0.7
LARGEST_GAP_MM = 3.0
LARGEST_MM = 14.0
MARGIN_MM = 3.0
SHELL_MM = 1.0
THICK_SHARE = 0.55
AIR_PERCENTILE = 15
NEIGHBOUR_COSINE = 0.96


def runs_through(scan: Scan, place: Marked) -> bool:
    """Whether what is bright at the place leaves it at two sides about as thick as it is.

    False where slices are more than 3 mm apart or the place is large: there nobody can tell.
    """
    if place.diameter_mm > LARGEST_MM:
        return False
    radius = place.diameter_mm / 2 + MARGIN_MM
    cube = resampled(scan, place, radius + 2 * SHELL_MM)
    if cube is None:
        return False
    return len(thick_exits(cube, radius, place.diameter_mm)) >= 2


def resampled(scan: Scan, place: Marked, reach_mm: float) -> np.ndarray | None:
    """(n, n, n) float32 HU round the place at 0.7 mm; None where slices are missing.

    Beyond the ends of the series its last slice goes on, so that a nodule cut there leaves once
    and a vessel twice.
    """
    half = int(np.ceil(reach_mm / STEP_MM))
    steps = np.arange(-half, half + 1) * STEP_MM
    if len(scan.offsets) < 2:
        return None
    wanted = np.clip(scan.offsets[place.slice_index] + steps, scan.offsets[0], scan.offsets[-1])
    above = np.clip(np.searchsorted(scan.offsets, wanted), 1, len(scan.offsets) - 1)
    gaps = scan.offsets[above] - scan.offsets[above - 1]
    if gaps.max() > LARGEST_GAP_MM or gaps.min() <= 0:
        return None
    share = (wanted - scan.offsets[above - 1]) / gaps
    flat = {k: flat_window(scan, k, place, half) for k in range(above.min() - 1, above.max() + 1)}
    return np.stack(
        [flat[k - 1] * (1 - s) + flat[k] * s for k, s in zip(above, share, strict=True)]
    )


def flat_window(scan: Scan, index: int, place: Marked, half: int) -> np.ndarray:
    """(2 half + 1) squared window of one slice at 0.7 mm, lightly smoothed."""
    item = scan.slices[index]
    step = STEP_MM / item.pixel_spacing[0]
    top, left = place.row - half * step, place.column - half * step
    window = cv2.warpAffine(
        item.hu,
        np.array([[step, 0, left], [0, step, top]]),
        (2 * half + 1, 2 * half + 1),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.GaussianBlur(window.astype(np.float32), (0, 0), 0.8)


def thick_exits(cube: np.ndarray, radius: float, diameter: float) -> list[float]:
    """Thickness in mm of each way out of the sphere that is thick beside the place itself."""
    half = cube.shape[0] // 2
    z, y, x = (np.indices(cube.shape) - half) * STEP_MM
    distance = np.sqrt(z * z + y * y + x * x)
    inside = connected(bright(cube, half) & (distance <= radius + SHELL_MM), half)
    shell = inside & (distance > radius - SHELL_MM)
    points = np.stack([z[shell], y[shell], x[shell]], axis=1) / distance[shell][:, None]
    exits = [exit_thickness(count) for count in clusters(points)]
    return [thickness for thickness in exits if thickness >= THICK_SHARE * diameter]


def exit_thickness(voxels: int) -> float:
    """Diameter in mm of a round hole of so many voxels in the shell."""
    area = voxels * STEP_MM**3 / (2 * SHELL_MM)
    return float(np.sqrt(4 * area / np.pi))


def bright(cube: np.ndarray, half: int) -> np.ndarray:
    """Nearer to the value of the place than to the air round it."""
    middle = cube[half - 2 : half + 3, half - 2 : half + 3, half - 2 : half + 3]
    level = float(np.percentile(middle, 75))
    air = float(np.percentile(cube, AIR_PERCENTILE))
    return cube > (level + air) / 2


def connected(mask: np.ndarray, half: int) -> np.ndarray:
    """The part of the mask that hangs together with its middle."""
    core = np.s_[half - 2 : half + 3, half - 2 : half + 3, half - 2 : half + 3]
    grown = np.zeros_like(mask)
    grown[core] = mask[core]
    while True:
        wider = grown.copy()
        for axis in range(3):
            for shift in (1, -1):
                wider |= np.roll(grown, shift, axis)
        wider &= mask
        if wider.sum() == grown.sum():
            return grown
        grown = wider


def clusters(directions: np.ndarray) -> list[int]:
    """Sizes of the groups of unit vectors (n, 3) that hang together: the wall is one of them."""
    near = (directions @ directions.T > NEIGHBOUR_COSINE) if len(directions) else np.zeros((0, 0))
    left, sizes = np.ones(len(directions), bool), []
    while left.any():
        group = np.zeros(len(directions), bool)
        group[int(np.argmax(left))] = True
        while (wider := near[group].any(axis=0)).sum() > group.sum():
            group = wider
        sizes.append(int(group.sum()))
        left &= ~group
    return sizes
