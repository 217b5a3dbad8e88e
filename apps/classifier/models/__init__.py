from apps.classifier.models.learning import TrainingExample, TrainingRun
from apps.classifier.models.prediction import (
    Finding,
    FindingHeatmap,
    FindingVerdict,
    Prediction,
)
from apps.classifier.models.version import ModelVersion

__all__ = [
    "Finding",
    "FindingHeatmap",
    "FindingVerdict",
    "ModelVersion",
    "Prediction",
    "TrainingExample",
    "TrainingRun",
]
