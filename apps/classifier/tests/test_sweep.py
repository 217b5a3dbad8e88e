"""What a dead worker or a lost message left behind is taken up again."""

import os
import time
from datetime import timedelta

import pytest
from celery import current_app
from django.utils import timezone

from apps.cases import storage
from apps.cases.models import Instance
from apps.cases.tests.factories import make_case
from apps.classifier.lease import claim
from apps.classifier.models import Prediction, TrainingRun
from apps.classifier.services import request_prediction
from apps.classifier.sweep import messages_waiting, sweep
from apps.classifier.tests.factories import (
    make_model_versions,
    make_prediction,
    make_training_run,
)
from tests.system import empty_broker


@pytest.fixture(autouse=True)
def _empty_queues(db):
    empty_broker()
    yield
    empty_broker()


def _silent(row) -> None:
    """The row's worker has not been heard of for longer than a lease lasts."""
    claim(type(row), row.pk)
    late = timezone.now() - timedelta(seconds=1)
    type(row).objects.filter(pk=row.pk).update(lease_expires_at=late)


def test_a_prediction_of_a_dead_worker_is_queued_again():
    prediction = make_prediction(make_case(status="sent"), status="queued")
    _silent(prediction)
    sweep()
    prediction.refresh_from_db()
    assert prediction.status == Prediction.Status.QUEUED
    assert messages_waiting("inference") == 1


def test_a_prediction_whose_worker_is_alive_is_left_alone():
    prediction = make_prediction(make_case(status="sent"), status="queued")
    claim(Prediction, prediction.pk)
    sweep()
    prediction.refresh_from_db()
    assert prediction.status == Prediction.Status.RUNNING


def test_after_three_dead_workers_the_prediction_fails_and_says_so():
    prediction = make_prediction(make_case(status="sent"), status="queued")
    for _ in range(3):
        _silent(prediction)
        sweep()
    prediction.refresh_from_db()
    assert prediction.status == Prediction.Status.FAILED
    assert "stopped three times" in prediction.reason


def test_a_training_of_a_dead_worker_is_queued_again():
    run = make_training_run()
    _silent(run)
    sweep()
    run.refresh_from_db()
    assert run.status == TrainingRun.Status.QUEUED
    assert messages_waiting("training") == 1


def test_a_lost_message_is_sent_again_once_the_queue_is_empty():
    make_prediction(make_case(status="sent"), status="queued")
    assert messages_waiting("inference") == 0
    sweep()
    assert messages_waiting("inference") == 1


def test_nothing_is_sent_twice_while_messages_wait():
    make_prediction(make_case(status="sent"), status="queued")
    sweep()
    sweep()
    assert messages_waiting("inference") == 1


def test_a_slice_that_came_late_is_asked_about():
    case = make_case(status="sent", slices=2)
    make_model_versions()
    series = case.study.series.get()
    first = request_prediction(case, series)
    _came(series, seconds_ago=10, asked_seconds_ago=60)
    late = series.instances.last()
    Instance.objects.filter(pk=late.pk).update(sha256="0" * 64)
    sweep()
    assert Prediction.objects.exclude(pk=first.pk).get().status == Prediction.Status.QUEUED


def test_a_slice_missed_between_receipt_and_commit_is_asked_about():
    case = make_case(status="sent", slices=2)
    make_model_versions()
    series = case.study.series.get()
    first = request_prediction(case, series)
    _came(series, seconds_ago=10, asked_seconds_ago=9)
    Instance.objects.filter(pk=series.instances.last().pk).update(sha256="0" * 64)
    sweep()
    assert Prediction.objects.exclude(pk=first.pk).exists()


def test_a_series_that_did_not_grow_is_not_asked_about_again():
    case = make_case(status="sent")
    make_model_versions()
    series = case.study.series.get()
    request_prediction(case, series)
    _came(series, seconds_ago=10, asked_seconds_ago=9)
    sweep()
    assert Prediction.objects.count() == 1


def test_slices_that_still_arrive_are_left_to_settle():
    case = make_case(status="sent")
    make_model_versions()
    _came(case.study.series.get(), seconds_ago=0, asked_seconds_ago=0)
    sweep()
    assert not Prediction.objects.exists()


def test_a_draft_is_not_asked_about():
    case = make_case(status="draft")
    make_model_versions()
    _came(case.study.series.get(), seconds_ago=10, asked_seconds_ago=0)
    sweep()
    assert not Prediction.objects.exists()


def _came(series, *, seconds_ago: int, asked_seconds_ago: int) -> None:
    now = timezone.now()
    series.instances.update(received_at=now - timedelta(seconds=seconds_ago))
    series.predictions.update(queued_at=now - timedelta(seconds=asked_seconds_ago))


def test_the_task_routes_lead_to_the_queues_that_the_sweep_looks_at():
    routes = current_app.conf.task_routes
    assert routes["apps.classifier.tasks.predict"]["queue"] == "inference"
    assert routes["apps.classifier.tasks.train"]["queue"] == "training"


def test_files_of_killed_uploads_are_cleared_away_and_running_ones_stay(settings, tmp_path):
    settings.STORAGE_DIR = tmp_path
    left, running = (storage.incoming_dir() / name for name in ("left.part", "running.part"))
    for one in (left, running):
        one.write_bytes(b"x")
    two_hours_ago = time.time() - 7200
    os.utime(left, (two_hours_ago, two_hours_ago))
    sweep()
    assert list(storage.incoming_dir().iterdir()) == [running]
