"""A study settles by itself or by the technician's word; one that lacks images asks before that."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.audit.models import AuditEvent
from apps.cases.models import Case, Instance, Series, Study
from apps.cases.services import is_settled
from apps.cases.tests.factories import make_case

pytestmark = pytest.mark.django_db
Status = Case.Status


@pytest.fixture
def case(people, settings) -> Case:
    """One whose first image of two came this moment."""
    settings.STUDY_SETTLE_SECONDS = 30
    case = make_case(technician=people.technician)
    images = Instance.objects.filter(series__study=case.study).count()
    Study.objects.filter(pk=case.study_id).update(number_of_study_related_instances=images + 1)
    case.refresh_from_db()
    return case


def images_came(case: Case, seconds_ago: float) -> None:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    Instance.objects.filter(series__study=case.study).update(received_at=at)


def send(client, case: Case, **values):
    wish = {"revision": case.revision, "receiver": "pool", "priority": 2, **values}
    return client.post(reverse("labtech:send", args=[case.public_id]), wish)


def send_by_api(client, case: Case, **values):
    address = reverse("case_send", args=[case.public_id])
    return client.post(address, {"revision": case.revision, **values}, "application/json")


def say_that_is_all(client, case: Case):
    return client.post(reverse("case_settle", args=[case.public_id]))


def status_of(case: Case) -> str:
    case.refresh_from_db()
    return case.status


def test_sending_what_may_still_arrive_asks_and_sends_once_confirmed(client, case):
    asked = send(client, case, clinical_question="Nodule?")
    assert asked.status_code == 409
    html = asked.content.decode()
    assert "more may follow" in html
    assert "Nodule?" in html
    assert 'name="despite_arriving"' in html
    assert status_of(case) == Status.DRAFT
    assert send(client, case, despite_arriving="on").status_code == 302
    assert status_of(case) == Status.SENT


def test_a_study_that_announces_nothing_more_is_sent_at_once(client, case):
    Study.objects.update(number_of_study_related_instances=None)
    assert not is_settled(case)
    assert send(client, case).status_code == 302


def test_a_series_that_lacks_announced_images_asks_too(client, case):
    Study.objects.update(number_of_study_related_instances=None)
    Series.objects.update(number_of_series_related_instances=99)
    assert send_by_api(client, case).status_code == 409


def test_a_page_that_need_not_ask_shows_no_box_to_tick(client, case):
    html = client.get(reverse("labtech:case", args=[case.public_id])).content.decode()
    assert "despite_arriving" not in html
    assert "That is all" in html


def test_a_study_settles_once_nothing_came_for_a_while(client, case):
    images_came(case, seconds_ago=29)
    assert not is_settled(case)
    images_came(case, seconds_ago=31)
    assert is_settled(case)
    html = client.get(reverse("labtech:case", args=[case.public_id])).content.decode()
    assert "That is all" not in html
    assert send(client, case).status_code == 302


def test_the_technician_s_word_settles_it_and_is_kept_once(client, case):
    assert [say_that_is_all(client, case).status_code for _ in range(2)] == [204, 204]
    assert case.events.filter(kind="settled").count() == 1
    assert AuditEvent.objects.filter(action="settled", target_id=str(case.pk)).count() == 1
    assert send(client, case).status_code == 302


def test_images_after_that_word_unsettle_it_again(client, case):
    say_that_is_all(client, case)
    images_came(case, seconds_ago=-1)
    assert not is_settled(case)
    assert send(client, case).status_code == 409


def test_a_program_is_told_and_can_insist(client, case):
    asked = send_by_api(client, case)
    assert (asked.status_code, asked.json()["code"]) == (409, "still_arriving")
    assert status_of(case) == Status.DRAFT
    assert send_by_api(client, case, despite_arriving=True).status_code == 200
    assert status_of(case) == Status.SENT
