"""Make a version the active one, from the command line."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.classifier.activation import activate
from apps.classifier.labels import LearningConflict
from apps.classifier.models import ModelVersion


class Command(BaseCommand):
    help = "Activate version NUMBER of TASK, if the gate permits it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("task", choices=ModelVersion.Task.values)
        parser.add_argument("number", type=int)
        parser.add_argument("--note", default="", help="why, for the history")

    def handle(self, *args, task: str, number: int, note: str, **options) -> None:
        version = ModelVersion.objects.filter(task=task, number=number).first()
        if version is None:
            raise CommandError(f"There is no {task}-v{number}.")
        try:
            activate(version, request=None, note=note)
        except LearningConflict as conflict:
            raise CommandError(conflict.message) from conflict
        self.stdout.write(f"{version} is active.")
