"""Make the reference that live images and scores are compared with (drift)."""

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandParser
from tqdm import tqdm

from apps.classifier.cnn.drift import REFERENCE, input_facts, maker, shares
from apps.classifier.cnn.folders import SHIPPED, FoundSeries, find_series, load_models, read_slices
from apps.classifier.cnn.lungs import find_lungs
from apps.classifier.cnn.runtime import Network
from apps.classifier.cnn.series import gate
from apps.imaging.reading import read_instance


class Command(BaseCommand):
    help = "Measure CT folders, nodule tables and out-of-fold scores; write the reference."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--ct", type=Path, nargs="+", required=True, help="folders with CT")
        parser.add_argument("--labels", type=Path, nargs="+", required=True, help="labels.csv")
        parser.add_argument(
            "--scores", type=Path, default=SHIPPED / "malignancy-v3.out-of-fold.csv"
        )
        parser.add_argument("--out", type=Path, default=REFERENCE)

    def handle(
        self, *args, ct: list[Path], labels: list[Path], scores: Path, out: Path, **options
    ) -> None:
        made = {**_images(ct), **_geometry(labels), "score": _scores(scores)}
        names = [*(one.name for one in ct), *(one.parent.name for one in labels), scores.name]
        out.write_text(json.dumps({"made_from": names, **made}, indent=1) + "\n")
        for name in ("hu", "manufacturer", "pixel_mm", "slice_mm", "score"):
            self.stdout.write(f"{name}: {made[name]['n']} patients, {made[name]['shares']}")


def _images(folders: list[Path]) -> dict[str, Any]:
    """HU shares and manufacturers, each patient counting once; only slices that are chest."""
    network = load_models().chest
    hu: dict[str, list[list[float]]] = {}
    makers: dict[str, str] = {}
    for series in tqdm(find_series(folders), disable=not sys.stderr.isatty()):
        facts = _of_chest(series, network)
        if facts:
            hu.setdefault(series.patient_id, []).append(facts)
            makers[series.patient_id] = maker(read_instance(series.files[0]).manufacturer)
    by_patient = [np.mean(one, axis=0) for one in hu.values()]
    counted = Counter(makers.values())
    known = [name for name, _ in counted.most_common()]
    return {
        "hu": {"n": len(hu), "shares": np.mean(by_patient, axis=0).round(5).tolist()},
        "manufacturer": {
            "n": len(makers),
            "values": known,
            "shares": [*(round(counted[name] / len(makers), 5) for name in known), 0.0],
        },
    }


def _of_chest(series: FoundSeries, network: Network) -> list[float]:
    slices, _ = read_slices(series)
    answers = [gate(one.key, find_lungs(one.hu, one.pixel_spacing), network) for one in slices]
    chest = {one.key for one in answers if one.answer == "chest"}
    return input_facts(slices, chest).get("hu", [])


def _rows(tables: Iterable[Path]) -> list[dict[str, str]]:
    found = []
    for table in tables:
        with table.open(newline="", encoding="utf-8-sig") as lines:
            found += list(csv.DictReader(lines))
    return found


def _geometry(tables: list[Path]) -> dict[str, Any]:
    """Pixel and slice distance of the nodules' series, each patient counting once."""
    by_patient = {row["patient_id"]: row for row in _rows(tables)}.values()
    found = {}
    for name, column in (("pixel_mm", "pixel_spacing_mm"), ("slice_mm", "slice_spacing_mm")):
        values = [float(row[column]) for row in by_patient if row[column]]
        found[name] = {"n": len(values), "shares": shares(values, name)}
    return found


def _scores(table: Path) -> dict[str, Any]:
    """What networks said of nodules of patients that they had not seen."""
    rows = _rows([table])
    values = [float(row["probability"]) for row in rows]
    patients = len({row["patient"] for row in rows})
    return {"n": patients, "shares": shares(values, "score"), "version": table.name.split(".")[0]}
