"""Where a correction is: the pixels round it, and other corrections about the same place."""

import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db.models import QuerySet

from apps.cases.models import Instance
from apps.cases.pictures import hu_of
from apps.classifier.cnn.datasets import crop_from_series, nodule_roots
from apps.classifier.cnn.geometry import SliceInput, offsets_mm, sort_slices
from apps.classifier.cnn.similarity import distance, perceptual_hash
from apps.classifier.models import Finding, TrainingExample
from apps.classifier.training_base import NoFrozenTestSet, read_base
from apps.imaging.refusal import Refusal

USUAL_PIXEL_MM = 0.7
# Of 256 bits. Among 699 nodules of 418 patients two different ones never came nearer than 64.
# A shift by two pixels was seen to move a hash by 49, so such a copy can stay unnoticed.
NEAR_DUPLICATE_BITS = 48


def at_same_place(example: TrainingExample) -> QuerySet[TrainingExample]:
    """Other examples of this task on the same pixels, at the same place."""
    same_pixels = TrainingExample.objects.filter(
        task=example.task, pixel_sha256=example.pixel_sha256
    ).exclude(pk=example.pk)
    near = [
        other.pk
        for other in same_pixels.select_related("finding__instance")
        if _near(example.finding, other.finding)
    ]
    return TrainingExample.objects.filter(pk__in=near)


def _near(one: Finding | None, other: Finding | None) -> bool:
    if one is None or other is None:
        return one is other
    pixel_mm = (one.instance.pixel_spacing or [USUAL_PIXEL_MM])[0]
    apart = math.hypot(one.row - other.row, one.column - other.column) * pixel_mm
    return apart <= max(one.diameter_mm, other.diameter_mm) / 2


def near_duplicates(example: TrainingExample) -> list[TrainingExample]:
    """Other examples of the task, not rejected, that look like the very same place."""
    if not example.perceptual_hash:
        return []
    others = (
        TrainingExample.objects.filter(task=example.task)
        .exclude(pk=example.pk)
        .exclude(pixel_sha256=example.pixel_sha256)
        .exclude(status=TrainingExample.Status.REJECTED)
        .exclude(perceptual_hash="")
    )
    return [other for other in others if _alike(example.perceptual_hash, other.perceptual_hash)]


def looks_like_frozen_test(hashed: str) -> bool:
    """Whether a place looks like one of the global frozen test set, under whatever name."""
    return bool(hashed) and any(_alike(hashed, other) for other in _frozen_hashes())


def _alike(one: str, other: str) -> bool:
    return distance(one, other) <= NEAR_DUPLICATE_BITS


def _frozen_hashes() -> tuple[str, ...]:
    if not settings.TRAINING_DATA_DIR.is_dir():
        return ()
    tables = [root / "labels.csv" for root in nodule_roots(settings.TRAINING_DATA_DIR)]
    return _hashes(tuple((table, table.stat().st_mtime_ns) for table in tables))


@lru_cache(maxsize=2)
def _hashes(tables: tuple[tuple[Path, int], ...]) -> tuple[str, ...]:
    try:
        _, test = read_base()
    except NoFrozenTestSet:
        return ()
    return tuple(perceptual_hash(example.crops) for example in test)


def hash_of(finding: Finding | None) -> str:
    """The perceptual hash of a finding; empty for none, or when its image cannot be read."""
    if finding is None:
        return ""
    try:
        return perceptual_hash(crops_round(finding)[0])
    except (OSError, Refusal, ValueError):
        return ""


def crops_round(finding: Finding) -> tuple[np.ndarray, list[SliceInput]]:
    """Crops (n, 128, 128) int16 HU through the finding, and the slices they come from.

    Raises FileNotFoundError or Refusal when a stored image is gone or damaged.
    """
    slices = slices_round(finding.instance, finding.diameter_mm)
    uid = finding.instance.sop_instance_uid
    return crop_from_series(slices, uid, finding.row, finding.column, finding.diameter_mm), slices


def slices_round(middle: Instance, diameter_mm: float) -> list[SliceInput]:
    """The slices of the series that the nodule reaches; only these are read from disk."""
    instances = {one.sop_instance_uid: one for one in middle.series.instances.all()}
    ordered = sort_slices([_place(one) for one in instances.values()])
    keys, offsets = [place.key for place in ordered], offsets_mm(ordered)
    here = offsets[keys.index(middle.sop_instance_uid)]
    reach = max(diameter_mm / 2, 0.1)
    near = [place for place, at in zip(ordered, offsets, strict=True) if abs(at - here) <= reach]
    return [replace(place, hu=hu_of(instances[place.key])) for place in near]


def _place(instance: Instance) -> SliceInput:
    position, orientation = instance.image_position_patient, instance.image_orientation_patient
    return SliceInput(
        key=instance.sop_instance_uid,
        hu=np.zeros((0, 0), np.int16),
        pixel_spacing=tuple(instance.pixel_spacing or (USUAL_PIXEL_MM, USUAL_PIXEL_MM)),
        position=tuple(position) if position else None,
        orientation=tuple(orientation) if orientation else None,
    )
