"""How well the finder finds: against readers' outlines, marked masses and phantoms.

Run as `python -m apps.classifier.cnn.finding_report DIR`; prints one JSON object.
"""

import argparse
import copy
import csv
import json
import math
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from apps.classifier.cnn.folders import find_series, load_models, read_slices
from apps.classifier.cnn.geometry import SliceInput, pixel_position_mm
from apps.classifier.cnn.hard_negatives import MARKED_MASSES, phantom_slices
from apps.classifier.cnn.reports import wilson
from apps.classifier.cnn.series import FoundNodule, Models, analyse_series
from apps.imaging.phantom import PhantomSpec, chest_phantom, random_nodules

NAMESPACE = {"n": "http://www.nih.gov"}
SMALLEST_MM = 6.0
NEAR_MM = 5.0
TOP = 3
PHANTOM_SEEDS = (11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
WIDE_SEEDS = (31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
WIDE_MM = (4.0, 40.0)
LOWEST_THRESHOLD = 0.15
PICTURE, PICTURE_MM, PICTURES = 120, 60.0, 4
FAILURES = {
    "missed": "Synthetic nodules that the finder missed, the largest first",
    "wrong": "Marks in synthetic chests where no nodule is, the surest first",
}


@dataclass(frozen=True)
class TrueNodule:
    """A known nodule: centre in patient mm, long axis in mm, how many readers outlined it."""

    center: tuple[float, float, float]
    diameter_mm: float
    readers: int = 1


def read_outlines(xml: Path, slices: Sequence[SliceInput]) -> list[TrueNodule]:
    """Readers' nodules of an LIDC annotation, outlines of the same nodule merged."""
    by_uid = {item.key: item for item in slices}
    # The file is part of the data set this measurement is run on, not an upload.
    root = ElementTree.parse(xml).getroot()  # noqa: S314
    read = [
        read_one(nodule, by_uid)
        for nodule in root.iterfind(".//n:unblindedReadNodule", NAMESPACE)
        if nodule.find("n:characteristics", NAMESPACE) is not None
    ]
    return merged([nodule for nodule in read if nodule is not None])


def read_one(nodule: ElementTree.Element, by_uid: dict[str, SliceInput]) -> TrueNodule | None:
    """One reader's outline; None when its slices are not in the folder."""
    places, longest = [], 0.0
    for roi in nodule.iterfind("n:roi", NAMESPACE):
        item = by_uid.get(roi.findtext("n:imageSOP_UID", "", NAMESPACE).strip())
        if item is None or roi.findtext("n:inclusion", "", NAMESPACE) != "TRUE":
            continue
        edges = [
            tuple(float(edge.findtext(f"n:{axis}Coord", "0", NAMESPACE)) for axis in "yx")
            for edge in roi.iterfind("n:edgeMap", NAMESPACE)
        ]
        outline = np.array(edges)
        gaps = np.hypot(*(outline[:, None] - outline[None]).transpose(2, 0, 1))
        longest = max(longest, float(gaps.max()) * item.pixel_spacing[0])
        places.append(pixel_position_mm(item, *outline.mean(axis=0)))
    if not places:
        return None
    return TrueNodule(tuple(np.mean(places, axis=0)), longest)


def merged(read: Sequence[TrueNodule]) -> list[TrueNodule]:
    """One nodule per place; its diameter is the mean of the readers'."""
    groups: list[list[TrueNodule]] = []
    for one in sorted(read, key=lambda nodule: -nodule.diameter_mm):
        near = (g for g in groups if math.dist(g[0].center, one.center) < g[0].diameter_mm / 2 + 2)
        group = next(near, None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    return [
        TrueNodule(
            tuple(np.mean([n.center for n in group], axis=0)),
            float(np.mean([n.diameter_mm for n in group])),
            len(group),
        )
        for group in groups
    ]


def hits(nodule: TrueNodule, found: Sequence[FoundNodule]) -> list[FoundNodule]:
    """Findings within 5 mm or half the diameter of the nodule's centre."""
    reach = max(NEAR_MM, nodule.diameter_mm / 2)
    return [f for f in found if f.position_mm and math.dist(f.position_mm, nodule.center) <= reach]


def on_outlines(directory: Path, models: Models) -> dict[str, Any]:
    """Sensitivity on annotated nodules and marks per slice that match none."""
    rows, extra, count = [], 0, 0
    for xml in sorted(directory.glob("lidc_idri_0001_0003_partial/*/*.xml")):
        slices, _ = read_slices(find_series([xml.parent])[0])
        found = analyse_series(slices, models).findings
        truth = read_outlines(xml, slices)
        matched = {f for nodule in truth for f in hits(nodule, found)}
        extra, count = extra + len(found) - len(matched), count + len(slices)
        rows += [(nodule, hits(nodule, found)) for nodule in truth]
    large = [(n, h) for n, h in rows if n.diameter_mm >= SMALLEST_MM]
    hit = sum(bool(h) for _, h in large)
    return {
        "nodules": len(large),
        "found": hit,
        "sensitivity_ci": wilson(hit, len(large)),
        "slices": count,
        "unmatched_marks_per_slice": extra / max(count, 1),
        "each": [
            {
                "diameter_mm": round(n.diameter_mm, 1),
                "readers": n.readers,
                "found": bool(h),
                "measured_mm": h[0].diameter_mm if h else None,
            }
            for n, h in rows
        ],
    }


def on_masses(directory: Path, models: Models) -> dict[str, Any]:
    """In how many slices with a mass marked by eye the mass is among the first three."""
    with MARKED_MASSES.open(newline="") as lines:
        marks = list(csv.DictReader(lines))
    ranks = [rank_of(directory / mark["path"], mark, models) for mark in marks]
    top = sum(rank is not None and rank <= TOP for rank in ranks)
    return {"slices": len(ranks), "in_top_3": top, "ranks": ranks, "ci": wilson(top, len(ranks))}


def rank_of(file: Path, mark: dict[str, str], models: Models) -> int | None:
    slices, _ = read_slices(find_series([file])[0])
    for rank, found in enumerate(analyse_series(slices, models).findings, start=1):
        away = math.hypot(found.row - float(mark["row"]), found.column - float(mark["column"]))
        if away <= float(mark["radius_px"]):
            return rank
    return None


def on_series(directory: Path, models: Models) -> dict[str, Any]:
    """Marks in a complete series without annotation, and how long it took."""
    slices, _ = read_slices(find_series([directory / "rider_0117_chest_95"])[0])
    started = time.monotonic()
    found = analyse_series(slices, models).findings
    return {
        "slices": len(slices),
        "marks": len(found),
        "seconds": round(time.monotonic() - started, 1),
    }


def on_phantoms(models: Models) -> dict[str, Any]:
    """Recall on synthetic chests the networks never saw, and marks that match no nodule."""
    rows, extra = [], 0
    for seed in PHANTOM_SEEDS:
        nodules = random_nodules(seed, 4)
        spec = PhantomSpec(seed=seed, slices=48, slice_spacing=3.0, nodules=nodules)
        found = analyse_series(phantom_slices(chest_phantom(spec)), models).findings
        truth = [TrueNodule(n.center, n.diameter_mm) for n in nodules]
        matched = {f for nodule in truth for f in hits(nodule, found)}
        extra += len(found) - len(matched)
        rows += [(nodule, hits(nodule, found)) for nodule in truth]
    large = [bool(h) for n, h in rows if n.diameter_mm >= SMALLEST_MM]
    errors = [abs(h[0].diameter_mm - n.diameter_mm) for n, h in rows if h]
    return {
        "nodules": len(large),
        "found": sum(large),
        "recall_ci": wilson(sum(large), len(large)),
        "unmatched_marks_per_series": extra / len(PHANTOM_SEEDS),
        "median_diameter_error_mm": float(np.median(errors)) if errors else None,
    }


def froc_on_phantoms(models: Models) -> dict[str, Any]:
    """40 nodules of 4–40 mm in ten chests: recall from 6 mm and marks, at every threshold.

    points: (unmatched marks per series, recall) by falling threshold, for the FROC picture.
    """
    asked = with_threshold(models, LOWEST_THRESHOLD)
    best, extra, missed, wrong = [], [], [], []
    for seed in WIDE_SEEDS:
        nodules = random_nodules(seed, 4, diameters=WIDE_MM)
        spec = PhantomSpec(seed=seed, slices=64, slice_spacing=3.0, nodules=nodules)
        slices = phantom_slices(chest_phantom(spec))
        found = analyse_series(slices, asked).findings
        pairs = [(n, hits(TrueNodule(n.center, n.diameter_mm), found)) for n in nodules]
        matched = {f for _, hit in pairs for f in hit}
        extra += [f.nodule_probability for f in found if f not in matched]
        shipped = models.nodule.threshold
        wrong += [
            (f.nodule_probability, picture(slices, f.position_mm))
            for f in found
            if f not in matched and f.nodule_probability >= shipped
        ]
        missed += [
            (n.diameter_mm, picture(slices, n.center))
            for n, hit in pairs
            if max((f.nodule_probability for f in hit), default=0.0) < shipped
        ]
        best += [(n, max((f.nodule_probability for f in hit), default=0.0)) for n, hit in pairs]
    large = np.array([p for n, p in best if n.diameter_mm >= SMALLEST_MM])
    hit = int((large >= shipped).sum())
    return {
        "nodules": len(large),
        "found": hit,
        "recall_ci": wilson(hit, len(large)),
        "unmatched_marks_per_series": float((np.array(extra) >= shipped).sum() / len(WIDE_SEEDS)),
        "points": froc_points(large, np.array(extra), len(WIDE_SEEDS)),
        "missed": [one for _, one in sorted(missed, key=lambda pair: -pair[0])],
        "wrong": [one for _, one in sorted(wrong, key=lambda pair: -pair[0])],
        "each": [
            {"diameter_mm": n.diameter_mm, "kind": n.kind, "pleura": n.attached_to_pleura, "p": p}
            for n, p in best
        ],
    }


def picture(slices: Sequence[SliceInput], center: Sequence[float]) -> np.ndarray:
    """(PICTURE, PICTURE) uint8 crop of a synthetic chest in the lung window, 60 mm wide."""
    item = min(slices, key=lambda one: abs(one.position[2] - center[2]))
    row_mm, column_mm = item.pixel_spacing
    row = (center[1] - item.position[1]) / row_mm
    column = (center[0] - item.position[0]) / column_mm
    half = round(PICTURE_MM / 2 / row_mm)
    padded = np.pad(item.hu, half, constant_values=-1000)
    crop = padded[round(row) : round(row) + 2 * half, round(column) : round(column) + 2 * half]
    grey = np.clip((crop.astype(np.float32) + 1000) / 1400 * 255, 0, 255).astype(np.uint8)
    return cv2.resize(grey, (PICTURE, PICTURE))


def draw_failures(phantoms: dict[str, Any], version: str, folder: Path) -> list[list[str]]:
    """Write the largest missed nodules and the surest wrong marks; [file, words] of each."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for kind, words in FAILURES.items():
        tiles = phantoms.pop(kind)[:PICTURES]
        if tiles:
            name = f"{version}-{kind}.png"
            cv2.imwrite(str(folder / name), np.hstack(tiles))
            drawn.append([name, words])
    return drawn


def with_threshold(models: Models, threshold: float) -> Models:
    """The same networks with another operating point of the finder."""
    changed = copy.copy(models.nodule)
    point = changed.meta["operating_point"] | {"threshold": threshold}
    changed.meta = changed.meta | {"operating_point": point}
    return replace(models, nodule=changed)


def froc_points(found: np.ndarray, unmatched: np.ndarray, series: int) -> list[tuple[float, float]]:
    """(unmatched marks per series, recall) at thresholds from 0.95 down."""
    return [
        (float((unmatched >= t).sum() / series), float((found >= t).mean()))
        for t in np.arange(0.95, LOWEST_THRESHOLD - 0.01, -0.05)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--models", type=Path, help="other weights than the shipped ones")
    parser.add_argument("--pictures", type=Path, default=Path("static/cards"))
    parser.add_argument("--version", help="name in the files of the pictures")
    given = parser.parse_args()
    models = load_models(given.models) if given.models else load_models()
    wide = froc_on_phantoms(models)
    drawings = draw_failures(wide, given.version or models.nodule.version, given.pictures)
    report = {
        "annotated": on_outlines(given.directory, models),
        "complete_series": on_series(given.directory, models),
        "masses": on_masses(given.directory, models),
        "phantoms": on_phantoms(models),
        "phantoms_4_to_40_mm": wide,
        "drawings": drawings,
    }
    print(json.dumps(report, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
