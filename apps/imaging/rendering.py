"""A slice as a picture file, turned as a person chose."""

import cv2
import numpy as np

from apps.imaging.voi import LINEAR, display, through

THUMBNAIL_SIDE = 128


def png(
    hu: np.ndarray,
    *,
    center: float,
    width: float,
    rotation: int = 0,
    flip_horizontal: bool = False,
    flip_vertical: bool = False,
    max_side: int | None = None,
    function: str = LINEAR,
    table: np.ndarray | None = None,
    inverted: bool = False,
) -> bytes:
    """An 8-bit greyscale PNG of one slice (int16 HU, rows x columns).

    Windowed as `voi.display`, or through `table` (`voi.voi_table`) in place of the window, then
    flipped, then rotated clockwise by 0, 90, 180 or 270 degrees, then made smaller (never larger)
    so that the longer side is at most `max_side`. `inverted`: MONOCHROME1. Raises ValueError for
    other rotations, a window width below 1, or a side below 1.
    """
    if table is None:
        shown = display(hu, center, width, function, inverted=inverted)
    else:
        shown = through(hu, table, inverted=inverted)
    shown = _shrunk(shown, max_side)
    return _encoded(_turned(shown, rotation, flip_horizontal, flip_vertical))


def thumbnail(
    hu: np.ndarray,
    *,
    center: float,
    width: float,
    rotation: int = 0,
    flip_horizontal: bool = False,
    flip_vertical: bool = False,
    max_side: int = THUMBNAIL_SIDE,
) -> bytes:
    """As `png`, small: `max_side` pixels on the longer side."""
    return png(
        hu,
        center=center,
        width=width,
        rotation=rotation,
        flip_horizontal=flip_horizontal,
        flip_vertical=flip_vertical,
        max_side=max_side,
    )


def _shrunk(shown: np.ndarray, max_side: int | None) -> np.ndarray:
    longer = max(shown.shape)
    if max_side is None or longer <= max_side:
        return shown
    if max_side < 1:
        raise ValueError("max_side must be at least 1")
    rows, columns = (max(1, round(side * max_side / longer)) for side in shown.shape)
    return cv2.resize(shown, (columns, rows), interpolation=cv2.INTER_AREA)


def _turned(
    shown: np.ndarray, rotation: int, flip_horizontal: bool, flip_vertical: bool
) -> np.ndarray:
    if rotation not in (0, 90, 180, 270):
        raise ValueError("rotation must be 0, 90, 180 or 270")
    if flip_horizontal:
        shown = shown[:, ::-1]
    if flip_vertical:
        shown = shown[::-1]
    return np.rot90(shown, k=-rotation // 90)


def _encoded(shown: np.ndarray) -> bytes:
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(shown))
    if not done:
        raise ValueError("the slice cannot be encoded as PNG")
    return encoded.tobytes()
