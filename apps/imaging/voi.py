"""Hounsfield units to what a screen shows: windows and tables (VOI LUT module, PS3.3 C.11.2).

Every mapping is a table of 65,536 grey values, one for each int16 HU by its bit pattern: entry 0
is 0 HU, entry 65535 is -1 HU.
"""

import hashlib
import math
from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence

from apps.imaging.values import text

LINEAR, LINEAR_EXACT, SIGMOID = "LINEAR", "LINEAR_EXACT", "SIGMOID"
FUNCTIONS = (LINEAR, LINEAR_EXACT, SIGMOID)
_MOST_TABLES = 16
_ENTRY_BITS = range(8, 17)


def display(
    hu: np.ndarray,
    center: float,
    width: float,
    function: str = LINEAR,
    *,
    inverted: bool = False,
) -> np.ndarray:
    """Windowed grey values 0...255, uint8, same shape as `hu` (int16 HU).

    `function` is the file's VOI LUT Function (PS3.3 C.11.2.1.2 and C.11.2.1.3); `inverted` is for
    MONOCHROME1. Raises ValueError unless width >= 1 and both are finite.
    """
    if not (math.isfinite(center) and math.isfinite(width)) or width < 1:
        raise ValueError("window width must be at least 1, and both values finite")
    return through(hu, window_table(float(center), float(width), function), inverted=inverted)


def through(hu: np.ndarray, table: np.ndarray, *, inverted: bool = False) -> np.ndarray:
    """The grey values (uint8) that a table gives int16 HU, same shape; `inverted` turns them."""
    shown = cv2.LUT(np.ascontiguousarray(hu, dtype=np.int16).view(np.uint16), table)
    return 255 - shown if inverted else shown


@lru_cache(maxsize=64)
def window_table(center: float, width: float, function: str = LINEAR) -> np.ndarray:
    """The table of a window, HU; LINEAR begins at center - 0.5 - (width - 1) / 2."""
    hu = _every_hu()
    if function == SIGMOID:
        # Beyond 700 the exponential of a double overflows, and the grey is 0 long before.
        grey = 255 / (1 + np.exp(np.clip(-4 * (hu - center) / width, -700, 700)))
    elif function == LINEAR_EXACT:
        grey = ((hu - center) / width + 0.5) * 255
    elif width == 1:
        grey = np.where(hu <= center - 0.5, 0.0, 255.0)
    else:
        grey = ((hu - (center - 0.5)) / (width - 1) + 0.5) * 255
    return np.rint(np.clip(grey, 0, 255)).astype(np.uint8)


def voi_function(dataset: Dataset) -> str:
    """The VOI LUT Function of a file; LINEAR where it names none or an unknown one."""
    said = text(dataset, "VOILUTFunction", 16).upper()
    return said if said in FUNCTIONS else LINEAR


def is_inverted(dataset: Dataset) -> bool:
    """Whether low values are white (MONOCHROME1, PS3.3 C.7.6.3.1.2)."""
    return text(dataset, "PhotometricInterpretation", 16).upper() == "MONOCHROME1"


def voi_luts(dataset: Dataset) -> tuple[dict[str, str], ...]:
    """What the VOI LUT Sequence offers: `explanation` and `sha256` of each usable table."""
    return tuple(
        {"explanation": words, "sha256": hashlib.sha256(table).hexdigest()}
        for words, table in _tables(dataset)
    )


def voi_table(dataset: Dataset, number: int) -> np.ndarray:
    """The table of item `number` of `voi_luts`. Raises IndexError where there is none."""
    return [table for _, table in _tables(dataset)][number]


def _tables(dataset: Dataset) -> Iterator[tuple[str, np.ndarray]]:
    """Explanation and table of each item; one that contradicts itself is left out."""
    for item in _items(dataset)[:_MOST_TABLES]:
        table = _table(item)
        if table is not None:
            yield text(item, "LUTExplanation"), table


def _items(dataset: Dataset) -> list[Dataset]:
    try:
        found = dataset.get("VOILUTSequence")
    except Exception:
        # pydicom converts on access and raises many types for what it cannot convert.
        return []
    return list(found) if isinstance(found, Sequence) else []


def _table(item: Dataset) -> np.ndarray | None:
    """PS3.3 C.11.2.1.1: below the first mapped value its entry holds, above the last the last."""
    try:
        count, first, bits = (int(part) for part in item.LUTDescriptor)
        entries = _entries(item, count or 65536, bits)
    except Exception:
        return None  # as above
    # HU are signed, yet pydicom reads the value unsigned where the stored pixels are.
    first = (first + 32768) % 65536 - 32768
    places = np.clip(_every_hu() - first, 0, len(entries) - 1).astype(np.int64)
    grey = entries[places] * (255 / (2**bits - 1))
    return np.rint(np.clip(grey, 0, 255)).astype(np.uint8)


def _entries(item: Dataset, count: int, bits: int) -> np.ndarray:
    """LUT Data as numbers: words, or bytes where each entry has eight bits and its own byte."""
    if bits not in _ENTRY_BITS:
        raise ValueError("bits per entry")
    data = item.LUTData
    if isinstance(data, bytes):
        packed = bits == 8 and len(data) < 2 * count
        data = np.frombuffer(data[: len(data) // 2 * 2], np.uint8 if packed else "<u2")
    entries = np.asarray(data, np.float64).ravel()[:count]
    if len(entries) < count:
        raise ValueError("entries")
    return entries


def _every_hu() -> np.ndarray:
    return np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.float64)
