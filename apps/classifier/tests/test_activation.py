"""One active version per task; only what passed may become it; one click back."""

import contextlib
import threading
from hashlib import sha256

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, transaction

from apps.accounts.tests.factories import make_user, request_of
from apps.audit.models import AuditEvent
from apps.classifier.activation import activate, rollback
from apps.classifier.labels import LearningConflict
from apps.classifier.model_files import keep_weights
from apps.classifier.models import ModelVersion
from apps.classifier.tests.factories import make_model_version, make_training_run

Status = ModelVersion.Status


@pytest.fixture
def admin(db):
    return request_of(make_user("admin"))


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.MODELS_DIR = tmp_path


def _version(*, status="candidate", run_status="passed", content=None, **fields):
    """A version with a weights file that is its own."""
    number = ModelVersion.objects.count() + 1
    content = content or f"weights {number}".encode()
    digest = sha256(content).hexdigest()
    source = django_settings.MODELS_DIR / "trained"
    source.write_bytes(content)
    file = keep_weights(source, "malignancy", digest)
    version = make_model_version(status=status, number=number, file=file, sha256=digest, **fields)
    if run_status:
        tested = ModelVersion.objects.filter(status=Status.ACTIVE).first()
        make_training_run(
            status=run_status, candidate=version, active_version=tested, reason="AUC worse."
        )
    return version


def _active() -> list[str]:
    return [str(one) for one in ModelVersion.objects.filter(status=Status.ACTIVE)]


def test_an_activated_candidate_replaces_the_active_version(admin):
    old, new = _version(status="active", run_status=None), _version()
    assert activate(new, request=admin, note="better on small ones") == old
    assert _active() == [str(new)]
    assert (new.activated_by, new.activation_note) == (admin.user, "better on small ones")
    event = AuditEvent.objects.get(action="activated")
    assert (event.details["version"], event.details["replaced"]) == (str(new), str(old))


@pytest.mark.parametrize("run_status", ["not_better", "failed", None])
def test_what_did_not_pass_is_not_activated(admin, run_status):
    old, new = _version(status="active", run_status=None), _version(run_status=run_status)
    with pytest.raises(LearningConflict, match="not activated"):
        activate(new, request=admin, note="I want it")
    assert _active() == [str(old)]


def test_a_candidate_tested_against_another_version_than_the_active_one_is_not_activated(admin):
    old, new, rival = _version(status="active", run_status=None), _version(), _version()
    activate(rival, request=admin, note="passed first")
    with pytest.raises(LearningConflict, match=f"tested against {old}, but {rival} is active now"):
        activate(new, request=admin, note="passed too")
    assert _active() == [str(rival)]
    rollback("malignancy", request=admin, note="back to what it was tested against")
    activate(new, request=admin, note="passed too")
    assert _active() == [str(new)]


def test_a_damaged_file_is_not_activated(admin, settings):
    old, new = _version(status="active", run_status=None), _version()
    (settings.MODELS_DIR / new.file).write_bytes(b"half")
    with pytest.raises(LearningConflict, match="not the one that was tested"):
        activate(new, request=admin, note="")
    (settings.MODELS_DIR / new.file).unlink()
    with pytest.raises(LearningConflict, match="missing"):
        activate(new, request=admin, note="")
    assert _active() == [str(old)]


def test_after_a_rollback_the_newer_version_can_be_activated_again(admin):
    old, new = _version(status="active", run_status=None), _version()
    activate(new, request=admin, note="new")
    assert rollback("malignancy", request=admin, note="too many alarms") == old
    assert _active() == [str(old)]
    activate(new, request=admin, note="no, it was the scanner")
    assert _active() == [str(new)]


def test_without_a_version_before_there_is_no_way_back(admin):
    _version(status="active", run_status=None)
    with pytest.raises(LearningConflict, match="no way back"):
        rollback("malignancy", request=admin, note="")


def test_the_database_refuses_a_second_active_version(db):
    _version(status="active", run_status=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        _version(status="active", run_status=None)


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_activate_at_the_same_moment_leave_one_active_version():
    _version(status="active", run_status=None)
    rivals = [_version() for _ in range(4)]
    start, told = threading.Barrier(len(rivals)), []

    def press(version: ModelVersion, request) -> None:
        start.wait()
        try:
            activate(version, request=request, note="mine")
        except LearningConflict as conflict:
            told.append(conflict.message)
        connection.close()

    threads = [
        threading.Thread(target=press, args=[version, request_of(make_user("admin"))])
        for version in rivals
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_active()) == 1
    assert AuditEvent.objects.filter(action="activated").count() == 1
    assert len(told) == len(rivals) - 1
    assert all("same moment" in words or "is active now" in words for words in told)


@pytest.mark.django_db(transaction=True)
def test_activation_and_rollback_at_the_same_moment_leave_one_active_version():
    request = request_of(make_user("admin"))
    first, second, third = _version(status="active", run_status=None), _version(), _version()
    activate(second, request=request, note="second")
    start = threading.Barrier(2)

    def press(change) -> None:
        start.wait()
        with contextlib.suppress(LearningConflict):
            change()
        connection.close()

    changes = [
        lambda: activate(third, request=request, note="third"),
        lambda: rollback("malignancy", request=request, note="back"),
    ]
    threads = [threading.Thread(target=press, args=[change]) for change in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _active() in ([str(first)], [str(third)])


def test_activation_and_rollback_work_from_the_command_line(admin):
    old, new = _version(status="active", run_status=None), _version()
    call_command("activate_model", "malignancy", str(new.number), "--note", "by hand")
    assert _active() == [str(new)]
    call_command("rollback_model", "malignancy")
    assert _active() == [str(old)]
    with pytest.raises(CommandError, match="There is no"):
        call_command("activate_model", "malignancy", "99")
    assert AuditEvent.objects.filter(action="activated", actor="command line").count() == 2


def test_rolling_back_twice_goes_two_steps_back_and_never_forward(admin):
    versions = []
    for _ in range(3):
        versions.append(_version())
        activate(versions[-1], request=admin, note="passed")
    first, second, _third = versions
    assert rollback("malignancy", request=admin, note="worse") == second
    assert rollback("malignancy", request=admin, note="still worse") == first
    with pytest.raises(LearningConflict):
        rollback("malignancy", request=admin, note="nothing is left")
