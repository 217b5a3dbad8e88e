"""A technician's browser, and files of every kind that an upload must answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from pydicom import dcmread

from apps.cases.tests.factories import write_dicom
from tests.people import People, logged_in


@pytest.fixture(autouse=True)
def own_storage(settings: Any, tmp_path: Path) -> None:
    settings.STORAGE_DIR = tmp_path / "stored"


@pytest.fixture
def client(people: People) -> Client:
    return logged_in(people.technician)


@pytest.fixture
def upload(client: Client) -> Callable[..., HttpResponse]:
    """Send one file (a path, or bytes with a name) as the upload page does."""

    def send(file: Path | bytes, name: str = "") -> HttpResponse:
        content = file if isinstance(file, bytes) else file.read_bytes()
        named = name or (file.name if isinstance(file, Path) else "slice.dcm")
        return client.post("/api/v1/uploads/", {"file": SimpleUploadedFile(named, content)})

    return send


@pytest.fixture
def ct_file(tmp_path: Path) -> Path:
    """One valid CT file of a new patient."""
    return write_dicom(tmp_path)[0]


@pytest.fixture
def edited(ct_file: Path, tmp_path: Path) -> Callable[..., bytes]:
    """The CT file's bytes with attributes set, or (None) deleted."""

    def edit(**changes: Any) -> bytes:
        dataset = dcmread(ct_file)
        for keyword, value in changes.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        target = tmp_path / "edited.dcm"
        dataset.save_as(target)
        return target.read_bytes()

    return edit
