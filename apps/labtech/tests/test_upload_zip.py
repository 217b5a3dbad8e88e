"""A ZIP is answered file by file, or refused as a whole in plain words."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.audit.models import AuditEvent
from apps.cases import archives, storage
from apps.cases.models import Case, Instance
from apps.cases.tests.factories import small_phantom, write_dicom

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(tmp_path) -> list[Path]:
    return write_dicom(tmp_path, phantom=small_phantom(slices=3))


@pytest.fixture
def send(client):
    def post(content: bytes, name: str = "study.zip"):
        return client.post("/api/v1/uploads/zip/", {"file": SimpleUploadedFile(name, content)})

    return post


def packed(files: dict[str, bytes]) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def contents(paths: list[Path]) -> dict[str, bytes]:
    return {f"CT/{path.name}": path.read_bytes() for path in paths}


def test_each_file_of_a_zip_gets_its_answer_and_the_bytes_stay_as_they_were(send, study):
    inner = packed({"3.dcm": study[2].read_bytes()})
    answer = send(
        packed(
            contents(study[:2]) | {"a/in.zip": inner, "report.txt": b"words", "DICOMDIR": b"index"}
        )
    )
    assert answer.status_code == 200
    told = {one["file_name"]: one["outcome"] for one in answer.json()["answers"]}
    assert told == {
        f"CT/{study[0].name}": "received",
        f"CT/{study[1].name}": "received",
        "a/in.zip/3.dcm": "received",
        "report.txt": "refused",
    }
    stored = Instance.objects.select_related("series__study")
    assert {storage.path_of(one).read_bytes() for one in stored} == {
        path.read_bytes() for path in study
    }
    assert answer.json()["answers"][0]["case"]["public_id"] == str(Case.objects.get().public_id)
    assert list(storage.incoming_dir().iterdir()) == []


def test_the_same_zip_again_changes_nothing(send, study):
    content = packed(contents(study))
    send(content)
    again = send(content).json()["answers"]
    assert [one["outcome"] for one in again] == ["known"] * 3
    assert Instance.objects.count() == 3


def test_many_files_are_stored_some_at_a_time_and_answered_in_their_order(send, study, monkeypatch):
    monkeypatch.setattr(archives, "_BATCH_FILES", 2)
    told = send(packed(contents(study) | {"x": b"x"})).json()["answers"]
    assert [one["outcome"] for one in told] == ["received"] * 3 + ["refused"]
    assert [one["file_name"] for one in told] == [*contents(study), "x"]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (packed({str(n): b"x" for n in range(4)}), 413, "zip_too_many"),
        (packed({"0": bytes(2_000_000)}), 413, "zip_too_large"),
        (packed({"0": b"x"})[:-30], 422, "zip_damaged"),
        (packed({"DICOMDIR": b"x"}), 422, "zip_empty"),
        (b"just text", 422, "not_zip"),
        (b"", 422, "not_zip"),
    ],
    ids=["too many", "too large", "cut off", "only clutter", "no ZIP", "empty"],
)
def test_a_zip_that_cannot_be_taken_is_refused_as_a_whole(send, settings, content, status, code):
    settings.MAX_UPLOAD_FILES, settings.MAX_UPLOAD_TOTAL_MB = 3, 1
    answer = send(content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"]
    assert not Instance.objects.exists()
    assert list(storage.incoming_dir().iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_keeps_what_was_stored(send, study, monkeypatch):
    monkeypatch.setattr(archives, "_BATCH_FILES", 2)
    looks = iter([None, None, None])  # before the body, before unpacking, before the first batch

    def room_for_one_batch(size: int) -> None:
        if next(looks, storage.DiskNearlyFull) is storage.DiskNearlyFull:
            raise storage.DiskNearlyFull

    monkeypatch.setattr(storage, "ensure_room", room_for_one_batch)
    answer = send(packed(contents(study)))
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    assert Instance.objects.count() == 2
    assert list(storage.incoming_dir().iterdir()) == []


def test_the_trail_tells_of_refused_files_without_their_names(send):
    send(packed({"OKAFOR Adaeze.txt": b"words"}), name="OKAFOR.zip")
    details = AuditEvent.objects.get(action=AuditEvent.Action.UPLOAD_REFUSED).details
    assert details["code"] == "not_dicom"
    assert details["extension"] == ".txt"
    assert "OKAFOR" not in str(details)
