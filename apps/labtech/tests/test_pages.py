"""What a technician sees: the lists of the day, one case, its attributes."""

import re

import pytest
from django.urls import reverse

from apps.accounts.tests.factories import make_user
from apps.audit.models import AuditEvent
from apps.cases import storage
from apps.cases.models import CaseEvent, Instance
from apps.cases.tests.factories import make_case, receive, small_phantom, write_dicom
from apps.classifier.tests.factories import make_prediction
from tests.people import logged_in

pytestmark = pytest.mark.django_db
TODAY = "/labtech/"


def page(client, address: str, **query) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200
    return answer.content.decode()


def case_page(client, case) -> str:
    return page(client, reverse("labtech:case", args=[case.public_id]))


def counts(html: str) -> dict[str, int]:
    return {name: int(n) for name, n in re.findall(r'data-count="(\w+)">(\d+)<', html)}


def rows(html: str) -> int:
    return html.count("<tr data-href")


def test_an_empty_day_says_what_the_page_is_for(client):
    html = page(client, TODAY)
    assert "Drop CT files, a folder or a ZIP here" in html
    assert "Nothing waits to be sent" in html
    assert "Try a phantom case" not in html


def test_an_empty_tab_offers_a_phantom_case_where_one_exists(client, people):
    case = make_case(technician=people.technician, status="sent")
    html = page(client, TODAY)
    assert "Try a phantom case" in html
    assert str(case.public_id) in html


def test_each_case_stands_in_the_tab_of_its_state(client, people):
    for status in ("draft", "withdrawn", "sent", "in_review", "returned", "reported"):
        make_case(technician=people.technician, status=status, patient_name=f"{status.upper()}^A")
    assert counts(page(client, TODAY)) == {"drafts": 2, "returned": 1, "sent": 2, "reported": 1}
    shown = {
        tab: page(client, TODAY, tab=tab) for tab in ("drafts", "returned", "sent", "reported")
    }
    assert "DRAFT, A" in shown["drafts"]
    assert "WITHDRAWN, A" in shown["drafts"]
    assert "IN_REVIEW, A" in shown["sent"]
    assert "REPORTED, A" in shown["reported"]
    assert "RETURNED, A" not in shown["sent"]


def test_a_returned_case_shows_the_doctor_s_words(client, people):
    make_case(technician=people.technician, status="returned", doctor=people.owner)
    html = page(client, TODAY, tab="returned")
    assert "blurred by breathing" in html
    assert str(people.owner) in html
    assert "Add images" in html


def test_cases_returned_to_a_colleague_stand_apart_and_do_not_count_as_mine(client, people):
    make_case(site=people.home, technician=people.technician, status="returned")
    make_case(technician=make_user("labtech", site=people.home), status="returned")
    html = page(client, TODAY, tab="returned")
    assert counts(html)["returned"] == 1
    assert html.index("Returned to colleagues") > html.index("<tr data-href")
    assert rows(html) == 2


def test_other_sites_cases_are_not_listed(client, people):
    make_case(technician=people.foreign_technician, patient_name="ELSEWHERE^A")
    assert "ELSEWHERE" not in page(client, TODAY)


def test_names_are_searched_by_post_and_never_stand_in_an_address(client, people):
    make_case(technician=people.technician, patient_name="OKAFOR^Adaeze")
    make_case(technician=people.technician, patient_name="SMITH^John")
    answer = client.post(reverse("labtech:search"), {"words": "okafor", "tab": "drafts"})
    assert "okafor" not in answer["Location"]
    html = page(client, answer["Location"])
    assert rows(html) == 1
    assert "Only cases that match" in html
    client.post(reverse("labtech:search"), {"tab": "drafts"})
    assert rows(page(client, TODAY)) == 2


def test_a_wild_search_is_harmless(client):
    for words in ("x" * 10_000, "a\0b", "%_'\";--"):
        client.post(reverse("labtech:search"), {"words": words, "tab": "../x"})
        assert client.get(TODAY).status_code == 200


@pytest.mark.parametrize("query", [{"page": "x"}, {"page": "-1"}, {"page": "9" * 30}])
def test_a_wrong_page_shows_a_page(client, query):
    assert client.get(TODAY, query).status_code == 200


def test_an_unknown_tab_is_a_client_error(client):
    assert client.get(TODAY, {"tab": "x"}).status_code == 400


def test_long_lists_come_in_pages_that_keep_the_tab(client, people):
    for _ in range(26):
        make_case(technician=people.technician)
    html = page(client, TODAY, tab="drafts")
    assert rows(html) == 25
    assert "1 to 25 of 26" in html
    assert rows(page(client, TODAY, tab="drafts", page=2)) == 1


def test_a_poll_gets_only_the_list(client, people):
    make_case(technician=people.technician)
    html = client.get(TODAY, headers={"hx-target": "cases"}).content.decode()
    assert html.startswith('<section id="cases"')
    assert "<html" not in html


def test_the_list_costs_the_same_for_one_case_and_for_many(
    client, people, django_assert_max_num_queries
):
    for _ in range(6):
        case = make_case(technician=people.technician, status="returned", series=2)
        make_prediction(case)
    with django_assert_max_num_queries(7):
        assert rows(page(client, TODAY, tab="returned")) == 6


def test_opening_a_case_is_audited_once(client, people):
    case = make_case(technician=people.technician)
    case_page(client, case)
    seen = AuditEvent.objects.filter(action="viewed", target_id=str(case.pk))
    assert [one.actor for one in seen] == [people.technician.email]


def test_the_part_that_refreshes_itself_is_not_audited_again(client, people):
    case = make_case(technician=people.technician)
    case_page(client, case)
    for _ in range(3):
        page(client, reverse("labtech:case_state", args=[case.public_id]))
    assert AuditEvent.objects.filter(action="viewed").count() == 1


def test_the_refreshing_part_of_a_case_that_was_never_opened_is_audited_once(client, people):
    case = make_case(technician=people.technician)
    for _ in range(3):
        page(client, reverse("labtech:case_state", args=[case.public_id]))
    assert AuditEvent.objects.get(action="viewed").target_id == str(case.pk)


def test_a_case_page_costs_the_same_for_few_and_for_many_images(
    client, people, django_assert_max_num_queries
):
    case = make_case(technician=people.technician, series=3, slices=4)
    with django_assert_max_num_queries(17):  # three save in the session that it was opened
        case_page(client, case)
    with django_assert_max_num_queries(14):
        case_page(client, case)


def test_a_draft_shows_its_checks_and_the_one_next_step(client, people):
    html = case_page(client, make_case(technician=people.technician, slices=3))
    assert "3 images in one series" in html
    assert "No gaps" in html
    assert "Send to doctor" in html
    assert "The files are untouched" in html


def received_as(people, tmp_path, *numbers: int):
    paths = write_dicom(tmp_path, phantom=small_phantom(slices=6))
    wanted = [paths[number] for number in numbers]
    return receive(*wanted, site=people.home, user=people.technician)[0].case


def test_missing_slices_are_told(client, people, tmp_path):
    html = case_page(client, received_as(people, tmp_path, 0, 1, 2, 5))
    assert "about 2 missing" in html
    assert "gaps up to 30.0 mm" in html


def test_a_single_image_is_told(client, people, tmp_path):
    assert "Only one image" in case_page(client, received_as(people, tmp_path, 0))


def test_slices_in_several_directions_are_told(client, people, tmp_path):
    case = received_as(people, tmp_path, 0, 1, 2)
    Instance.objects.filter(pk=Instance.objects.first().pk).update(
        image_orientation_patient=[1, 0, 0, 0, 0, -1]
    )
    assert "slices in 2 directions" in case_page(client, case)


def test_a_sent_case_shows_where_it_is_and_can_be_taken_back(client, people):
    case = make_case(technician=people.technician, status="sent", receiver=people.owner)
    html = case_page(client, case)
    assert f"Sent to {people.owner}" in html
    assert "Nobody has opened it yet" in html
    assert "Take back" in html
    assert "Send to doctor" not in html


def test_a_returned_case_shows_why_and_asks_for_images_and_can_be_sent_again(client, people):
    case = make_case(technician=people.technician, status="returned", doctor=people.owner)
    html = case_page(client, case)
    assert "blurred by breathing" in html
    assert "Add images to this study" in html
    assert "Send to doctor" in html


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("queued", "Waiting for the AI"),
        ("running", "The AI is working"),
        ("done", "The AI has read the series"),
        ("failed", "The AI could not answer"),
    ],
)
def test_a_sent_case_shows_whether_the_ai_answered_but_never_its_score(
    client, people, status, told
):
    case = make_case(technician=people.technician, status="sent")
    make_prediction(case, status=status)
    html = case_page(client, case)
    assert told in html
    assert "suspicion" not in html


@pytest.mark.parametrize(
    ("status", "name", "words"),
    [
        ("failed", "prediction_retry", "Ask the AI again"),
        ("refused", "prediction_override", "Score it anyway"),
    ],
)
def test_a_prediction_without_an_answer_can_be_asked_for_again(client, people, status, name, words):
    case = make_case(technician=people.technician, status="sent")
    prediction = make_prediction(case, status=status)
    html = case_page(client, case)
    address = reverse(name, args=[prediction.public_id])
    assert words in html
    assert address in html
    assert client.post(address).status_code in {200, 201}
    assert "Waiting for the AI" in case_page(client, case)


@pytest.mark.parametrize("kind", ["verdict", "corrected", "sent_for_retraining"])
def test_technicians_see_that_a_case_was_answered_but_not_the_answer(client, people, kind):
    case = make_case(technician=people.technician, status="sent")
    for told, words in [(kind, "cancer: yes"), ("returned", "blurred by breathing")]:
        CaseEvent.objects.create(case=case, kind=told, actor="Dr Owner", text=words)
    html = case_page(client, case)
    assert "cancer: yes" not in html
    assert "blurred by breathing" in html

    address = f"/api/v1/cases/{case.public_id}/"
    for reader, expected in [(client, ""), (logged_in(people.owner), "cancer: yes")]:
        texts = {one["kind"]: one["text"] for one in reader.get(address).json()["events"]}
        assert texts[kind] == expected
        assert texts["returned"] == "blurred by breathing"


def test_the_page_says_when_the_case_changed_under_it(client, people):
    case = make_case(technician=people.technician, status="sent")
    address = reverse("labtech:case_state", args=[case.public_id])
    assert "changed in the meantime" not in page(client, address, revision=case.revision, images=1)
    assert "changed in the meantime" in page(client, address, revision=1, images=1)
    assert "New images arrived" in page(client, address, revision=case.revision, images=0)


def test_all_attributes_are_shown_and_the_look_is_audited(client, people):
    case = make_case(technician=people.technician, slices=2)
    instance = Instance.objects.first()
    html = page(client, reverse("labtech:tags", args=[instance.public_id]))
    assert "Study Instance UID" in html
    assert "(0020,000D)" in html
    assert "2 of 2" in html
    assert AuditEvent.objects.get(action="viewed").target_id == str(instance.pk)
    assert str(case.public_id) in html


def test_an_unreadable_file_is_told_on_the_attributes_page(client, people):
    make_case(technician=people.technician)
    instance = Instance.objects.select_related("series__study").get()
    storage.path_of(instance).unlink()
    assert "cannot be read" in page(client, reverse("labtech:tags", args=[instance.public_id]))


def test_pages_with_patients_are_never_kept_by_the_browser(client, people):
    case = make_case(technician=people.technician)
    for address in (TODAY, reverse("labtech:case", args=[case.public_id])):
        assert "no-store" in client.get(address)["Cache-Control"]


def test_names_cannot_smuggle_markup_into_a_page(client, people):
    case = make_case(technician=people.technician, patient_name="<script>alert(1)</script>^X")
    assert "<script>alert" not in page(client, TODAY)
    assert "<script>alert" not in case_page(client, case)


def test_another_site_s_case_does_not_exist(people):
    case = make_case(technician=people.technician)
    instance = Instance.objects.get()
    stranger = logged_in(people.foreign_technician)
    for name, row in (("case", case), ("case_state", case), ("tags", instance)):
        assert stranger.get(reverse(f"labtech:{name}", args=[row.public_id])).status_code == 404
