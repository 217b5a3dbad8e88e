"""A synthetic training base, so that the loop can be tried without anybody's data."""

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.classifier.cnn.datasets import nodule_roots
from apps.classifier.cnn.phantom_base import phantom_base


class Command(BaseCommand):
    help = "Fill TRAINING_DATA_DIR with synthetic nodules, unless it holds a base already."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--patients", type=int, default=64)
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, *args, patients: int, seed: int, **options) -> None:
        folder = settings.TRAINING_DATA_DIR
        folder.mkdir(parents=True, exist_ok=True)
        if nodule_roots(folder):
            self.stdout.write("There is a training base already; nothing was changed.")
            return
        phantom_base(folder / "phantom", patients=patients, seed=seed)
        self.stdout.write(f"Wrote a synthetic base of {patients} patients, two nodules each.")
