"""The worklist: who is on it, in which order, what each row says, and where searches go."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.accounts.tests.factories import make_group
from apps.cases.models import Case
from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import make_prediction
from apps.doctor.worklist import cases_for, rows_for, spell, waiting_of
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
LIST = reverse("doctor:worklist")
Priority = Case.Priority


def waited(case: Case, minutes: int) -> Case:
    Case.objects.filter(pk=case.pk).update(sent_at=timezone.now() - timedelta(minutes=minutes))
    case.refresh_from_db()
    return case


def row_of(case: Case, user: object):
    return next(row for row in rows_for(cases_for(user, show="all"), user) if row.case == case)


def test_list_holds_own_group_and_pool_cases_only(people: People):
    own = make_case(people.home, status="sent", receiver=people.owner)
    group = make_case(people.home, status="sent", receiver_group=people.group)
    pool = make_case(people.home, status="sent")
    make_case(people.home, status="sent", receiver=people.colleague)
    make_case(people.home, status="sent", receiver_group=make_group(people.colleague))
    make_case(people.elsewhere, status="sent")
    make_case(people.home, status="draft")

    assert set(cases_for(people.owner)) == {own, group, pool}


def test_unread_come_first_then_priority_then_the_longest_waiting(people: People):
    routine_old = waited(make_case(people.home, status="sent"), 300)
    routine_new = waited(make_case(people.home, status="sent"), 5)
    urgent = waited(make_case(people.home, status="sent", priority=Priority.URGENT), 10)
    emergency = waited(make_case(people.home, status="sent", priority=Priority.EMERGENCY), 1)
    read_by_other = waited(
        make_case(
            people.home, status="in_review", doctor=people.teammate, priority=Priority.EMERGENCY
        ),
        400,
    )

    assert list(cases_for(people.owner)) == [
        emergency,
        urgent,
        routine_old,
        routine_new,
        read_by_other,
    ]


def test_list_needs_the_same_number_of_queries_for_one_and_for_many_rows(people: People):
    browser = logged_in(people.owner)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert browser.get(LIST).status_code == 200
        return len(captured)

    make_prediction(make_case(people.home, status="sent"), findings=[{}, {}])
    browser.get(LIST)
    with_one = queries()
    for number in range(6):
        case = make_case(people.home, status="sent", patient_id=f"many-{number}")
        make_prediction(case, findings=[{}, {}, {}])
    assert queries() == with_one


def test_waiting_time_warns_before_and_after_the_target(people: People):
    case = make_case(people.home, status="sent", priority=Priority.URGENT)

    assert waiting_of(waited(case, 20)).step == ""
    assert waiting_of(waited(case, 50)).step == "soon"
    late = waiting_of(waited(case, 75))
    assert (late.step, late.words, late.target) == (
        "late",
        "1 h 15 min, over 1 h 00 min",
        "60 min",
    )


def test_reported_case_waits_no_longer(people: People):
    assert waiting_of(make_case(people.home, status="reported")) is None


def test_durations_are_spelled_as_people_say_them():
    assert [spell(m) for m in (0, 52, 130, 3000)] == ["just now", "52 min", "2 h 10 min", "2 days"]


@pytest.mark.parametrize(
    ("prediction", "words", "nothing"),
    [
        ({"status": "queued"}, "waiting", "not yet"),
        ({"status": "running", "progress": 0.4}, "working, 40 %", "not yet"),
        ({"status": "refused", "code": "not_chest"}, "refused: not a chest CT", "not assessed"),
        ({"status": "failed"}, "failed", "not assessed"),
        ({"status": "done"}, "answered", "no nodule found"),
    ],
)
def test_row_says_what_the_ai_did(people: People, prediction: dict, words: str, nothing: str):
    case = make_case(people.home, status="sent")
    make_prediction(case, **prediction)
    answer = row_of(case, people.owner).answer

    assert (answer.words, answer.nothing, answer.score) == (words, nothing, None)


def test_row_shows_the_highest_suspicion_of_all_series_with_its_size(people: People):
    case = make_case(people.home, status="sent", series=2)
    first, second = case.study.series.all()
    make_prediction(case, series=first, findings=[{"malignancy_probability": 0.2}])
    make_prediction(
        case, series=second, findings=[{"malignancy_probability": 0.91, "diameter_mm": 19.0}]
    )
    answer = row_of(case, people.owner).answer

    assert (answer.score, answer.diameter_mm) == (0.91, 19.0)
    page = logged_in(people.owner).get(LIST).content.decode()
    assert "0.91 high, 19 mm" in page


def test_shadow_predictions_are_not_shown(people: People):
    case = make_case(people.home, status="sent")
    make_prediction(case, shadow=True, findings=[{"malignancy_probability": 0.99}])

    assert row_of(case, people.owner).answer.words == "not asked"
    assert row_of(case, people.owner).answer.score is None


def test_page_never_says_clear(people: People):
    make_prediction(make_case(people.home, status="sent"))
    page = logged_in(people.owner).get(LIST).content.decode()

    assert "no nodule found" in page
    assert "is not an all-clear" in page
    assert ">clear<" not in page.lower()


def test_search_by_name_id_or_accession_number_is_posted_and_stays_in_the_session(people: People):
    wanted = make_case(
        people.home,
        status="reported",
        patient_name="OKAFOR^Adaeze",
        patient_id="0043",
        accession_number="26-118",
        doctor=people.owner,
    )
    make_case(people.home, status="sent", patient_name="SMITH^John")
    browser = logged_in(people.owner)
    for words in ("okafor", "0043", "26-118", "adaeze okafor"):
        answer = browser.post(reverse("doctor:worklist_search"), {"search": words})
        assert answer.status_code == 302
        assert answer["Location"] == LIST
        assert [row.case for row in browser.get(LIST).context["rows"]] == [wanted]
    assert browser.get(LIST).context["search"] == "adaeze okafor"


def test_words_in_the_address_search_for_nothing(people: People):
    make_case(people.home, status="sent", patient_name="SMITH^John")
    page = logged_in(people.owner).get(LIST, {"search": "okafor", "q": "okafor"})

    assert len(page.context["rows"]) == 1


def test_unusable_search_is_refused_in_words(people: People):
    browser = logged_in(people.owner)
    for words in ("x" * 201, "a\0b"):
        answer = browser.post(reverse("doctor:worklist_search"), {"search": words}, follow=True)
        assert "too long or has unreadable signs" in answer.content.decode()
        assert answer.context["search"] == ""


def test_filter_survives_a_reload(people: People):
    make_case(people.home, status="sent")
    urgent = make_case(people.home, status="sent", priority=Priority.URGENT)
    browser = logged_in(people.owner)
    browser.get(LIST, {"show": "urgent"})

    assert [row.case for row in browser.get(LIST).context["rows"]] == [urgent]


def test_chips_count_each_state(people: People):
    make_case(people.home, status="sent", receiver=people.owner, priority=Priority.URGENT)
    make_case(people.home, status="in_review", doctor=people.owner)
    make_case(people.home, status="in_review", doctor=people.teammate)
    make_case(people.home, status="returned", doctor=people.owner)
    make_case(people.home, status="reported", doctor=people.owner)
    chips = logged_in(people.owner).get(LIST).context["chips"]

    assert {chip["name"]: chip["count"] for chip in chips} == {
        "to_read": "3",
        "mine": "2",
        "urgent": "1",
        "returned": "1",
        "reported": "1",
        "all": "5",
    }


def test_more_than_anybody_pages_through_is_not_counted(people: People, monkeypatch):
    monkeypatch.setattr("apps.doctor.worklist.MOST_COUNTED", 2)
    monkeypatch.setattr("apps.doctor.views.worklist.MOST_COUNTED", 2)
    for _ in range(4):
        make_case(people.home, status="sent")
    page = logged_in(people.owner).get(LIST)
    assert page.context["chips"][0]["count"] == "2+"
    assert "2+ cases to read" in page.content.decode()
    assert len(page.context["rows"]) == 2


@pytest.mark.parametrize("few", [500, 1])
def test_search_finds_the_same_by_index_and_row_by_row(people: People, monkeypatch, few):
    monkeypatch.setattr("apps.cases.search.FEW", few)
    wanted = [make_case(people.home, status="sent", patient_name="SEARCHED^Ada") for _ in "ab"]
    wanted.append(
        make_case(people.home, status="sent", accession_number="xSEARCHEDx", patient_name="ZED^Bo")
    )
    make_case(people.home, status="sent", patient_name="OTHER^Ada")
    browser = logged_in(people.owner)
    browser.post(reverse("doctor:worklist_search"), {"search": "searched"})
    assert [row.case for row in browser.get(LIST).context["rows"]] == wanted[::-1]
    browser.post(reverse("doctor:worklist_search"), {"search": "searched ada"})
    assert [row.case for row in browser.get(LIST).context["rows"]] == wanted[1::-1]


def test_long_list_has_pages(people: People, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("apps.doctor.views.worklist.ROWS_PER_PAGE", 2)
    for _ in range(3):
        make_case(people.home, status="sent")
    browser = logged_in(people.owner)

    assert len(browser.get(LIST).context["rows"]) == 2
    assert len(browser.get(LIST, {"page": "2"}).context["rows"]) == 1
    assert browser.get(LIST, {"page": "no number"}).status_code == 200


def test_empty_list_says_what_it_is_for(people: People):
    page = logged_in(people.owner).get(LIST).content.decode()
    assert "No case waits for you" in page


def test_next_case_claims_the_first_that_nobody_reads(people: People):
    make_case(people.home, status="in_review", doctor=people.teammate, priority=Priority.EMERGENCY)
    urgent = make_case(people.home, status="sent", priority=Priority.URGENT)
    make_case(people.home, status="sent")
    answer = logged_in(people.owner).post(reverse("doctor:next"))

    urgent.refresh_from_db()
    assert answer["Location"] == reverse("doctor:case", args=[urgent.public_id])
    assert (urgent.status, urgent.claimed_by) == (Case.Status.IN_REVIEW, people.owner)


def test_next_case_on_an_empty_list_says_so(people: People):
    answer = logged_in(people.owner).post(reverse("doctor:next"), follow=True)
    assert "No case is waiting for you" in answer.content.decode()


def test_rows_are_refreshed_without_the_rest_of_the_page(people: People):
    case = make_case(people.home, status="sent")
    part = logged_in(people.owner).get(reverse("doctor:worklist_rows")).content.decode()

    assert str(case.public_id) in part
    assert "<html" not in part


@pytest.mark.parametrize("who", ["technician", "admin"])
def test_only_doctors_have_a_worklist(people: People, who: str):
    browser = logged_in(getattr(people, who))
    assert browser.get(LIST).status_code == 403
    assert browser.post(reverse("doctor:next")).status_code == 403
