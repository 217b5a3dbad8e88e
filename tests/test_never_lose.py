"""Nothing acknowledged is lost: not with the broker gone, a message lost, or two at once."""

import json
import os
from base64 import b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from celery import current_app
from django.core.cache import cache, caches
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu import pools

from apps.accounts.tests.factories import PASSWORD, request_of
from apps.cases.models import Case, CaseEvent, Patient, Reading, Verdict
from apps.cases.storage import path_of
from apps.cases.tests.factories import make_case, receive, write_dicom
from apps.classifier.lease import claim, held
from apps.classifier.models import Prediction, TrainingRun
from apps.classifier.services import request_predictions
from apps.classifier.sweep import sweep
from apps.classifier.tests.factories import make_model_versions, make_prediction, make_training_run
from apps.imaging.refusal import Refusal
from apps.labtech.services import send
from tests.people import People, logged_in
from tests.system import empty_broker

pytestmark = pytest.mark.django_db(transaction=True)
NOBODY_LISTENS = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _empty_broker(transactional_db) -> Iterator[None]:
    empty_broker()
    yield
    empty_broker()


def messages(queue: str = "inference") -> list[dict]:
    """What waits in the broker: the task's name, its arguments and everything else that is sent."""
    with current_app.connection_for_write() as line:
        waiting = line.default_channel.client.lrange(queue, 0, -1)
    found = []
    for message in map(json.loads, waiting):
        arguments, keywords, _ = json.loads(b64decode(message["body"]))
        found.append({"task": message["headers"]["task"], "args": arguments, "kwargs": keywords})
    return found


@pytest.fixture
def broker_is_down() -> Iterator[None]:
    """Celery is given an address where nobody listens."""
    before = current_app.conf.broker_url
    current_app.conf.broker_url = current_app.conf.broker_write_url = NOBODY_LISTENS
    _forget_pools()
    yield
    current_app.conf.broker_url, current_app.conf.broker_write_url = before, None
    _forget_pools()


def _forget_pools() -> None:
    """Celery keeps open lines to the broker; the next message is to look for it anew."""
    pools.reset()
    current_app.amqp._producer_pool = None
    current_app._pool = None


def test_a_message_carries_the_id_of_its_row_and_nothing_else(people: People):
    make_model_versions()
    case = make_case(people.home, patient_name="ZZYZX^Quentin")
    send(case, request=request_of(people.technician), revision=1, clinical_question="ZZYZX?")
    prediction = Prediction.objects.get()
    task = "apps.classifier.tasks.predict"
    assert messages() == [{"task": task, "args": [prediction.pk], "kwargs": {}}]


def test_what_is_rolled_back_sends_no_message(people: People):
    make_model_versions()
    case = make_case(people.home)

    with transaction.atomic():
        send(case, request=request_of(people.technician), revision=1)
        transaction.set_rollback(True)
    assert messages() == []
    assert not Prediction.objects.exists()
    case.refresh_from_db()
    assert case.status == Case.Status.DRAFT


def test_no_message_leaves_before_the_row_is_committed(people: People):
    make_model_versions()
    case = make_case(people.home)
    with transaction.atomic():
        send(case, request=request_of(people.technician), revision=1)
        assert messages() == []
    assert len(messages()) == 1


def test_sending_works_while_the_broker_is_down(people: People, broker_is_down):
    make_model_versions()
    case = make_case(people.home)
    answer = logged_in(people.technician).post(
        f"/api/v1/cases/{case.public_id}/send/", {"revision": 1}, content_type="application/json"
    )
    assert answer.status_code == 200
    case.refresh_from_db()
    assert case.status == Case.Status.SENT
    assert Prediction.objects.get().status == Prediction.Status.QUEUED


def test_a_lost_message_is_sent_again_by_the_sweep(people: People):
    make_model_versions()
    case = make_case(people.home, status="sent")
    with transaction.atomic():
        (prediction,) = request_predictions(case)
    empty_broker()
    sweep()
    assert [one["args"] for one in messages()] == [[prediction.pk]]


def test_the_sweep_does_not_pile_up_messages_that_still_wait(people: People):
    make_prediction(make_case(people.home, status="sent"), status="queued")
    for _ in range(5):
        sweep()
    assert len(messages()) == 1


@pytest.mark.parametrize("model", [Prediction, TrainingRun])
def test_work_of_a_silent_worker_is_taken_back_and_its_late_answer_counts_no_more(
    people: People, model
):
    row = (
        make_training_run()
        if model is TrainingRun
        else make_prediction(make_case(people.home, status="sent"), status="queued")
    )
    token = claim(model, row.pk)
    model.objects.filter(pk=row.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    sweep()
    row.refresh_from_db()
    assert row.status == model.Status.QUEUED
    assert claim(model, row.pk) == token + 1
    assert held(model, row.pk, token).update(reason="too late") == 0


def test_of_two_workers_one_gets_the_prediction(people: People):
    row = make_prediction(make_case(people.home, status="sent"), status="queued")
    tokens = at_once(lambda: claim(Prediction, row.pk), lambda: claim(Prediction, row.pk))
    assert sorted(tokens, key=str) == [1, None]


@pytest.mark.parametrize("step", ["log in", "list the cases"])
def test_the_site_works_while_the_cache_is_away(people: People, settings, step):
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": NOBODY_LISTENS}}
    caches.close_all()
    if step == "log in":
        form = {"login": people.owner.email, "password": PASSWORD}
        client = Client()
        assert client.post(reverse("account_login"), form).status_code == 302
        assert "_auth_user_id" in client.session
    else:
        assert logged_in(people.owner).get("/api/v1/cases/").status_code == 200
    cache.set("counted", 1)
    assert cache.get("counted", "nothing") == "nothing"
    assert cache.add("counted", 1)
    assert not cache.delete("counted")


def at_once(*steps: Callable) -> list:
    """The results of steps that begin at the same moment, each on a connection of its own."""
    start = Barrier(len(steps))

    def run(step: Callable) -> object:
        start.wait()
        try:
            return step()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(steps)) as threads:
        return list(threads.map(run, steps))


def poster(user, path: str, body: dict | None = None) -> Callable[[], int]:
    client = logged_in(user)
    return lambda: client.post(path, body or {}, content_type="application/json").status_code


def test_of_two_doctors_who_open_a_case_at_once_one_gets_it(people: People):
    case = make_case(people.home, status="sent")
    path = f"/api/v1/cases/{case.public_id}/claim/"
    answers = at_once(poster(people.owner, path), poster(people.colleague, path))
    assert sorted(answers) == [200, 409]
    assert case.events.filter(kind=CaseEvent.Kind.CLAIMED).count() == 1


def test_of_two_doctors_who_sign_at_once_one_verdict_is_stored(people: People):
    case = make_case(people.home, status="sent")
    path = f"/api/v1/cases/{case.public_id}/verdicts/"
    yes, no = ({"revision": case.revision, "cancer": answer} for answer in ("yes", "no"))
    answers = at_once(poster(people.owner, path, yes), poster(people.colleague, path, no))
    assert sorted(answers) == [201, 409]
    verdict = Verdict.objects.get()
    case.refresh_from_db()
    assert case.claimed_by == verdict.doctor
    assert Reading.objects.filter(finished_at__isnull=False).count() == 1


def test_a_second_click_on_sign_stores_one_verdict(people: People):
    case = make_case(people.home, status="in_review", doctor=people.owner)
    path = f"/api/v1/cases/{case.public_id}/verdicts/"
    body = {"revision": case.revision, "cancer": "yes"}
    answers = at_once(poster(people.owner, path, body), poster(people.owner, path, body))
    assert sorted(answers) == [201, 409]
    assert Verdict.objects.count() == 1


def test_a_case_is_either_taken_back_or_opened_never_both(people: People):
    case = make_case(people.home, status="sent")
    path = f"/api/v1/cases/{case.public_id}"
    body = {"revision": case.revision, "reason": "wrong patient"}
    withdrawn, claimed = at_once(
        poster(people.technician, f"{path}/withdraw/", body),
        poster(people.owner, f"{path}/claim/"),
    )
    case.refresh_from_db()
    if case.status == Case.Status.WITHDRAWN:
        assert (withdrawn, claimed) in {(200, 409), (200, 404)}
    else:
        assert (withdrawn, claimed, case.status) == (409, 200, Case.Status.IN_REVIEW)


def test_a_file_and_its_new_folders_are_on_disk_before_the_row_is_committed(
    people: People, settings, tmp_path, monkeypatch
):
    settings.STORAGE_DIR = tmp_path / "stored"
    flushed = []
    real = os.fsync

    def note(handle: int) -> None:
        flushed.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    case = make_case(people.home)
    final = path_of(case.study.series.get().instances.get())
    folders = set(final.relative_to(settings.STORAGE_DIR).parents)
    assert {settings.STORAGE_DIR / one for one in folders} <= set(flushed)
    assert flushed[0].parent == settings.STORAGE_DIR / "incoming"


@pytest.mark.parametrize(
    "other",
    [{"patient_birth_date": "19900101"}, {"patient_sex": "F"}],
    ids=["date of birth", "sex"],
)
def test_a_mistyped_patient_id_never_puts_a_study_under_another_name(
    people: People, tmp_path, other
):
    facts = {"patient_birth_date": "19600101", "patient_sex": "M", "patient_id": "X-1"}
    first = write_dicom(tmp_path / "first", patient_name="DOE^John", **facts)
    second = write_dicom(
        tmp_path / "second",
        patient_name="SMITH^Jane",
        **{**facts, **other, "study_date": "20250101"},
    )
    receive(*first, site=people.home)
    with pytest.raises(Refusal, match="another date of birth or sex"):
        receive(*second, site=people.home)
    assert Case.objects.count() == 1
    receive(*second, site=people.elsewhere)


def test_another_spelling_or_an_unknown_sex_is_the_same_person(people: People, tmp_path):
    for number, facts in enumerate(
        [
            {"patient_name": "DOE^John", "patient_sex": "M"},
            {"patient_name": "Doe^J.", "patient_sex": "O", "study_date": "20250101"},
            {"patient_name": "DOE^JOHN", "patient_birth_date": "", "study_date": "20250102"},
        ]
    ):
        paths = write_dicom(tmp_path / str(number), patient_id="X-1", **facts)
        receive(*paths, site=people.home)
    assert Patient.objects.count() == 1
    assert Case.objects.count() == 3
