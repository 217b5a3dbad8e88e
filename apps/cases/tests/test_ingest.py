"""Never lose or mix anything: one file, one row, whatever happens in the middle."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction
from pydicom import dcmread

from apps.accounts.tests.factories import make_site, make_user
from apps.cases import ingest, storage
from apps.cases.models import Case, CaseEvent, Instance, Patient, Study
from apps.cases.tests.factories import make_case, receive, small_phantom, write_dicom
from apps.imaging.refusal import Refusal
from tests.at_once import at_once, meet_after
from tests.system import environment


@pytest.fixture(autouse=True)
def own_storage(settings, tmp_path):
    settings.STORAGE_DIR = tmp_path / "stored"


def stored_files(settings) -> list[Path]:
    return [one for one in settings.STORAGE_DIR.glob("site-*/**/*") if one.is_file()]


def incoming_files() -> list[Path]:
    return list(storage.incoming_dir().iterdir())


def edited_copy(path: Path, target: Path, **changes) -> Path:
    dataset = dcmread(path)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(target)
    return target


def receive_at_once(paths: list[Path], site, monkeypatch) -> list[object]:
    """Take files in from threads that all pass the check before any of them stores."""
    barrier = threading.Barrier(len(paths))
    read = ingest.read_instance

    def read_and_wait(path: Path):
        facts = read(path)
        barrier.wait(timeout=10)
        return facts

    monkeypatch.setattr(ingest, "read_instance", read_and_wait)

    def take(path: Path):
        try:
            return receive(path, site=site)[0]
        except Refusal as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(paths)) as pool:
        return list(pool.map(take, paths))


@pytest.mark.django_db(transaction=True)
def test_the_same_file_twice_at_the_same_moment_gives_one_instance(tmp_path, settings, monkeypatch):
    path = write_dicom(tmp_path)[0]
    answers = receive_at_once([path] * 4, make_site(), monkeypatch)
    assert sorted(one.new for one in answers) == [False, False, False, True]
    assert Instance.objects.count() == Study.objects.count() == Patient.objects.count() == 1
    assert Case.objects.get().events.count() == 1
    assert [one.read_bytes() for one in stored_files(settings)] == [path.read_bytes()]
    assert incoming_files() == []


@pytest.mark.django_db(transaction=True)
def test_of_different_bytes_under_one_uid_at_the_same_moment_one_wins(
    tmp_path, settings, monkeypatch
):
    first = write_dicom(tmp_path)[0]
    other = edited_copy(first, tmp_path / "other.dcm", ImageComments="other bytes")
    answers = receive_at_once([first, other], make_site(), monkeypatch)
    refused = [one for one in answers if isinstance(one, Refusal)]
    assert [one.code for one in refused] == ["other_bytes"]
    stored = Instance.objects.get()
    assert storage.sha256_of(storage.path_of(stored)) == stored.sha256
    assert len(stored_files(settings)) == 1


@pytest.mark.django_db(transaction=True)
def test_slices_of_a_new_study_at_the_same_moment_share_one_study(tmp_path, monkeypatch):
    paths = write_dicom(tmp_path, phantom=small_phantom(slices=4))
    answers = receive_at_once(paths, make_site(), monkeypatch)
    assert all(one.new for one in answers)
    assert Study.objects.count() == Case.objects.count() == Patient.objects.count() == 1
    assert Instance.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_two_batches_with_the_same_new_patients_in_opposite_order_are_both_stored(
    tmp_path, monkeypatch
):
    site = make_site()
    studies: dict[str, list[tuple[str, Path]]] = {}
    for number in range(8):
        patient = f"P-{number % 2}"
        path = write_dicom(tmp_path / str(number), patient_id=patient, study_time=f"10150{number}")
        uid = dcmread(path[0]).StudyInstanceUID
        studies.setdefault(patient, []).append((uid, path[0]))
    ones, others = (sorted(found) for found in studies.values())
    # By study, one batch begins with the one patient, and the other with the other.
    batches = [[ones[0], others[-1]], [others[0], ones[-1]]]
    assert all(first < second for first, second in batches)
    monkeypatch.setattr(ingest, "_store_study", meet_after(ingest._store_study, 2))

    def take(batch: list[tuple[str, Path]]) -> list[object]:
        paths = [storage.take_in(path) for _, path in batch]
        return ingest.ingest_files(paths, site=site, user=None)

    answers = at_once(*[partial(take, batch) for batch in batches])
    assert [one.new for answer in answers for one in answer] == [True] * 4
    assert Patient.objects.count() == 2
    assert Study.objects.count() == Instance.objects.count() == 4
    assert incoming_files() == []


@pytest.mark.django_db(transaction=True)
def test_a_failing_commit_leaves_nothing_that_is_served(tmp_path, monkeypatch):
    path, site = write_dicom(tmp_path)[0], make_site()

    def fail() -> None:
        connection.connection.rollback()
        raise OperationalError("the disk of the database is full")

    with monkeypatch.context() as broken:
        broken.setattr(connection, "_commit", fail)
        with pytest.raises(OperationalError):
            receive(path, site=site)
    connection.close()
    assert not Instance.objects.exists()
    assert not Study.objects.exists()
    assert incoming_files() == []
    assert receive(path, site=site)[0].new


@pytest.mark.django_db(transaction=True)
def test_a_process_killed_in_the_middle_leaves_no_row_and_the_file_can_come_again(tmp_path):
    path, site = write_dicom(tmp_path)[0], make_site()
    dies_before_commit = f"""
import os, signal, django
django.setup()
from apps.accounts.models import Site
from apps.cases import storage
from apps.cases.ingest import ingest_instance
settle = storage.settle
def settle_and_die(incoming, final):
    settle(incoming, final)
    os.kill(os.getpid(), signal.SIGKILL)
storage.settle = settle_and_die
ingest_instance(storage.take_in(__import__("pathlib").Path({str(path)!r})),
                site=Site.objects.get(pk={site.pk}), user=None)
"""
    died = subprocess.run(
        [sys.executable, "-c", dies_before_commit], env=environment(), check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert not Instance.objects.exists()
    assert receive(path, site=site)[0].new


@pytest.mark.django_db
def test_a_file_that_cannot_be_moved_into_place_leaves_no_row(tmp_path, monkeypatch):
    path, site = write_dicom(tmp_path)[0], make_site()

    def no_space(incoming: Path, final: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(storage, "settle", no_space)
        with pytest.raises(OSError, match="No space"), transaction.atomic():
            receive(path, site=site)
    assert not Instance.objects.exists()
    assert incoming_files() == []


@pytest.mark.django_db
def test_the_file_is_in_place_before_its_row_is_committed(tmp_path, monkeypatch):
    places = []
    settle = storage.settle

    def watched(incoming: Path, final: Path) -> None:
        places.append((Instance.objects.count(), connection.in_atomic_block))
        settle(incoming, final)

    monkeypatch.setattr(storage, "settle", watched)
    receive(*write_dicom(tmp_path), site=make_site())
    assert places == [(1, True)]


@pytest.mark.django_db
def test_the_stored_bytes_are_the_bytes_that_came(tmp_path):
    path = write_dicom(tmp_path)[0]
    received = receive(path, site=make_site())[0]
    assert storage.path_of(received.instance).read_bytes() == path.read_bytes()


@pytest.mark.django_db
def test_a_lost_file_is_put_back_when_the_same_bytes_come_again(tmp_path):
    path, site = write_dicom(tmp_path)[0], make_site()
    stored = storage.path_of(receive(path, site=site)[0].instance)
    stored.unlink()
    assert not receive(path, site=site)[0].new
    assert stored.read_bytes() == path.read_bytes()


@pytest.mark.django_db
def test_an_altered_file_is_replaced_when_the_same_bytes_come_again(tmp_path):
    path, site = write_dicom(tmp_path)[0], make_site()
    stored = storage.path_of(receive(path, site=site)[0].instance)
    stored.write_bytes(path.read_bytes()[:-1] + b"?")
    assert not receive(path, site=site)[0].new
    assert stored.read_bytes() == path.read_bytes()


@pytest.mark.django_db
def test_an_image_of_another_patient_is_kept_out_of_a_known_study(tmp_path):
    site = make_site()
    first, second = write_dicom(tmp_path, phantom=small_phantom(slices=2), patient_id="ONE")
    receive(first, site=site)
    with pytest.raises(Refusal) as refused:
        receive(edited_copy(second, tmp_path / "x.dcm", PatientID="TWO"), site=site)
    assert refused.value.code == "other_patient"
    assert Instance.objects.count() == 1


@pytest.mark.django_db
def test_patients_without_an_id_are_never_taken_for_the_same_person(tmp_path):
    site = make_site()
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        paths = write_dicom(folder, phantom=small_phantom(slices=1), patient_id=f"P{number}")
        receive(edited_copy(paths[0], folder / "x.dcm", PatientID=""), site=site)
    assert Patient.objects.filter(patient_id="").count() == 2


@pytest.mark.django_db
def test_two_sites_keep_the_same_image_apart(tmp_path):
    path = write_dicom(tmp_path)[0]
    here, there = (receive(path, site=make_site())[0] for _ in range(2))
    assert here.new
    assert there.new
    assert storage.path_of(here.instance) != storage.path_of(there.instance)


@pytest.mark.django_db
def test_a_burst_of_late_images_is_one_event_on_a_sent_case(tmp_path):
    technician = make_user("labtech")
    paths = write_dicom(tmp_path, phantom=small_phantom(slices=4))
    case = receive(paths[0], site=technician.site, user=technician)[0].case
    Case.objects.filter(pk=case.pk).update(status=Case.Status.SENT)
    receive(*paths[1:], site=technician.site, user=technician)
    assert case.events.filter(kind=CaseEvent.Kind.IMAGES_ADDED).count() == 1


@pytest.mark.django_db
def test_a_nearly_full_disk_refuses_before_anything_is_stored(tmp_path, settings):
    settings.MIN_FREE_DISK_MB = 10**9
    with pytest.raises(storage.DiskNearlyFull):
        receive(*write_dicom(tmp_path), site=make_site())
    assert incoming_files() == []
    assert not Instance.objects.exists()


@pytest.mark.django_db
def test_a_uid_that_is_a_path_never_names_a_file():
    case = make_case()
    instance = Instance.objects.select_related("series__study").get(series__study__case=case)
    instance.sop_instance_uid = "../../etc/passwd"
    with pytest.raises(ValueError, match="never names a file"):
        storage.path_of(instance)
