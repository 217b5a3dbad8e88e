"""One worker at a time holds a row, and only the holder writes."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from apps.cases.tests.factories import make_case
from apps.classifier import lease
from apps.classifier.models import Prediction
from apps.classifier.tests.factories import make_prediction


@pytest.fixture
def waiting(db) -> Prediction:
    return make_prediction(make_case(status="sent"), status="queued")


def test_a_claimed_row_cannot_be_claimed_again(waiting):
    assert lease.claim(Prediction, waiting.pk) == 1
    assert lease.claim(Prediction, waiting.pk) is None


def test_a_finished_row_is_not_claimed(db):
    done = make_prediction(make_case(status="sent"), status="done")
    assert lease.claim(Prediction, done.pk) is None


def test_a_worker_whose_lease_was_taken_back_cannot_write(waiting):
    old = lease.claim(Prediction, waiting.pk)
    Prediction.objects.filter(pk=waiting.pk).update(status="queued")
    new = lease.claim(Prediction, waiting.pk)
    assert lease.held(Prediction, waiting.pk, old).update(series_score=0.1) == 0
    assert lease.held(Prediction, waiting.pk, new).update(series_score=0.2) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_at_the_same_moment_one_gets_the_row():
    waiting = make_prediction(make_case(status="sent"), status="queued")
    start, tokens = threading.Barrier(4), []

    def worker() -> None:
        start.wait()
        tokens.append(lease.claim(Prediction, waiting.pk))
        connection.close()

    workers = [threading.Thread(target=worker) for _ in range(4)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert sorted(tokens, key=str) == [1, None, None, None]


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_keeps_the_lease_alive_longer_than_it_lasts(settings):
    settings.LEASE_SECONDS = 0.6
    waiting = make_prediction(make_case(status="sent"), status="queued")
    token = lease.claim(Prediction, waiting.pk)
    with lease.heartbeat(Prediction, waiting.pk, token) as lost:
        time.sleep(1.2)
        assert not lease.expired(Prediction).exists()
        assert not lost.is_set()


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_tells_when_the_row_was_taken_away(settings):
    settings.LEASE_SECONDS = 0.3
    waiting = make_prediction(make_case(status="sent"), status="queued")
    token = lease.claim(Prediction, waiting.pk)
    with lease.heartbeat(Prediction, waiting.pk, token) as lost:
        Prediction.objects.filter(pk=waiting.pk).update(status="cancelled")
        assert lost.wait(5)


@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_outlives_a_database_that_is_away_for_a_moment(settings, monkeypatch):
    settings.LEASE_SECONDS = 0.9
    waiting = make_prediction(make_case(status="sent"), status="queued")
    token = lease.claim(Prediction, waiting.pk)
    answers = [DatabaseError("away")]
    really_held = lease.held

    def held(*row):
        if answers:
            raise answers.pop()
        return really_held(*row)

    monkeypatch.setattr(lease, "held", held)
    before = timezone.now() + timedelta(seconds=0.9)
    with lease.heartbeat(Prediction, waiting.pk, token) as lost:
        time.sleep(0.8)
    waiting.refresh_from_db()
    assert not answers
    assert not lost.is_set()
    assert waiting.lease_expires_at > before
