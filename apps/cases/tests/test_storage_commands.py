"""The files of killed uploads, the check of all files, and taking in folders by command."""

import json
import os
import time
import zipfile
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.tests.factories import make_user
from apps.audit.models import AuditEvent
from apps.cases import storage
from apps.cases.models import Instance
from apps.cases.tests.factories import make_case, small_phantom, write_dicom

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_storage(settings, tmp_path):
    settings.STORAGE_DIR = tmp_path / "stored"


def test_what_a_killed_upload_left_is_removed_after_an_hour():
    old, fresh = storage.incoming_dir() / "old.part", storage.incoming_dir() / "fresh.part"
    for left in (old, fresh):
        left.write_bytes(b"half a file")
    os.utime(old, (time.time() - 7200,) * 2)
    assert storage.remove_stale_incoming() == 1
    assert not old.exists()
    assert fresh.exists()


def verified(*arguments: str) -> str:
    out = StringIO()
    call_command("verify_storage", *arguments, stdout=out)
    return out.getvalue()


def test_sound_storage_is_reported_as_sound():
    make_case(slices=2)
    assert verified() == "2 files: 0 missing, 0 altered, 0 orphan\n"


def test_missing_altered_and_orphan_files_are_each_found(settings, tmp_path):
    make_case(slices=3)
    gone, changed, _ = Instance.objects.select_related("series__study").order_by("pk")
    storage.path_of(gone).unlink()
    path = storage.path_of(changed)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    path.with_name("1.2.3.dcm").write_bytes(b"nobody's")
    report = tmp_path / "report.json"
    with pytest.raises(CommandError, match="3 files: 1 missing, 1 altered, 1 orphan"):
        verified("--report", str(report))
    found = json.loads(report.read_text())
    assert found["counts"] == {"missing": 1, "altered": 1, "orphan": 1}
    assert {one["instance"] for one in found["problems"]} == {
        str(gone.public_id),
        str(changed.public_id),
        "",
    }


def test_a_file_that_cannot_be_read_is_reported_and_does_not_end_the_check():
    make_case(slices=2)
    path = storage.path_of(Instance.objects.select_related("series__study").first())
    path.unlink()
    path.mkdir()
    with pytest.raises(CommandError, match="2 files: 0 missing, 1 altered, 0 orphan"):
        verified()


def test_a_study_that_arrives_during_the_check_is_no_orphan(monkeypatch):
    make_case(slices=1)
    hashed = storage.sha256_of

    def hash_while_another_upload_ends(path):
        monkeypatch.setattr(storage, "sha256_of", hashed)
        make_case(slices=2)
        return hashed(path)

    monkeypatch.setattr(storage, "sha256_of", hash_while_another_upload_ends)
    assert verified() == "1 files: 0 missing, 0 altered, 0 orphan\n"


def ingested(*arguments: str) -> str:
    out = StringIO()
    call_command("ingest", *arguments, stdout=out)
    return out.getvalue()


def test_a_folder_is_taken_in_with_an_answer_for_each_file(tmp_path):
    technician = make_user("labtech")
    folder = tmp_path / "cd"
    (folder / "deep").mkdir(parents=True)
    write_dicom(folder / "deep", phantom=small_phantom(slices=2))
    (folder / "readme.txt").write_text("not an image")
    first = ingested(str(folder), "--user", technician.email)
    assert "readme.txt  This is not a DICOM file." in first
    assert first.endswith("2 received, 0 already known, 1 refused\n")
    assert ingested(str(folder / "deep"), "--user", technician.email).startswith("0 received, 2")
    assert Instance.objects.filter(received_from=technician).count() == 2
    assert (folder / "deep").exists()
    uploads = AuditEvent.objects.filter(action=AuditEvent.Action.UPLOADED)
    assert uploads.filter(actor=technician.email).count() == 4


def test_a_zip_is_taken_in_like_a_folder(tmp_path):
    technician = make_user("labtech")
    with zipfile.ZipFile(tmp_path / "cd.zip", "w") as archive:
        archive.writestr("readme.txt", "not an image")
        for path in write_dicom(tmp_path, phantom=small_phantom(slices=2)):
            archive.write(path, f"DICOM/{path.name}")
    told = ingested(str(tmp_path / "cd.zip"), "--user", technician.email)
    assert "cd.zip/readme.txt  This is not a DICOM file." in told
    assert told.endswith("2 received, 0 already known, 1 refused\n")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "cd.zip").read_bytes()[:-30])
    cut = ingested(str(tmp_path / "cut.zip"), "--user", technician.email)
    assert "cut.zip  This ZIP is damaged or incomplete." in cut
    assert list(storage.incoming_dir().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["/nowhere", "--user", "{technician}"], "does not exist"),
        (["{folder}", "--user", "{technician}"], "no files"),
        (["{folder}", "--user", "nobody@hospital.example"], "Nobody with the e-mail"),
        (["{folder}", "--user", "{doctor}"], "may upload"),
        (["{folder}", "--user", "{technician}", "--site", "Atlantis"], "no site called"),
    ],
)
def test_wrong_arguments_are_told_in_plain_words(arguments, told, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    names = {
        "technician": make_user("labtech").email,
        "doctor": make_user("doctor").email,
        "folder": str(folder),
    }
    with pytest.raises(CommandError, match=told):
        ingested(*(one.format(**names) for one in arguments))
