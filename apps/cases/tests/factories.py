"""Cases for tests, taken in the way that an upload goes: small phantoms through ingest."""

from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from apps.accounts.models import Site, User
from apps.accounts.permissions import Role
from apps.accounts.tests.factories import make_site, make_user, request_of
from apps.cases import services, storage
from apps.cases.ingest import Received, ingest_instance
from apps.cases.models import Case, Instance, Measurement
from apps.imaging.phantom import (
    Phantom,
    PhantomSpec,
    abdomen_phantom,
    chest_phantom,
    head_phantom,
    write_series,
)

_BUILDERS: dict[str, Callable[[PhantomSpec], Phantom]] = {
    "chest": chest_phantom,
    "abdomen": abdomen_phantom,
    "head": head_phantom,
}
_numbers = count(1)
Status = Case.Status


@cache
def small_phantom(kind: str = "chest", slices: int = 1, matrix: int = 64) -> Phantom:
    """A phantom of few pixels, built once per test run."""
    return _BUILDERS[kind](PhantomSpec(slices=slices, matrix=matrix, slice_spacing=10.0))


def write_dicom(folder: Path, *, phantom: Phantom | None = None, **facts: Any) -> list[Path]:
    """Files of a small series; without a patient ID, of a patient never seen before."""
    facts.setdefault("patient_id", f"P-{next(_numbers):06d}")
    return write_series(phantom or small_phantom(), folder, **facts)


def receive(*paths: Path, site: Site, user: User | None = None) -> list[Received]:
    """Take files in, as an upload does; the files themselves stay."""
    return [ingest_instance(storage.take_in(path), site=site, user=user) for path in paths]


def make_case(
    site: Site | None = None,
    *,
    status: str = Status.DRAFT,
    technician: User | None = None,
    doctor: User | None = None,
    slices: int = 1,
    series: int = 1,
    phantom: Phantom | None = None,
    patient_id: str = "",
    patient_name: str = "PHANTOM^Ada",
    accession_number: str = "",
    **sending: Any,
) -> Case:
    """A case in the given state, with its events, files and (when reported) verdict and report.

    `technician` uploads and sends it; `doctor` claims it, reports it or returns it, and is made
    up where needed. `sending` is what send_case takes: receiver, receiver_group, priority,
    clinical_question, note. Without a receiver the case is in the site's pool.
    """
    site = site or (technician.site if technician else make_site("Main site"))
    technician = technician or _technician_of(site)
    facts = {
        "patient_id": patient_id or f"P-{next(_numbers):06d}",
        "patient_name": patient_name,
        "accession_number": accession_number,
    }
    with TemporaryDirectory() as folder:
        for number in range(1, series + 1):
            paths = write_series(
                phantom or small_phantom(slices=slices), Path(folder), series_number=number, **facts
            )
            received = receive(*paths, site=site, user=technician)
    case = received[-1].case
    move_case(case, status, technician=technician, doctor=doctor, **sending)
    return case


def make_measurement(instance: Instance, author: User, **fields: Any) -> Measurement:
    """A length of ten pixels in the first row."""
    row = {"kind": "length", "points": [[0, 0], [0, 10]], "values": {"unit": "mm", "length": 7.0}}
    return Measurement.objects.create(instance=instance, author=author, **row | fields)


def move_case(
    case: Case, status: str, *, technician: User, doctor: User | None = None, **sending: Any
) -> None:
    """Bring a draft to a state by the steps that people take."""
    if status == Status.DRAFT:
        return
    by_technician = {"request": request_of(technician), "revision": case.revision}
    if status == Status.WITHDRAWN:
        services.withdraw_case(case, reason="wrong patient", **by_technician)
        return
    services.send_case(case, **by_technician, **sending)
    if status == Status.SENT:
        return
    doctor = doctor or sending.get("receiver") or make_user(Role.DOCTOR, site=case.site)
    services.claim_case(case, request=request_of(doctor))
    by_doctor = {"request": request_of(doctor), "revision": case.revision}
    if status == Status.RETURNED:
        services.return_case(case, reason="blurred by breathing", **by_doctor)
    elif status == Status.REPORTED:
        services.record_verdict(
            case, cancer="no", diagnoses=["Granuloma"], text="", report_body="Signed.", **by_doctor
        )


def _technician_of(site: Site) -> User:
    known = User.objects.filter(site=site, role=Role.LABTECH, is_active=True).first()
    return known or make_user(Role.LABTECH, site=site)
