"""Run a trained network with LiteRT: small, quick to load, safe to fork.

The interpreter is made on first use in each process, because one made before a fork
shares its thread pool with the parent. TensorFlow is not needed (ADR 0003).
"""

import hashlib
import json
import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 64


class WeightsMismatch(Exception):
    """The weights file is not the one its metadata describes."""


class NetworkFailure(Exception):
    """The network gave no usable number; every comparison with NaN would read as "no"."""


class Network:
    """A trained network: `predict` gives calibrated probabilities."""

    def __init__(self, model: bytes, meta: dict[str, Any]) -> None:
        self.meta = meta
        self._model = model
        self._runner: Any = None
        self._owner = 0
        self._lock = threading.Lock()

    @property
    def task(self) -> str:
        return self.meta["task"]

    @property
    def version(self) -> str:
        return self.meta["version"]

    @property
    def threshold(self) -> float:
        """Probability from which the answer counts as positive."""
        return float(self.meta["operating_point"]["threshold"])

    def logits(self, batch: np.ndarray) -> np.ndarray:
        """(n,) raw answers before calibration; batch: (n, height, width, channels) float32."""
        return self._outputs(batch)["logit"][:, 0]

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """(n,) calibrated probabilities, float32, for (n, height, width, channels) float32."""
        return self.calibrated(self.logits(batch))

    def heat(self, batch: np.ndarray) -> np.ndarray | None:
        """(n, rows, columns) Grad-CAM of each patch; None where the graph has no such output."""
        return self._outputs(batch).get("heat")

    def calibrated(self, logits: np.ndarray) -> np.ndarray:
        """Platt scaling: probabilities from raw logits."""
        calibration = self.meta["calibration"]
        scaled = calibration["slope"] * logits + calibration["intercept"]
        return (1.0 / (1.0 + np.exp(-np.clip(scaled, -40, 40)))).astype(np.float32)

    def _outputs(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        if not len(batch):
            empty = np.zeros((0, 1), np.float32)
            return {"logit": empty, "log_diameter": empty}
        batch = np.ascontiguousarray(batch, dtype=np.float32)
        with self._lock:
            run = self._interpreter()
            parts = [run(input=batch[i : i + BATCH]) for i in range(0, len(batch), BATCH)]
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if not all(np.isfinite(values).all() for values in outputs.values()):
            raise NetworkFailure(f"{self.meta.get('version', 'network')} answered with no number")
        return outputs

    def _interpreter(self) -> Any:
        if self._runner is None or self._owner != os.getpid():
            from ai_edge_litert.interpreter import Interpreter

            interpreter = Interpreter(model_content=self._model, num_threads=thread_count())
            self._runner = interpreter.get_signature_runner("serving_default")
            self._owner = os.getpid()
        return self._runner

    def __getstate__(self) -> dict[str, Any]:
        return {"meta": self.meta, "model": self._model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["model"], state["meta"])


def thread_count() -> int:
    """Threads per network: CNN_THREADS, at most the cores of the machine, two by default."""
    wanted = int(os.environ.get("CNN_THREADS", "2"))
    return max(1, min(wanted, os.cpu_count() or 1))


def load_network(weights: Path, meta: dict[str, Any] | Path) -> Network:
    """Read a .tflite file and check it against its metadata.

    Raises WeightsMismatch when the SHA-256 differs; OSError when the file cannot be read.
    """
    described = json.loads(Path(meta).read_text()) if not isinstance(meta, dict) else meta
    model = Path(weights).read_bytes()
    found = hashlib.sha256(model).hexdigest()
    if found != described["sha256"]:
        raise WeightsMismatch(
            f"{Path(weights).name}: SHA-256 is {found[:12]}…, "
            f"its metadata says {described['sha256'][:12]}…"
        )
    if not math.isfinite(described["calibration"]["slope"]):
        raise WeightsMismatch(f"{Path(weights).name}: its calibration is not a number")
    return Network(model, described)
