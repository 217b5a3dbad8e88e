"""The base that every training starts from, and the patients in it that are never trained on."""

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.classifier.cnn.datasets import (
    DatasetError,
    NoduleExample,
    nodule_roots,
    read_nodules,
    split_by_patient,
)
from apps.classifier.models import FrozenTestSet


class NoFrozenTestSet(Exception):
    """There is nothing to test a candidate on, so nothing may be trained."""

    def __init__(self, why: str) -> None:
        super().__init__(f"No frozen test set: {why}")


class FrozenTestSetChanged(Exception):
    """The base's test patients are not those that were frozen here."""

    def __init__(self) -> None:
        super().__init__(
            "The global test set is not the one that was frozen here. Put the old one back, or "
            "freeze the new one with “manage.py freeze_test_set --replace NOTE”."
        )


@dataclass(frozen=True)
class _Row:
    patient_id: str
    split: str | None


def read_base() -> tuple[list[NoduleExample], list[NoduleExample]]:
    """The base's training side and its frozen test side, no patient on both.

    The split column decides; without one a hash of the patient, the same at every site.
    Raises NoFrozenTestSet.
    """
    if not settings.TRAINING_DATA_DIR.is_dir():
        raise NoFrozenTestSet("the folder with the training base is missing on this worker.")
    try:
        train, test = split_by_patient(read_nodules(settings.TRAINING_DATA_DIR), secret="")
    except DatasetError as problem:
        raise NoFrozenTestSet(f"{problem}.") from problem
    if not train or not test:
        raise NoFrozenTestSet("the training base has no patients that are held out.")
    return train, test


def frozen_test_set(test: Sequence[NoduleExample]) -> FrozenTestSet:
    """The frozen set that these items are; the very first one is frozen by being used.

    Raises FrozenTestSetChanged.
    """
    digest, newest = hash_of_items(test), FrozenTestSet.objects.first()
    if newest is None:
        return freeze_test_set(test, note="Frozen by the first training.")
    if newest.sha256 != digest:
        raise FrozenTestSetChanged
    return newest


def freeze_test_set(test: Sequence[NoduleExample], *, note: str) -> FrozenTestSet:
    """Make these items the global test set from now on."""
    return FrozenTestSet.objects.create(
        sha256=hash_of_items(test),
        patients=len({example.patient_id for example in test}),
        items=len(test),
        note=note,
    )


def hash_of_items(items: Sequence[NoduleExample]) -> str:
    """SHA-256 over every item's patient, label and pixels, in the order of their keys."""
    digest = hashlib.sha256()
    for one in sorted(items, key=lambda item: item.key):
        pixels = hashlib.sha256(one.crops.tobytes()).hexdigest()
        digest.update(f"{one.key} {one.kind} {one.label} {pixels}\n".encode())
    return digest.hexdigest()


def held_out_patients() -> frozenset[str]:
    """Patient IDs of the frozen test side; none where this process sees no base."""
    if not settings.TRAINING_DATA_DIR.is_dir():
        return frozenset()
    tables = [root / "labels.csv" for root in nodule_roots(settings.TRAINING_DATA_DIR)]
    return _held_out(tuple((table, table.stat().st_mtime_ns) for table in tables))


@lru_cache(maxsize=2)
def _held_out(tables: tuple[tuple[Path, int], ...]) -> frozenset[str]:
    rows = []
    for table, _changed in tables:
        with table.open(newline="") as lines:
            rows += [_Row(r["patient_id"], r.get("split") or None) for r in csv.DictReader(lines)]
    _, test = split_by_patient(rows, secret="")
    return frozenset(row.patient_id for row in test)


def describe_base() -> list[dict[str, Any]]:
    """Each folder of the base: its name, how many files, and one SHA-256 over all of them."""
    return [_describe(root) for root in nodule_roots(settings.TRAINING_DATA_DIR)]


def _describe(root: Path) -> dict[str, Any]:
    files = [root / "labels.csv", *sorted(root.glob("*/*/*/images/*.png"))]
    digest = hashlib.sha256()
    for file in files:
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(root)} {content}\n".encode())
    return {"name": root.name, "files": len(files), "sha256": digest.hexdigest()}
