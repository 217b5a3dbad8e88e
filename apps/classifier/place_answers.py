"""The worker's side of "and this?": read the slices round the place, ask the networks."""

import logging
from base64 import b64encode
from collections.abc import Sequence

import numpy as np
from django.utils import timezone

from apps.cases.models import Instance
from apps.cases.pictures import ordered_instances
from apps.classifier.cnn.heatmap import Heatmap, heatmap
from apps.classifier.cnn.series import PROBE_SIZES_MM, ProbeAnswer, probe
from apps.classifier.models import PlaceQuestion
from apps.classifier.prediction import in_words, models_from, slice_of
from apps.classifier.services import active_versions, models_key
from apps.imaging.geometry import position_along, slice_normal

log = logging.getLogger(__name__)
Status = PlaceQuestion.Status
VIEW_STEP, GAP_MM = 0.2, 2.5
NEAREST = 4  # slices on each side where the files do not say how far apart they are


def answer_waiting() -> None:
    """Answer every question that waits; a worker in a long series calls it between slices."""
    for pk in PlaceQuestion.objects.filter(status=Status.QUEUED).values_list("pk", flat=True)[:3]:
        answer(pk)


def answer(pk: int) -> None:
    """Answer one question; leaves quietly when another worker has it. Never raises for it."""
    mine = PlaceQuestion.objects.filter(pk=pk, status=Status.QUEUED)
    if not mine.update(status=Status.RUNNING):
        return
    question = PlaceQuestion.objects.select_related("instance__series").get(pk=pk)
    try:
        told = _answered(question)
    except ValueError as refused:
        told = {"status": Status.REFUSED, "reason": str(refused)}
    except Exception as error:
        log.exception("place question %s failed", pk)
        told = {"status": Status.FAILED, "reason": in_words(error)}
    running = PlaceQuestion.objects.filter(pk=pk, status=Status.RUNNING)
    running.update(answered_at=timezone.now(), **told)


def _answered(question: PlaceQuestion) -> dict:
    versions = active_versions()
    models = models_from(versions)
    here = question.instance
    slices = [slice_of(one) for one in needed(ordered_instances(here.series), here)]
    key = here.sop_instance_uid
    said = probe(slices, key, question.row, question.column, models)
    seen = heatmap(slices, key, question.row, question.column, models.malignancy)
    return {**_numbers(said), "heatmap": _kept(seen), "models_key": models_key(versions)}


def _numbers(said: ProbeAnswer) -> dict:
    return {
        "status": Status.DONE,
        "nodule_probability": said.nodule_probability,
        "malignancy_probability": said.malignancy_probability,
        "diameter_mm": said.diameter_mm,
    }


def _kept(seen: Heatmap) -> dict:
    values = np.round(seen.values * 255).astype(np.uint8).tobytes()
    return {
        "method": seen.method,
        "top": seen.top,
        "left": seen.left,
        "side": seen.side,
        "strength": seen.strength,
        "side_pixels": len(seen.values),
        "values": b64encode(values).decode(),
    }


def needed(ordered: Sequence[Instance], here: Instance) -> list[Instance]:
    """The slices that `probe` may look at round one of them, out of a sorted series.

    It looks at the place, a fifth of each size that it tries above and below, and 2.5 mm beside
    each of those: reading the whole series would take seconds.
    """
    at = next(index for index, one in enumerate(ordered) if one.pk == here.pk)
    if not all(one.image_position_patient and one.image_orientation_patient for one in ordered):
        return list(ordered[max(0, at - NEAREST) : at + NEAREST + 1])
    normal = slice_normal(here.image_orientation_patient)
    offsets = np.array([position_along(normal, one.image_position_patient) for one in ordered])
    views = {sign * VIEW_STEP * size for size in PROBE_SIZES_MM for sign in (-1, 0, 1)}
    middles = {int(np.argmin(np.abs(offsets - offsets[at] - step))) for step in views}
    beside = {
        int(np.argmin(np.abs(offsets - offsets[middle] - gap)))
        for middle in middles
        for gap in (-GAP_MM, 0.0, GAP_MM)
    }
    return [ordered[index] for index in sorted(beside | {at})]
