"""Versions, predictions, findings and the retrain queue for tests; no network runs."""

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from itertools import count
from typing import Any

from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.tests.factories import make_user
from apps.cases.models import Case, Instance
from apps.classifier.models import (
    Finding,
    FindingHeatmap,
    ModelVersion,
    Prediction,
    TrainingExample,
    TrainingRun,
)
from apps.classifier.services import PREDICTION_TASKS, instances_sha256

_numbers = count(1)


def make_model_version(
    task: str = "malignancy", *, status: str = "active", **fields: Any
) -> ModelVersion:
    """A version whose file does not exist: nothing can run it."""
    number = fields.pop("number", next(_numbers))
    row = {
        "file": f"{task}-{number}.tflite",
        "sha256": sha256(f"{task} {number}".encode()).hexdigest(),
        "meta": {
            "task": task,
            "version": number,
            "operating_point": {"name": "balanced", "threshold": 0.5},
        },
        "metrics": {"auc": 0.9},
        "card": f"# {task}\n\nA made-up version for tests.",
        **fields,
    }
    if status == ModelVersion.Status.ACTIVE:
        row.setdefault("activated_at", timezone.now())
    return ModelVersion.objects.create(task=task, number=number, status=status, **row)


def make_model_versions() -> list[ModelVersion]:
    """An active version of every task that a prediction needs (those there are, kept)."""
    active = ModelVersion.objects.filter(status=ModelVersion.Status.ACTIVE)
    return [
        active.filter(task=task).first() or make_model_version(task) for task in PREDICTION_TASKS
    ]


def make_prediction(
    case: Case,
    *,
    status: str = "done",
    score: float | None = None,
    findings: Sequence[dict[str, Any]] = (),
    **fields: Any,
) -> Prediction:
    """A prediction over the case's first series (or `series`), as a worker would leave it.

    `findings` are fields of Finding; the series score is that of the highest unless given.
    """
    series = fields.pop("series", None) or case.study.series.first()
    versions = make_model_versions()
    now = timezone.now()
    finished = status not in {"queued", "running"}
    scores = [one.get("malignancy_probability", 0.5) for one in findings]
    row = {
        "instances_sha256": instances_sha256(series),
        "models_key": " ".join(str(version) for version in versions),
        "progress": 1 if finished else 0,
        "started_at": None if status == "queued" else now,
        "finished_at": now if finished else None,
        "series_score": max(scores, default=None) if score is None else score,
        **fields,
    }
    if status == "running":
        row.setdefault("lease_expires_at", now + timedelta(seconds=30))
    if status == "done":
        row.setdefault("chest", _chest_answers(series.instances.all()))
    prediction = Prediction.objects.create(case=case, series=series, status=status, **row)
    prediction.model_versions.set(versions)
    for number, one in enumerate(findings, start=1):
        make_finding(prediction, **{"number": number, **one})
    return prediction


def make_finding(prediction: Prediction, **fields: Any) -> Finding:
    """A finding of the model in the middle of the series' first slice."""
    instance = fields.pop("instance", None) or prediction.series.instances.first()
    row = {
        "source": Finding.Source.MODEL,
        "number": prediction.findings.count() + 1,
        "row": instance.rows / 2,
        "column": instance.columns / 2,
        "position_mm": instance.image_position_patient,
        "diameter_mm": 9.0,
        "nodule_probability": 0.8,
        "malignancy_probability": 0.5,
        **fields,
    }
    return Finding.objects.create(
        case=prediction.case, prediction=prediction, instance=instance, **row
    )


def make_heatmap(finding: Finding, **fields: Any) -> FindingHeatmap:
    """A heatmap of 40 pixels round the finding, strongest in its lower right quarter."""
    values = bytes(
        255 if row >= 32 and column >= 32 else 0 for row in range(64) for column in range(64)
    )
    row = {
        "method": "occlusion",
        "values": values,
        "side_pixels": 64,
        "top": finding.row - 20,
        "left": finding.column - 20,
        "side": 40.0,
        "strength": 1.0,
    }
    return FindingHeatmap.objects.create(finding=finding, **row | fields)


def make_training_example(
    case: Case, *, doctor: User | None = None, status: str = "queued", **fields: Any
) -> TrainingExample:
    """A correction of the suspicion score on the case's first slice."""
    instance = fields.pop("instance", None) or case.study.series.first().instances.first()
    row = {
        "task": ModelVersion.Task.MALIGNANCY,
        "label": "benign",
        "predicted": 0.9,
        "predicted_by": "malignancy-v1",
        "patient_key": sha256(str(case.study.patient_id).encode()).hexdigest(),
        "pixel_sha256": instance.pixel_sha256,
        "side": TrainingExample.Side.TRAIN,
        "sent_by": doctor or make_user(site=case.site),
        **fields,
    }
    return TrainingExample.objects.create(case=case, instance=instance, status=status, **row)


def make_training_run(*, status: str = "queued", **fields: Any) -> TrainingRun:
    """A run of the suspicion score's training."""
    row = {"task": ModelVersion.Task.MALIGNANCY, **fields}
    return TrainingRun.objects.create(status=status, **row)


def _chest_answers(instances: Sequence[Instance]) -> list[dict[str, Any]]:
    return [
        {
            "key": one.sop_instance_uid,
            "answer": "chest",
            "probability": 0.98,
            "lung_area_mm2": 21_000.0,
            "reason": "",
        }
        for one in instances
    ]
