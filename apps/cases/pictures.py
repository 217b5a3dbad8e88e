"""From a stored instance to what a screen shows."""

import re
from typing import Any

import numpy as np

from apps.cases import storage
from apps.cases.models import Instance, Series
from apps.imaging.geometry import is_regular, order_slices, position_along, slice_normal
from apps.imaging.loading import load
from apps.imaging.pixels import hounsfield
from apps.imaging.voi import voi_table

SOFT_TISSUE_WINDOW = (40.0, 400.0)
MIN_SLICES_OF_A_VOLUME = 3
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


def default_voi_lut(instances: list[Instance]) -> int | None:
    """The first table of a file that names no window, by its number; None where a window stands."""
    middle = instances[len(instances) // 2] if instances else None
    return 0 if middle and middle.window_center is None and middle.voi_luts else None


def voi_table_of(instance: Instance, number: int) -> np.ndarray:
    """Table `number` of the stored file, as `voi.voi_table`.

    Raises FileNotFoundError or Refusal when the stored file is gone or was damaged since.
    """
    return voi_table(load(storage.path_of(instance)), number)


def as_the_file_says(instance: Instance) -> dict[str, Any]:
    """What `rendering.png` must know of a file beside the window: its function and inversion."""
    return {"function": instance.voi_lut_function, "inverted": instance.inverted}


def orientations(instances: list[Instance]) -> int:
    """How many different directions the slices look in; a localizer in a series makes two."""
    seen: list[list[float]] = []
    for one in (i.image_orientation_patient for i in instances):
        if one and not any(_parallel(one, other) for other in seen):
            seen.append(one)
    return len(seen)


def why_no_volume(instances: list[Instance]) -> str:
    """Why the ordered slices cannot be cut along other planes, in plain words; "" if they can."""
    if len(instances) < MIN_SLICES_OF_A_VOLUME:
        return "There are too few slices for other planes."
    if any(not i.image_position_patient or not i.image_orientation_patient for i in instances):
        return "The files do not say where the slices lie."
    if not all(i.pixel_spacing for i in instances):
        return "The files name no pixel spacing."
    if orientations(instances) > 1:
        return "The slices look in different directions; perhaps a localizer is among them."
    if len({(i.rows, i.columns, tuple(i.pixel_spacing)) for i in instances}) > 1:
        return "The slices differ in size or in pixel spacing."
    if not is_regular(instances):
        return "The slices are not equally far apart: one may be missing or doubled."
    if _is_sheared(instances):
        return "The gantry was tilted, so other planes would be sheared."
    return ""


def _is_sheared(instances: list[Instance], tolerance: float = 0.02) -> bool:
    """Whether the slices are shifted against each other, as a tilted gantry does it."""
    first, last = instances[0], instances[-1]
    way = np.subtract(last.image_position_patient, first.image_position_patient)
    along = position_along(slice_normal(first.image_orientation_patient), way)
    aside = np.sqrt(max(float(way @ way) - along**2, 0.0))
    return bool(aside > tolerance * abs(along))


def text_of_age(age: str) -> str:
    """Age (VR AS, PS3.5 6.2) as people write it: "063Y" is 63, "006M" is 6 months."""
    found = _AGE.fullmatch(age)
    return f"{found[1]} {_AGE_WORDS[found[2]]}".strip() if found else age


def _parallel(one: list[float], other: list[float]) -> bool:
    return bool(np.allclose(one, other, atol=0.01))
