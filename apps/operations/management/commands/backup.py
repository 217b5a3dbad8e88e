"""Back up the whole installation."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from apps.operations.backup import BackupError, back_up


class Command(BaseCommand):
    help = (
        "Back up rows, images, networks and training data into a folder, which then holds "
        "patients' data. Only what is new is copied. Exit code 1 when a stored file is damaged."
    )

    def add_arguments(self, parser):
        parser.add_argument("folder", type=Path)

    def handle(self, *args, folder, **options) -> None:
        try:
            made, problems = back_up(folder)
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Backed up to {made}. Keep the Secrets too: they are not in it.")
        if problems:
            raise CommandError("\n".join(["Stored files are damaged:", *problems]))
