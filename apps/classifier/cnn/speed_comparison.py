"""One network answered in two ways: loaded at every request, and warm in LiteRT.

Run as `python -m apps.classifier.cnn.speed_comparison`; prints one JSON object. The network has
the size of the shipped suspicion score and weights by chance: neither changes the time. Imports
TensorFlow.
"""

import json
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from apps.classifier.cnn.export import to_litert
from apps.classifier.cnn.networks import average, patch_network
from apps.classifier.cnn.patches import SIDE
from apps.classifier.cnn.runtime import Network
from apps.classifier.cnn.speed_report import median_seconds
from apps.classifier.cnn.training import SHIPPED

CHANNELS = 3
MANY = 256


def main() -> None:
    settings = SHIPPED["malignancy"]
    members = [patch_network(SIDE, CHANNELS, 2, settings.widths) for _ in range(settings.members)]
    model = average(members)
    network = Network(to_litert(model), {"version": "untrained"})
    patches = np.random.default_rng(0).random((MANY, SIDE, SIDE, CHANNELS)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.h5"
        model.save(file)

        def load_and_answer() -> None:
            loaded = keras.models.load_model(file, compile=False)
            loaded.predict(patches[:1], verbose=0)

        load_and_answer()
        loading = median_seconds(load_and_answer)
    network.logits(patches[:1])
    warm = median_seconds(lambda: [network.logits(patches[:1]) for _ in range(100)]) / 100
    trained = model.predict(patches, verbose=0)[:, 0]
    report = {
        "load_at_every_request_seconds": loading,
        "warm_litert_seconds": round(warm, 5),
        "times_faster": round(loading / warm),
        "patches": MANY,
        "largest_difference": float(np.abs(network.logits(patches) - trained).max()),
    }
    print(json.dumps(report))  # noqa: T201


if __name__ == "__main__":
    main()
