"""What a folder of CT slices holds: measured slice by slice, for `manage.py describe_dataset`.

Calibration is judged by three landmarks: the air round the patient (-1000 HU), fat (about -100)
and soft tissue, which is mostly water (about 40, with contrast agent more).
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from apps.classifier.cnn.folders import files_under
from apps.classifier.cnn.lungs import Lungs, disc, find_lungs
from apps.imaging.age import years
from apps.imaging.facts import InstanceFacts
from apps.imaging.pixels import hounsfield
from apps.imaging.reading import read_instance
from apps.imaging.refusal import Refusal

TABLES = ("patients.csv", "overview.csv")
FILE_COLUMNS = ("dicom_name", "file", "path")
YES_NO = {"true": True, "1": True, "false": False, "0": False}
LANDMARKS = ("air", "fat", "water")
AIR_HU, FAT_HU, WATER_HU = (-1100, -850), (-170, -40), (-40, 150)
# How far the middle of a scanner's slices may lie from where physics puts it.
PLAUSIBLE_HU = {"air": (-1030.0, -960.0), "fat": (-130.0, -80.0), "water": (0.0, 90.0)}
BIN_HU, LEAST_PIXELS = 2, 500
OUTLYING, LEAST_SPREAD_HU = 3.5, 5.0
Watch = Callable[[Sequence[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Slice:
    """One slice. HU values are NaN and texts "" where they could not be measured or read.

    age in years; contrast_header: whether the header names an agent, contrast: what the table
    beside the files says; lung_hu and body_hu: means over their masks; lung_area in cm².
    """

    file: str
    patient: str
    series: str
    scanner: str
    age: float
    header_age: float
    contrast: bool | None
    contrast_header: bool
    split: str
    pixel_mm: float
    thickness_mm: float
    matrix: str
    kvp: float
    pixels: str
    body_hu: float
    body_sd: float
    lung_hu: float
    lung_area: float
    air: float
    fat: float
    water: float


def read_folder(directory: Path, watch: Watch = iter) -> tuple[list[Slice], Counter[str]]:
    """Every CT slice under a directory, and how many other files were left out for which reason.

    `overview.csv` and `patients.csv` add age, contrast and split by file name. `watch` may wrap
    the list of files to show progress.
    """
    told, found, left_out = beside(directory), [], Counter()
    files = [one for one in files_under([directory]) if one.suffix.lower() not in (".csv", ".md")]
    for file in watch(files):
        try:
            facts = read_instance(file)
            name = file.relative_to(directory).as_posix()
            found.append(measure(name, facts, hounsfield(file), told.get(file.name, {})))
        except Refusal as refusal:
            left_out[str(refusal)] += 1
    return found, left_out


def beside(directory: Path) -> dict[str, dict[str, str]]:
    """What the tables of the folder say of each file name, columns in lower case."""
    told: dict[str, dict[str, str]] = defaultdict(dict)
    for table in (directory / name for name in TABLES):
        if not table.is_file():
            continue
        with table.open(newline="", encoding="utf-8-sig") as lines:
            for row in csv.DictReader(lines):
                name = next((row[c] for c in FILE_COLUMNS if row.get(c)), "")
                values = {k.lower(): (v or "").strip() for k, v in row.items() if k}
                told[Path(name).name].update(values)
    return told


def measure(name: str, facts: InstanceFacts, hu: np.ndarray, told: dict[str, str]) -> Slice:
    """One slice in figures. hu: (rows, columns) Hounsfield units."""
    lungs = find_lungs(hu, facts.pixel_spacing or (0.7, 0.7))
    body, lung = lungs.hu[lungs.body > 0], lungs.hu[lungs.air > 0]
    inside = lungs.hu[cv2.erode(lungs.body, disc(2)) > 0]
    header_age = years(facts.patient_age)
    return Slice(
        file=name,
        patient=facts.patient_id or facts.study_instance_uid,
        series=facts.series_instance_uid,
        scanner=f"{facts.manufacturer} {facts.manufacturer_model_name}".strip(),
        age=years(told.get("age", "")) if told.get("age") else header_age,
        header_age=header_age,
        contrast=YES_NO.get(told.get("contrast", "").lower()),
        contrast_header=bool(facts.contrast_bolus_agent),
        split=told.get("split", ""),
        pixel_mm=facts.pixel_spacing[0] if facts.pixel_spacing else np.nan,
        thickness_mm=facts.slice_thickness or np.nan,
        matrix=f"{facts.rows}×{facts.columns}",
        kvp=facts.kvp or np.nan,
        pixels=facts.pixel_sha256,
        body_hu=float(body.mean()) if body.size else np.nan,
        body_sd=float(body.std()) if body.size else np.nan,
        lung_hu=float(lung.mean()) if lung.size else np.nan,
        lung_area=lungs.area_mm2 / 100,
        air=peak(outside(lungs), AIR_HU),
        fat=peak(inside, FAT_HU),
        water=peak(inside, WATER_HU),
    )


def peak(values: np.ndarray, limits: tuple[int, int]) -> float:
    """HU where the histogram of values is highest between two limits, smoothed by 6 HU.

    NaN where there are too few values, or where the histogram falls by less than a fifth on
    one side of the highest place: that is the slope of something else, as in lean patients.
    """
    edges = np.arange(limits[0], limits[1] + BIN_HU, BIN_HU)
    counts = np.histogram(values, edges)[0].astype(np.float32)
    if counts.sum() < LEAST_PIXELS:
        return float("nan")
    smooth = cv2.GaussianBlur(counts[None], (0, 0), 6 / BIN_HU, borderType=cv2.BORDER_REPLICATE)[0]
    highest = int(smooth.argmax())
    shallow = max(smooth[: highest + 1].min(), smooth[highest:].min())
    return float(edges[highest] + BIN_HU / 2) if shallow < 0.8 * smooth[highest] else float("nan")


def outside(lungs: Lungs) -> np.ndarray:
    """HU round the patient, inside the circle of reconstruction: there the padding begins."""
    rows, columns = lungs.hu.shape
    y, x = np.mgrid[:rows, :columns]
    radius = min(rows, columns) / 2 - 3
    circle = (y - rows / 2) ** 2 + (x - columns / 2) ** 2 < radius**2
    return lungs.hu[circle & (cv2.dilate(lungs.body, disc(6)) == 0)]


def outliers(slices: Sequence[Slice], landmark: str) -> list[Slice]:
    """Slices whose landmark lies far from the set's own middle (3.5 robust deviations)."""
    values = np.array([getattr(one, landmark) for one in slices])
    if np.isnan(values).all():
        return []
    middle = np.nanmedian(values)
    spread = max(1.4826 * float(np.nanmedian(np.abs(values - middle))), LEAST_SPREAD_HU)
    far = np.abs(values - middle) > OUTLYING * spread
    return [one for one, away in zip(slices, far, strict=True) if away]


def scanners(slices: Sequence[Slice]) -> dict[str, list[Slice]]:
    """Slices by manufacturer and model, most first."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for one in slices:
        groups[one.scanner or "not named"].append(one)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def middle(slices: Sequence[Slice], landmark: str) -> float:
    """The median of a landmark, NaN when no slice has it."""
    values = [v for one in slices if np.isfinite(v := getattr(one, landmark))]
    return float(np.median(values)) if values else float("nan")


def suspected(slices: Sequence[Slice]) -> list[str]:
    """Landmarks by which these slices of one scanner look miscalibrated.

    Water is judged without contrast agent only: enhanced liver and heart lie above its range.
    """
    plain = [one for one in slices if not (one.contrast or one.contrast_header)]
    said = []
    for landmark in LANDMARKS:
        value = middle(plain if landmark == "water" else slices, landmark)
        low, high = PLAUSIBLE_HU[landmark]
        if np.isfinite(value) and not low <= value <= high:
            said.append(f"{landmark} at {value:.0f} HU")
    return said


def repeated(keys: Sequence[str]) -> list[list[int]]:
    """Places of items that are equal, in groups of two and more."""
    places: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        places[key].append(index)
    return [group for group in places.values() if len(group) > 1]


def on_both_sides(patients: Sequence[str], splits: Sequence[str]) -> list[str]:
    """Patients with items in more than one part of the split, sorted."""
    sides: dict[str, set[str]] = defaultdict(set)
    for patient, split in zip(patients, splits, strict=True):
        if split:
            sides[patient].add(split)
    return sorted(patient for patient, parts in sides.items() if len(parts) > 1)


def spearman(first: np.ndarray, second: np.ndarray) -> float:
    """Rank correlation, ties sharing their mean rank; NaN where one does not vary."""
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(mean_ranks(first), mean_ranks(second))[0, 1])


def mean_ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
