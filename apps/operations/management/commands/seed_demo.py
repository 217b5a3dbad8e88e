"""Three people and a few synthetic cases, so that a newcomer without data sees everything."""

from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.http import HttpRequest

from apps.accounts.models import ReadingGroup, Site, User
from apps.accounts.permissions import Role
from apps.cases import storage
from apps.cases.ingest import ingest_instance
from apps.cases.models import Case
from apps.cases.services import send_case
from apps.classifier.services import request_predictions
from apps.operations.samples import SAMPLES, Sample, write_sample

PEOPLE = [
    (Role.LABTECH, "technician@demo.example", "Rosa", "Castillo", "demo-technician"),
    (Role.DOCTOR, "doctor@demo.example", "Maja", "Lindqvist", "demo-doctor-1"),
    (Role.ADMIN, "admin@demo.example", "Tom", "Adeyemi", "demo-admin-01"),
]


class Command(BaseCommand):
    help = "Create the demo's users and sample cases (only with DEMO=1) and print the logins."

    def handle(self, *args, **options) -> None:
        if not settings.DEMO:
            raise CommandError("Demo users have known passwords: they exist only with DEMO=1.")
        site, _ = Site.objects.get_or_create(name="Demo hospital")
        people = [_person(site, *person) for person in PEOPLE]
        group, _ = ReadingGroup.objects.get_or_create(name="Chest readers", site=site)
        group.members.add(people[1])
        for sample in SAMPLES:
            if not Case.objects.filter(study__patient__patient_id=sample.patient_id).exists():
                _receive(sample, people[0])
        for role, email, _first, _last, password in PEOPLE:
            self.stdout.write(f"{role}  {email}  {password}")


def _person(site: Site, role: Role, email: str, first: str, last: str, password: str) -> User:
    known = User.objects.filter(email=email).first()
    return known or User.objects.create_user(
        email, password, role=role, site=site, first_name=first, last_name=last
    )


def _receive(sample: Sample, technician: User) -> None:
    """Take a sample in by the same way that an upload goes."""
    with TemporaryDirectory() as folder:
        for path in write_sample(sample, Path(folder)):
            received = ingest_instance(storage.take_in(path), site=technician.site, user=technician)
    if sample.question:
        _send(received.case, sample, technician)


@transaction.atomic
def _send(case: Case, sample: Sample, technician: User) -> None:
    request = HttpRequest()
    request.user = technician
    send_case(
        case,
        request=request,
        revision=case.revision,
        clinical_question=sample.question,
        priority=sample.priority,
    )
    request_predictions(case)
