"""What was filed wrongly: moved, merged, split; the files stay, the reasons too."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.accounts.tests.factories import request_of
from apps.audit.models import AuditEvent
from apps.cases import storage
from apps.cases.grouping import merge_cases
from apps.cases.models import Case, CaseEvent, Instance, Patient, PatientAssignment, Series
from apps.cases.services import CaseConflict
from apps.cases.tests.factories import make_case, receive, small_phantom, write_dicom
from apps.classifier.tests.factories import make_training_example
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db


def step(client: Client, case: Case, name: str, **form):
    case.refresh_from_db()
    form = {"revision": case.revision, "reason": "typed at the console", **form}
    return client.post(reverse(f"labtech:{name}", args=[case.public_id]), form)


def files_of(case: Case) -> dict[str, bytes]:
    instances = Instance.objects.filter(series__study__case=case).select_related("series__study")
    return {one.sop_instance_uid: storage.path_of(one).read_bytes() for one in instances}


@pytest.fixture
def right(people: People) -> Patient:
    case = make_case(people.home, patient_id="RIGHT", patient_name="RIGHT^Person")
    return case.study.patient


@pytest.fixture
def wrong(people: People) -> Case:
    return make_case(people.home, patient_id="WRONG", patient_name="WRONG^Person", slices=2)


def test_a_study_is_moved_after_looking_whose_it_would_be(people: People, wrong, right):
    client, before, old = logged_in(people.technician), files_of(wrong), wrong.study.patient
    asked = step(client, wrong, "move", patient_id="RIGHT")
    assert "Is it this person?" in asked.content.decode()
    wrong.study.refresh_from_db()
    assert wrong.study.patient == old
    step(client, wrong, "move", patient_id="RIGHT", seen=right.pk)
    wrong.study.refresh_from_db()
    assert (wrong.study.patient, wrong.study.filed_patient) == (right, old)
    assert wrong.study.patient_name == "WRONG^Person"  # what the files say
    assert files_of(wrong) == before
    row = PatientAssignment.objects.get()
    assert (row.author, row.reason) == (people.technician, "typed at the console")
    event = AuditEvent.objects.get(action=AuditEvent.Action.STUDY_MOVED)
    assert event.details["from_patient"] == old.pk
    assert "Person" not in str(event.details)


def test_another_person_than_the_one_seen_is_shown_again(people: People, wrong, right):
    page = step(
        logged_in(people.technician), wrong, "move", patient_id="RIGHT", seen=right.pk + 1000
    )
    assert "Is it this person?" in page.content.decode()
    assert not PatientAssignment.objects.exists()


def test_a_patient_who_is_not_stored_yet_needs_a_name(people: People, wrong):
    client = logged_in(people.technician)
    assert step(client, wrong, "move", patient_id="NEW").status_code == 422
    step(client, wrong, "move", patient_id="NEW", family_name="NEW", given_name="Ada")
    wrong.study.refresh_from_db()
    assert wrong.study.patient.display_name == "NEW, Ada"


def test_a_patient_of_another_site_is_nobody_here(people: People, wrong):
    foreign = make_case(people.elsewhere, patient_id="FOREIGN").study.patient
    step(logged_in(people.technician), wrong, "move", patient_id="FOREIGN", seen=foreign.pk)
    wrong.study.refresh_from_db()
    assert wrong.study.patient.patient_id == "WRONG"


@pytest.mark.parametrize("status", ["in_review", "reported"])
def test_what_a_doctor_reads_or_has_reported_is_not_moved(people: People, right, status):
    case = make_case(people.home, status=status)
    page = step(logged_in(people.technician), case, "move", patient_id="RIGHT", seen=right.pk)
    assert page.status_code == 302
    assert not PatientAssignment.objects.exists()


def test_what_is_learnt_from_keeps_its_patient(people: People, right):
    case = make_case(people.home, status="returned")
    make_training_example(case, doctor=people.owner)
    client = logged_in(people.technician)
    step(client, case, "move", patient_id="RIGHT", seen=right.pk)
    assert not PatientAssignment.objects.exists()


def test_late_images_of_a_moved_study_still_find_it(people: People, right, tmp_path):
    first, second = write_dicom(tmp_path, phantom=small_phantom(slices=2), patient_id="WRONG")
    case = receive(first, site=people.home)[0].case
    client = logged_in(people.technician)
    step(client, case, "move", patient_id="RIGHT", seen=right.pk)
    late = receive(second, site=people.home)[0]
    assert (late.case, late.instance.series.study.patient) == (case, right)


def two_halves(people: People) -> tuple[Case, Case]:
    """One patient's study that came as two."""
    cases = [
        make_case(people.home, patient_id="P-SPLIT", accession_number=half, slices=2)
        for half in ("FIRST", "SECOND")
    ]
    return cases[0], cases[1]


def test_two_halves_become_one_case(people: People):
    gone, kept = two_halves(people)
    before = files_of(gone) | files_of(kept)
    into = f"{kept.public_id} {kept.revision}"
    step(logged_in(people.technician), gone, "merge", into=into)
    gone.refresh_from_db()
    assert files_of(kept) == before
    assert (gone.status, gone.study.series.count(), kept.study.series.count()) == (
        "withdrawn",
        0,
        2,
    )
    board = logged_in(people.technician).get("/labtech/").content.decode()
    assert str(gone.public_id) not in board
    assert {e.case_id for e in CaseEvent.objects.filter(kind="merged")} == {gone.pk, kept.pk}


def test_late_images_of_a_merged_series_go_where_it_is_now(people: People, tmp_path):
    first, second = write_dicom(tmp_path, phantom=small_phantom(slices=2), patient_id="P-SPLIT")
    gone = receive(first, site=people.home)[0].case
    kept = make_case(people.home, patient_id="P-SPLIT", accession_number="OTHER")
    step(logged_in(people.technician), gone, "merge", into=f"{kept.public_id} {kept.revision}")
    late = receive(second, site=people.home)[0]
    assert late.case == kept
    assert Series.objects.filter(study=kept.study_id).count() == 2
    assert storage.path_of(late.instance).exists()


def test_only_studies_of_one_patient_merge(people: People, wrong, right):
    other = Case.objects.get(study__patient=right)
    with pytest.raises(CaseConflict, match="different patients"):
        merge_cases(
            wrong,
            other,
            request=request_of(people.technician),
            revision=wrong.revision,
            into_revision=other.revision,
            reason="x",
        )
    page = step(logged_in(people.technician), wrong, "merge", into=f"{other.public_id} 1")
    assert page.status_code == 422


def test_what_was_sent_is_neither_merged_nor_split(people: People):
    sent = make_case(people.home, status="sent", series=2, patient_id="P")
    other = make_case(people.home, patient_id="P", accession_number="OTHER")
    client = logged_in(people.technician)
    step(client, sent, "merge", into=f"{other.public_id} {other.revision}")
    step(client, sent, "split", series=[str(sent.study.series.first().public_id)])
    assert sent.study.series.count() == 2


def test_one_series_becomes_a_case_of_its_own(people: People):
    whole = make_case(people.home, series=2, slices=2)
    before = files_of(whole)
    taken = whole.study.series.first()
    step(logged_in(people.technician), whole, "split", series=[str(taken.public_id)])
    part = Case.objects.exclude(pk=whole.pk).get()
    assert (whole.study.series.count(), part.study.series.get()) == (1, taken)
    assert files_of(whole) | files_of(part) == before
    assert part.study.patient == whole.study.patient
    assert part.study.study_instance_uid.startswith("2.25.")


@pytest.mark.parametrize("which", ["none", "all", "foreign"])
def test_a_split_that_splits_nothing_is_refused(people: People, which):
    whole, other = make_case(people.home, series=2), make_case(people.home)
    keys = {
        "none": [],
        "all": [str(one.public_id) for one in whole.study.series.all()],
        "foreign": [str(other.study.series.get().public_id)],
    }
    step(logged_in(people.technician), whole, "split", series=keys[which])
    assert Case.objects.count() == 2
    assert whole.study.series.count() == 2


def test_an_emptied_case_cannot_be_sent(people: People):
    gone, kept = two_halves(people)
    client = logged_in(people.technician)
    step(client, gone, "merge", into=f"{kept.public_id} {kept.revision}")
    form = {"receiver": "pool", "priority": 2}
    assert step(client, gone, "send", **form).status_code == 409


@pytest.mark.django_db(transaction=True)
def test_of_two_people_who_split_and_merge_at_once_one_is_told(people: People):
    whole = make_case(people.home, series=2, patient_id="P")
    other = make_case(people.home, patient_id="P", accession_number="OTHER")
    browsers = [logged_in(people.technician), logged_in(people.technician)]
    forms = [
        ("split", {"series": [str(whole.study.series.first().public_id)]}),
        ("merge", {"into": f"{other.public_id} {other.revision}"}),
    ]
    start = Barrier(2)

    def go(browser: Client, name: str, form: dict) -> None:
        start.wait()
        address = reverse(f"labtech:{name}", args=[whole.public_id])
        browser.post(address, {"revision": whole.revision, "reason": "at once", **form})
        connection.close()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda pair: go(pair[0], *pair[1]), zip(browsers, forms, strict=True)))
    done = AuditEvent.objects.filter(action__in=["study_split", "studies_merged"])
    assert done.count() == 1
    assert Series.objects.count() == 3
