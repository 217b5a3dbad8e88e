"""What cannot be read is a 4xx in words: in JSON for programs, on a page for people."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
NO_IDS = ["abc", "9" * 30, "-1", "1\0", "1.5", "²"]


def test_too_many_files_in_one_request_are_told_to_programs_in_json(people: People, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    files = [SimpleUploadedFile(f"{number}.dcm", b"x") for number in range(3)]
    answer = logged_in(people.technician).post("/api/v1/uploads/batch/", {"file": files})
    assert answer.status_code == 400
    assert "At most 2 files" in answer.json()["detail"]


def test_an_unknown_address_of_the_api_answers_in_json_and_a_page_as_a_page(people: People):
    client = logged_in(people.owner)
    unknown = client.get("/api/v1/nothing/")
    assert (unknown.status_code, list(unknown.json())) == (404, ["detail"])
    page = client.get("/nothing/")
    assert (page.status_code, page["Content-Type"]) == (404, "text/html; charset=utf-8")


def test_a_failure_of_ours_is_json_for_programs_and_says_nothing_more(people: People, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("PHANTOM^ADA")

    monkeypatch.setattr("apps.cases.api.CaseListView.get_queryset", fail)
    client = logged_in(people.owner)
    client.raise_request_exception = False
    answer = client.get("/api/v1/cases/")
    assert (answer.status_code, list(answer.json())) == (500, ["detail"])
    assert "PHANTOM" not in answer.content.decode()


@pytest.mark.parametrize("odd", NO_IDS)
@pytest.mark.parametrize(
    ("page", "field", "more"),
    [
        ("accounts_readinggroup_add", "members", {"name": "Chest"}),
        ("accounts_apitoken_add", "user", {}),
        ("accounts_user_changelist", "_selected_action", {"action": "delete_selected"}),
        ("classifier_modelversion_changelist", "_selected_action", {"action": "activate"}),
        ("classifier_trainingexample_changelist", "_selected_action", {"action": "accept"}),
    ],
)
def test_what_is_no_row_s_number_is_a_400_in_django_admin(people: People, page, field, more, odd):
    answer = logged_in(people.admin).post(reverse(f"admin:{page}"), {field: odd, **more})
    assert answer.status_code == 400
    assert "could not be understood" in answer.content.decode()
