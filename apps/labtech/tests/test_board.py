"""The technician's board: unread returns, only mine, names hidden, drafts kept, the AI asked."""

import pytest
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.permissions import Role
from apps.accounts.tests.factories import make_user
from apps.audit.models import AuditEvent
from apps.cases.models import Case
from apps.cases.tests.factories import make_case
from apps.classifier.models import Prediction
from apps.labtech.checks import checks_of
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db


def page(client, tab: str = "drafts") -> str:
    return client.get(f"/labtech/?tab={tab}").content.decode()


def test_a_return_is_new_until_its_sender_has_looked(people: People):
    case = make_case(people.home, status="returned", technician=people.technician)
    mine, colleague = (
        logged_in(people.technician),
        logged_in(make_user(Role.LABTECH, site=people.home)),
    )
    assert "1 new" in page(mine)
    assert "blurred by breathing" in page(mine, "returned")
    address = reverse("labtech:case", args=[case.public_id])
    colleague.get(address)
    assert "1 new" in page(mine)
    assert "new</span>" not in page(colleague)
    mine.get(address)
    assert "1 new" not in page(mine)


def test_only_mine_leaves_the_colleagues_cases_out(people: People):
    colleague = make_user(Role.LABTECH, site=people.home)
    mine, theirs = (
        make_case(people.home, technician=one) for one in (people.technician, colleague)
    )
    client = logged_in(people.technician)
    client.post(reverse("labtech:show"), {"mine": "1"})
    assert str(mine.public_id) in page(client)
    assert str(theirs.public_id) not in page(client)
    client.post(reverse("labtech:show"), {"mine": "0"})
    assert str(theirs.public_id) in page(client)


def test_in_anonymous_mode_no_page_names_the_patient(people: People):
    case = make_case(
        people.home, patient_id="SECRET-7", patient_name="HIDDEN^Somebody", accession_number="ACC-9"
    )
    series = case.study.series.get()
    instance = series.instances.get()
    client = logged_in(people.technician)
    pages = [
        "/labtech/",
        reverse("labtech:case", args=[case.public_id]),
        reverse("labtech:filing", args=[case.public_id]),
        reverse("labtech:tags", args=[instance.public_id]),
        reverse("series_manifest", args=[series.public_id]),
    ]
    secrets = ("HIDDEN", "SECRET-7", "ACC-9")
    assert any(word in client.get(path).content.decode() for path in pages for word in secrets)
    client.post(reverse("labtech:show"), {"anonymous": "1"})
    for path in pages:
        shown = client.get(path).content.decode()
        assert not any(word in shown for word in secrets), path
    client.post(reverse("labtech:show"), {"anonymous": "0"})
    assert "HIDDEN" in client.get(pages[1]).content.decode()
    case.study.patient.refresh_from_db()
    assert case.study.patient.name == "HIDDEN^Somebody"


def test_a_draft_keeps_its_words_without_being_sent(people: People):
    case = make_case(people.home)
    form = {
        "revision": case.revision,
        "receiver": f"doctor-{people.owner.pk}",
        "priority": 1,
        "clinical_question": "Nodule?",
        "note": "Moved a little",
    }
    client = logged_in(people.technician)
    address = reverse("labtech:keep", args=[case.public_id])
    assert client.post(address, form).status_code == 302
    case.refresh_from_db()
    assert (case.status, case.receiver, case.priority, case.note) == (
        "draft",
        people.owner,
        1,
        "Moved a little",
    )
    assert client.post(address, form).status_code == 409  # the same page, sent twice
    assert AuditEvent.objects.filter(action=AuditEvent.Action.DRAFT_CHANGED).count() == 1
    assert "Nodule?" in client.get(reverse("labtech:case", args=[case.public_id])).content.decode()


def test_a_sent_case_is_no_draft_any_more(people: People):
    case = make_case(people.home, status="sent", note="as sent")
    form = {"revision": case.revision, "receiver": "pool", "priority": 0, "note": "later"}
    address = reverse("labtech:keep", args=[case.public_id])
    assert logged_in(people.technician).post(address, form).status_code == 409
    case.refresh_from_db()
    assert case.note == "as sent"


def test_the_ai_can_be_asked_before_sending_and_is_not_asked_twice(people: People):
    case = make_case(people.home)
    client = logged_in(people.technician)
    state = reverse("labtech:case", args=[case.public_id])
    assert "Let the AI check it" in client.get(state).content.decode()
    for _ in range(2):
        assert client.post(reverse("labtech:ask_ai", args=[case.public_id])).status_code == 204
    assert Prediction.objects.count() == 1
    shown = client.get(state).content.decode()
    assert "Waiting for the AI" in shown
    assert "Let the AI check it" not in shown


def texts(case: Case, user: User) -> list[tuple[str, str]]:
    series = list(case.study.series.prefetch_related("instances"))
    return [(one.sign, one.text) for one in checks_of(case, series, user)]


def test_the_same_person_under_two_ids_in_one_sitting_is_pointed_out(people: People):
    by = {"technician": people.technician}
    make_case(people.home, patient_id="A", patient_name="SMITH^Ada", **by)
    case = make_case(people.home, patient_id="B", patient_name="SMITH^Ada", **by)
    warning = ("warn", "Your last upload was SMITH, Ada, under another Patient ID")
    assert warning in texts(case, people.technician)


def test_a_body_part_that_is_no_chest_is_a_friendly_warning(people: People):
    case = make_case(people.home)
    case.study.series.update(body_part_examined="ABDOMEN")
    assert ("warn", "The header says ABDOMEN") in texts(case, people.technician)
    case.study.series.update(body_part_examined="CHEST_TO_PELVIS")
    assert ("ok", "The header says CHEST_TO_PELVIS") in texts(case, people.technician)
