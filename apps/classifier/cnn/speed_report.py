"""How fast the analysis is here: a series, one slice, one place.

Run as `python -m apps.classifier.cnn.speed_report`; on phantoms, prints one JSON object.
"""

import json
import resource
import time
from collections.abc import Callable

import numpy as np

from apps.classifier.cnn.folders import load_models
from apps.classifier.cnn.hard_negatives import phantom_slices
from apps.classifier.cnn.series import analyse_series, probe
from apps.imaging.phantom import Nodule, PhantomSpec, chest_phantom

SLICES = 128
ROUNDS = 5
NODULE = Nodule(center=(-85.0, -20.0, 5.0), diameter_mm=14.0)


def median_seconds(action: Callable[[], object], rounds: int = ROUNDS) -> float:
    taken = []
    for _ in range(rounds):
        started = time.monotonic()
        action()
        taken.append(time.monotonic() - started)
    return round(float(np.median(taken)), 3)


def main() -> None:
    started = time.monotonic()
    models = load_models()
    shape = models.malignancy.meta["input"]["shape"]
    models.malignancy.predict(np.zeros((1, *shape), np.float32))
    cold = round(time.monotonic() - started, 3)
    spec = PhantomSpec(seed=1, slices=SLICES, slice_spacing=1.5, nodules=(NODULE,))
    slices = phantom_slices(chest_phantom(spec))
    middle = slices[SLICES // 2]
    analyse_series([middle], models)
    spent = time.process_time()
    series = median_seconds(lambda: analyse_series(slices, models), 1)
    spent = round(time.process_time() - spent, 1)
    report = {
        "first_prediction_after_loading": cold,
        "one_slice": median_seconds(lambda: analyse_series([middle], models)),
        "one_place": median_seconds(lambda: probe(slices, middle.key, 200, 150, models)),
        f"{SLICES}_slices": series,
        f"{SLICES}_slices_processor_seconds": spent,
        "resident_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(report))  # noqa: T201


if __name__ == "__main__":
    main()
