"""A deputy reads what was sent to a doctor who is away: on those days, and only then."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Absence
from apps.accounts.tests.factories import make_user
from apps.audit.models import AuditEvent
from apps.cases.models import Case
from apps.cases.tests.factories import make_case
from tests.people import logged_in

PAGE = "/doctor/absences/"


def day(offset: int) -> str:
    return (timezone.localdate() + timedelta(days=offset)).isoformat()


def away(people, first: int, last: int) -> Absence:
    return Absence.objects.create(
        doctor=people.owner, deputy=people.colleague, first_day=day(first), last_day=day(last)
    )


@pytest.fixture
def case(people) -> Case:
    return make_case(people.home, status="sent", receiver=people.owner)


@pytest.mark.parametrize(
    ("first", "last", "seen"), [(0, 0, True), (-3, 3, True), (1, 3, False), (-3, -1, False)]
)
def test_the_deputy_sees_and_claims_it_on_the_days_of_the_absence(people, case, first, last, seen):
    away(people, first, last)
    deputy = logged_in(people.colleague)
    assert deputy.get(f"/doctor/cases/{case.public_id}/").status_code == (200 if seen else 404)
    assert [row.case for row in deputy.get("/doctor/").context["rows"]] == [case] * seen
    claimed = deputy.post(f"/api/v1/cases/{case.public_id}/claim/")
    assert claimed.status_code == (200 if seen else 404)


def test_others_and_the_absent_doctors_drafts_stay_as_they_were(people, case):
    away(people, 0, 3)
    assert logged_in(people.teammate).get(f"/doctor/cases/{case.public_id}/").status_code == 404
    draft = make_case(people.home, status="draft")
    Case.objects.filter(pk=draft.pk).update(receiver=people.owner)
    assert logged_in(people.colleague).get(f"/doctor/cases/{draft.public_id}/").status_code == 404


def test_naming_and_removing_a_deputy_is_audited_and_is_ones_own(people, case):
    mine = logged_in(people.owner)
    body = {"first_day": day(0), "last_day": day(5), "deputy": people.colleague.pk}
    assert mine.post(PAGE, body).status_code == 302
    absence = Absence.objects.get()
    assert logged_in(people.colleague).post(f"{PAGE}{absence.pk}/cancel/").status_code == 404
    assert mine.post(f"{PAGE}{absence.pk}/cancel/").status_code == 302
    assert not Absence.objects.exists()
    what = AuditEvent.objects.filter(action="deputy").order_by("pk")
    assert [one.details["what"] for one in what] == ["named", "ended"]


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [(3, 1, "before the first"), (-5, -2, "over already")],
)
def test_days_that_cannot_be_are_refused_in_words(people, first, last, words):
    body = {"first_day": day(first), "last_day": day(last), "deputy": people.colleague.pk}
    answer = logged_in(people.owner).post(PAGE, body)
    assert answer.status_code == 400
    assert words in answer.content.decode()


def test_only_a_doctor_of_the_same_site_may_be_deputy(people):
    technician, oneself, foreign = people.technician, people.owner, people.stranger
    for wrong in (technician, oneself, foreign, make_user(site=people.home, is_active=False)):
        body = {"first_day": day(0), "last_day": day(1), "deputy": wrong.pk}
        assert logged_in(people.owner).post(PAGE, body).status_code == 400
    assert not Absence.objects.exists()


def test_a_deputy_who_moved_to_another_site_sees_nothing(people, case):
    away(people, 0, 1)
    people.colleague.site = people.elsewhere
    people.colleague.save()
    assert logged_in(people.colleague).get(f"/doctor/cases/{case.public_id}/").status_code == 404
