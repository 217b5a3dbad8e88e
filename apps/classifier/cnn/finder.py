"""Find nodules in sorted slices and score them: candidates, finder network, suspicion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from apps.classifier.cnn import patches
from apps.classifier.cnn.candidates import SMALLEST_MASS_MM, Candidate
from apps.classifier.cnn.geometry import SliceInput
from apps.classifier.cnn.measuring import long_axis_mm
from apps.classifier.cnn.runtime import Network

VIEW_STEP = 0.2
NEAREST_MM = 5.0
WORTH_A_SECOND_LOOK = 0.15
MASS_REACH = 1.6
DIAMETER_LIMITS_MM = (2.0, 120.0)


@dataclass(frozen=True)
class Scan:
    """Slices sorted along the normal and their offsets in mm, (n,)."""

    slices: Sequence[SliceInput]
    offsets: np.ndarray


@dataclass(frozen=True)
class Marked:
    """A candidate the finder network looked at."""

    slice_index: int
    row: float
    column: float
    diameter_mm: float
    probability: float


def patch_at(scan: Scan, index: int, row: float, column: float, scale: float = 1.0) -> np.ndarray:
    """(64, 64, 3) patch through the slices round `index`."""
    near = patches.neighbours(scan.offsets, index)
    pixel_mm = scan.slices[index].pixel_spacing[0]
    images = [scan.slices[k].hu for k in near]
    return patches.stack(images, pixel_mm, row, column, patches.Warp(scale=scale))


def mark(scan: Scan, candidates: Sequence[Candidate], nodule: Network) -> list[Marked]:
    """Each candidate with its nodule probability; diameters stay the candidates' guesses."""
    if not candidates:
        return []
    scales = [patches.growing_scale(c.diameter_mm) for c in candidates]
    batch = np.stack(
        [
            patch_at(scan, c.slice_index, c.row, c.column, scale)
            for c, scale in zip(candidates, scales, strict=True)
        ]
    )
    return [
        Marked(c.slice_index, c.row, c.column, c.diameter_mm, float(p))
        for c, p in zip(candidates, nodule.predict(batch), strict=True)
    ]


def looked_at_again(scan: Scan, marked: Sequence[Marked], nodule: Network) -> list[Marked]:
    """The marks worth it with a steadier probability: the mean logit over four orientations.

    The first look is one patch each, because most candidates are plainly no nodules.
    """
    kept = [one for one in marked if one.probability >= WORTH_A_SECOND_LOOK]
    if not kept:
        return []
    batch = np.stack(
        [
            patch_at(scan, m.slice_index, m.row, m.column, patches.growing_scale(m.diameter_mm))
            for m in kept
        ]
    )
    logits = nodule.logits(patches.mirrored(batch)).reshape(4, -1).mean(axis=0)
    return [
        replace(one, probability=float(p))
        for one, p in zip(kept, nodule.calibrated(logits), strict=True)
    ]


def measured(scan: Scan, place: Marked) -> Marked:
    """The place with its long axis: the largest over the slices of its middle third."""
    axes = [
        long_axis_mm(
            scan.slices[index].hu,
            scan.slices[index].pixel_spacing[0],
            place.row,
            place.column,
            place.diameter_mm,
        )
        for index in middle_third(scan, place)
    ]
    longest = max(axes)
    if place.diameter_mm >= SMALLEST_MASS_MM:
        # Where a mass melts into the wall its outline has no end of its own.
        longest = min(longest, MASS_REACH * place.diameter_mm)
    return replace(place, diameter_mm=float(np.clip(longest, *DIAMETER_LIMITS_MM)))


def middle_third(scan: Scan, place: Marked) -> list[int]:
    """The slices nearest to the centre and to a fifth of the diameter above and below it."""
    offset = scan.offsets[place.slice_index]
    wanted = [offset + step * place.diameter_mm for step in (-VIEW_STEP, 0.0, VIEW_STEP)]
    return sorted({int(np.argmin(np.abs(scan.offsets - z))) for z in wanted})


def link(scan: Scan, marked: Sequence[Marked]) -> list[Marked]:
    """The best mark of each nodule: weaker marks inside it, in any slice, are dropped."""
    kept: list[Marked] = []
    for one in sorted(marked, key=lambda m: -m.probability):
        if not any(same_nodule(scan, one, other) for other in kept):
            kept.append(one)
    return kept


def same_nodule(scan: Scan, a: Marked, b: Marked) -> bool:
    pixel_mm = scan.slices[b.slice_index].pixel_spacing[0]
    across = np.hypot(a.row - b.row, a.column - b.column) * pixel_mm
    along = scan.offsets[a.slice_index] - scan.offsets[b.slice_index]
    return bool(np.hypot(across, along) < max(NEAREST_MM, b.diameter_mm / 2, a.diameter_mm / 2))


def suspicion(scan: Scan, place: Marked, malignancy: Network) -> float:
    """Suspicion score of a place: mean logit over its middle third, calibrated."""
    scale = patches.suspicion_scale(place.diameter_mm)
    views = [patch_at(scan, k, place.row, place.column, scale) for k in middle_third(scan, place)]
    batch = patches.mirrored(np.stack(views))
    return float(malignancy.calibrated(malignancy.logits(batch).mean(keepdims=True))[0])


def profile(scan: Scan, found: Sequence[tuple[Marked, float]]) -> list[float]:
    """Highest suspicion of any found nodule that reaches each slice; 0 where there is none."""
    values = np.zeros(len(scan.slices))
    for place, score in found:
        distance = np.abs(scan.offsets - scan.offsets[place.slice_index])
        reached = distance <= place.diameter_mm / 2
        reached[place.slice_index] = True
        values[reached] = np.maximum(values[reached], score)
    return [round(float(value), 4) for value in values]
