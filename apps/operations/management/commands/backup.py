"""Back up the whole installation."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from apps.operations.backup import BackupError, back_up, forget_old


class Command(BaseCommand):
    help = (
        "Back up rows, images, networks and training data into a folder, which then holds "
        "patients' data. Only what is new is copied. Exit code 1 when a stored file is damaged."
    )

    def add_arguments(self, parser):
        parser.add_argument("folder", type=Path)
        parser.add_argument("--keep", type=int, default=0, help="remove all but the newest so many")

    def handle(self, *args, folder, keep, **options) -> None:
        if keep < 0:
            raise CommandError("--keep needs a number above 0, or leave it out to keep all.")
        try:
            made, problems = back_up(folder)
        except BackupError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Backed up to {made}. Keep the Secrets too: they are not in it.")
        # A damaged installation keeps its old backups: they may hold what is whole.
        if keep and not problems:
            for name in forget_old(folder, keep):
                self.stdout.write(f"Removed the backup of {name}.")
        if problems:
            raise CommandError("\n".join(["Stored files are damaged:", *problems]))
