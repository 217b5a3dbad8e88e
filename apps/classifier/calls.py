"""From a score to a call: which version gave it, and from where on it calls."""

from typing import Any

from apps.classifier.models import ModelVersion, Prediction

DEFAULT_OPERATING_POINT = 0.5


def operating_point(prediction: Prediction) -> float:
    """The suspicion from which this prediction's nodules are called malignant at its site."""
    return threshold_of({"operating_point": _point(prediction)})


def operating_words(prediction: Prediction) -> str:
    """The operating point with what it was measured to cost, where it was measured."""
    point, words = _point(prediction), f"{operating_point(prediction):.2f}"
    if not isinstance(point, dict) or None in (point.get("sensitivity"), point.get("specificity")):
        return words
    found, spared = point["sensitivity"], point["specificity"]
    return f"{words} (sensitivity {found:.2f}, specificity {spared:.2f})"


def _point(prediction: Prediction) -> Any:
    """The point the site wants, of those measured for the version; else the version's own."""
    versions = prediction.model_versions.all()
    meta = next((v.meta for v in versions if v.task == ModelVersion.Task.MALIGNANCY), {})
    wanted = prediction.case.site.sensitivity_wanted
    offered = [one for one in meta.get("operating_points") or [] if one.get("wanted") == wanted]
    return offered[0] if offered else meta.get("operating_point")


def threshold_of(meta: dict) -> float:
    """The operating point that a version's description names."""
    point = meta.get("operating_point")
    value = point.get("threshold") if isinstance(point, dict) else point
    return float(value) if isinstance(value, int | float) else DEFAULT_OPERATING_POINT


def version_of(prediction: Prediction, task: str) -> str:
    """The name of the version that answered for `task`, as in "malignancy-v3"."""
    return next((str(v) for v in prediction.model_versions.all() if v.task == task), "")
