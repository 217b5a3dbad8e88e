"""A patient's name and numbers stay in the database, on the pages and in the files: not in
addresses, logs, warnings, audit details, messages or error pages.
"""

import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
import requests
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client

from apps.accounts.tests.factories import PASSWORD
from apps.audit.models import AuditEvent
from apps.cases import storage
from apps.cases.models import Case, CaseEvent, Patient
from apps.cases.tests.factories import make_case, write_dicom
from apps.classifier.models import Prediction
from apps.classifier.prediction import run_prediction
from apps.classifier.tests.factories import make_prediction
from apps.labtech import views as labtech_views
from cancerprediction.logs import DiscreetFormatter
from tests.people import People, logged_in
from tests.system import System, eventually

PATIENT = {
    "patient_name": "ZZYZX^Quentin",
    "patient_id": "QX-77Z13",
    "accession_number": "AC-77Z13",
}
SECRET = re.compile(r"zzyzx|quentin|77z13", re.IGNORECASE)


@pytest.fixture
def told(caplog) -> Iterator[list[str]]:
    """Whatever is logged or warned of while the test runs."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield said
        said += [str(one.message) for one in warned]
        formatter = DiscreetFormatter()
        said += [formatter.format(one) for one in caplog.records]
        assert [line for line in said if SECRET.search(line)] == []


@pytest.fixture
def ct_file(tmp_path: Path) -> Path:
    return write_dicom(tmp_path, **PATIENT)[0]


def upload(client: Client, path: Path) -> dict:
    with path.open("rb") as stream:
        return client.post("/api/v1/uploads/", {"file": stream}).json()


def addresses_in(page: str) -> list[str]:
    return re.findall(r'(?:href|src|action|hx-\w+|data-(?:href|url|\w+-url))="([^"]*)"', page)


def test_the_patient_is_found_by_this_search():
    assert all(SECRET.search(value) for value in PATIENT.values())


def test_a_whole_day_leaves_no_name_behind(people: People, told, ct_file: Path):
    technician, doctor = logged_in(people.technician), logged_in(people.owner)
    case = upload(technician, ct_file)["case"]
    pages = [technician.get(case["url"])]
    technician.post("/labtech/search/", {"words": "ZZYZX"})
    pages.append(technician.get("/labtech/?tab=drafts"))
    own = f"/api/v1/cases/{case['public_id']}"
    sent = {"revision": 1, "clinical_question": "ZZYZX: nodule?"}
    assert technician.post(f"{own}/send/", sent, "application/json").status_code == 200
    doctor.post("/doctor/search/", {"search": "77Z13"})
    pages.append(doctor.get("/doctor/"))
    pages.append(doctor.get(f"/doctor/cases/{case['public_id']}/"))
    doctor.post(f"{own}/claim/")
    verdict = {"revision": 3, "cancer": "no", "text": "Quentin ZZYZX is well."}
    assert doctor.post(f"{own}/verdicts/", verdict, "application/json").status_code == 201
    stranger = logged_in(people.stranger)
    broken = {"number": "QX-77Z13", "reason": "Quentin is bleeding"}
    assert stranger.post("/api/v1/break-glass/", broken, "application/json").status_code == 201
    pages.append(stranger.get(f"/doctor/cases/{case['public_id']}/"))
    pages.append(logged_in(people.admin).get("/operations/"))
    for page in pages:
        assert page.status_code == 200
        addresses = addresses_in(page.content.decode())
        assert [one for one in addresses if SECRET.search(one)] == []
    assert any(SECRET.search(page.content.decode()) for page in pages)
    assert AuditEvent.objects.count() > 8
    for row in AuditEvent.objects.values():
        assert not SECRET.search(str(row))


@pytest.mark.parametrize(
    "element",
    [
        ("PatientID", "QX-77Z13" * 20),
        ("PatientID", "QX\\77Z13"),
        ("PatientName", "ZZYZX^" * 40),
        ("PatientBirthDate", "77Z13"),
        ("PatientAge", "ZZYZX"),
        ("StudyInstanceUID", "1.2.77Z13"),
        ("AccessionNumber", "AC-77Z13" * 9),
        ("PatientSex", "QUENTIN-QUENTIN-QUENTIN"),
    ],
    ids=lambda element: f"{element[0]}-{len(element[1])}",
)
def test_a_file_with_malformed_values_is_not_quoted_in_the_log(
    people: People, told, ct_file: Path, element
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mode = pydicom.config.settings.writing_validation_mode
        pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
        dataset = pydicom.dcmread(ct_file)
        setattr(dataset, *element)
        dataset.save_as(ct_file)
        pydicom.config.settings.writing_validation_mode = mode
    answer = upload(logged_in(people.technician), ct_file)
    assert answer["outcome"] in {"received", "refused"}


def test_a_refused_file_is_noted_without_its_name(people: People, told, tmp_path: Path):
    path = tmp_path / "ZZYZX Quentin QX-77Z13.dcm"
    path.write_text("This is about Quentin ZZYZX.")
    assert upload(logged_in(people.technician), path)["outcome"] == "refused"
    (event,) = AuditEvent.objects.filter(action=AuditEvent.Action.UPLOAD_REFUSED)
    assert not SECRET.search(str(event.details))


def test_an_error_on_our_side_shows_a_page_without_the_patient(
    people: People, monkeypatch, ct_file: Path
):
    def fail(*args: object) -> None:
        raise RuntimeError("something broke")

    client = logged_in(people.technician)
    url = upload(client, ct_file)["case"]["url"]
    client.raise_request_exception = False
    monkeypatch.setattr(labtech_views, "checks_of", fail)
    page = client.get(url)
    assert page.status_code == 500
    assert "Something went wrong on our side" in page.content.decode()
    assert not SECRET.search(page.content.decode())
    assert "Traceback" not in page.content.decode()


@pytest.mark.parametrize("person", ["foreign_technician", "stranger", "admin"])
def test_who_may_not_see_a_case_is_told_nothing_of_it(people: People, told, person):
    case = make_case(people.home, status="sent", **PATIENT)
    client = logged_in(getattr(people, person))
    for path in (
        f"/labtech/cases/{case.public_id}/",
        f"/doctor/cases/{case.public_id}/",
        f"/api/v1/cases/{case.public_id}/",
        f"/api/v1/cases/{case.public_id}/verdicts/",
    ):
        page = client.get(path)
        assert page.status_code in {403, 404}
        assert not SECRET.search(page.content.decode())


def test_a_row_that_the_database_refuses_is_not_quoted_in_the_log(people: People, caplog):
    values = {"site": people.home, "patient_id": PATIENT["patient_id"]}
    Patient.objects.create(**values)
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        Patient.objects.create(**values)
    assert SECRET.search(str(refused.value)), "PostgreSQL quotes the row, so the log must not"
    logging.getLogger("apps.cases").error("refused", exc_info=refused.value)
    line = DiscreetFormatter().format(caplog.records[-1])
    assert "IntegrityError" in line
    assert not SECRET.search(line)


def test_a_prediction_that_fails_says_so_without_the_patient(people: People, told):
    case = make_case(people.home, status="sent", **PATIENT)
    prediction = make_prediction(case, status="queued")
    storage.path_of(case.study.series.get().instances.get()).unlink()
    run_prediction(prediction.pk)
    prediction.refresh_from_db()
    assert prediction.status == Prediction.Status.FAILED
    assert not SECRET.search(prediction.reason)


@pytest.mark.timeout(240)
def test_no_process_of_the_running_system_writes_the_patient_into_its_log(
    running_system: System, people: People, ct_file: Path
):
    call_command("load_models", verbosity=0)
    base = running_system.base_url
    technician = session(base, people.technician.email)
    with ct_file.open("rb") as stream:
        case = technician.post(f"{base}/api/v1/uploads/", files={"file": stream}).json()["case"]
    own = f"{base}/api/v1/cases/{case['public_id']}"
    sent = technician.post(f"{own}/send/", json={"revision": 1, "note": "Quentin was restless"})
    assert sent.status_code == 200
    finished = Prediction.objects.exclude(status__in=["queued", "running"])
    eventually(finished.exists, seconds=60, what="the prediction")
    doctor = session(base, people.owner.email)
    assert doctor.get(f"{base}/doctor/cases/{case['public_id']}/").status_code == 200
    assert doctor.get(f"{base}/doctor/cases/ZZYZX/").status_code == 404
    assert CaseEvent.objects.filter(case=Case.objects.get()).exists()
    for name in running_system.processes:
        lines = running_system.log(name).splitlines()
        # The address with the name was typed by hand; our own pages hold none.
        said = [line for line in lines if SECRET.search(line) and "/cases/ZZYZX/" not in line]
        assert said == [], name


def session(base: str, email: str) -> requests.Session:
    """A browser without scripts, logged in, that sends the CSRF token with every request."""
    opened = requests.Session()
    opened.get(f"{base}/accounts/login/")
    form = {
        "login": email,
        "password": PASSWORD,
        "csrfmiddlewaretoken": opened.cookies["csrftoken"],
    }
    opened.post(f"{base}/accounts/login/", data=form, headers={"Referer": base})
    opened.headers.update({"X-CSRFToken": opened.cookies["csrftoken"], "Referer": base})
    return opened
