"""Make the networks that ship with the program known to the database."""

from django.core.management.base import BaseCommand

from apps.classifier.shipped import register_shipped


class Command(BaseCommand):
    help = "Register the networks that ship with the program; repeating it changes nothing."

    def handle(self, *args, **options) -> None:
        for version in register_shipped():
            version.refresh_from_db()
            self.stdout.write(f"{version}: {version.get_status_display()}")
