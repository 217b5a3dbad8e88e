"""Labelled CT slices for the chest gate, and phantoms beside them."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from apps.classifier.cnn.chest import SIDE, chest_patch
from apps.classifier.cnn.datasets import DatasetError, fingerprint, labelled_rows
from apps.classifier.cnn.lungs import find_lungs
from apps.classifier.cnn.samples import NO_DIAMETER, Draw, TrainingSet, thickness_group
from apps.imaging.phantom import PhantomSpec, abdomen_phantom, chest_phantom, head_phantom
from apps.imaging.pixels import hounsfield
from apps.imaging.reading import read_instance
from apps.imaging.refusal import Refusal

HAND_LABELS = Path(__file__).parent / "chest_labels.csv"
WORDS = {
    1.0: "chest 1 1.0 true yes lung thorax",
    0.5: "edge 0.5 unsure partial abstain",
    0.0: "not_chest 0 0.0 false no no_chest other head neck abdomen pelvis kidney pancreas mr",
}
TARGETS = {word: target for target, words in WORDS.items() for word in words.split()}
PHANTOM_SEEDS = range(900, 906)


@dataclass(frozen=True)
class ChestExample:
    """One slice. target: 1 chest, 0 not, 0.5 the top or base, where either answer is right.

    folder: the data set it came from, empty where the table has no folders.
    """

    key: str
    patient_id: str
    target: float
    patch: np.ndarray
    lung_area_mm2: float
    manufacturer: str = ""
    thickness: str = ""
    folder: str = ""


def read_chest(
    directory: Path, labels: Path | None = None, phantoms: bool = True
) -> tuple[list[ChestExample], dict[str, Any]]:
    """Slices listed by `path, patient_id, label`, and what they are in numbers.

    The table is labels.csv of the directory, else the hand-made list of public files shipped
    with this module. Files that are no readable CT are left out and counted. Raises DatasetError.
    """
    table = labels or directory / "labels.csv"
    rows = labelled_rows(table if table.is_file() else HAND_LABELS)
    rows = [row | {"label": plain(row["label"])} for row in rows]
    unknown = {row["label"] for row in rows} - set(TARGETS)
    if unknown:
        raise DatasetError(f"label {unknown.pop()!r} is none of {', '.join(TARGETS)}")
    read = [read_slice(directory, row["path"], row["patient_id"], row["label"]) for row in rows]
    examples = [example for example in read if example is not None]
    if not examples:
        raise DatasetError(f"no readable CT slices in {directory.name}")
    described = {
        "examples": len(examples),
        "patients": len({example.patient_id for example in examples}),
        "classes": dict(Counter(row["label"] for row in rows)),
        "unreadable": len(rows) - len(examples),
        "patient_fingerprints": sorted({fingerprint(e.patient_id) for e in examples}),
        "synthetic": False,
    }
    if phantoms:
        added = phantom_examples()
        described["phantom_slices"] = len(added)
        examples += added
    return examples, described


def plain(label: str) -> str:
    """A label as TARGETS spells it: "Not chest" is not_chest."""
    return label.strip().lower().replace(" ", "_").replace("-", "_")


def read_slice(directory: Path, name: str, patient_id: str, label: str) -> ChestExample | None:
    path = directory / name
    try:
        facts, hu = read_instance(path), hounsfield(path)
    except (Refusal, OSError):
        return None
    spacing = facts.pixel_spacing or (0.7, 0.7)
    return replace(
        example(path.name, patient_id, TARGETS[label], hu, spacing),
        folder=name.rpartition("/")[0].partition("/")[0],
        manufacturer=facts.manufacturer.upper(),
        thickness=thickness_group(facts.slice_thickness) if facts.slice_thickness else "",
    )


def example(
    key: str, patient_id: str, target: float, hu: np.ndarray, spacing: tuple[float, float]
) -> ChestExample:
    lungs = find_lungs(hu, spacing)
    return ChestExample(key, patient_id, target, chest_patch(lungs), lungs.area_mm2)


def phantom_examples() -> list[ChestExample]:
    """Synthetic chest, abdomen and head slices, so that the demonstration cases pass the gate."""
    found = []
    kinds = ((chest_phantom, 1.0), (abdomen_phantom, 0.0), (head_phantom, 0.0))
    for seed in PHANTOM_SEEDS:
        spec = PhantomSpec(seed=seed, slices=4, slice_spacing=25.0, matrix=256)
        spacing = (spec.field_of_view / spec.matrix,) * 2
        for make, target in kinds:
            name = f"PHANTOM-{seed}-{make.__name__}"
            found += [example(name, name, target, hu, spacing) for hu in make(spec).hu]
    return found


def chest_set(examples: Sequence[ChestExample]) -> TrainingSet:
    """One item per slice; long series count less per slice, so that no patient dominates."""
    per_patient = Counter(item.patient_id for item in examples)

    def draw(index: int, rng: np.random.Generator) -> Draw:
        return Draw(turned(examples[index].patch, rng), examples[index].target, NO_DIAMETER)

    targets = np.array([item.target for item in examples])
    return TrainingSet(
        task="chest",
        keys=[item.key for item in examples],
        patients=[item.patient_id for item in examples],
        labels=targets,
        truth=np.where(targets == 0.5, np.nan, targets),
        diameters=np.full(len(examples), np.nan),
        weights=np.array([4 / math.sqrt(per_patient[item.patient_id]) for item in examples]),
        draw=draw,
        views=lambda index: examples[index].patch[None],
        groups={
            "manufacturer": np.array([item.manufacturer for item in examples]),
            "slice thickness": np.array([item.thickness for item in examples]),
        },
    )


def turned(patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Patch rotated, scaled, shifted, mirrored, brighter or darker: prone patients too."""
    quarter = 90 * int(rng.integers(4)) if rng.random() < 0.3 else 0
    middle = ((SIDE - 1) / 2, (SIDE - 1) / 2)
    matrix = cv2.getRotationMatrix2D(
        middle, quarter + rng.normal(0, 10), math.exp(rng.normal(0, 0.12))
    )
    matrix[:, 2] += rng.normal(0, 2, 2)
    moved = cv2.warpAffine(patch[..., 0], matrix, (SIDE, SIDE), borderValue=0.0)
    if rng.random() < 0.5:
        moved = moved[:, ::-1]
    shifted = moved + rng.normal(0, 0.02) + rng.normal(0, 0.02 * rng.random(), moved.shape)
    return np.clip(shifted, 0, 1).astype(np.float32)[..., None]
