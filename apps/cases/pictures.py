"""From a stored instance to what a screen shows."""

import re

import numpy as np

from apps.cases import storage
from apps.cases.models import Instance, Series
from apps.imaging.geometry import is_regular, order_slices
from apps.imaging.pixels import hounsfield

SOFT_TISSUE_WINDOW = (40.0, 400.0)
_AGE = re.compile(r"0*([0-9]+)([DWMY])")
_AGE_WORDS = {"D": "days", "W": "weeks", "M": "months", "Y": ""}


def hu_of(instance: Instance) -> np.ndarray:
    """Hounsfield units of the stored file, int16, rows x columns.

    Raises FileNotFoundError or Refusal when the stored file is gone or was damaged since.
    """
    return hounsfield(storage.path_of(instance))


def ordered_instances(series: Series) -> list[Instance]:
    """The slices along their normal, feet to head for axial ones."""
    return order_slices(list(series.instances.all()))


def default_window(instances: list[Instance]) -> tuple[float, float]:
    """The window (center, width, HU) that the file of the middle slice names."""
    middle = instances[len(instances) // 2] if instances else None
    if middle is None or middle.window_center is None or middle.window_width is None:
        return SOFT_TISSUE_WINDOW
    return middle.window_center, middle.window_width


def orientations(instances: list[Instance]) -> int:
    """How many different directions the slices look in; a localizer in a series makes two."""
    seen: list[list[float]] = []
    for one in (i.image_orientation_patient for i in instances):
        if one and not any(_parallel(one, other) for other in seen):
            seen.append(one)
    return len(seen)


def is_volume(instances: list[Instance]) -> bool:
    """Whether the slices stack to a regular volume: parallel, of one size, equally far apart."""
    shapes = {(i.rows, i.columns, tuple(i.pixel_spacing or ())) for i in instances}
    return len(shapes) == 1 and orientations(instances) == 1 and is_regular(instances)


def text_of_age(age: str) -> str:
    """Age (VR AS, PS3.5 6.2) as people write it: "063Y" is 63, "006M" is 6 months."""
    found = _AGE.fullmatch(age)
    return f"{found[1]} {_AGE_WORDS[found[2]]}".strip() if found else age


def _parallel(one: list[float], other: list[float]) -> bool:
    return bool(np.allclose(one, other, atol=0.01))
