"""Stored values to Hounsfield units; `voi` makes of these what a screen shows."""

import math
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from pydicom import Dataset

from apps.imaging.decoding import stored_values
from apps.imaging.loading import MAX_PIXELS, load
from apps.imaging.refusal import Refusal
from apps.imaging.values import number, text, whole

AIR_HU = -1024
_HIGHEST_CT_HU = 3071
_LOWEST, _HIGHEST = -32768, 32767
_HOUNSFIELD_TYPES = {"", "HU", "HU_MOD", "US"}
# Slopes of CT lie around 1; what is far outside makes no picture, whatever the values are.
_SLOPES = (1e-4, 1e3)


def hounsfield(source: Path | str | Dataset, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Hounsfield units of one CT image, int16, shape (rows, columns).

    HU = stored * Rescale Slope + Rescale Intercept (PS3.3 C.11.1.1), rounded to the nearest
    integer (halves to even) and clipped to -32768...32767. Values below -1024 are kept.
    Padding (Pixel Padding Value and Range Limit, PS3.3 C.7.5.1.1.2) becomes -1024, unless the
    padding lies inside -1024...3071 HU: scanners have written 0 there, and taking it at its word
    would punch holes into tissue. MONOCHROME1 asks for an inverted picture; it does not change HU.

    A file that `reading.read_instance` has not accepted may crash a native decoder.

    Raises Refusal: as `loading.load` and `decoding.stored_values`, and bad_rescale.
    """
    dataset = source if isinstance(source, Dataset) else load(Path(source), max_pixels=max_pixels)
    slope, intercept = rescale(dataset)
    stored = stored_values(dataset, max_pixels=max_pixels)
    padding = _padding_mask(dataset, stored, slope, intercept)
    hu = _rescaled(stored, slope, intercept)
    if padding is not None:
        hu[padding] = AIR_HU
    return hu


def rescale(dataset: Dataset) -> tuple[float, float]:
    """Rescale Slope and Intercept to Hounsfield units (PS3.3 C.8.2.1).

    Raises Refusal: bad_rescale if either is missing or not finite, the slope is 0 or absurd
    (outside 0.0001...1000 by its absolute value), or the result is declared to be something
    else than Hounsfield units, as in material maps.
    """
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if slope is None or intercept is None or not _SLOPES[0] <= abs(slope) <= _SLOPES[1]:
        raise Refusal(
            "bad_rescale", "The file does not say how its values become Hounsfield units."
        )
    if text(dataset, "RescaleType", 16).upper() not in _HOUNSFIELD_TYPES:
        raise Refusal("bad_rescale", "The values of this image are not Hounsfield units.")
    return slope, intercept


def _rescaled(stored: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    extremes = [float(stored.min()) * slope + intercept, float(stored.max()) * slope + intercept]
    if not all(map(math.isfinite, extremes)) or min(extremes) > _HIGHEST or max(extremes) < _LOWEST:
        raise Refusal("bad_rescale", "The values of this image are not Hounsfield units.")
    table = _rescale_table(slope, intercept, stored.dtype)
    return cv2.LUT(np.ascontiguousarray(stored).view(f"u{stored.itemsize}"), table)


@lru_cache(maxsize=64)
def _rescale_table(slope: float, intercept: float, kind: np.dtype) -> np.ndarray:
    """HU of every stored value, by its bit pattern: no copy of the image in floating point."""
    every = np.arange(1 << 8 * kind.itemsize, dtype=f"u{kind.itemsize}").view(kind)
    return np.clip(np.rint(every * slope + intercept), _LOWEST, _HIGHEST).astype(np.int16)


def _padding_mask(
    dataset: Dataset, stored: np.ndarray, slope: float, intercept: float
) -> np.ndarray | None:
    first = whole(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = whole(dataset, "PixelPaddingRangeLimit")
    last = first if last is None else last
    bounds = sorted(_as_stored(one, stored.dtype) for one in (first, last))
    lowest, highest = sorted(bound * slope + intercept for bound in bounds)
    if lowest <= _HIGHEST_CT_HU and highest > AIR_HU:
        return None
    return (stored >= bounds[0]) & (stored <= bounds[1])


def _as_stored(value: int, kind: np.dtype) -> int:
    """A padding value in the sign of the pixels; it is often written unsigned (63536 for -2000)."""
    bits = 8 * kind.itemsize
    value &= (1 << bits) - 1
    return value - (1 << bits) if kind.kind == "i" and value >= 1 << (bits - 1) else value
