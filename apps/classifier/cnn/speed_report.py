"""How fast the analysis is here: whole series from files, one slice, one place, a cold start.

`python -m apps.classifier.cnn.speed_report --make DIR` writes synthetic chests of 128 and 300
slices of 512×512; `python -m apps.classifier.cnn.speed_report DIR` reads them as the worker does
and prints one JSON object. Two steps, so that the memory of making them is not measured.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from apps.classifier.cnn.folders import find_series, load_models, predict_series, read_slices
from apps.classifier.cnn.series import Models, analyse_series, probe
from apps.imaging.phantom import PhantomSpec, chest_phantom, random_nodules, write_series

SERIES = {128: 2.0, 300: 1.0}
ROUNDS = 5
COLD = (
    "import numpy as np\n"
    "from apps.classifier.cnn.folders import load_models\n"
    "models = load_models()\n"
    "for one in (models.chest, models.nodule, models.malignancy):\n"
    "    one.predict(np.zeros((1, *one.meta['input']['shape']), np.float32))\n"
)


def make(directory: Path) -> None:
    """One folder of DICOM files for each length."""
    for slices, spacing in SERIES.items():
        spec = PhantomSpec(
            seed=1, slices=slices, slice_spacing=spacing, nodules=random_nodules(1, 4)
        )
        write_series(chest_phantom(spec), directory / str(slices))


def seconds(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def median_seconds(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    return round(float(np.median([seconds(action) for _ in range(rounds)])), 3)


def cold_start() -> float:
    """Seconds from the start of a process to the first answer of every network."""
    return round(seconds(lambda: subprocess.run([sys.executable, "-c", COLD], check=True)), 2)


def measure(directory: Path) -> dict[str, float]:
    report = {"load_average": round(os.getloadavg()[0], 1), "cold_start": cold_start()}
    models = load_models()
    report |= one_at_a_time(directory / "128", models)
    for length in SERIES:
        report |= whole_series(directory / str(length), length, models)
    return report


def one_at_a_time(folder: Path, models: Models) -> dict[str, float]:
    """A warm slice alone, and a place asked about in a series that is in memory."""
    slices, _ = read_slices(find_series([folder])[0])
    middle = slices[len(slices) // 2]
    analyse_series([middle], models)
    return {
        "one_slice": median_seconds(lambda: analyse_series([middle], models)),
        "one_place": median_seconds(lambda: probe(slices, middle.key, 256, 150, models)),
    }


def whole_series(folder: Path, length: int, models: Models) -> dict[str, float]:
    """Reading the files included, as in the worker."""
    series, spent = find_series([folder])[0], time.process_time()
    wall = seconds(lambda: predict_series(series, models))
    return {
        f"{length}_slices": round(wall, 1),
        f"{length}_slices_processor": round(time.process_time() - spent, 1),
        f"{length}_slices_resident_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--make", action="store_true")
    given = parser.parse_args()
    if given.make:
        make(given.directory)
    else:
        print(json.dumps(measure(given.directory)))  # noqa: T201


if __name__ == "__main__":
    main()
