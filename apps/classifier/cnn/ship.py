"""Put a trained network among the shipped ones under a version, with its card.

Run as `python -m apps.classifier.cnn.ship TRAINED.json VERSION [--held-out DIR]
[--scans REPORT.json]`. With DIR the
`val` patients of the nodule base are measured too and kept under `held_out`: do that once, after
every choice is made.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from apps.classifier.cnn import card_files, evaluation
from apps.classifier.cnn.datasets import read_nodules, split_by_patient
from apps.classifier.cnn.folders import SHIPPED
from apps.classifier.cnn.runtime import load_network

CARDS = SHIPPED.parents[2] / "docs" / "models"


def ship(
    trained: Path, version: str, held_out: Path | None, note: str, scans: Path | None = None
) -> Path:
    """Copy weights and metadata under the version's name and write the card; gives the card.

    Raises WeightsMismatch when the weights are not those of the metadata.
    """
    meta = json.loads(trained.read_text())
    network = load_network(trained.with_suffix(".tflite"), meta)
    meta["version"] = meta["metrics"]["version"] = version
    if held_out:
        meta["held_out"] = measure_held_out(network, held_out, note)
    if scans:
        add_scans(meta, json.loads(scans.read_text()))
    shutil.copyfile(trained.with_suffix(".tflite"), SHIPPED / f"{version}.tflite")
    answers = trained.with_suffix(".out-of-fold.csv")
    if answers.is_file():
        shutil.copyfile(answers, SHIPPED / f"{version}.out-of-fold.csv")
    path = SHIPPED / f"{version}.json"
    path.write_text(json.dumps(meta, indent=1) + "\n")
    return card_files.write_card(card_files.described(path), CARDS)


def measure_held_out(network: Any, directory: Path, note: str) -> dict[str, Any]:
    """Figures on the `val` patients, with how they were measured in words."""
    _, locked = split_by_patient(read_nodules(directory / "lidc_nodules"), "")
    figures = evaluation.evaluate(network.task, network, locked)
    return {"how": note} | figures.as_dict()


def add_scans(meta: dict[str, Any], report: dict[str, Any]) -> None:
    """What finding_report measured on whole series, its FROC and its pictures of failures."""
    wide, masses = report["phantoms_4_to_40_mm"], report["masses"]
    annotated, alone = report["annotated"], report["complete_series"]
    low, high = wide["recall_ci"]
    meta["metrics"]["froc"] = wide["points"]
    meta["drawings"] = report.get("drawings", [])
    meta["metrics"]["scans"] = {
        "phantoms of 4 to 40 mm, nodules from 6 mm found": f"{wide['found']} of {wide['nodules']} "
        f"[{low:.2f}, {high:.2f}]",
        "their other marks per series": f"{wide['unmatched_marks_per_series']:.1f}",
        "annotated nodules from 6 mm found": f"{annotated['found']} of {annotated['nodules']}",
        "marks there that match none, per slice": f"{annotated['unmatched_marks_per_slice']:.2f}",
        "marks in a complete series of 95 slices, not annotated": alone["marks"],
        "masses marked by eye, among the first three": f"{masses['in_top_3']} of "
        f"{masses['slices']}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path)
    parser.add_argument("version")
    parser.add_argument("--held-out", type=Path)
    parser.add_argument("--note", default="the val patients, measured once, after every choice")
    parser.add_argument("--scans", type=Path, help="what finding_report printed")
    given = parser.parse_args()
    print(ship(given.trained, given.version, given.held_out, given.note, given.scans))  # noqa: T201


if __name__ == "__main__":
    main()
