"""Where a version's file lies, and the networks that this process keeps warm."""

import hashlib
import os
import threading
from pathlib import Path

from django.conf import settings

from apps.classifier.cnn.runtime import Network, load_network
from apps.classifier.models import ModelVersion

_warm: dict[str, Network] = {}
_lock = threading.Lock()


def weights_path(version: ModelVersion) -> Path:
    """The version's weights in MODELS_DIR."""
    return settings.MODELS_DIR / version.file


def network(version: ModelVersion) -> Network:
    """The version's network, loaded and checked against its SHA-256 once per process.

    Raises WeightsMismatch or OSError: a half-written or foreign file never answers.
    """
    with _lock:
        if version.sha256 not in _warm:
            _warm[version.sha256] = read_network(version)
        return _warm[version.sha256]


def read_network(version: ModelVersion) -> Network:
    """The version's network, read from its file now. Raises what `network` raises."""
    described = {**version.meta, "sha256": version.sha256, "version": str(version)}
    return load_network(weights_path(version), described)


def keep_weights(source: Path, task: str, sha256: str) -> str:
    """Copy weights into MODELS_DIR under a name of their own; returns the name.

    Written beside its final name, flushed to disk, then renamed; never over another file's
    content, because the name holds the hash.
    """
    settings.MODELS_DIR.mkdir(parents=True, exist_ok=True)
    name = f"{task}-{sha256[:16]}{source.suffix}"
    if _is_whole(settings.MODELS_DIR / name, sha256):
        return name
    partial = settings.MODELS_DIR / f".{name}.{os.getpid()}.partial"
    with partial.open("wb") as stream:
        stream.write(source.read_bytes())
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, settings.MODELS_DIR / name)
    return name


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
