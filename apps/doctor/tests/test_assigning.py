"""A lead gives waiting cases to a doctor of their group; nobody else can, and no other case."""

import pytest

from apps.accounts.tests.factories import make_group, make_user, request_of
from apps.audit.models import AuditEvent
from apps.cases.models import Case
from apps.cases.services import claim_case
from apps.cases.tests.factories import make_case
from tests.people import logged_in

ASSIGN = "/doctor/assign/"


@pytest.fixture
def group(people):
    """Owner leads teammate."""
    group = make_group(people.owner, people.teammate)
    group.leads.add(people.owner)
    return group


def give(doctor, to, *cases, **more):
    body = {"cases": [str(case.public_id) for case in cases], "doctor": to.pk, **more}
    return logged_in(doctor).post(ASSIGN, body, follow=True)


def said(answer) -> str:
    return " ".join(str(one) for one in answer.context["messages"])


def test_many_cases_go_to_a_doctor_at_once_and_each_keeps_who_did_it(people, group):
    pool = make_case(people.home, status="sent")
    own = make_case(people.home, status="sent", receiver_group=group)
    answer = give(people.owner, people.teammate, pool, own)
    assert f"2 given to {people.teammate}" in said(answer)
    for case in Case.objects.all():
        assert (case.receiver, case.receiver_group, case.status) == (people.teammate, None, "sent")
        assert (case.events.last().kind, case.events.last().actor) == (
            "assigned",
            str(people.owner),
        )
    assert AuditEvent.objects.filter(action="assigned").count() == 2


def test_what_somebody_claimed_meanwhile_stays(people, group):
    case = make_case(people.home, status="sent")
    claim_case(case, request=request_of(people.colleague))
    answer = give(people.owner, people.teammate, case)
    assert "1 stayed where they are" in said(answer)
    case.refresh_from_db()
    assert (case.claimed_by, case.receiver) == (people.colleague, None)


def test_only_a_lead_gives_and_only_to_doctors_of_the_group(people, group):
    case = make_case(people.home, status="sent")
    assert "only to doctors of a group" in said(give(people.teammate, people.owner, case))
    assert "only to doctors of a group" in said(give(people.owner, people.colleague, case))
    assert "only to doctors of a group" in said(give(people.owner, people.stranger, case))
    case.refresh_from_db()
    assert case.receiver is None


def test_cases_of_other_groups_doctors_and_sites_are_out_of_reach(people, group):
    others = make_group(people.colleague)
    cases = [
        make_case(people.home, status="sent", receiver=people.colleague),
        make_case(people.home, status="sent", receiver_group=others),
        make_case(people.elsewhere, status="sent"),
        make_case(people.home, status="draft"),
        make_case(people.home, status="reported"),
    ]
    assert "0 given" in said(give(people.owner, people.teammate, *cases))
    assert not Case.objects.filter(receiver=people.teammate).exists()


def test_nothing_ticked_or_nonsense_is_refused_in_words(people, group):
    assert "Tick the cases first" in said(give(people.owner, people.teammate))
    case = make_case(people.home, status="sent")
    answer = logged_in(people.owner).post(ASSIGN, {"cases": ["x"], "doctor": "y"}, follow=True)
    assert "Nothing was changed" in said(answer)
    case.refresh_from_db()
    assert case.receiver is None


def test_a_second_read_is_not_given_to_who_read_first(people, group):
    case = make_case(people.home, status="reported", doctor=people.teammate)
    Case.objects.filter(pk=case.pk).update(status="sent", stage="second", claimed_by=None)
    case.refresh_from_db()
    assert "0 given" in said(give(people.owner, people.teammate, case))


def test_the_list_offers_it_to_leads_alone(people, group):
    make_case(people.home, status="sent")
    assert "data-assign" in logged_in(people.owner).get("/doctor/").content.decode()
    assert "data-assign" not in logged_in(people.teammate).get("/doctor/").content.decode()


def test_who_was_deactivated_is_offered_no_more(people, group):
    left = make_user(site=people.home, is_active=False)
    group.members.add(left)
    assert str(left) not in logged_in(people.owner).get("/doctor/").content.decode()
