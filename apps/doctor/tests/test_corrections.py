"""My corrections: what a doctor sent for retraining and what became of it."""

import pytest
from django.urls import reverse

from apps.cases.tests.factories import make_case
from apps.classifier.tests.factories import (
    make_model_version,
    make_training_example,
    make_training_run,
)
from apps.doctor.views.corrections import Answers
from tests.people import People, logged_in

pytestmark = pytest.mark.django_db
PAGE = reverse("doctor:corrections")


def became(people: People) -> str:
    return logged_in(people.owner).get(PAGE).context["rows"][0].became


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("queued", "waiting for an admin's look"),
        ("accepted", "accepted, waits for the next training"),
        ("rejected", "not used"),
    ],
)
def test_correction_says_where_it_is(people, status, words):
    case = make_case(people.home, status="reported", doctor=people.owner)
    make_training_example(case, doctor=people.owner, status=status)
    assert became(people) == words


@pytest.mark.parametrize(("side", "words"), [("train", "is in"), ("test", "tests")])
def test_used_correction_names_the_version_that_it_is_in_or_tests(people, side, words):
    case = make_case(people.home, status="reported", doctor=people.owner)
    version = make_model_version("malignancy", status="active")
    run = make_training_run(status="passed", candidate=version)
    example = make_training_example(case, doctor=people.owner, status="used", side=side)
    example.runs.add(run)

    assert became(people) == f"{words} {version}"
    assert "in use now" in logged_in(people.owner).get(PAGE).content.decode()


def test_only_my_own_are_shown(people):
    case = make_case(people.home, status="reported", doctor=people.owner)
    make_training_example(case, doctor=people.teammate)
    answer = logged_in(people.owner).get(PAGE)

    assert answer.context["rows"] == []
    assert "No corrections yet" in answer.content.decode()


def test_case_that_is_no_longer_mine_to_see_has_no_link(people):
    case = make_case(people.elsewhere, status="sent")
    make_training_example(case, doctor=people.owner)
    answer = logged_in(people.owner).get(PAGE).content.decode()

    assert str(case.public_id) not in answer


def test_old_and_new_probability_of_a_correction_stand_beside_each_other(people):
    case = make_case(people.home, status="reported", doctor=people.owner)
    active = make_model_version("malignancy", status="retired", number=41)
    candidate = make_model_version("malignancy", status="candidate", number=42)
    example, other = (
        make_training_example(case, doctor=people.owner, status="used") for _ in range(2)
    )
    run = make_training_run(
        status="passed",
        active_version=active,
        candidate=candidate,
        result={"corrections": {str(example.pk): [0.9, 0.318]}},
    )
    cancelled = make_training_run(status="cancelled")
    for one in (example, other):
        one.runs.add(run, cancelled)
    answer = logged_in(people.owner).get(PAGE)

    assert [row.answers for row in answer.context["rows"]] == [
        [],
        [Answers("malignancy-v41", 0.9, "malignancy-v42", 0.318)],
    ]
    words = "malignancy-v41 says <b>0.90</b>, malignancy-v42 says <b>0.32</b>"
    assert answer.content.decode().count(words) == 1
