"""Backup, wipe, restore: afterwards everything is as it was."""

import shutil
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection

from apps.accounts.tests.factories import make_site
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases import storage
from apps.cases.models import Case, Instance, Verdict
from apps.cases.tests.factories import make_case
from apps.classifier.models import Prediction
from apps.classifier.tests.factories import make_prediction
from apps.operations.backup import _absolute, _keep, _stored
from tests.people import People


@pytest.fixture
def folders(transactional_db, settings, tmp_path: Path) -> list[Path]:
    """Storage of this test's own, because it is wiped."""
    for name in ("STORAGE_DIR", "MODELS_DIR", "TRAINING_DATA_DIR"):
        setattr(settings, name, tmp_path / name)
        (tmp_path / name).mkdir()
    (settings.MODELS_DIR / "nodule-1.tflite").write_bytes(b"weights")
    return [settings.STORAGE_DIR, settings.MODELS_DIR, settings.TRAINING_DATA_DIR]


@pytest.fixture
def case(folders, people: People) -> Case:
    case = make_case(people.home, status="reported", doctor=people.owner, slices=3)
    make_prediction(case, findings=[{}])
    record(AuditEvent.Action.VIEWED, user=people.owner, target=case)
    return case


def everything() -> dict[str, list]:
    return {
        model._meta.label: list(model._base_manager.order_by("pk").values())
        for model in apps.get_models(include_auto_created=True)
        if model._meta.db_table != "django_session" and not model._meta.proxy
    }


def files(folders: list[Path]) -> dict[str, bytes]:
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in found}


def wipe(folders: list[Path]) -> None:
    call_command("flush", interactive=False, verbosity=0)
    for folder in folders:
        shutil.rmtree(folder)
        folder.mkdir()


def made_backup(target: Path) -> Path:
    call_command("backup", target)
    return max(one for one in target.iterdir() if one.name[0].isdigit())


def test_after_a_restore_rows_files_and_numbers_are_the_same(case, folders, tmp_path: Path):
    rows, stored = everything(), files(folders)
    assert Verdict.objects.exists()
    assert Prediction.objects.exists()
    assert len(stored) == 4
    made = made_backup(tmp_path / "backup")
    wipe(folders)
    assert not Case.objects.exists()
    assert not files(folders)
    call_command("restore", made)
    assert everything() == rows
    assert files(folders) == stored
    call_command("verify_storage")
    assert make_site("Built after the restore").pk > case.site_id  # no number is given twice


def test_the_restored_trail_still_cannot_be_changed(case, folders, tmp_path: Path):
    made = made_backup(tmp_path / "backup")
    wipe(folders)
    call_command("restore", made)
    with pytest.raises(Exception, match="append-only"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM audit_auditevent")


def test_nothing_is_restored_over_an_installation_that_is_used(case, folders, tmp_path: Path):
    made, rows = made_backup(tmp_path / "backup"), everything()
    with pytest.raises(CommandError, match="not empty"):
        call_command("restore", made)
    assert everything() == rows


def test_a_damaged_backup_leaves_the_database_empty(case, folders, tmp_path: Path):
    made = made_backup(tmp_path / "backup")
    wipe(folders)
    for kept in (tmp_path / "backup" / "files").rglob("*"):
        if kept.is_file():
            kept.write_bytes(b"something else")
    with pytest.raises(CommandError, match="not the file that was backed up"):
        call_command("restore", made)
    assert not Case.objects.exists()


def test_another_training_key_is_refused(case, folders, settings, tmp_path: Path):
    made = made_backup(tmp_path / "backup")
    wipe(folders)
    settings.TRAINING_KEY = "another"
    with pytest.raises(CommandError, match="TRAINING_KEY"):
        call_command("restore", made)
    assert not files(folders)


def test_a_damaged_image_is_named_and_the_rest_is_backed_up(case, folders, tmp_path: Path):
    storage.path_of(Instance.objects.first()).write_bytes(b"rotten")
    with pytest.raises(CommandError, match="altered: dicom/site-"):
        call_command("backup", tmp_path / "backup")
    assert list((tmp_path / "backup").glob("*/manifest.json"))


def test_a_second_backup_copies_no_file_again(case, folders, tmp_path: Path):
    made_backup(tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / "backup" / "files").rglob("*")}
    for path in _stored():
        _keep(_absolute(path), tmp_path / "backup")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "backup" / "files").rglob("*")} == kept
