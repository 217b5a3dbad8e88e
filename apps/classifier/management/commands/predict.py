"""What the worker would say about CT files, without storing anything."""

import json
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from apps.classifier.cnn.folders import load_models, predict_paths
from apps.classifier.cnn.series import Models
from apps.classifier.prediction import ModelMissing, models_from
from apps.classifier.services import active_versions


class Command(BaseCommand):
    help = "Predict the series among files and folders; nothing is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path)
        parser.add_argument("--json", action="store_true", help="one JSON object per series")

    def handle(self, *args, paths: list[Path], **options) -> None:
        missing = [str(path) for path in paths if not path.exists()]
        if missing:
            raise CommandError(f"There is no {', '.join(missing)}.")
        answered = failed = 0
        for answer in predict_paths(paths, _networks()):
            self.stdout.write(json.dumps(answer) if options["json"] else _sentence(answer))
            self.stdout.flush()
            answered += 1
            failed += bool(answer["refused"]) and answer["refused"]["code"] == "failed"
        if not answered:
            raise CommandError("There are no DICOM images among these files.")
        if failed:
            raise CommandError(f"{failed} of {answered} series stopped with an error.")


def _networks() -> Models:
    """The active versions; those shipped with the program where no database says which."""
    try:
        return models_from(active_versions())
    except (DatabaseError, ModelMissing):
        return load_models()


def _sentence(answer: dict) -> str:
    name = answer["series_instance_uid"] or "series without UID"
    if answer["refused"]:
        return f"{name}: refused. {answer['refused']['reason']}"
    score = answer["case_score"]
    found = f"{len(answer['findings'])} findings"
    return f"{name}: {found}, " + ("no score" if score is None else f"suspicion {score:.2f}")
