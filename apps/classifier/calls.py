"""From a score to a call: which version gave it, and from where on it calls."""

from apps.classifier.models import ModelVersion, Prediction

DEFAULT_OPERATING_POINT = 0.5


def operating_point(prediction: Prediction) -> float:
    """The suspicion from which this prediction's model calls a nodule malignant."""
    for version in prediction.model_versions.all():
        if version.task == ModelVersion.Task.MALIGNANCY:
            return threshold_of(version.meta)
    return DEFAULT_OPERATING_POINT


def threshold_of(meta: dict) -> float:
    """The operating point that a version's description names."""
    point = meta.get("operating_point")
    value = point.get("threshold") if isinstance(point, dict) else point
    return float(value) if isinstance(value, int | float) else DEFAULT_OPERATING_POINT


def version_of(prediction: Prediction, task: str) -> str:
    """The name of the version that answered for `task`, as in "malignancy-v3"."""
    return next((str(v) for v in prediction.model_versions.all() if v.task == task), "")
