"""“And this?”: a doctor asks about a place; the networks answer it, also in a long series."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Site
from apps.audit.models import AuditEvent
from apps.cases.models import Case
from apps.cases.pictures import ordered_instances
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier import prediction as worker
from apps.classifier.cnn.series import probe
from apps.classifier.models import PlaceQuestion
from apps.classifier.place_answers import answer, answer_waiting, needed
from apps.classifier.place_questions import give_up_waiting
from apps.classifier.services import active_versions, request_predictions
from apps.classifier.shipped import register_shipped
from apps.imaging.phantom import PhantomSpec, chest_phantom
from tests.people import logged_in


@pytest.fixture
def case(people) -> Case:
    register_shipped()
    return make_case(people.home, status="sent", phantom=small_phantom(slices=3, matrix=256))


def ask(client, case, **more):
    instance = case.study.series.get().instances.first()
    body = {"instance": str(instance.public_id), "row": 120, "column": 120, **more}
    url = f"/api/v1/cases/{case.public_id}/places/"
    return client.post(url, body, content_type="application/json")


def test_the_answer_comes_with_its_numbers_its_versions_and_a_heatmap(case, people):
    client = logged_in(people.owner)
    asked = ask(client, case)
    assert (asked.status_code, asked.json()["status"]) == (201, "queued")
    answer(PlaceQuestion.objects.get().pk)
    told = client.get(asked.json()["url"]).json()
    assert told["status"] == "done", told
    assert 0 <= told["nodule_probability"] <= 1
    assert 0 <= told["malignancy_probability"] <= 1
    assert "malignancy-v" in told["versions"]
    heat = client.get(told["heatmap_url"]).json()
    assert heat["side_pixels"] == 64
    assert heat["top"] + heat["side"] / 2 == pytest.approx(120, abs=0.6)
    assert AuditEvent.objects.filter(action="asked_place", target_id=str(case.pk)).count() == 1


def test_it_is_the_answer_that_the_whole_series_would_give(people):
    """Only the slices that the networks may look at are read; the numbers stay the same."""
    register_shipped()
    spec = PhantomSpec(slices=40, matrix=256, slice_spacing=1.25)
    case = make_case(people.home, status="sent", phantom=chest_phantom(spec))
    ordered = ordered_instances(case.study.series.get())
    here = ordered[20]
    read = needed(ordered, here)
    assert here in read
    assert len(read) < len(ordered)
    models = worker.models_from(active_versions())
    for row, column in ((100, 80), (128, 180), (140, 60)):
        few, whole = (
            probe([worker.slice_of(i) for i in some], here.sop_instance_uid, row, column, models)
            for some in (read, ordered)
        )
        assert few.nodule_probability == whole.nodule_probability
        assert few.diameter_mm == pytest.approx(whole.diameter_mm, abs=1)
        assert few.malignancy_probability == pytest.approx(whole.malignancy_probability, abs=0.05)


def test_a_worker_in_a_long_series_answers_between_two_slices(case, people, monkeypatch):
    monkeypatch.setattr(worker, "PROGRESS_EVERY", -1)
    [prediction] = request_predictions(case)
    ask(logged_in(people.owner), case)
    worker.run_prediction(prediction.pk, between=answer_waiting)
    prediction.refresh_from_db()
    question = PlaceQuestion.objects.get()
    assert (question.status, prediction.status) == ("done", "done")
    assert question.answered_at < prediction.finished_at


def test_two_workers_answer_once(case, people, monkeypatch):
    ask(logged_in(people.owner), case)
    question = PlaceQuestion.objects.get()
    answer(question.pk)
    monkeypatch.setattr("apps.classifier.place_answers.probe", None)
    answer(question.pk)
    assert PlaceQuestion.objects.get().status == "done"


def test_what_cannot_be_answered_says_so(case, people):
    client = logged_in(people.owner)
    case.study.series.get().instances.update(pixel_spacing=None)
    asked = ask(client, case)
    answer(PlaceQuestion.objects.get().pk)
    told = client.get(asked.json()["url"]).json()
    assert told["status"] == "refused"
    assert "pixel size" in told["reason"]
    assert told["heatmap_url"] == ""


@pytest.mark.parametrize("wrong", [{"row": 256}, {"column": -1}, {"row": "nan"}, {"instance": "x"}])
def test_a_place_that_is_none_is_refused(case, people, wrong):
    assert ask(logged_in(people.owner), case, **wrong).status_code == 400
    assert not PlaceQuestion.objects.exists()


def test_an_answer_is_its_doctors_alone_and_only_while_the_case_is_theirs(case, people):
    asked = ask(logged_in(people.owner), case).json()["url"]
    assert logged_in(people.teammate).get(asked).status_code == 404
    Case.objects.filter(pk=case.pk).update(receiver=people.teammate)
    assert logged_in(people.owner).get(asked).status_code == 404


def test_where_doctors_read_first_nothing_is_asked_before_the_opinion(case, people):
    Site.objects.update(reading_mode=Site.ReadingMode.DOCTOR_FIRST)
    refused = ask(logged_in(people.owner), case)
    assert refused.status_code == 403
    assert "reads doctor first" in refused.json()["detail"]


def test_hasty_clicks_wait_for_the_answers_and_lost_questions_end(case, people):
    client = logged_in(people.owner)
    assert [ask(client, case).status_code for _ in range(4)] == [201, 201, 201, 409]
    long_ago = timezone.now() - timedelta(minutes=5)
    PlaceQuestion.objects.update(asked_at=long_ago)
    assert ask(client, case).status_code == 201
    assert give_up_waiting() == 3
    assert PlaceQuestion.objects.filter(status="failed", reason__contains="in time").count() == 3
