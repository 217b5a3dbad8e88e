"""The networks that come with the program become rows of the database."""

import json
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.classifier.cnn import cards
from apps.classifier.cnn.contrast import CONTRAST, with_sha256
from apps.classifier.model_files import keep_weights, weights_path
from apps.classifier.models import ModelVersion

SHIPPED_DIR = Path(__file__).resolve().parent / "weights"
Status = ModelVersion.Status


@transaction.atomic
def register_shipped() -> list[ModelVersion]:
    """Make a row for each shipped network; the newest is active where no other one can be.

    Its weights are copied beside those trained here, because the next release of the program
    ships others, and old predictions and the way back need these.
    """
    found = sorted(SHIPPED_DIR.glob("*.json"))
    versions = [
        _register(json.loads(path.read_text()), path.with_suffix(".tflite")) for path in found
    ]
    versions.append(_register(with_sha256(CONTRAST), CONTRAST))
    for version in reversed(versions):
        _activate_if_needed(version)
    return versions


def _register(meta: dict, weights: Path) -> ModelVersion:
    task, sha256 = meta["task"], meta["sha256"]
    file = keep_weights(weights, task, sha256)
    known = ModelVersion.objects.filter(task=task, sha256=sha256, shipped=True)
    if known.update(file=file):
        return known.get()
    number = _own_number(meta)
    meta = {**meta, "version": f"{task}-v{number}"}
    return ModelVersion.objects.create(
        task=task,
        number=number,
        file=file,
        shipped=True,
        sha256=sha256,
        meta=meta,
        metrics=meta.get("metrics", {}),
        card=cards.card(meta),
        synthetic=meta["training"].get("synthetic", False),
    )


def _own_number(meta: dict) -> int:
    """The number that the network was shipped under, unless a version has it already."""
    number = int(meta["version"].rpartition("-v")[2])
    taken = ModelVersion.objects.filter(task=meta["task"], number=number).exists()
    return next_number(meta["task"]) if taken else number


def _activate_if_needed(version: ModelVersion) -> None:
    """Only where no version is active, or the active one has lost its file and cannot answer."""
    active = ModelVersion.objects.filter(task=version.task, status=Status.ACTIVE).first()
    if active and weights_path(active).is_file():
        return
    ModelVersion.objects.filter(task=version.task, status=Status.ACTIVE).update(
        status=Status.RETIRED
    )
    ModelVersion.objects.filter(pk=version.pk).update(
        status=Status.ACTIVE,
        activated_at=timezone.now(),
        activation_note="Shipped with the program.",
    )
    record(
        AuditEvent.Action.ACTIVATED,
        actor="load_models",
        target=version,
        version=str(version),
        replaced=str(active or ""),
    )


def next_number(task: str) -> int:
    """The number that the task's next version gets."""
    newest = ModelVersion.objects.filter(task=task).order_by("-number").first()
    return newest.number + 1 if newest else 1
