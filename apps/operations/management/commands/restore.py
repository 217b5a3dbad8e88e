"""Put a backup into an empty installation."""

from pathlib import Path

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from apps.operations.backup import BackupError, restore


class Command(BaseCommand):
    help = "Restore one backup (the folder with manifest.json) into an empty installation."

    def add_arguments(self, parser):
        parser.add_argument("folder", type=Path)

    def handle(self, *args, folder, **options) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        try:
            left = restore(folder)
        except (BackupError, FileNotFoundError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write("Restored. Everybody logs in again.")
        if left:
            raise CommandError("\n".join(left))
