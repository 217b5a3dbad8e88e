"""Chest gate: does a slice show lungs? Lung area and a small network must agree."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from apps.classifier.cnn.lungs import Lungs

SIDE = 64
FIELD_MM = 416
WINDOW_HU = (-1000.0, 400.0)
NO_LUNG_MM2 = 2000
ENOUGH_LUNG_MM2 = 6000
AGREES = 0.5
CONTRADICTS = 0.1
Answer = Literal["chest", "not_chest", "unsure"]


@dataclass(frozen=True)
class Judgement:
    """answer with the sentence that explains it."""

    answer: Answer
    reason: str


def chest_patch(lungs: Lungs) -> np.ndarray:
    """(64, 64, 1) float32 picture of 416 mm round the middle of the body, -1000…400 HU as 0…1."""
    rows, columns = np.nonzero(lungs.body)
    row, column = (rows.mean(), columns.mean()) if len(rows) else np.array(lungs.hu.shape) / 2
    half = FIELD_MM // 2
    padded = cv2.copyMakeBorder(
        lungs.hu, half, half, half, half, cv2.BORDER_CONSTANT, value=WINDOW_HU[0]
    )
    top, left = round(row), round(column)
    field = padded[top : top + FIELD_MM, left : left + FIELD_MM]
    small = cv2.resize(field, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    low, high = WINDOW_HU
    return np.clip((small - low) / (high - low), 0, 1).astype(np.float32)[..., None]


def judge(probability: float, lung_area_mm2: float) -> Judgement:
    """Lung area decides, the network may veto, and between the two areas nobody decides."""
    area = f"{lung_area_mm2 / 100:.0f} cm² of lung"
    if lung_area_mm2 < NO_LUNG_MM2:
        return Judgement("not_chest", f"Almost no lung is visible ({area}).")
    if probability < CONTRADICTS and lung_area_mm2 <= ENOUGH_LUNG_MM2:
        return Judgement("not_chest", f"This does not look like a chest ({area} at most).")
    if lung_area_mm2 <= ENOUGH_LUNG_MM2:
        return Judgement(
            "unsure", f"Only little lung is visible ({area}): top or base of the chest."
        )
    if probability < AGREES:
        return Judgement("unsure", f"{area} seem visible, but the picture is not like a chest.")
    return Judgement("chest", f"Lungs are visible ({area}).")
