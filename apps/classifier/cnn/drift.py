"""Are the images and the scores still like those of the training? Shares per bin, and the PSI.

The reference is made by `manage.py input_reference` and lies beside this file.
"""

import json
import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from apps.classifier.cnn.geometry import SliceInput, offsets_mm, sort_slices

REFERENCE = Path(__file__).parent / "input_reference.json"
# Upper edges; the last bin is open. HU from -950: the air round the patient and padding count not.
EDGES: dict[str, list[float]] = {
    "hu": [-850, -700, -500, -200, -50, 50, 150, 300],
    "pixel_mm": [0.6, 0.68, 0.75, 0.85],
    "slice_mm": [1.1, 1.6, 2.2, 2.8],
    "score": [0.2, 0.4, 0.6, 0.8],
}
AIR_HU = -950
OTHER = "other"
EVERY = 4  # pixels, in both directions
LEAST_SHARE = 0.001  # what an empty bin counts as
_Z_99 = 2.326


def input_facts(slices: Sequence[SliceInput], chest: set[str]) -> dict[str, Any]:
    """What drift is measured by: geometry of the series, HU shares of its slices named `chest`."""
    facts: dict[str, Any] = {}
    if slices and slices[0].pixel_spacing[0] > 0:
        facts["pixel_mm"] = round(float(slices[0].pixel_spacing[0]), 4)
    gaps = np.diff(offsets_mm(sort_slices(slices))) if _placed(slices) else []
    if len(gaps):
        facts["slice_mm"] = round(abs(float(np.median(gaps))), 3)
    shown = [one.hu[::EVERY, ::EVERY].ravel() for one in slices if one.key in chest]
    if shown:
        hu = np.concatenate(shown)
        facts["hu"] = shares(hu[hu > AIR_HU], "hu")
    return facts


def _placed(slices: Sequence[SliceInput]) -> bool:
    return len(slices) > 1 and all(one.position and one.orientation for one in slices)


def shares(values: Sequence[float] | np.ndarray, name: str) -> list[float]:
    """The share of values in each bin of EDGES[name]; all zero without values."""
    bins = np.searchsorted(EDGES[name], np.asarray(values, float), side="right")
    counts = np.bincount(bins, minlength=len(EDGES[name]) + 1)
    return [round(float(one), 5) for one in counts / max(counts.sum(), 1)]


def bin_names(name: str) -> list[str]:
    """The bins of EDGES[name] as people read them."""
    edges = [f"{edge:g}".replace("-", "−") for edge in EDGES[name]]
    between = [f"{low} to {high}" for low, high in pairwise(edges)]
    return [f"below {edges[0]}", *between, f"{edges[-1]} and more"]


def maker(manufacturer: str) -> str:
    """The first word of a manufacturer, in capitals: files write the rest in many ways."""
    return (manufacturer.strip().upper().split() or [OTHER])[0]


def maker_shares(makers: Sequence[str], known: Sequence[str]) -> list[float]:
    """The share of each known manufacturer, and at the end of all others together."""
    counts = [sum(one == name for one in makers) for name in known]
    total = max(len(makers), 1)
    return [*(count / total for count in counts), (len(makers) - sum(counts)) / total]


def psi(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Population stability index: 0 when alike; by custom above 0.1 a shift, above 0.25 a large
    one. Empty bins count as LEAST_SHARE."""
    old, new = _filled(expected), _filled(actual)
    return float(np.sum((new - old) * np.log(new / old)))


def _filled(values: Sequence[float]) -> np.ndarray:
    filled = np.maximum(np.asarray(values, float), LEAST_SHARE)
    return filled / filled.sum()


def psi_by_chance(bins: int, n: int, reference: int) -> float:
    """The PSI that n cases stay below in 99 of 100 when nothing has shifted.

    PSI / (1/n + 1/reference) is near chi-squared with bins - 1 degrees of freedom (Yurdakul,
    2018); its quantile by Wilson and Hilferty (1931).
    """
    if not (n and reference):
        return math.inf
    k = bins - 1
    quantile = k * (1 - 2 / (9 * k) + _Z_99 * math.sqrt(2 / (9 * k))) ** 3
    return (1 / n + 1 / reference) * quantile


@cache
def reference() -> dict[str, Any]:
    """The shipped reference, by name: shares, n (patients), and for makers their names."""
    return json.loads(REFERENCE.read_text())
