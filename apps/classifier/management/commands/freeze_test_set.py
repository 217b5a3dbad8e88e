"""Say which global test set every candidate is measured on; the first training does it too."""

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.classifier.models import FrozenTestSet
from apps.classifier.training_base import (
    NoFrozenTestSet,
    freeze_test_set,
    hash_of_items,
    read_base,
)


class Command(BaseCommand):
    help = "Freeze the base's test side as the global test set of this installation."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--replace", metavar="NOTE", help="why another set takes its place")

    def handle(self, *args, replace: str | None, **options) -> None:
        try:
            _, test = read_base()
        except NoFrozenTestSet as problem:
            raise CommandError(str(problem)) from problem
        frozen = FrozenTestSet.objects.first()
        if frozen and frozen.sha256 == hash_of_items(test):
            self.stdout.write(f"{frozen} is frozen already.")
            return
        if frozen and not replace:
            raise CommandError(f"{frozen} is another one; --replace NOTE puts this in its place.")
        made = freeze_test_set(test, note=replace or "")
        record(AuditEvent.Action.ADMIN_CHANGED, actor="command line", target=made, note=made.note)
        self.stdout.write(f"{made}, {made.items} items: {made.sha256}")
