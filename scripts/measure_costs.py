"""What one case costs: processor seconds, megabytes and rows, from the files to the verdict.

    python -m scripts.measure_costs [cases [slices]]

The program's own functions, called as its pages and workers call them, on a phantom and a durable
PostgreSQL of this run's. Not in the figures: HTTP of the upload and the browser. Prints one JSON
object, and what it means for more hospitals (docs/scaling.md explains the assumptions).
"""

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

CASES, SLICES = 2, 300
# Assumed, not measured: of each hospital.
CASES_A_DAY, DAYS_A_YEAR, BUSIEST_HOUR = 50, 250, 0.2
LOOKS = 2  # technician and doctor each fetch every slice once
# So full may processors be in the busiest hour, that a wait stays short.
WORKERS_BUSY, OTHERS_BUSY = 0.7, 0.5
_MEGABYTE = 1e6


def main(cases: int, slices: int) -> None:
    """Take cases through every step; the first, of a few slices, only warms up."""
    with tempfile.TemporaryDirectory() as folder:
        _start(Path(folder))
        _one_case(Path(folder), "WARM", 4)
        before, small = _database(), _size(Path(folder))
        done = [_one_case(Path(folder), f"COST-{number}", slices) for number in range(cases)]
        after, files = _database(), _size(Path(folder)) - small
        report = {
            "cases": cases,
            "slices": slices,
            "processor_seconds": {
                step: round(sum(one[step] for one in done) / cases, 2) for step in done[0]
            },
            "files_megabytes": round(files / cases / _MEGABYTE, 1),
            "database": {
                name: round((after[name] - before[name]) / cases, 2)
                for name in ("rows", "megabytes")
            },
            "postgres_processor_seconds": round((after["cpu"] - before["cpu"]) / cases, 2),
            "largest_resident_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            // 1024,
        }
    print(json.dumps(report, indent=2))
    for hospitals in (10, 100, 1000):
        print(hospitals, "hospitals:", json.dumps(needs(report, hospitals)))


def needs(report: dict[str, Any], hospitals: int) -> dict[str, float]:
    """Processors in the busiest hour, and what a year adds."""
    a_second = hospitals * CASES_A_DAY * BUSIEST_HOUR / 3600
    a_year = hospitals * CASES_A_DAY * DAYS_A_YEAR
    spent = report["processor_seconds"]
    web = spent["receive"] + spent["send"] + LOOKS * spent["fetch_every_slice"] + spent["verdict"]
    return {
        "cases_in_the_busiest_hour": round(a_second * 3600),
        "worker_processors": round(a_second * spent["predict"] / WORKERS_BUSY, 1),
        "web_processors": round(a_second * web / OTHERS_BUSY, 1),
        "database_processors": round(
            a_second * report["postgres_processor_seconds"] / OTHERS_BUSY, 1
        ),
        "megabytes_received_a_second": round(a_second * report["files_megabytes"], 1),
        "terabytes_of_files_a_year": round(a_year * report["files_megabytes"] / 1e6, 1),
        "million_rows_a_year": round(a_year * report["database"]["rows"] / 1e6, 1),
        "gigabytes_of_database_a_year": round(a_year * report["database"]["megabytes"] / 1e3, 1),
    }


def _start(folder: Path) -> None:
    """Servers, an empty installation and the shipped networks."""
    from tests.services import start_broker, start_postgres

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "cancerprediction.settings",
        "DATABASE_URL": start_postgres(durable=True).removesuffix("tests") + "postgres",
        "BROKER_URL": start_broker(),
        "VAR_DIR": str(folder / "var"),
        "SECRET_KEY": "only-for-a-measurement",
        "DEBUG": "0",
        "SSL_REDIRECT": "0",
        "ALLOWED_HOSTS": "testserver",
        "LOG_LEVEL": "WARNING",
    }
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from apps.classifier.shipped import register_shipped

    register_shipped()


def _one_case(folder: Path, patient: str, slices: int) -> dict[str, float]:
    """Processor seconds of each step of a case with a nodule."""
    from apps.accounts.models import User
    from apps.accounts.permissions import Role
    from apps.accounts.tests.factories import make_site, make_user, request_of
    from apps.cases import services
    from apps.classifier.models import Prediction
    from apps.classifier.prediction import run_prediction
    from apps.classifier.services import request_predictions

    technician = User.objects.filter(role=Role.LABTECH).first() or make_user(
        Role.LABTECH, site=make_site("Costs")
    )
    doctor = make_user(Role.DOCTOR, site=technician.site)
    paths = _files(folder / patient, patient, slices)
    spent: dict[str, float] = {}
    with _timed(spent, "receive"):
        case = _receive(paths, technician)
    with _timed(spent, "send"):
        services.send_case(case, request=request_of(technician), revision=case.revision)
        (prediction,) = request_predictions(case)
    with _timed(spent, "predict"):
        run_prediction(prediction.pk)
    prediction.refresh_from_db()
    if slices > 100 and prediction.status != Prediction.Status.DONE:
        raise SystemExit(f"The prediction is {prediction.status}: {prediction.reason}")
    services.claim_case(case, request=request_of(doctor))
    with _timed(spent, "fetch_every_slice"):
        _look(case, doctor)
    with _timed(spent, "verdict"):
        _sign(case, doctor)
    return spent


def _files(folder: Path, patient: str, slices: int) -> list[Path]:
    from apps.imaging.phantom import Nodule, PhantomSpec, chest_phantom, write_series

    nodule = Nodule(center=(-85.0, -20.0, 5.0), diameter_mm=14.0)
    spec = PhantomSpec(slices=slices, slice_spacing=1.0, nodules=(nodule,))
    return write_series(chest_phantom(spec), folder, patient_id=patient)


def _receive(paths: list[Path], technician: Any) -> Any:
    """Fifty files at once, as the page sends them."""
    from apps.cases import storage
    from apps.cases.ingest import ingest_files

    for at in range(0, len(paths), 50):
        incoming = [storage.take_in(path) for path in paths[at : at + 50]]
        answers = ingest_files(incoming, site=technician.site, user=technician)
    for path in paths:
        path.unlink()
    return answers[-1].case


def _look(case: Any, doctor: Any) -> None:
    """The Hounsfield units of every slice once, as the viewer fetches them."""
    from django.test import Client
    from django.urls import reverse

    from apps.cases.models import Instance

    browser = Client(headers={"accept-encoding": "gzip"})
    browser.force_login(doctor)
    for instance in Instance.objects.filter(series__study__case=case):
        answer = browser.get(reverse("instance_hu", args=[instance.public_id]))
        if answer.status_code != 200:
            raise SystemExit(f"A slice was answered by {answer.status_code}.")


def _sign(case: Any, doctor: Any) -> None:
    from apps.accounts.tests.factories import request_of
    from apps.cases import services

    case.refresh_from_db()
    services.record_verdict(
        case,
        request=request_of(doctor),
        revision=case.revision,
        cancer="no",
        diagnoses=["Granuloma"],
        text="",
        report_body="Signed.",
    )


@contextmanager
def _timed(spent: dict[str, float], step: str) -> Iterator[None]:
    """Processor time of this process and all of its threads."""
    began = time.process_time()
    yield
    spent[step] = time.process_time() - began


def _database() -> dict[str, float]:
    """Rows and megabytes of all tables with their indexes; processor seconds of the server."""
    from django.apps import apps
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), pg_database_size(current_database())")
        backend, size = cursor.fetchone()
    rows = sum(
        model._base_manager.count()
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy
    )
    return {"rows": rows, "megabytes": size / _MEGABYTE, "cpu": _cpu_of_server(backend)}


def _cpu_of_server(backend: int) -> float:
    """Of PostgreSQL's every process, those that ended among them."""
    server = psutil.Process(backend).parent()
    ended = server.cpu_times()
    running = [one.cpu_times() for one in [server, *server.children()]]
    return (
        sum(times.user + times.system for times in running)
        + ended.children_user
        + ended.children_system
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "var" / "dicom").rglob("*.dcm"))


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:3]]
    main(*(given + [CASES, SLICES][len(given) :]))
