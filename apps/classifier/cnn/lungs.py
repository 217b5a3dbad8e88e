"""Find the lungs in one axial slice by Hounsfield units and shape.

Everything happens at 1 mm per pixel, so that sizes below are millimetres. Ideas after
Armato & Sensakovic, Academic Radiology 11:1011 (2004), simplified to single slices.
"""

from dataclasses import dataclass

import cv2
import numpy as np

BODY_HU = -400
AIR_HU = -450
TRACHEA_HU = -900
GAS_HU = -960
SMALLEST_LUNG_MM2 = 250
SMALL_PIECE_MM2 = 900
LUNG_TEXTURE_HU = 25
PLEURA_CLOSING_MM = 9
MASS_CLOSING_MM = 32


@dataclass(frozen=True)
class Lungs:
    """Masks at 1 mm per pixel, all (rows, columns) uint8 of 0 and 1; hu is float32.

    air: lung tissue. closed: lungs with vessels and nodules on the pleura. wide: also where
    large tumours sit between lung and wall. body: the patient. other: the lungs mirrored, where
    lung would be if both sides were alike; heart and mediastinum between them left out.
    """

    hu: np.ndarray
    air: np.ndarray
    closed: np.ndarray
    wide: np.ndarray
    body: np.ndarray
    other: np.ndarray

    @property
    def area_mm2(self) -> float:
        return float(self.air.sum())


def disc(radius: float) -> np.ndarray:
    size = 2 * round(radius) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def find_lungs(hu: np.ndarray, pixel_spacing: tuple[float, float]) -> Lungs:
    """Lungs of one slice. hu: (rows, columns); pixel_spacing: mm between rows, columns."""
    row_mm, column_mm = pixel_spacing
    size = (max(8, round(hu.shape[1] * column_mm)), max(8, round(hu.shape[0] * row_mm)))
    fine = cv2.resize(
        np.clip(hu, -1024, 3071).astype(np.float32), size, interpolation=cv2.INTER_AREA
    )
    body = find_body(fine)
    air = find_air(fine, body)
    smooth = closing(air, PLEURA_CLOSING_MM)
    closed = filled(smooth)
    wide = filled(find_wide(air, body))
    return Lungs(fine, air, closed, wide, body, mirrored(smooth, body))


def find_body(fine: np.ndarray) -> np.ndarray:
    """The largest thing that is not air, with its holes filled."""
    dense = (cv2.GaussianBlur(fine, (0, 0), 1) > BODY_HU).astype(np.uint8)
    dense = cv2.morphologyEx(dense, cv2.MORPH_OPEN, disc(3))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dense)
    if count < 2:
        return np.zeros_like(dense)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return filled((labels == largest).astype(np.uint8))


def find_air(fine: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Air inside the body that looks like lung: large, textured, not as empty as gas."""
    inside = cv2.erode(body, disc(4), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    candidate = ((fine < AIR_HU) & (inside > 0)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(candidate)
    air = np.zeros_like(candidate)
    for index in range(1, count):
        left, top, width, height, area = stats[index]
        if area < SMALLEST_LUNG_MM2:
            continue
        box = np.s_[top : top + height, left : left + width]
        piece = labels[box] == index
        if is_lung(fine[box][piece], int(area)):
            air[box][piece] = 1
    return air


def is_lung(values: np.ndarray, area_mm2: int) -> bool:
    """Bowel gas and trachea are emptier and smoother than lung."""
    median = float(np.median(values))
    if median < GAS_HU or values.std() < LUNG_TEXTURE_HU:
        return False
    return area_mm2 >= SMALL_PIECE_MM2 or median >= TRACHEA_HU


def closing(mask: np.ndarray, radius: int) -> np.ndarray:
    """Morphological closing that does not stick to the border of the picture."""
    pad = radius + 2
    padded = cv2.copyMakeBorder(mask, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    return cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc(radius))[pad:-pad, pad:-pad]


def find_wide(air: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Where a large tumour can sit: between the lungs' outlines, well inside the body.

    A tumour may take the place of half a lung, so each lung also stands for the other one.
    """
    wide = coarse_closing(air, MASS_CLOSING_MM) & cv2.erode(body, disc(8))
    outlines, _ = cv2.findContours(
        air | mirrored(air, body), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    if outlines:
        hull = np.zeros_like(air)
        cv2.fillPoly(hull, [cv2.convexHull(np.vstack(outlines))], 1)
        wide = wide | (hull & cv2.erode(body, disc(14)))
    return wide


def mirrored(mask: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The mask mirrored left to right about the middle of the body."""
    columns = np.nonzero(body.any(axis=0))[0]
    if not len(columns):
        return np.zeros_like(mask)
    left, right = columns[0], columns[-1] + 1
    turned = np.zeros_like(mask)
    turned[:, left:right] = mask[:, left:right][:, ::-1]
    return turned


def coarse_closing(mask: np.ndarray, radius: int, factor: int = 4) -> np.ndarray:
    """A closing with a large disc, at a quarter of the resolution because it is only rough."""
    rows, columns = mask.shape
    small = cv2.resize(
        mask, (-(-columns // factor), -(-rows // factor)), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(
        closing(small, radius // factor), (columns, rows), interpolation=cv2.INTER_NEAREST
    )


def filled(mask: np.ndarray) -> np.ndarray:
    """The mask without holes."""
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    result = np.zeros_like(mask)
    cv2.drawContours(result, outlines, -1, 1, -1)
    return result | mask


def air_round_patient(lungs: Lungs) -> float | None:
    """Median HU of the air round the patient, a check of the scanner's calibration.

    Only inside the circle of reconstruction and below -900 HU: couch, clothes and padding
    are not air. None when too little air is in the picture.
    """
    rows, columns = lungs.hu.shape
    y, x = np.mgrid[:rows, :columns]
    radius = min(rows, columns) / 2 - 3
    circle = (y - rows / 2) ** 2 + (x - columns / 2) ** 2 < radius**2
    outside = circle & (cv2.dilate(lungs.body, disc(6)) == 0) & (lungs.hu < -800)
    return float(np.median(lungs.hu[outside])) if outside.sum() > 500 else None
