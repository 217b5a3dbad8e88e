"""Read CT series from files and answer for each, as the worker does.

The reading is apps.imaging's; here files are only grouped by series.
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from apps.classifier.cnn.contrast import CONTRAST, disagreement, load_contrast, summary
from apps.classifier.cnn.geometry import SliceInput
from apps.classifier.cnn.runtime import load_network
from apps.classifier.cnn.series import Models, Refused, SeriesAnalysis, analyse_series
from apps.imaging.age import years
from apps.imaging.facts import InstanceFacts
from apps.imaging.pixels import hounsfield
from apps.imaging.reading import read_instance
from apps.imaging.refusal import Refusal

log = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent.parent / "weights"
HEADER = [
    "SOPClassUID",
    "SeriesInstanceUID",
    "Modality",
    "PatientID",
    "PatientAge",
    "ContrastBolusAgent",
]


@dataclass
class FoundSeries:
    """Files of one series; header values are empty where the file does not say."""

    series_instance_uid: str
    modality: str
    patient_id: str
    contrast_bolus_agent: str
    patient_age: str = ""
    files: list[Path] = field(default_factory=list)


def load_models(directory: Path = SHIPPED) -> Models:
    """The newest network of each task in a directory of .tflite files with .json beside them."""
    newest: dict[str, Path] = {}
    for meta in sorted(directory.glob("*.json")):
        newest[json.loads(meta.read_text())["task"]] = meta
    networks = {
        task: load_network(meta.with_suffix(".tflite"), meta) for task, meta in newest.items()
    }
    return Models(**networks, contrast=load_contrast(CONTRAST))


def find_series(paths: Iterable[Path]) -> list[FoundSeries]:
    """Series under files and folders, in the order met.

    What is not DICOM is left out, and so are the directories (DICOMDIR) of exported disks.
    """
    found: dict[str, FoundSeries] = {}
    for file in files_under(paths):
        header = read_header(file)
        if header is None or header.get("SOPClassUID") == MediaStorageDirectoryStorage:
            continue
        uid = str(header.get("SeriesInstanceUID", "") or "")
        series = found.setdefault(
            uid,
            FoundSeries(
                uid,
                str(header.get("Modality", "") or ""),
                str(header.get("PatientID", "") or ""),
                str(header.get("ContrastBolusAgent", "") or ""),
                str(header.get("PatientAge", "") or "").strip(),
            ),
        )
        series.files.append(file)
    return list(found.values())


def files_under(paths: Iterable[Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in inside if file.is_file())


def read_header(file: Path) -> pydicom.Dataset | None:
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=HEADER)
        if dataset.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            dataset.SOPClassUID = MediaStorageDirectoryStorage
        return dataset
    except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, NotImplementedError):
        return None


def read_slices(series: FoundSeries) -> tuple[list[SliceInput], list[Refusal]]:
    """The readable slices of a series and why the others are not. A repeated SOP Instance UID
    is read once."""
    slices: dict[str, SliceInput] = {}
    refusals = []
    for file in series.files:
        try:
            facts = read_instance(file)
            slices.setdefault(facts.sop_instance_uid, as_slice(facts, file))
        except Refusal as refusal:
            refusals.append(refusal)
    return list(slices.values()), refusals


def as_slice(facts: InstanceFacts, file: Path) -> SliceInput:
    return SliceInput(
        key=facts.sop_instance_uid,
        hu=hounsfield(file),
        pixel_spacing=facts.pixel_spacing or (0.0, 0.0),
        position=facts.image_position_patient,
        orientation=facts.image_orientation_patient,
    )


def predict_paths(paths: Iterable[Path], models: Models) -> Iterator[dict[str, Any]]:
    """One plain answer per series, ready for JSON (see predict_series).

    A series at which the analysis breaks is refused with code `failed`; the others go on.
    """
    for series in find_series(paths):
        started = time.monotonic()
        try:
            yield predict_series(series, models)
        except Exception:
            log.exception("series %s failed", series.series_instance_uid)
            failed = Refused("failed", "The analysis of this series stopped with an error.")
            yield head_of(series, models) | nothing_read(series, failed) | seconds_since(started)


def predict_series(series: FoundSeries, models: Models) -> dict[str, Any]:
    """What the worker would answer for this series, with the seconds it took."""
    started = time.monotonic()
    slices, refusals = read_slices(series)
    answer = head_of(series, models) | {
        "images": len(slices),
        "images_refused": dict(Counter(str(refusal) for refusal in refusals)),
    }
    if slices:
        analysis = analyse_series(slices, models, age_years=years(series.patient_age))
        answer |= describe(analysis) | describe_contrast(analysis, series.contrast_bolus_agent)
    else:
        first = refusals[0]
        answer |= nothing_read(series, Refused(first.code, str(first)))
    return answer | seconds_since(started)


def head_of(series: FoundSeries, models: Models) -> dict[str, Any]:
    """Which series, and the versions asked."""
    asked = (models.chest, models.contrast, models.nodule, models.malignancy)
    return {
        "series_instance_uid": series.series_instance_uid,
        "modality": series.modality,
        "model_versions": {
            task: one.version
            for task, one in zip(("chest", "contrast", "nodule", "malignancy"), asked, strict=True)
            if one is not None
        },
    }


def seconds_since(started: float) -> dict[str, float]:
    return {"seconds": round(time.monotonic() - started, 3)}


def describe(analysis: SeriesAnalysis) -> dict[str, Any]:
    """The stable fields: chest, case_score, findings best first, refused."""
    return {
        "chest": overall_chest(analysis),
        "case_score": analysis.series_score,
        "findings": [
            {
                "sop_instance_uid": found.key,
                "row": found.row,
                "column": found.column,
                "position_mm": list(found.position_mm) if found.position_mm else None,
                "diameter_mm": found.diameter_mm,
                "nodule_probability": found.nodule_probability,
                "malignancy_probability": found.malignancy_probability,
            }
            for found in analysis.findings
        ],
        "warnings": analysis.warnings,
        "refused": asdict(analysis.refused) if analysis.refused else None,
    }


def describe_contrast(analysis: SeriesAnalysis, agent: str) -> dict[str, Any]:
    """The check's median over the slices beside the header, with a warning where they differ."""
    said = analysis.contrast_probabilities
    warning = disagreement(said, agent)
    return {
        "contrast": summary(said, agent),
        "warnings": analysis.warnings + ([warning] if warning else []),
    }


def overall_chest(analysis: SeriesAnalysis) -> dict[str, Any]:
    """The gate's answer for the series: that of its most lung-filled slice.

    No answer where the series was refused before the gate was asked.
    """
    if not analysis.chest:
        reason = analysis.refused.reason if analysis.refused else ""
        return {"answer": None, "probability": None, "reason": reason}
    best = max(analysis.chest, key=lambda one: (one.answer == "chest", one.lung_area_mm2))
    return {
        "answer": best.answer,
        "probability": round(best.probability, 4),
        "reason": best.reason,
        "slices": dict(Counter(one.answer for one in analysis.chest)),
    }


def nothing_read(series: FoundSeries, refused: Refused) -> dict[str, Any]:
    """The answer for a series of which nothing was looked at: the same fields, all open."""
    return {
        "chest": {"answer": None, "probability": None, "reason": refused.reason},
        "contrast": {"answer": None, "probability": None, "header": series.contrast_bolus_agent},
        "case_score": None,
        "findings": [],
        "warnings": [],
        "refused": asdict(refused),
    }
