"""Describe a folder of CT slices or nodule crops: a report with pictures."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from apps.classifier.cnn.datasets import DatasetError
from apps.classifier.cnn.description_report import describe


class Command(BaseCommand):
    help = "Write a report with pictures on the CT files or nodule crops in DIR into --out."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("directory", type=Path, metavar="DIR")
        parser.add_argument("--out", type=Path, required=True, help="folder, made if needed")

    def handle(self, *args, directory: Path, out: Path, **options) -> None:
        if not directory.is_dir():
            raise CommandError(f"There is no folder {directory}.")
        if out.resolve().is_relative_to(directory.resolve()):
            raise CommandError("The report must lie outside the data: name another --out.")
        try:
            self.stdout.write(str(describe(directory, out, _watched)))
        except (DatasetError, OSError, UnicodeDecodeError) as problem:
            raise CommandError(str(problem)) from problem


def _watched(items: Sequence[Any]) -> Iterable[Any]:
    return tqdm(items, unit="item", disable=not sys.stderr.isatty())
