"""The small picture by which an admin decides on a correction."""

from apps.cases.pictures import as_the_file_says, default_window, hu_of
from apps.classifier.cnn.datasets import CROP, crop_slice
from apps.classifier.models import TrainingExample
from apps.imaging.rendering import png

LUNG_WINDOW = (-600.0, 1500.0)
SIDE = 256
_USUAL_PIXEL_MM = 0.7
_MARGIN_PIXELS = 4


def crop_png(example: TrainingExample) -> bytes:
    """The place in the lung window, 128 pixels wide; the whole slice for a label of the slice.

    Raises OSError or Refusal when the stored file is gone or damaged.
    """
    hu, finding = hu_of(example.instance), example.finding
    said = as_the_file_says(example.instance)
    if finding is None:
        center, width = default_window([example.instance])
        return png(hu, center=center, width=width, max_side=SIDE, **said)
    center, width = LUNG_WINDOW
    return png(crop_slice(hu, finding.row, finding.column), center=center, width=width, **said)


def ring_radius(example: TrainingExample) -> float | None:
    """Radius of the ring round the finding, in pixels of the crop; none for a whole slice."""
    if example.finding is None:
        return None
    pixel_mm = (example.instance.pixel_spacing or [_USUAL_PIXEL_MM])[0]
    return min(example.finding.diameter_mm / 2 / pixel_mm + _MARGIN_PIXELS, CROP / 2 - 2)
