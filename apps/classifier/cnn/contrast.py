"""Contrast check: do the pixels show contrast agent? A warning beside the header, never a block.

Logistic regression on how the Hounsfield units of even soft tissue are distributed: enhanced
vessels and heart stand out above 120 HU where bone, being uneven, is left out.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from apps.classifier.cnn.calibration import sigmoid
from apps.classifier.cnn.lungs import Lungs

EDGES_HU = (0, 20, 40, 55, 70, 85, 100, 120, 140, 170, 210, 260, 350, 500)
PERCENTILES = (25, 50, 75, 90, 95, 99)
WINDOW_MM = 9
EVEN_HU = 40.0
RIND_MM = 15
LEAST_PIXELS = 50
SURE = 0.85
CONTRAST = Path(__file__).parent / "contrast.json"
Answer = Literal["contrast", "no_contrast", "unsure"]


@dataclass(frozen=True)
class ContrastCheck:
    """A fitted check: feature means and scales, weights and intercept, all in meta."""

    meta: dict[str, Any]

    @property
    def version(self) -> str:
        return self.meta["version"]

    def probability(self, lungs: Lungs) -> float | None:
        """Probability of contrast agent in one slice; None without enough soft tissue."""
        features = contrast_features(lungs)
        if features is None:
            return None
        scaled = (features - np.array(self.meta["means"])) / np.array(self.meta["scales"])
        return float(sigmoid(scaled @ np.array(self.meta["weights"]) + self.meta["intercept"]))


def load_contrast(path: Path) -> ContrastCheck:
    return ContrastCheck(json.loads(Path(path).read_text()))


def with_sha256(path: Path) -> dict[str, Any]:
    """Metadata that are the model themselves, as those of the contrast check."""
    content = path.read_bytes()
    return json.loads(content) | {"sha256": hashlib.sha256(content).hexdigest()}


def contrast_features(lungs: Lungs) -> np.ndarray | None:
    """(19,) log shares of even soft tissue per HU band, then percentiles in units of 50 HU."""
    mean = cv2.blur(lungs.hu, (WINDOW_MM, WINDOW_MM))
    variance = cv2.blur(lungs.hu * lungs.hu, (WINDOW_MM, WINDOW_MM)) - mean * mean
    inner = cv2.erode(lungs.body, np.ones((RIND_MM, RIND_MM), np.uint8)) > 0
    even = inner & (variance < EVEN_HU**2) & (mean > EDGES_HU[0]) & (mean < EDGES_HU[-1])
    values = mean[even]
    if len(values) < LEAST_PIXELS:
        return None
    shares = np.histogram(values, EDGES_HU)[0] / len(values)
    return np.concatenate([np.log(shares + 1e-3), np.percentile(values, PERCENTILES) / 50])


def summary(probabilities: Sequence[float], contrast_bolus_agent: str) -> dict[str, Any]:
    """The median over a series' slices beside the header; no answer without soft tissue."""
    if not probabilities:
        return {"answer": None, "probability": None, "header": contrast_bolus_agent}
    middle = float(np.median(probabilities))
    return {
        "answer": answer_of(middle),
        "probability": round(middle, 4),
        "header": contrast_bolus_agent,
    }


def answer_of(probability: float) -> Answer:
    if probability >= SURE:
        return "contrast"
    return "no_contrast" if probability <= 1 - SURE else "unsure"


def disagreement(probabilities: Sequence[float], contrast_bolus_agent: str) -> str | None:
    """A warning in words when the pixels are sure and the header says otherwise."""
    if not probabilities:
        return None
    seen, told = answer_of(float(np.median(probabilities))), bool(contrast_bolus_agent.strip())
    if seen == "no_contrast" and told:
        return "The header names a contrast agent, but none is visible in the images."
    if seen == "contrast" and not told:
        return "Contrast agent seems visible, but the header names none."
    return None
