"""Try database, broker, storage, networks and mail."""

from django.core.management.base import BaseCommand, CommandError

from cancerprediction.self_test import self_test


class Command(BaseCommand):
    help = (
        "Try database, broker, storage, networks and mail, one line each. Nothing that is tried "
        "stays. Exit code 1 when a part does not work."
    )

    def add_arguments(self, parser):
        parser.add_argument("--mail-to", default="", help="also send a mail to this address")

    def handle(self, *args, mail_to, **options) -> None:
        broken = []
        for outcome in self_test(mail_to):
            state = "ok" if outcome.works else "FAILED"
            self.stdout.write(f"{state:8}{outcome.part:10}{outcome.words}")
            if not outcome.works:
                broken.append(outcome.part)
        if broken:
            raise CommandError(f"Does not work: {', '.join(broken)}.")
