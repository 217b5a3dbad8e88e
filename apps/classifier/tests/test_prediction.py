"""The worker's side of a prediction, on real networks and a phantom."""

import subprocess
import sys

import pytest
from django.conf import settings as django_settings

from apps.accounts.tests.factories import make_user, request_of
from apps.cases import storage
from apps.cases.models import Instance, Study
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier import prediction as worker
from apps.classifier.models import ModelVersion, Prediction
from apps.classifier.prediction import run_prediction
from apps.classifier.services import request_prediction, retry_prediction
from apps.classifier.shipped import register_shipped
from apps.imaging.refusal import Refusal
from tests.system import environment

Status = Prediction.Status


@pytest.fixture
def shipped(db) -> list[ModelVersion]:
    return register_shipped()


def _asked(**case) -> Prediction:
    found = make_case(status="sent", **case)
    return request_prediction(found, found.study.series.get())


def test_a_chest_is_answered_slice_by_slice(shipped):
    asked = _asked(phantom=small_phantom("chest", slices=3, matrix=256))
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert asked.status == Status.DONE
    assert len(asked.chest) == len(asked.profile) == 3
    assert asked.finished_at > asked.started_at


def test_what_is_no_chest_is_refused_with_the_reason(shipped):
    asked = _asked(phantom=small_phantom("head", matrix=256))
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert (asked.status, asked.code) == (Status.REFUSED, "not_chest")
    assert "lung" in asked.reason


def test_a_series_without_pixel_size_is_refused_not_failed(shipped):
    asked = _asked()
    Instance.objects.update(pixel_spacing=None)
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert (asked.status, asked.code) == (Status.REFUSED, "unsupported_spacing")


def test_a_child_is_refused_in_words(shipped):
    asked = _asked(phantom=small_phantom("chest", slices=1, matrix=256))
    Study.objects.update(patient_age="012Y")
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert (asked.status, asked.code) == (Status.REFUSED, "not_adult")
    assert "not an adult" in asked.reason


def test_the_same_message_twice_runs_once(shipped):
    asked = _asked()
    run_prediction(asked.pk)
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert asked.attempts == 1


def test_a_missing_image_fails_in_words_that_name_the_image(shipped):
    asked = _asked()
    storage.path_of(asked.series.instances.get()).unlink()
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert asked.status == Status.FAILED
    assert "stored image" in asked.reason


def test_a_damaged_image_fails_in_words(shipped, monkeypatch):
    asked = _asked()

    def damaged(path):
        raise Refusal("damaged", "This file is damaged and cannot be read.")

    monkeypatch.setattr(worker, "hounsfield", damaged)
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert asked.status == Status.FAILED
    assert "no longer be read" in asked.reason


def test_without_an_active_model_the_prediction_fails_and_a_retry_uses_the_new_one(db):
    asked = _asked()
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert asked.status == Status.FAILED
    assert "not active" in asked.reason
    register_shipped()
    assert retry_prediction(asked, request=request_of(make_user()))
    fresh = Prediction.objects.exclude(pk=asked.pk).get()
    run_prediction(fresh.pk)
    fresh.refresh_from_db()
    assert fresh.status in {Status.DONE, Status.REFUSED}


def test_a_weights_file_with_other_bytes_never_answers(shipped, settings, tmp_path):
    settings.MODELS_DIR = tmp_path
    version = next(one for one in shipped if one.task == "malignancy")
    (tmp_path / version.file).write_bytes(b"half a model")
    ModelVersion.objects.filter(pk=version.pk).update(shipped=False, sha256="a" * 64)
    asked = _asked()
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert asked.status == Status.FAILED
    assert "not the one that was approved" in asked.reason


def test_a_worker_that_lost_its_lease_stores_nothing(shipped, monkeypatch):
    asked = _asked(phantom=small_phantom("chest", slices=2, matrix=256))
    analyse = worker.analyse_series

    def slowly(*args, **kwargs):
        analysis = analyse(*args, **kwargs)
        Prediction.objects.filter(pk=asked.pk).update(fencing_token=99)
        return analysis

    monkeypatch.setattr(worker, "analyse_series", slowly)
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert asked.status == Status.RUNNING
    assert not asked.findings.exists()


def test_a_second_click_on_retry_changes_nothing(shipped):
    asked = _asked()
    Prediction.objects.filter(pk=asked.pk).update(status=Status.FAILED)
    request = request_of(make_user())
    assert retry_prediction(asked, request=request)
    assert not retry_prediction(asked, request=request)
    assert Prediction.objects.get().status == Status.QUEUED


def test_web_and_inference_processes_load_no_tensorflow(transactional_db):
    program = """
import sys, django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
web = {"tensorflow", "keras", "matplotlib"} & set(sys.modules)
import apps.classifier.tasks, apps.classifier.sweep, apps.classifier.training_process
from apps.classifier.prediction import run_prediction, warm_up
from apps.classifier.shipped import register_shipped
register_shipped()
warm_up()
inference = {"tensorflow", "keras"} & set(sys.modules)
print(sorted(web), sorted(inference), "ai_edge_litert" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[] [] True"


def test_the_contrast_check_is_kept_with_the_prediction(shipped):
    asked = _asked(phantom=small_phantom("chest", slices=2, matrix=256))
    asked.series.__class__.objects.update(contrast_bolus_agent="OMNIPAQUE")
    run_prediction(asked.pk)
    asked.refresh_from_db()
    assert asked.contrast["header"] == "OMNIPAQUE"
    assert 0 <= asked.contrast["probability"] <= 1
    assert asked.contrast["version"] == "contrast-v1"
