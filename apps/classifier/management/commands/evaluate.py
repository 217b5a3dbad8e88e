"""Measure the active network of a task on a directory of labelled data."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from apps.classifier.cnn.contrast import CONTRAST, load_contrast
from apps.classifier.cnn.contrast_fit import evaluate_contrast
from apps.classifier.cnn.datasets import DatasetError
from apps.classifier.cnn.folders import load_models
from apps.classifier.cnn.reports import evaluate_chest, evaluate_nodules
from apps.classifier.cnn.runtime import Network
from apps.classifier.model_files import network
from apps.classifier.models import ModelVersion


class Command(BaseCommand):
    help = "Print figures of a network on DIR as JSON; write the answers to a CSV file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("task", choices=["malignancy", "nodule", "chest", "contrast"])
        parser.add_argument("--data", type=Path, required=True)
        parser.add_argument("--out", type=Path, help="CSV file for the answers")
        parser.add_argument("--number", type=int, help="another version than the active one")

    def handle(self, *args, task: str, data: Path, out: Path | None, **options) -> None:
        try:
            figures = _figures(task, options["number"], data, out)
        except (DatasetError, ValueError, OSError) as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(json.dumps(figures, indent=1))


def _figures(task: str, number: int | None, data: Path, out: Path | None) -> dict[str, Any]:
    if not data.is_dir():
        raise DatasetError(f"There is no folder {data}.")
    if task == "contrast":
        return evaluate_contrast(load_contrast(CONTRAST), data, out)
    chosen = _network(task, number)
    if task == "chest":
        return evaluate_chest(chosen, data, out=out)
    return evaluate_nodules(chosen, data, out)


def _network(task: str, number: int | None) -> Network:
    try:
        wanted = {"number": number} if number else {"status": ModelVersion.Status.ACTIVE}
        version = ModelVersion.objects.filter(task=task, **wanted).first()
    except DatabaseError:
        version = None
    if version:
        return network(version)
    if number:
        raise CommandError(f"There is no {task}-v{number}.")
    return getattr(load_models(), task)
