"""Delete what the sites' retention rules say."""

from django.core.management.base import BaseCommand, CommandError

from apps.accounts.models import Site
from apps.audit.models import Tombstone
from apps.cases.models import Study
from apps.operations.deletion import DeletionRefused, delete_study, due


class Command(BaseCommand):
    help = (
        "Count the studies whose time is over by their site's rule (Django admin, Sites); with "
        "--delete, delete them. Once a day is enough. Exit code 1 when one could not be deleted."
    )

    def add_arguments(self, parser):
        parser.add_argument("--delete", action="store_true", help="do it, not only count")

    def handle(self, *args, delete, **options) -> None:
        left = []
        for site in Site.objects.exclude(retention_days=None):
            studies = list(due(site))
            kept = [words for one in studies if (words := _delete(site, one))] if delete else []
            done = "deleted" if delete else "would be deleted"
            self.stdout.write(f"{site}: {len(studies) - len(kept)} studies {done}.")
            left += kept
        if left:
            raise CommandError("\n".join(left))


def _delete(site: Site, study: Study) -> str:
    """Delete it; else why not."""
    try:
        delete_study(
            study,
            cause=Tombstone.Cause.RETENTION,
            reason=f"{site.retention_days} days after the last event",
            actor="retention rule",
        )
    except DeletionRefused as refused:
        return f"Study {study.pk}: {refused}"
    return ""
