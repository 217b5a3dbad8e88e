"""Export a Keras model to a LiteRT file. Imports TensorFlow: training side only."""

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from apps.classifier.cnn.gradcam import heat_of
from apps.classifier.cnn.runtime import Network

TOLERANCE = 1e-4


class ExportError(Exception):
    """The exported graph does not answer like the trained one."""


def to_litert(model: keras.Model) -> bytes:
    """The model as float32 LiteRT bytes with outputs `logit` and `log_diameter`, (n, 1) each,
    and `heat`, (n, rows, columns), where the network allows Grad-CAM.

    Through Keras' own export archive: a plain tf.saved_model.save of a Keras 3 model converts
    without complaint into a graph that answers NaN.
    """
    heat = heat_of(model)
    signature = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32, name="input")

    def serve(input):  # noqa: ANN001
        answers = model(input, training=False)
        outputs = {"logit": answers[:, :1], "log_diameter": answers[:, 1:2]}
        return outputs | ({"heat": heat(input)} if heat else {})

    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", serve, input_signature=[signature])
        archive.write_out(folder, verbose=False)
        return tf.lite.TFLiteConverter.from_saved_model(folder).convert()


def save(model: keras.Model, path: Path, batches: Iterable[np.ndarray]) -> tuple[str, float]:
    """Write the LiteRT file beside its final name, then rename.

    Returns its SHA-256 and the largest difference of a logit over all batches. Raises
    ExportError when it answers any of their patches differently from the model.
    """
    content = to_litert(model)
    difference = check_same(model, content, batches)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.rename(path)
    return hashlib.sha256(content).hexdigest(), difference


def check_same(model: keras.Model, content: bytes, batches: Iterable[np.ndarray]) -> float:
    """The largest difference over all patches; one above the tolerance raises ExportError."""
    exported, largest = Network(content, {}), 0.0
    for batch in batches:
        trained = model.predict_on_batch(batch)[:, 0]
        distance = float(np.abs(exported.logits(batch) - trained).max())
        if not distance <= TOLERANCE:
            raise ExportError(f"exported and trained network differ by {distance:.2g}")
        largest = max(largest, distance)
    return largest
