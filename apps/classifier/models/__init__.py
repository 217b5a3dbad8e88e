from apps.classifier.models.adjudication import (
    Confirmation,
    FrozenTestSet,
    LoopSettings,
    Opinion,
)
from apps.classifier.models.learning import TrainingExample, TrainingRun
from apps.classifier.models.place import PlaceQuestion
from apps.classifier.models.prediction import (
    Finding,
    FindingHeatmap,
    FindingVerdict,
    Prediction,
)
from apps.classifier.models.version import ModelVersion
from apps.classifier.models.watching import Alert, WatchSettings, WatchState

__all__ = [
    "Alert",
    "Confirmation",
    "Finding",
    "FindingHeatmap",
    "FindingVerdict",
    "FrozenTestSet",
    "LoopSettings",
    "ModelVersion",
    "Opinion",
    "PlaceQuestion",
    "Prediction",
    "TrainingExample",
    "TrainingRun",
    "WatchSettings",
    "WatchState",
]
