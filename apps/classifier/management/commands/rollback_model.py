"""Back to the version that was active before, from the command line."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.classifier.activation import rollback
from apps.classifier.labels import LearningConflict
from apps.classifier.models import ModelVersion


class Command(BaseCommand):
    help = "Activate the version of TASK that was active before."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("task", choices=ModelVersion.Task.values)
        parser.add_argument("--note", default="", help="why, for the history")

    def handle(self, *args, task: str, note: str, **options) -> None:
        try:
            version = rollback(task, request=None, note=note)
        except LearningConflict as conflict:
            raise CommandError(conflict.message) from conflict
        self.stdout.write(f"{version} is active again.")
