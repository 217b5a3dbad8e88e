"""Write the model cards of the shipped networks anew."""

from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from apps.classifier.cnn.card_files import write_card, write_cards
from apps.classifier.cnn.contrast import CONTRAST, with_sha256
from apps.classifier.shipped import SHIPPED_DIR


class Command(BaseCommand):
    help = "Write card and pictures of every network from the metadata beside its weights."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--weights", type=Path, default=SHIPPED_DIR)
        parser.add_argument("--out", type=Path, default=settings.BASE_DIR / "docs" / "models")

    def handle(self, *args, weights: Path, out: Path, **options) -> None:
        for path in [*write_cards(weights, out), write_card(with_sha256(CONTRAST), out)]:
            self.stdout.write(str(path))
