"""Delete a patient's studies for good, at somebody's request."""

import sys

from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from apps.accounts.models import Site, User
from apps.accounts.permissions import Permission
from apps.audit.models import Tombstone
from apps.cases.models import Study
from apps.operations.deletion import DeletionRefused, contents_of, delete_study


class Command(BaseCommand):
    help = (
        "Say what deleting a patient's studies would take away; with --delete, do it. Rows, files, "
        "verdicts and reports go for good; a tombstone and the audit trail stay. Backups made "
        "before still hold them until they are removed (backup --keep)."
    )

    def add_arguments(self, parser):
        parser.add_argument("--site", required=True, help="name of the site")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument(
            "--patient",
            help="Patient ID, of which all studies go; - reads it from standard input, so that no "
            "list of processes and no cluster's log shows it",
        )
        which.add_argument("--study", help="Study Instance UID: this one")
        parser.add_argument("--by", required=True, help="e-mail of the admin who is responsible")
        parser.add_argument("--reason", required=True, help="stays: do not name the patient in it")
        parser.add_argument("--delete", action="store_true", help="do it, not only say it")

    def handle(self, *args, site, patient, study, by, reason, delete, **options) -> None:
        patient = sys.stdin.readline().strip() if patient == "-" else patient
        user, studies = _admin(by), list(_studies(site, patient, study))
        if not studies:
            raise CommandError("No study was found. Nothing was deleted.")
        for one in studies:
            self._tell(one)
        if not delete:
            self.stdout.write("Nothing was deleted. With --delete all of this goes for good.")
            return
        for one in studies:
            try:
                stone = delete_study(
                    one, cause=Tombstone.Cause.REQUEST, reason=reason.strip(), user=user
                )
            except DeletionRefused as refused:
                raise CommandError(str(refused)) from refused
            self.stdout.write(f"Deleted. What stays: {stone}, {stone.images} images.")

    def _tell(self, study: Study) -> None:
        contents = contents_of(study)
        self.stdout.write(f"Study of {study.study_date or 'no date'}, {study.case.status}:")
        for name, number in contents.counts.items():
            self.stdout.write(f"  {number:6} {name}")
        for one in contents.training:
            self.stdout.write(
                f"  run {one['run']} learned from {len(one['corrections'])} of its corrections; "
                f"{one['version'] or 'no version came of it'} stays as it is"
            )


def _admin(email: str) -> User:
    user = User.objects.filter(email=email.lower(), is_active=True).first()
    if user is None or not user.can(Permission.MANAGE_MODELS):
        raise CommandError(f"{email} is no active admin.")
    return user


def _studies(site: str, patient: str | None, study: str | None) -> QuerySet[Study]:
    at = Site.objects.filter(name=site).first()
    if at is None:
        names = ", ".join(Site.objects.values_list("name", flat=True))
        raise CommandError(f"There is no site {site}. There are: {names}")
    found = Study.objects.filter(site=at).select_related("patient", "case").order_by("pk")
    return (
        found.filter(patient__patient_id=patient)
        if patient
        else found.filter(study_instance_uid=study)
    )
