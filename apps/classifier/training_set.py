"""What one training run trains and tests on: frozen at its first attempt, listed by hash."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import QuerySet
from django.utils.crypto import salted_hmac

from apps.cases.models import Series
from apps.classifier.adjudication import may_be_used
from apps.classifier.cnn.datasets import NoduleExample, read_nodules, write_nodules
from apps.classifier.cnn.geometry import offsets_mm, sort_slices
from apps.classifier.models import TrainingExample, TrainingRun
from apps.classifier.places import crops_round, looks_like_frozen_test
from apps.classifier.training_base import (
    describe_base,
    frozen_test_set,
    held_out_patients,
    read_base,
)

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


def usable_examples(
    task: str, *, among: QuerySet[TrainingExample] | None = None
) -> list[TrainingExample]:
    """Accepted corrections of a task, used before or not, that are about a place.

    Left out: what doctors still disagree about, what pathology contradicts, and what looks like
    an image of the frozen test set.
    """
    accepted = [TrainingExample.Status.ACCEPTED, TrainingExample.Status.USED]
    examples = (
        (TrainingExample.objects.all() if among is None else among)
        .filter(task=task, status__in=accepted)
        .exclude(finding=None)
        .exclude(case__study__patient__patient_id__in=held_out_patients())
        .select_related("finding__instance__series__study__patient", "case")
        .order_by("pk")
    )
    return [one for one in examples if may_be_used(one) and not _leaks(one)]


def _leaks(example: TrainingExample) -> bool:
    return looks_like_frozen_test(example.perceptual_hash)


def collect(run: TrainingRun) -> list[TrainingExample]:
    """The corrections that a run will learn or test on, once there is a base for it.

    Raises NoFrozenTestSet, FrozenTestSetChanged.
    """
    frozen_test_set(read_base()[1])
    return usable_examples(run.task)


def chosen_examples(run: TrainingRun) -> QuerySet[TrainingExample]:
    """What was collected for a run."""
    chosen = run.examples.select_related("finding__instance__series__study__patient", "case")
    return chosen.order_by("pk")


def freeze(run: TrainingRun, examples: list[TrainingExample]) -> TrainingData:
    """Cut the crops of the corrections, write them down, and list everything by hash.

    Raises NoFrozenTestSet, FrozenTestSetChanged, and FileNotFoundError when a stored image is
    gone.
    """
    train, test = read_base()
    frozen = frozen_test_set(test)
    write_nodules(run_folder(run) / "corrections", [as_nodule(one) for one in examples])
    corrections = _read_corrections(run)
    listing = {
        "task": run.task,
        "base": describe_base(),
        "frozen_test_set": frozen.sha256,
        "train_patients": len({example.patient_id for example in train}),
        "test_patients": len({example.patient_id for example in test}),
        "train_nodules": len(train),
        "test_nodules": len(test),
        "base_items": [*_list_base(train, "train"), *_list_base(test, "test")],
        "corrections": _list_corrections(corrections, examples),
    }
    return TrainingData(train, test, corrections, listing)


def base_key(patient_id: str) -> str:
    """The pseudonym of a patient of the base: 64 hex digits that only this installation makes."""
    return salted_hmac(
        "apps.classifier.base_key", patient_id, secret=settings.TRAINING_KEY, algorithm="sha256"
    ).hexdigest()


def _list_base(examples: list[NoduleExample], side: str) -> list[dict[str, Any]]:
    """Every item of the base under its patient's pseudonym, with the SHA-256 of its pixels."""
    return [
        {"key": f"{base_key(one.patient_id)}/{one.nodule}", "sha256": hash_of(one), "side": side}
        for one in examples
    ]


def thaw(run: TrainingRun) -> TrainingData:
    """The data that an earlier attempt of this run froze. Raises DatasetChanged."""
    train, test = read_base()
    if describe_base() != run.dataset["base"]:
        raise DatasetChanged("The training base changed while this training was interrupted.")
    corrections = _read_corrections(run)
    listed = {one["key"]: one["sha256"] for one in run.dataset["corrections"]}
    if {one.key: hash_of(one) for one in corrections} != listed:
        raise DatasetChanged("The stored corrections of this training changed.")
    return TrainingData(train, test, corrections, run.dataset)


def as_nodule(example: TrainingExample) -> NoduleExample:
    """The crops round a correction, in Hounsfield units, under the patient's pseudonym."""
    finding = example.finding
    crops, slices = crops_round(finding)
    kind, label = _KINDS[example.label]
    gaps = np.diff(offsets_mm(sort_slices(slices)))
    return NoduleExample(
        patient_id=example.patient_key,
        nodule=str(example.pk),
        crops=crops,
        pixel_spacing_mm=slices[0].pixel_spacing[0],
        slice_spacing_mm=float(np.median(gaps)) if len(gaps) else _USUAL_SLICE_MM,
        diameter_mm=finding.diameter_mm,
        label=label,
        kind=kind,
        split=example.side,
        facts=facts_of(finding.instance.series),
    )


def facts_of(series: Series) -> dict[str, str]:
    """What subgroups are made of, as far as the files say it."""
    patient, age = series.study.patient, series.study.patient_age
    facts = {
        "manufacturer": series.manufacturer,
        "patient_sex": patient.sex,
        "patient_age": age[:-1].lstrip("0") if age.endswith("Y") else "",
    }
    return {name: value for name, value in facts.items() if value}


def sha256_of(listing: dict[str, Any]) -> str:
    """One hash over everything that a dataset version lists."""
    return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()


def _read_corrections(run: TrainingRun) -> list[NoduleExample]:
    return read_nodules(run_folder(run) / "corrections")


def _list_corrections(
    corrections: list[NoduleExample], examples: list[TrainingExample]
) -> list[dict[str, Any]]:
    by_number = {str(example.pk): example for example in examples}
    return [
        {
            "key": one.key,
            "sha256": hash_of(one),
            "example": str(by_number[one.nodule].public_id),
            "number": by_number[one.nodule].pk,
            "label": by_number[one.nodule].label,
            "side": one.split,
        }
        for one in corrections
    ]


def hash_of(example: NoduleExample) -> str:
    """SHA-256 over an example's pixels, 8 bits each, slice after slice."""
    return hashlib.sha256(example.crops.tobytes()).hexdigest()
