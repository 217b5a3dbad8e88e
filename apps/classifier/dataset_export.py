"""A dataset version as a folder of files that tell no patient, the same bytes every time.

In the folder: `dataset.json` (the frozen list), `labels.csv` with the crops in the layout that
trainings read, `dicom/` with the slices under the corrections, de-identified after PS3.15, and
`places.csv`, which says where on them each correction is.
"""

import csv
import hashlib
import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.utils.crypto import salted_hmac
from pydicom import Dataset, dcmread

from apps.cases import storage
from apps.cases.models import Instance
from apps.classifier.cnn.datasets import NoduleExample, as_grey, write_nodules
from apps.classifier.models import TrainingExample, TrainingRun
from apps.classifier.places import slices_round
from apps.classifier.training_base import describe_base, read_base
from apps.classifier.training_set import as_nodule, base_key, hash_of
from apps.imaging.deidentify import deidentify
from apps.imaging.refusal import Refusal

GONE = "the stored image is gone"
CHANGED = "the pixels are not those of the list"
BURNED_IN = "text is burned into the pixels"
UNREADABLE = "the stored image can no longer be read"


@dataclass
class Export:
    """What was written, and what of the list could not be, with the reason."""

    items: list[NoduleExample] = field(default_factory=list)
    places: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    sha256: str = ""


def export_dataset(run: TrainingRun, folder: Path) -> Export:
    """Write the run's dataset into a new folder, whole or not at all.

    Raises FileExistsError for a folder that is there already, and NoFrozenTestSet where the base
    is gone. What was deleted or changed since is left out and named in `dataset.json`.
    """
    if folder.exists():
        raise FileExistsError(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        made = _fill(run, partial)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return made


def _fill(run: TrainingRun, folder: Path) -> Export:
    made = Export()
    _take_base(run, made)
    for listed in run.dataset["corrections"]:
        _take_correction(listed, folder, made)
    write_nodules(folder, made.items)
    _write_places(folder, made)
    (folder / "dataset.json").write_text(json.dumps(_description(run, made), indent=1))
    made.sha256 = hash_of_folder(folder)
    return made


def _take_base(run: TrainingRun, made: Export) -> None:
    """The base's items under their pseudonyms; age and sex stay behind (PS3.15 Table E.1-1)."""
    listed = {one["key"]: one for one in run.dataset.get("base_items", [])}
    # An older program listed only the folders of the base.
    if not listed and describe_base() != run.dataset["base"]:
        made.missing["base"] = CHANGED
        return
    train, test = read_base()
    for side, examples in (("train", train), ("test", test)):
        for one in examples:
            _take_base_item(anonymous(one, side), listed, made)
    found = {one.key for one in made.items} | set(made.missing)
    made.missing |= {key: GONE for key in listed if key not in found}


def _take_base_item(item: NoduleExample, listed: dict[str, dict], made: Export) -> None:
    expected = listed.get(item.key)
    if expected and expected["sha256"] != hash_of(item):
        made.missing[item.key] = CHANGED
    elif expected or not listed:
        made.items.append(item)


def anonymous(example: NoduleExample, side: str) -> NoduleExample:
    """A base item under its patient's pseudonym, without what tells of the person."""
    facts = {name: value for name, value in example.facts.items() if name == "manufacturer"}
    return replace(example, patient_id=base_key(example.patient_id), split=side, facts=facts)


def _take_correction(listed: dict[str, Any], folder: Path, made: Export) -> None:
    example = (
        TrainingExample.objects.filter(public_id=listed["example"])
        .select_related("finding__instance__series__study__patient")
        .first()
    )
    why_not = _copy_correction(example, listed, folder, made) if example else GONE
    if why_not:
        made.missing[listed["key"]] = why_not


def _copy_correction(
    example: TrainingExample, listed: dict[str, Any], folder: Path, made: Export
) -> str:
    """Crops and slices of a correction into the folder; the reason if that cannot be."""
    try:
        item = as_nodule(example)
        grey = replace(item, crops=np.stack([as_grey(crop) for crop in item.crops]))
        if hash_of(grey) != listed["sha256"]:
            return CHANGED
        instances = _slices_under(example)
        if any(instance.burned_in_annotation for instance in instances):
            return BURNED_IN
        copies = [_deidentified(instance, example.patient_key) for instance in instances]
    except FileNotFoundError:
        return GONE
    except (Refusal, ValueError):
        return UNREADABLE
    made.items.append(
        replace(grey, split=listed["side"], facts=anonymous(item, "").facts, nodule=item.nodule)
    )
    for copy in copies:
        name = f"dicom/{item.patient_id}/{copy.SOPInstanceUID}.dcm"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy.save_as(folder / name)
        made.places.append(_place(item, example, name))
    return ""


def _slices_under(example: TrainingExample) -> list[Instance]:
    """The slices that the correction's crops were cut from."""
    finding = example.finding
    near = {one.key for one in slices_round(finding.instance, finding.diameter_mm)}
    instances = finding.instance.series.instances.filter(sop_instance_uid__in=near)
    return list(instances.select_related("series__study").order_by("sop_instance_uid"))


def _deidentified(instance: Instance, patient_key: str) -> Dataset:
    """New UIDs are the same in every export, and nobody without our key can go back."""
    key = settings.TRAINING_KEY
    secret = salted_hmac("apps.classifier.uids", "", secret=key, algorithm="sha256").digest()
    original = dcmread(storage.path_of(instance))
    return deidentify(original, patient_key=patient_key, uid_secret=secret)


def _place(item: NoduleExample, example: TrainingExample, name: str) -> dict[str, Any]:
    finding = example.finding
    return {
        "file": name,
        "key": item.key,
        "label": example.label,
        "row": finding.row,
        "column": finding.column,
        "diameter_mm": finding.diameter_mm,
    }


def _write_places(folder: Path, made: Export) -> None:
    names = ["file", "key", "label", "row", "column", "diameter_mm"]
    with (folder / "places.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, names)
        table.writeheader()
        table.writerows(sorted(made.places, key=lambda one: (one["key"], one["file"])))


def _description(run: TrainingRun, made: Export) -> dict[str, Any]:
    return {
        "version": run.pk,
        "task": run.task,
        "dataset_sha256": run.dataset_sha256,
        "deidentified": "PS3.15 Annex E Basic Profile; patients under keyed pseudonyms; crops "
        "are 8-bit and hold no attributes",
        "complete": not made.missing,
        "missing": dict(sorted(made.missing.items())),
        "dataset": run.dataset,
    }


def hash_of_folder(folder: Path) -> str:
    """One SHA-256 over the names and contents of all files in it."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()
