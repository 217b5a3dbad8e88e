"""How far a suspicion score can be trusted at the size of its finding."""

from typing import Any

from apps.classifier.cnn.intervals import wilson
from apps.classifier.models import ModelVersion, Prediction

NOT_MEASURED = "reliability at this size not measured"


def reliability_of(prediction: Prediction, diameter_mm: float) -> str:
    """How often the version that gave the score was right on nodules of this size, in words.

    From the version's own figures: those of patients no choice was made on where it has them,
    else the cross-fitted ones. The reference is the rating of radiologists; the figures are
    measured at 0.50, whatever the operating point.
    """
    for version in prediction.model_versions.all():
        if version.task == ModelVersion.Task.MALIGNANCY:
            band = _band_of(version.meta, diameter_mm)
            return _words(band) if band else NOT_MEASURED
    return NOT_MEASURED


def _band_of(meta: dict[str, Any], diameter_mm: float) -> dict[str, Any] | None:
    for part in ("held_out", "metrics"):
        for band in (meta.get(part) or {}).get("by_size_band") or []:
            if _holds(band["band_mm"], diameter_mm):
                return band
    return None


def _holds(edges: str, diameter_mm: float) -> bool:
    """Whether a band, "8–15" or "≥ 25", holds a diameter in mm."""
    if edges.startswith("≥"):
        return diameter_mm >= float(edges.removeprefix("≥"))
    low, high = edges.split("–")
    return float(low) <= diameter_mm < float(high)


def _words(band: dict[str, Any]) -> str:
    low, high = wilson(round(band["accuracy"] * band["n"]), band["n"])
    return (
        f"at {band['band_mm']} mm, called from 0.50, right in {band['accuracy']:.0%} "
        f"of {band['n']} ({low:.0%} to {high:.0%})"
    )
