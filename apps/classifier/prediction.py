"""The worker's side of a prediction: claim it, run the networks, store the answer whole."""

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import cv2
import numpy as np
from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.cases import storage
from apps.cases.models import Instance
from apps.classifier.cnn.contrast import (
    CONTRAST,
    ContrastCheck,
    disagreement,
    load_contrast,
    summary,
)
from apps.classifier.cnn.drift import input_facts
from apps.classifier.cnn.heatmap import Heatmap
from apps.classifier.cnn.runtime import WeightsMismatch
from apps.classifier.cnn.series import Models, SeriesAnalysis, SliceInput, analyse_series
from apps.classifier.heatmaps import heatmaps_of, store_heatmaps
from apps.classifier.lease import LeaseLost, claim, heartbeat, held
from apps.classifier.model_files import network
from apps.classifier.models import Finding, ModelVersion, Prediction
from apps.classifier.services import PREDICTION_TASKS, active_versions
from apps.classifier.sweep import live_waits
from apps.imaging.age import years
from apps.imaging.pixels import hounsfield
from apps.imaging.refusal import Refusal

log = logging.getLogger(__name__)
Status = Prediction.Status
PROGRESS_EVERY = 0.5  # seconds
NO_SPACING = (0.0, 0.0)  # refused in words by the analysis


class StoredFileMissing(Exception):
    """The file of an image that was received whole is gone."""


class ModelMissing(Exception):
    """No version was active for one of the steps when the prediction was asked for."""


def run_prediction(pk: int, between: Callable[[], None] = lambda: None) -> None:
    """Run one queued prediction; leaves quietly when there is nothing to do.

    `between` is called every now and then while it works: short things that cannot wait.
    """
    token = claim(Prediction, pk)
    if token is None:
        return
    prediction = Prediction.objects.get(pk=pk)
    with heartbeat(Prediction, pk, token) as lost:
        try:
            _store(prediction, token, _analyse(prediction, token, lost.is_set, between))
        except LeaseLost:
            log.warning("prediction %s: lease lost, stopped", pk)
        except DatabaseError:
            raise  # the lease runs out, and the sweep has it tried again
        except Exception as error:
            log.exception("prediction %s failed", pk)
            _fail(pk, token, error)


@dataclass(frozen=True)
class Answer:
    """All that one prediction stores."""

    analysis: SeriesAnalysis
    heatmaps: list[Heatmap] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)


def run_shadow(pk: int) -> None:
    """Run one queued shadow prediction, unless a real one waits: the sweep sends it again then."""
    if Prediction.objects.filter(pk=pk, shadow=True).exists() and not live_waits():
        run_prediction(pk)


def _analyse(
    prediction: Prediction,
    token: int,
    is_lost: Callable[[], bool],
    between: Callable[[], None],
) -> Answer:
    slices = [slice_of(instance) for instance in _instances(prediction)]
    models = models_from(prediction.model_versions.all())
    analysis = analyse_series(
        slices,
        models,
        override_gate=prediction.override,
        age_years=years(prediction.series.study.patient_age),
        on_progress=_reporter(prediction.pk, token, is_lost, between),
    )
    if prediction.shadow:  # nobody looks at it, and the live one has measured the images
        return Answer(analysis)
    chest = {one.key for one in analysis.chest if one.answer == "chest"}
    heatmaps = heatmaps_of(slices, analysis.findings, models.malignancy)
    return Answer(analysis, heatmaps, input_facts(slices, chest))


def _instances(prediction: Prediction) -> list[Instance]:
    return list(prediction.series.instances.select_related("series__study"))


def slice_of(instance: Instance) -> SliceInput:
    try:
        hu = hounsfield(storage.path_of(instance))
    except FileNotFoundError as error:
        raise StoredFileMissing from error
    return SliceInput(
        key=instance.sop_instance_uid,
        hu=hu,
        pixel_spacing=_floats(instance.pixel_spacing) or NO_SPACING,
        position=_floats(instance.image_position_patient),
        orientation=_floats(instance.image_orientation_patient),
    )


def _floats(values: list[float] | None) -> tuple[float, ...] | None:
    return tuple(values) if values else None


def models_from(versions: Iterable[ModelVersion]) -> Models:
    """These very versions, warm in this process. Raises ModelMissing when a step has none."""
    by_task = {version.task: version for version in versions}
    if set(PREDICTION_TASKS) - set(by_task):
        raise ModelMissing
    return Models(
        **{task: network(by_task[task]) for task in PREDICTION_TASKS}, contrast=contrast_check()
    )


@cache
def contrast_check() -> ContrastCheck:
    """The check that comes with the program, read once per process."""
    return load_contrast(CONTRAST)


def _contrast(prediction: Prediction, analysis: SeriesAnalysis) -> dict[str, Any]:
    """What the pixels and the header say of contrast agent; for the technician, never a block."""
    said, agent = analysis.contrast_probabilities, prediction.series.contrast_bolus_agent
    return summary(said, agent) | {
        "warning": disagreement(said, agent) or "",
        "version": contrast_check().version,
    }


def _reporter(
    pk: int, token: int, is_lost: Callable[[], bool], between: Callable[[], None]
) -> Callable[[float], None]:
    last = 0.0

    def report(fraction: float) -> None:
        nonlocal last
        if is_lost():
            raise LeaseLost
        if time.monotonic() - last > PROGRESS_EVERY:
            last = time.monotonic()
            held(Prediction, pk, token).update(progress=fraction)
            between()

    return report


@transaction.atomic
def _store(prediction: Prediction, token: int, answer: Answer) -> None:
    analysis, refused = answer.analysis, answer.analysis.refused
    stored = held(Prediction, prediction.pk, token).update(
        status=Status.REFUSED if refused else Status.DONE,
        code=refused.code if refused else "",
        reason=refused.reason if refused else "",
        finished_at=timezone.now(),
        progress=1,
        chest=[vars(answer) for answer in analysis.chest],
        profile=analysis.profile,
        warnings=analysis.warnings,
        air_hu=analysis.air_hu,
        contrast=_contrast(prediction, analysis),
        inputs=answer.inputs,
        series_score=analysis.series_score,
    )
    if not stored:
        raise LeaseLost
    store_heatmaps(_store_findings(prediction, analysis), answer.heatmaps)


def _store_findings(prediction: Prediction, analysis: SeriesAnalysis) -> list[Finding]:
    instances = {i.sop_instance_uid: i for i in prediction.series.instances.all()}
    return Finding.objects.bulk_create(
        Finding(
            case_id=prediction.case_id,
            prediction=prediction,
            source=Finding.Source.MODEL,
            instance=instances[found.key],
            number=number,
            row=found.row,
            column=found.column,
            position_mm=list(found.position_mm) if found.position_mm else None,
            diameter_mm=found.diameter_mm,
            nodule_probability=found.nodule_probability,
            malignancy_probability=found.malignancy_probability,
        )
        for number, found in enumerate(analysis.findings, start=1)
    )


def _fail(pk: int, token: int, error: Exception) -> None:
    held(Prediction, pk, token).update(
        status=Status.FAILED,
        finished_at=timezone.now(),
        code=type(error).__name__[:40],
        reason=in_words(error),
    )


def in_words(error: Exception) -> str:
    """What a doctor can do something with; the details are in the worker's log."""
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    return "The AI stopped with an error. You can read without it, or try again."


_WORDS: dict[type[Exception], str] = {
    StoredFileMissing: "A stored image of this series is missing on the server. Please tell your "
    "admin; you can read what is there.",
    Refusal: "A stored image of this series can no longer be read. Please tell your admin.",
    ModelMissing: "A model for one of the steps is not active. Please tell your admin, then retry.",
    WeightsMismatch: "A model's file on the server is not the one that was approved, so it was "
    "not used. Please tell your admin.",
    FileNotFoundError: "A model's file is missing on the server. Please tell your admin.",
    MemoryError: "This series is too large for the AI's memory. You can read without it.",
}


def warm_up() -> None:
    """Bound this process's threads and run each active network once, before the first case."""
    os.environ["CNN_THREADS"] = str(settings.INFERENCE_THREADS)
    cv2.setNumThreads(settings.INFERENCE_THREADS)
    try:
        for version in active_versions():
            shape = network(version).meta["input"]["shape"]
            network(version).predict(np.zeros([1, *shape], np.float32))
    except Exception as error:
        log.warning("the networks were not warmed up: %s", error)
