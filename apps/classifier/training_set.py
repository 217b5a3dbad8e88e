"""What one training run trains and tests on: frozen at its first attempt, listed by hash."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from apps.cases.models import Instance
from apps.cases.pictures import hu_of
from apps.classifier.cnn.datasets import (
    NoduleExample,
    crop_from_series,
    read_nodules,
    write_nodules,
)
from apps.classifier.cnn.geometry import SliceInput, offsets_mm, sort_slices
from apps.classifier.models import TrainingExample, TrainingRun
from apps.classifier.training_base import describe_base, held_out_patients, read_base

_USUAL_SLICE_MM = 2.5
_KINDS = {
    "malignant": ("malignant", 1.0),
    "benign": ("benign", 0.0),
    # For the nodule finder only "is it one" counts; what it is, is left open.
    "nodule": ("ambiguous", 0.5),
    "not_a_nodule": ("not_nodule", 0.0),
}


class DatasetChanged(Exception):
    """The data are no longer those that the run froze; the message says which."""


@dataclass(frozen=True)
class TrainingData:
    """The base's two sides, the corrections on both sides, and the list of all by hash."""

    base_train: list[NoduleExample]
    base_test: list[NoduleExample]
    corrections: list[NoduleExample]
    listing: dict[str, Any]

    @property
    def is_synthetic(self) -> bool:
        """Whether the base is the phantom's."""
        return all(example.patient_id.startswith("PHANTOM") for example in self.base_train)

    def on(self, side: str) -> list[NoduleExample]:
        """The corrections of the patients on this side."""
        return [example for example in self.corrections if example.split == side]


def run_folder(run: TrainingRun) -> Path:
    """Where a run keeps its corrections and checkpoints."""
    return settings.TRAINING_DATA_DIR / "runs" / str(run.public_id)


def usable_examples(task: str) -> list[TrainingExample]:
    """Accepted corrections of a task, used before or not, that are about a place."""
    accepted = [TrainingExample.Status.ACCEPTED, TrainingExample.Status.USED]
    examples = (
        TrainingExample.objects.filter(task=task, status__in=accepted)
        .exclude(finding=None)
        .exclude(case__study__patient__patient_id__in=held_out_patients())
    )
    return list(examples.select_related("finding__instance__series__study").order_by("pk"))


def freeze(run: TrainingRun, examples: list[TrainingExample]) -> TrainingData:
    """Cut the crops of the corrections, write them down, and list everything by hash.

    Raises NoFrozenTestSet, and FileNotFoundError when a stored image is gone.
    """
    train, test = read_base()
    write_nodules(run_folder(run) / "corrections", [as_nodule(one) for one in examples])
    corrections = _read_corrections(run)
    listing = {
        "base": describe_base(),
        "train_patients": len({example.patient_id for example in train}),
        "test_patients": len({example.patient_id for example in test}),
        "train_nodules": len(train),
        "test_nodules": len(test),
        "corrections": _list_corrections(corrections, examples),
    }
    return TrainingData(train, test, corrections, listing)


def thaw(run: TrainingRun) -> TrainingData:
    """The data that an earlier attempt of this run froze. Raises DatasetChanged."""
    train, test = read_base()
    if describe_base() != run.dataset["base"]:
        raise DatasetChanged("The training base changed while this training was interrupted.")
    corrections = _read_corrections(run)
    listed = {one["key"]: one["sha256"] for one in run.dataset["corrections"]}
    if {one.key: _hash(one) for one in corrections} != listed:
        raise DatasetChanged("The stored corrections of this training changed.")
    return TrainingData(train, test, corrections, run.dataset)


def as_nodule(example: TrainingExample) -> NoduleExample:
    """The crops round a correction, in Hounsfield units, under the patient's pseudonym."""
    finding = example.finding
    slices = _slices_round(finding.instance, finding.diameter_mm)
    kind, label = _KINDS[example.label]
    gaps = np.diff(offsets_mm(sort_slices(slices)))
    return NoduleExample(
        patient_id=example.patient_key,
        nodule=str(example.pk),
        crops=crop_from_series(
            slices,
            finding.instance.sop_instance_uid,
            finding.row,
            finding.column,
            finding.diameter_mm,
        ),
        pixel_spacing_mm=slices[0].pixel_spacing[0],
        slice_spacing_mm=float(np.median(gaps)) if len(gaps) else _USUAL_SLICE_MM,
        diameter_mm=finding.diameter_mm,
        label=label,
        kind=kind,
        split=example.side,
    )


def _slices_round(middle: Instance, diameter_mm: float) -> list[SliceInput]:
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
        pixel_spacing=tuple(instance.pixel_spacing or (0.7, 0.7)),
        position=tuple(position) if position else None,
        orientation=tuple(orientation) if orientation else None,
    )


def _read_corrections(run: TrainingRun) -> list[NoduleExample]:
    return read_nodules(run_folder(run) / "corrections")


def _list_corrections(
    corrections: list[NoduleExample], examples: list[TrainingExample]
) -> list[dict[str, Any]]:
    by_number = {str(example.pk): example for example in examples}
    return [
        {
            "key": one.key,
            "sha256": _hash(one),
            "example": str(by_number[one.nodule].public_id),
            "number": by_number[one.nodule].pk,
            "label": by_number[one.nodule].label,
            "side": one.split,
        }
        for one in corrections
    ]


def _hash(example: NoduleExample) -> str:
    return hashlib.sha256(example.crops.tobytes()).hexdigest()
