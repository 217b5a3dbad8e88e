"""Take in files from folders of the server, as an upload would."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from apps.accounts.models import Site, User
from apps.accounts.permissions import Permission
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases import storage
from apps.cases.archives import ingest_zip, is_zip
from apps.cases.ingest import Answer, ingest_instance
from apps.imaging.refusal import Refusal


class Command(BaseCommand):
    help = "Receive DICOM files from folders and ZIPs: each is received, already known, or refused."

    def add_arguments(self, parser):
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--user", required=True, help="E-mail of the technician who receives.")
        parser.add_argument("--site", help="Name of the site; the technician's own unless given.")

    def handle(self, *args, paths, user, site, **options) -> None:
        technician = _technician(user)
        at = _site(site) if site else technician.site
        files = [file for path in paths for file in _files(path)]
        if not files:
            raise CommandError("There are no files in what you named.")
        outcomes: Counter = Counter()
        for file in tqdm(files, unit="file", disable=not sys.stderr.isatty()):
            try:
                for name, outcome in _outcomes(file, at, technician):
                    outcomes[outcome] += 1
                    if outcome not in {"received", "already known"}:
                        self.stdout.write(f"refused  {name}  {outcome}")
            except storage.DiskNearlyFull as full:
                self._summary(outcomes)
                raise CommandError(f"Stopped at {file}: {full.message}") from full
        self._summary(outcomes)

    def _summary(self, outcomes: Counter) -> None:
        refused = outcomes.total() - outcomes["received"] - outcomes["already known"]
        self.stdout.write(
            f"{outcomes['received']} received, {outcomes['already known']} already known, "
            f"{refused} refused"
        )


def _technician(email: str) -> User:
    found = User.objects.filter(email=email.lower()).select_related("site").first()
    if found is None or not found.can(Permission.UPLOAD):
        raise CommandError(f"Nobody with the e-mail {email} may upload.")
    return found


def _site(name: str) -> Site:
    found = Site.objects.filter(name=name).first()
    if found is None:
        raise CommandError(f"There is no site called {name}.")
    return found


def _files(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise CommandError(f"{path} does not exist.")
    if path.is_file():
        yield path
        return
    yield from (one for one in sorted(path.rglob("*")) if one.is_file())


def _outcomes(file: Path, site: Site, technician: User) -> Iterator[tuple[str, str]]:
    """Name and outcome of a file, or of every file in a ZIP."""
    if not is_zip(file):
        yield str(file), _receive(storage.take_in(file), site, technician)
        return
    try:
        for name, answer in ingest_zip(file, site=site, user=technician):
            yield f"{file}/{name}", _outcome(answer, site, technician)
    except Refusal as refusal:
        yield str(file), _outcome(refusal, site, technician)


def _receive(incoming: Path, site: Site, technician: User) -> str:
    try:
        return _outcome(ingest_instance(incoming, site=site, user=technician), site, technician)
    except Refusal as refusal:
        return _outcome(refusal, site, technician)


def _outcome(answer: Answer, site: Site, technician: User) -> str:
    if isinstance(answer, Refusal):
        record(AuditEvent.Action.UPLOAD_REFUSED, user=technician, site_pk=site.pk, code=answer.code)
        return answer.message
    return "received" if answer.new else "already known"
