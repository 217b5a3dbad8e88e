"""How long a technician's slice takes to become an answer for the doctor, and what web costs.

`make test-long ARGS="-k speed -s"` prints the figures that docs/benchmarks.md quotes.
"""

import sys
import time
from pathlib import Path

import psutil
import pytest
from django.core.management import call_command
from playwright.sync_api import APIResponse, Browser, Page, expect

from apps.imaging.phantom import Nodule, PhantomSpec, chest_phantom, write_series
from tests.people import People, log_in
from tests.system import System

pytestmark = [pytest.mark.long, pytest.mark.browser]
ROUNDS = 5
MEGABYTE = 1024 * 1024


def test_speed_from_upload_to_the_answer_on_the_doctors_screen(
    running_system: System,
    people: People,
    browser: Browser,
    tmp_path: Path,
) -> None:
    call_command("load_models", verbosity=0)
    technician = log_in(browser, running_system.base_url, people.technician.email)
    doctor = log_in(browser, running_system.base_url, people.owner.email)
    times = [
        _upload_to_answer(technician, doctor, running_system, _slice(tmp_path, number))
        for number in range(ROUNDS)
    ]
    resident = _web_resident(running_system)
    sys.stdout.write(f"\nupload to visible answer, s: first {times[0]}, then {times[1:]}")
    sys.stdout.write(f"\nresident memory of the web processes, MB: {resident}\n")
    assert max(times[1:]) < 3.0
    assert max(resident) < 200


def _slice(folder: Path, number: int) -> Path:
    spec = PhantomSpec(seed=number, slices=1, nodules=(Nodule((-75.0, -20.0, 0.0), 19.0),))
    patient = f"SPEED-{number}"
    return write_series(chest_phantom(spec), folder / patient, patient_id=patient)[0]


def _upload_to_answer(technician: Page, doctor: Page, system: System, path: Path) -> float:
    began = time.perf_counter()
    file = {"name": path.name, "mimeType": "application/dicom", "buffer": path.read_bytes()}
    case = _post(technician, system, "uploads/", multipart={"file": file}).json()["case"]
    _post(technician, system, f"cases/{case['public_id']}/send/", data={"revision": 1})
    doctor.goto(f"{system.base_url}/doctor/cases/{case['public_id']}/")
    expect(doctor.locator("#ai-facts")).to_contain_text("Answered in", timeout=20_000)
    return round(time.perf_counter() - began, 2)


def _post(page: Page, system: System, address: str, **body: object) -> APIResponse:
    token = page.locator("meta[name=csrf-token]").get_attribute("content")
    answer = page.request.post(
        f"{system.base_url}/api/v1/{address}", headers={"X-CSRFToken": token}, **body
    )
    assert answer.ok, answer.text()
    return answer


def _web_resident(system: System) -> list[int]:
    web = psutil.Process(system.processes["web"].pid)
    return [process.memory_info().rss // MEGABYTE for process in [web, *web.children()]]
