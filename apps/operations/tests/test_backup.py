"""Backup, wipe, restore: afterwards everything is as it was."""

import shutil
import time
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from apps.accounts.models import Site
from apps.accounts.tests.factories import make_site
from apps.audit.models import AuditEvent
from apps.audit.services import record
from apps.cases import storage
from apps.cases.models import Case, Instance, Verdict
from apps.cases.tests.factories import make_case, move_case, receive, small_phantom, write_dicom
from apps.classifier.models import Prediction
from apps.classifier.prediction import run_prediction
from apps.classifier.services import request_predictions
from apps.classifier.tests.factories import make_prediction
from apps.operations.backup import _absolute, _keep, _stored
from apps.operations.deletion import delete_study
from tests.people import People
from tests.system import eventually


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
    restored = AuditEvent.objects.first()
    assert (restored.action, restored.details) == ("restored", {"backup": made.name})
    rows["audit.AuditEvent"].append(AuditEvent.objects.filter(pk=restored.pk).values().get())
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


def test_a_backup_is_in_the_trail(case, folders, tmp_path: Path):
    made = made_backup(tmp_path / "backup")
    event = AuditEvent.objects.get(action="backed_up")
    assert event.details == {"backup": made.name, "files": 4, "damaged": 0}


def test_what_was_deleted_since_does_not_come_back(case, folders, people: People, tmp_path: Path):
    other = make_case(people.home)
    first = made_backup(tmp_path / "backup")
    delete_study(case.study, cause="request", reason="asked for", user=people.admin)
    later = next_backup(tmp_path / "backup", first)
    newest = make_case(people.home)
    for made, left in ((first, {other}), (later, {other})):
        wipe(folders)
        call_command("restore", made)
        assert set(Case.objects.all()) == left
        call_command("verify_storage")
    assert make_case(people_again()).pk > case.pk
    assert newest.pk > case.pk


def people_again() -> Site:
    return Site.objects.get(name="Home hospital")


def next_backup(target: Path, first: Path) -> Path:
    """Made in the next second: backups are named by it."""
    eventually(lambda: timezone.now().strftime("%Y-%m-%dT%H%M%SZ") > first.name, what="a second")
    return made_backup(target)


def test_old_backups_go_and_the_kept_ones_stay_whole(case, folders, people: People, tmp_path: Path):
    target = tmp_path / "backup"
    first = made_backup(target)
    gone = Instance.objects.filter(series__study=case.study).values_list("sha256", flat=True)[0]
    make_case(people.home)
    delete_study(case.study, cause="request", reason="asked for", user=people.admin)
    kept_content = target / "files" / gone[:2] / gone
    second = next_backup(target, first)
    assert kept_content.exists()
    eventually(lambda: timezone.now().strftime("%Y-%m-%dT%H%M%SZ") > second.name, what="a second")
    call_command("backup", target, "--keep", "2")
    assert not first.exists()
    assert not kept_content.exists()
    wipe(folders)
    call_command("restore", second)
    call_command("verify_storage")


def test_a_damaged_installation_keeps_its_old_backups(case, folders, tmp_path: Path):
    first = made_backup(tmp_path / "backup")
    storage.path_of(Instance.objects.first()).write_bytes(b"rotten")
    eventually(lambda: timezone.now().strftime("%Y-%m-%dT%H%M%SZ") > first.name, what="a second")
    with pytest.raises(CommandError, match="damaged"):
        call_command("backup", tmp_path / "backup", "--keep", "1")
    assert first.exists()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_whole_ct_with_its_prediction_comes_back(
    folders, people: People, ct_data_dir: Path | None, tmp_path: Path, capsys
):
    """95 real slices where CT_DATA_DIR is set; figures with -s."""
    call_command("load_models", verbosity=0)
    if ct_data_dir:
        paths = sorted((ct_data_dir / "rider_0117_chest_95").rglob("*.dcm"))
    else:
        paths = write_dicom(tmp_path / "ct", phantom=small_phantom(slices=40, matrix=512))
    case = receive(*paths, site=people.home, user=people.technician)[-1].case
    move_case(case, "reported", technician=people.technician, doctor=people.owner)
    for prediction in request_predictions(case):
        run_prediction(prediction.pk)
        prediction.refresh_from_db()
        assert prediction.status == "done"
    rows, stored = everything(), files(folders)
    began = time.monotonic()
    made = made_backup(tmp_path / "backup")
    saved = time.monotonic()
    wipe(folders)
    wiped = time.monotonic()
    call_command("restore", made)
    restored = time.monotonic()
    left = everything()
    assert left.pop("audit.AuditEvent")[:-1] == rows.pop("audit.AuditEvent")
    assert left == rows
    assert files(folders) == stored
    call_command("verify_storage")
    size = sum(len(content) for content in stored.values()) / 1e6
    with capsys.disabled():
        print(  # noqa: T201  the figures
            f"\n{len(paths)} slices, {size:.0f} MB, {sum(map(len, rows.values()))} rows: "
            f"backup {saved - began:.1f} s, restore {restored - wiped:.1f} s"
        )
