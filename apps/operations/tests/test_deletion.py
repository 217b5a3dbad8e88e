"""Deleting a study: everything of it goes or nothing does, and a tombstone tells of it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import StringIO
from pathlib import Path
from threading import Event

import pytest
from django.core.management import CommandError, call_command
from django.db import InternalError, connection, transaction
from django.utils import timezone

from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent, Tombstone
from apps.audit.triggers import deletion
from apps.cases import removal, storage
from apps.cases.locks import files_stay
from apps.cases.models import Case, Instance, Patient, Study, Verdict
from apps.cases.services import break_glass
from apps.cases.tests.factories import make_case, make_measurement, receive, write_dicom
from apps.classifier.models import Confirmation, FindingVerdict, Opinion
from apps.classifier.sweep import sweep
from apps.classifier.tests.factories import (
    make_heatmap,
    make_model_version,
    make_prediction,
    make_training_example,
    make_training_run,
)
from apps.operations import deletion as deleting
from apps.operations.deletion import DeletionRefused, delete_study, due
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db(transaction=True)
WHY = {"cause": "request", "reason": "asked for in writing"}


@pytest.fixture(autouse=True)
def _folders(settings, tmp_path: Path) -> None:
    settings.STORAGE_DIR, settings.TRAINING_DATA_DIR = tmp_path / "dicom", tmp_path / "training"


@pytest.fixture
def case(people: People) -> Case:
    """A reported case with at least one row of everything that may hang on a study."""
    case = make_case(
        people.home,
        status="reported",
        doctor=people.owner,
        slices=2,
        patient_id="QX-77Z13",
        patient_name="ZZYZX^Quentin",
        clinical_question="ZZYZX coughs",
    )
    finding = make_prediction(case, findings=[{}]).findings.get()
    make_heatmap(finding)
    make_measurement(finding.instance, people.owner)
    FindingVerdict.objects.create(finding=finding, verdict=case.verdicts.get(), label="benign")
    example = make_training_example(case, doctor=people.owner, finding=finding, status="used")
    Opinion.objects.create(example=example, doctor=people.teammate, label="benign")
    Confirmation.objects.create(
        case=case, kind="pathology", label="benign", recorded_by=people.owner
    )
    break_glass(case, request=request_of(people.admin), reason="asked by the ward")
    run = make_training_run(status="passed", candidate=make_model_version(status="candidate"))
    run.examples.add(example)
    run.dataset = {"corrections": [{"example": str(example.public_id)}], "base": []}
    run.save()
    return case


def tables_that_say(words: str) -> set[str]:
    """Every table of the database in which a row holds the words."""
    with connection.cursor() as cursor:
        return {
            table
            for table in connection.introspection.table_names()
            if _says(cursor, table, f"%{words}%")
        }


def _says(cursor, table: str, pattern: str) -> bool:
    question = f'SELECT EXISTS (SELECT 1 FROM "{table}" t WHERE t::text ILIKE %s)'  # noqa: S608
    cursor.execute(question, [pattern])
    return cursor.fetchone()[0]


def stored() -> list[Path]:
    return sorted(path for path in removal.settings.STORAGE_DIR.rglob("*") if path.is_file())


def test_nothing_of_the_study_stays_but_tombstone_and_audit_trail(case: Case, people: People):
    other = make_case(people.home, status="reported", doctor=people.owner)
    kept = {storage.path_of(one) for one in Instance.objects.filter(series__study=other.study)}
    uid = case.study.study_instance_uid
    assert {"cases_patient", "cases_study"} <= tables_that_say("zzyzx") | tables_that_say(uid)
    delete_study(case.study, user=people.admin, **WHY)
    assert tables_that_say("zzyzx") == tables_that_say("77Z13") == tables_that_say(uid) == set()
    assert Case.objects.get() == other
    assert Verdict.objects.get().case == other
    assert set(stored()) == kept
    call_command("verify_storage")


def test_the_tombstone_says_who_why_what_and_what_learned_from_it(case: Case, people: People):
    images = sorted(Instance.objects.values_list("sha256", flat=True))
    delete_study(case.study, user=people.admin, **WHY)
    stone = Tombstone.objects.get()
    assert (stone.actor, stone.reason, stone.case_pk) == (
        people.admin.email,
        WHY["reason"],
        case.pk,
    )
    assert stone.images == 2
    assert stone.images_sha256 == deleting.hashlib.sha256("\n".join(images).encode()).hexdigest()
    assert stone.study_sha256 == deleting.study_sha256(case.study)
    assert stone.rows["verdict"] == stone.rows["report"] == stone.rows["opinion"] == 1
    (learned,) = stone.training
    assert learned["version"].startswith("malignancy-v")
    event = AuditEvent.objects.get(action="deleted")
    assert (event.actor, event.target_id) == (people.admin.email, str(case.pk))
    assert event.details == {"tombstone": stone.pk, "cause": "request"}


def test_a_run_says_how_many_of_its_corrections_were_deleted(case: Case, people: People):
    run = case.training_examples.get().runs.get()
    address = f"/operations/runs/{run.public_id}/"
    assert "deleted since" not in logged_in(people.admin).get(address).content.decode()
    delete_study(case.study, user=people.admin, **WHY)
    assert "1 deleted since" in logged_in(people.admin).get(address).content.decode()


def test_a_patient_stays_while_another_study_does(people: People):
    first, second = (
        make_case(people.home, patient_id="P-SAME", accession_number=number) for number in "12"
    )
    delete_study(first.study, user=people.admin, **WHY)
    assert Patient.objects.filter(patient_id="P-SAME").exists()
    delete_study(second.study, user=people.admin, **WHY)
    assert not Patient.objects.filter(patient_id="P-SAME").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_auditevent",
        "DELETE FROM audit_tombstone",
        "UPDATE cases_report SET body=''",
    ],
)
def test_even_a_deletion_may_not_touch_the_trail_nor_change_a_row(case, people: People, statement):
    tombstone = make_tombstone(case)
    with (
        pytest.raises(InternalError, match="append-only"),
        transaction.atomic(),
        deletion(tombstone),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.mark.parametrize("named", ["", "7", "nothing"])
def test_without_a_tombstone_that_stands_no_row_goes(case: Case, named: str):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('cancer.tombstone', %s, true)", [named])
        with pytest.raises(InternalError, match="append-only"), transaction.atomic():
            cursor.execute("DELETE FROM cases_report")


def test_the_permission_ends_with_the_deletion(case: Case, people: People):
    other = make_case(people.home, status="reported", doctor=people.owner)
    with transaction.atomic():
        delete_study(case.study, user=people.admin, **WHY)
        with pytest.raises(InternalError, match="append-only"), transaction.atomic():
            Verdict.objects.filter(case=other)._raw_delete("default")


def make_tombstone(case: Case) -> Tombstone:
    return Tombstone.objects.create(
        **WHY, actor="a", site_pk=1, case_pk=case.pk, study_sha256="0", images=0, images_sha256="0"
    )


def test_killed_before_the_commit_everything_comes_back(case: Case, people: People):
    before = stored()
    with transaction.atomic():
        delete_study(case.study, user=people.admin, **WHY)
        transaction.set_rollback(True)  # what the database does for a process that was killed
    assert stored() != before  # what the killed process left behind
    sweep()
    assert stored() == before
    assert not Tombstone.objects.exists()
    call_command("verify_storage")


def test_killed_after_the_commit_the_files_go_later(case: Case, people: People, monkeypatch):
    monkeypatch.setattr(deleting, "finish_removals", lambda: None)
    delete_study(case.study, user=people.admin, **WHY)
    assert len(stored()) == 2
    call_command("verify_storage")
    sweep()
    assert stored() == []


def test_a_study_may_come_again_afterwards(people: People, tmp_path: Path):
    paths = write_dicom(tmp_path / "sent", patient_id="P-AGAIN")
    first = receive(*paths, site=people.home)[0].case
    delete_study(first.study, user=people.admin, **WHY)
    again = receive(*paths, site=people.home)[0]
    assert again.new
    assert again.case.pk != first.pk
    sweep()
    call_command("verify_storage")


def test_slices_that_arrive_meanwhile_are_never_half_there(people: People, tmp_path: Path):
    paths = write_dicom(tmp_path / "sent", patient_id="P-BUSY", phantom=None, study_date="20250101")
    more = write_dicom(tmp_path / "more", patient_id="P-BUSY-2")
    case = receive(*paths, site=people.home)[0].case

    def upload() -> None:
        try:
            receive(*paths, *more, site=people.home)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        uploads = [threads.submit(upload) for _ in range(4)]
        delete_study(case.study, user=people.admin, **WHY)
        for one in uploads:
            one.result(30)
    receive(*paths, site=people.home)
    sweep()
    call_command("verify_storage")
    assert Tombstone.objects.count() == 1


def test_refused_while_a_backup_is_made(case: Case, people: People):
    held, done = Event(), Event()

    def back_up() -> None:
        with files_stay():
            held.set()
            done.wait(20)
        connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(back_up)
        held.wait(20)
        with pytest.raises(DeletionRefused, match="backup is being made"):
            delete_study(case.study, user=people.admin, **WHY)
        done.set()
    delete_study(case.study, user=people.admin, **WHY)


def test_refused_while_a_training_uses_it(case: Case, people: People):
    run = make_training_run(status="running")
    run.examples.add(case.training_examples.get())
    with pytest.raises(DeletionRefused, match="cancel the run"):
        delete_study(case.study, user=people.admin, **WHY)
    assert Case.objects.filter(pk=case.pk).exists()


def command(*words: str) -> str:
    out = StringIO()
    call_command("delete_patient_data", *words, stdout=out)
    return out.getvalue()


def test_the_command_only_tells_until_it_is_told_to_delete(case: Case, people: People):
    words = ["--site", people.home.name, "--patient", "QX-77Z13", "--by", people.admin.email]
    words += ["--reason", "asked for in writing"]
    said = command(*words)
    assert "1 verdict" in said
    assert "learned from 1 of its corrections; malignancy-v" in said
    assert Study.objects.exists()
    assert "What stays: Tombstone" in command(*words, "--delete")
    assert not Study.objects.exists()


def test_a_patient_id_can_come_where_no_list_of_processes_shows_it(case, people, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO("QX-77Z13\n"))
    words = ["--site", people.home.name, "--patient", "-", "--by", people.admin.email]
    assert "1 verdict" in command(*words, "--reason", "asked")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--site": "Nowhere"}, "There is no site Nowhere"),
        ({"--patient": "nobody"}, "No study was found"),
        ({"--by": "doctor"}, "is no active admin"),
    ],
)
def test_the_command_refuses_in_words(case: Case, people: People, change: dict, words: str):
    change = {
        name: people.owner.email if value == "doctor" else value for name, value in change.items()
    }
    options = {
        "--site": people.home.name,
        "--patient": "QX-77Z13",
        "--by": people.admin.email,
        "--reason": "asked",
        **change,
    }
    with pytest.raises(CommandError, match=words):
        command(*[part for pair in options.items() for part in pair], "--delete")
    assert Study.objects.exists()


def test_retention_takes_what_is_old_and_waits_for_nobody(people: People, monkeypatch):
    done = make_case(people.home, status="reported", doctor=people.owner)
    waiting = make_case(people.home, status="sent")
    foreign = make_case(people.elsewhere, status="reported", doctor=people.stranger)
    people.home.retention_days = 30
    people.home.save()
    assert list(due(people.home)) == []
    later = timezone.now() + timedelta(days=31)
    monkeypatch.setattr(deleting.timezone, "now", lambda: later)
    assert list(due(people.home)) == [done.study]
    call_command("apply_retention")
    assert Case.objects.count() == 3
    call_command("apply_retention", "--delete")
    assert set(Case.objects.all()) == {waiting, foreign}
    stone = Tombstone.objects.get()
    assert (stone.cause, stone.actor) == ("retention", "retention rule")


def test_retention_keeps_what_somebody_took_up_just_now(people: People):
    people.home.retention_days = 30
    people.home.save()
    case = make_case(people.home, status="reported", doctor=people.owner)
    with pytest.raises(DeletionRefused, match="just now"):
        delete_study(case.study, cause="retention", reason="30 days", actor="retention rule")
    assert Case.objects.filter(pk=case.pk).exists()
