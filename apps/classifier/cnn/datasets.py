"""Read and write nodule crops laid out like the LIDC base.

labels.csv has one row per nodule; the crops are
class/patient/nodule-K/images/slice-N.png, 128×128, native resolution, N ascending in z.
"""

import csv
import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from apps.classifier.cnn.geometry import SliceInput, offsets_mm, sort_slices

CROP = 128
CLASSES = ("benign", "malignant", "ambiguous", "not_nodule")
CLASS_LABEL = {"benign": 0.0, "malignant": 1.0, "ambiguous": 0.5, "not_nodule": 0.0}
USUAL_PIXEL_MM = 0.7
USUAL_SLICE_MM = 2.5
COLUMNS = [
    "patient_id",
    "nodule",
    "class",
    "malignancy_ratings",
    "n_annotators",
    "diameter_mm_mean",
    "slice_spacing_mm",
    "pixel_spacing_mm",
    "split",
    "manufacturer",
    "patient_sex",
    "patient_age",
]
FACTS = ("manufacturer", "patient_sex", "patient_age")


class DatasetError(Exception):
    """The directory does not hold a readable set; the message says why."""


@dataclass(frozen=True)
class NoduleExample:
    """One nodule (or a place that is none) with crops centred on it.

    crops: (n, 128, 128) uint8 or int16, ascending in z. label: suspicion 0…1, the share of
    readers above the middle rating. kind: one of CLASSES. split: train, val, test or None.
    readers: how many rated it, where known. facts: those of FACTS that are known, for subgroups.
    """

    patient_id: str
    nodule: str
    crops: np.ndarray
    pixel_spacing_mm: float
    slice_spacing_mm: float
    diameter_mm: float | None
    label: float
    kind: str
    split: str | None = None
    readers: int | None = None
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.patient_id}/{self.nodule}"


def read_nodules(directory: Path) -> list[NoduleExample]:
    """Every nodule under a directory with labels.csv, or under its sub-directories that have one.

    Only patient_id, nodule and class are required columns. Raises DatasetError.
    """
    roots = nodule_roots(Path(directory))
    if not roots:
        raise DatasetError(f"no labels.csv with nodules in {Path(directory).name}")
    return [example for root in roots for example in read_one(root)]


def nodule_roots(directory: Path) -> list[Path]:
    """Directories with nodule labels: this one, else its direct children, sorted."""
    if has_nodule_labels(directory):
        return [directory]
    return sorted(child for child in directory.glob("*/") if has_nodule_labels(child))


def has_nodule_labels(directory: Path) -> bool:
    table = directory / "labels.csv"
    if not table.is_file():
        return False
    with table.open(newline="", encoding="utf-8-sig") as lines:
        return {"patient_id", "nodule", "class"} <= set(next(csv.reader(lines), []))


def labelled_rows(table: Path) -> list[dict[str, str]]:
    """Rows of a table with the columns path, patient_id and label. Raises DatasetError."""
    with table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        rows = list(reader)
    missing = {"path", "patient_id", "label"} - set(reader.fieldnames or [])
    if missing:
        raise DatasetError(f"{table.name} has no column {', '.join(sorted(missing))}")
    if not rows:
        raise DatasetError(f"{table.name} has no rows")
    for row in rows:
        if not row["patient_id"] or not row["path"]:
            raise DatasetError(f"{table.name}: a row has no path or no patient_id")
    return rows


def read_one(
    root: Path, watch: Callable[[Sequence[Any]], Iterable[Any]] = iter
) -> list[NoduleExample]:
    """The nodules of one labels.csv; rows without pictures are an error, not a gap.

    `watch` may wrap the list of rows to show progress.
    """
    with (root / "labels.csv").open(newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    return [read_row(root, row) for row in watch(rows)]


def read_row(root: Path, row: dict[str, str]) -> NoduleExample:
    kind = row["class"]
    if kind not in CLASSES:
        raise DatasetError(f"unknown class {kind!r} in labels.csv of {root.name}")
    if not row["patient_id"] or not row["nodule"]:
        raise DatasetError(f"a row without patient_id or nodule in labels.csv of {root.name}")
    spacing = number(row.get("slice_spacing_mm")) or number(row.get("slice_thickness_mm"))
    return NoduleExample(
        patient_id=row["patient_id"],
        nodule=row["nodule"],
        crops=read_crops(root / kind / row["patient_id"] / f"nodule-{row['nodule']}" / "images"),
        pixel_spacing_mm=number(row.get("pixel_spacing_mm")) or USUAL_PIXEL_MM,
        slice_spacing_mm=spacing or USUAL_SLICE_MM,
        diameter_mm=number(row.get("diameter_mm_mean")),
        label=soft_label(row.get("malignancy_ratings") or "", kind),
        kind=kind,
        split=row.get("split") or None,
        readers=int(number(row.get("n_annotators")) or 0) or None,
        facts={name: row[name] for name in FACTS if row.get(name)},
    )


def read_crops(folder: Path) -> np.ndarray:
    """(n, 128, 128) uint8, in the order of the slice numbers."""
    files = sorted(
        (file for file in folder.glob("slice-*.png") if file.stem.removeprefix("slice-").isdigit()),
        key=lambda file: int(file.stem.split("-")[1]),
    )
    crops = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    if not crops or any(crop is None or crop.shape != (CROP, CROP) for crop in crops):
        place = "/".join(folder.parts[-3:-1])
        raise DatasetError(f"no readable 128×128 slices for {place}")
    return np.stack(crops)


def number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if np.isfinite(value) and value > 0 else None


def soft_label(ratings: str, kind: str) -> float:
    """Share of readers who rated above 3, a rating of 3 counting half; else by class."""
    values = [int(rating) for rating in ratings.split("|") if rating.strip()]
    if not values:
        return CLASS_LABEL[kind]
    return float(np.mean([(value > 3) + 0.5 * (value == 3) for value in values]))


def write_nodules(directory: Path, examples: Iterable[NoduleExample]) -> None:
    """Write examples in the layout that read_nodules reads; crops in HU become 8-bit by min-max."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "labels.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, COLUMNS)
        table.writeheader()
        for example in examples:
            table.writerow(as_row(example))
            write_crops(directory, example)


def as_row(example: NoduleExample) -> dict[str, object]:
    """The soft label is kept as ratings that average to it: exactly for the readers there were,
    else those of four, within 1/8."""
    readers = example.readers or 4
    above = round(example.label * readers * 2)
    rest = readers - (above + 1) // 2
    ratings = "|".join(["5"] * (above // 2) + ["3"] * (above % 2) + ["1"] * rest)
    return {
        "patient_id": example.patient_id,
        "nodule": example.nodule,
        "class": example.kind,
        "malignancy_ratings": ratings,
        "n_annotators": example.readers or "",
        "diameter_mm_mean": example.diameter_mm or "",
        "slice_spacing_mm": example.slice_spacing_mm,
        "pixel_spacing_mm": example.pixel_spacing_mm,
        "split": example.split or "",
        **{name: example.facts.get(name, "") for name in FACTS},
    }


def write_crops(directory: Path, example: NoduleExample) -> None:
    place = directory / example.kind / example.patient_id / f"nodule-{example.nodule}" / "images"
    place.mkdir(parents=True, exist_ok=True)
    for index, crop in enumerate(example.crops):
        cv2.imwrite(str(place / f"slice-{index}.png"), as_grey(crop))


def as_grey(crop: np.ndarray) -> np.ndarray:
    """(128, 128) uint8 by the crop's own minimum and maximum, as the base was made.

    What is 8-bit already, a crop of the base, stays as it is.
    """
    if crop.dtype == np.uint8:
        return crop
    low, high = float(crop.min()), float(crop.max())
    return np.round((crop - low) / max(high - low, 1e-6) * 255).astype(np.uint8)


def crop_from_series(
    slices: Sequence[SliceInput],
    key: str,
    row: float,
    column: float,
    diameter_mm: float = 10.0,
    step: float = 1.0,
) -> np.ndarray:
    """(n, 128, 128) int16 crops centred on a pixel of slice `key`, as far as the nodule reaches.

    step: pixels of the slice per pixel of the crop, above 1 for what is larger than a crop.
    Outside the slice its border is repeated. Raises KeyError for an unknown slice.
    """
    ordered = sort_slices(slices)
    keys = [item.key for item in ordered]
    if key not in keys:
        raise KeyError(key)
    offsets = offsets_mm(ordered)
    near = np.abs(offsets - offsets[keys.index(key)]) <= max(diameter_mm / 2, 0.1)
    chosen = [item for item, inside in zip(ordered, near, strict=True) if inside]
    return np.stack([crop_slice(item.hu, row, column, step) for item in chosen])


def crop_slice(hu: np.ndarray, row: float, column: float, step: float = 1.0) -> np.ndarray:
    """(128, 128) int16 around (row, column), which lands between pixels 63 and 64."""
    side = round(CROP * step)
    top, left = round(row - (side - 1) / 2), round(column - (side - 1) / 2)
    rows = np.clip(np.arange(top, top + side), 0, hu.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, hu.shape[1] - 1)
    window = hu[np.ix_(rows, columns)]
    if side != CROP:
        window = cv2.resize(window.astype(np.float32), (CROP, CROP), interpolation=cv2.INTER_AREA)
    return window.astype(np.int16)


def side(patient_key: str, secret: str, test_share: float = 0.2) -> str:
    """ "train" or "test" for a patient, for ever the same: a keyed hash decides."""
    digest = hmac.new(secret.encode(), patient_key.encode(), hashlib.sha256).digest()
    return "test" if int.from_bytes(digest[:8], "big") / 2**64 < test_share else "train"


def split_by_patient(
    examples: Sequence[NoduleExample], secret: str
) -> tuple[list[NoduleExample], list[NoduleExample]]:
    """Train and test, no patient on both sides.

    The split column decides where any row of the patient has one, else the keyed hash.
    """
    fixed: dict[str, str] = {}
    for example in examples:
        if example.split in ("val", "test"):
            fixed[example.patient_id] = "test"
        elif example.split:
            fixed.setdefault(example.patient_id, "train")
    sides = [fixed.get(item.patient_id) or side(item.patient_id, secret) for item in examples]
    pairs = list(zip(examples, sides, strict=True))
    return [e for e, s in pairs if s == "train"], [e for e, s in pairs if s == "test"]


def fold_of(patient_id: str, folds: int, seed: int) -> int:
    """Fold of a patient for cross-fitting, from a hash of patient and seed."""
    digest = hashlib.sha256(f"{seed}:{patient_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % folds


def fingerprint(patient_id: str) -> str:
    """What the metadata keeps of a training patient, to count "seen in training" later."""
    return hashlib.sha256(patient_id.encode()).hexdigest()[:16]
