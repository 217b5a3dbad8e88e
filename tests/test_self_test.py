"""`manage.py self_test`: every part is used for real, and each failure is told by itself."""

import io
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection

from apps.classifier.models import ModelVersion
from apps.classifier.shipped import register_shipped
from cancerprediction.self_test import self_test
from tests.system import environment

PARTS = ["database", "broker", "storage", "models", "mail"]


@pytest.fixture
def installed(db, settings, tmp_path: Path) -> Path:
    """The shipped networks, and folders of this test's own."""
    settings.STORAGE_DIR, settings.MODELS_DIR = tmp_path / "dicom", tmp_path / "models"
    register_shipped()
    return tmp_path


def broken(**options: str) -> dict[str, str]:
    return {one.part: one.words for one in self_test(**options) if not one.works}


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_a_whole_installation_passes_with_a_line_for_each_part_and_leaves_nothing(installed):
    before, out = files(installed), io.StringIO()
    call_command("self_test", stdout=out)
    lines = out.getvalue().splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", part] for part in PARTS]
    assert files(installed) == before
    assert not Session.objects.exists()


def test_a_mail_is_sent_only_where_an_address_is_given(installed):
    assert broken() == {}
    assert mail.outbox == []
    assert broken(mail_to="admin@example.org") == {}
    assert [message.to for message in mail.outbox] == [["admin@example.org"]]


def test_without_a_mail_server_that_is_said_and_only_a_wanted_mail_fails(installed, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert "not set up" in next(one.words for one in self_test() if one.part == "mail")
    assert list(broken(mail_to="admin@example.org")) == ["mail"]


def test_a_mail_server_that_does_not_answer_fails(installed, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    with socket.socket() as closed:  # bound, never listening
        closed.bind(("127.0.0.1", 0))
        settings.EMAIL_PORT = closed.getsockname()[1]
        assert broken() == {"mail": "ConnectionRefusedError: [Errno 111] Connection refused"}


def test_a_file_of_weights_that_changed_is_found(installed, settings):
    version = ModelVersion.objects.get(task="nodule")
    with (settings.MODELS_DIR / version.file).open("ab") as stream:
        stream.write(b"x")
    assert "SHA-256" in broken()["models"]


def test_a_missing_network_is_named(installed):
    ModelVersion.objects.filter(task="nodule").update(status="retired")
    assert broken()["models"].startswith("Broken: no version is active for nodule")


def test_a_full_disk_and_a_folder_that_is_a_file_fail(installed, settings):
    settings.MIN_FREE_DISK_MB = shutil.disk_usage(installed).total // 1024**2
    assert "DiskNearlyFull" in broken()["storage"]
    settings.MIN_FREE_DISK_MB, settings.STORAGE_DIR = 0, installed / "a file"
    settings.STORAGE_DIR.touch()
    assert set(broken()) == {"storage"}


def test_a_database_that_only_reads_fails_although_it_answers(installed):
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT writable")
        cursor.execute("SET TRANSACTION READ ONLY")
        assert "read-only" in broken()["database"]
        cursor.execute("ROLLBACK TO SAVEPOINT writable")
    assert broken() == {}


def test_a_broker_that_is_away_ends_the_command_with_code_1(installed, transactional_db):
    done = subprocess.run(
        [sys.executable, "manage.py", "self_test"],
        env=environment(BROKER_URL="redis://127.0.0.1:1/0", PATH=os.environ["PATH"]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "FAILED  broker" in done.stdout
    assert "ok      database" in done.stdout
    assert "Traceback" not in done.stderr


def test_what_failed_is_named_at_the_end(installed):
    ModelVersion.objects.update(status="retired")
    with pytest.raises(CommandError, match=r"Does not work: models\."):
        call_command("self_test", stdout=io.StringIO())
