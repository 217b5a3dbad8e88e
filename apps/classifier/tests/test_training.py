"""A whole training on a tiny synthetic base, in the process of its own that the worker starts."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from apps.accounts.tests.factories import make_user, request_of
from apps.cases.tests.factories import make_case, small_phantom
from apps.classifier import gate
from apps.classifier.activation import activate
from apps.classifier.adjudication import decide_example
from apps.classifier.cnn.phantom_base import phantom_base
from apps.classifier.learning import cancel_run, send_for_retraining, start_run
from apps.classifier.lease import claim
from apps.classifier.model_files import network, weights_path
from apps.classifier.models import FrozenTestSet, ModelVersion, TrainingExample, TrainingRun
from apps.classifier.shipped import register_shipped
from apps.classifier.sweep import take_back
from apps.classifier.tests.factories import make_prediction
from apps.classifier.training import run_training
from apps.classifier.training_process import resident_mb, run_in_own_process
from apps.classifier.training_set import sha256_of
from tests.system import environment, eventually

# One group: TensorFlow loads in one process of a parallel test run, not in each.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("tensorflow")]


@pytest.fixture
def folders(settings, tmp_path, monkeypatch):
    """Folders of this test only, for this process and for the trainings it starts."""
    settings.MODELS_DIR, settings.TRAINING_DATA_DIR = tmp_path / "models", tmp_path / "training"
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    register_shipped()


@pytest.fixture
def base(settings, folders):
    phantom_base(settings.TRAINING_DATA_DIR / "phantom", patients=40, seed=5)


def _accepted(
    *, side: str, label: str = "benign", patient_id: str, matrix: int = 256
) -> TrainingExample:
    """A correction in the middle of a phantom's slice, accepted, on the side we want."""
    phantom = small_phantom("chest", slices=3, matrix=matrix)
    case = make_case(status="sent", phantom=phantom, patient_id=patient_id)
    finding = make_prediction(case, findings=[{"malignancy_probability": 0.9}]).findings.get()
    example = send_for_retraining(
        request=request_of(make_user("doctor")),
        case=case,
        task="malignancy",
        instance=finding.instance,
        label=label,
        finding=finding,
        predicted=0.9,
    )
    TrainingExample.objects.filter(pk=example.pk).update(side=side)
    decide_example(example, request=request_of(make_user("admin")), accept=True)
    return example


@pytest.mark.usefixtures("base")
def test_a_training_ends_in_a_tested_candidate_that_an_admin_may_activate_or_not(settings):
    learnt = _accepted(side="train", patient_id="A")
    tests = _accepted(side="test", label="malignant", patient_id="B", matrix=200)
    run = start_run("malignancy", seed=1, epochs=1)
    assert run_training(run.pk)
    run.refresh_from_db()
    assert run.status in {"passed", "not_better"}, run.reason
    candidate = run.candidate
    assert (candidate.status, candidate.synthetic) == ("candidate", True)
    assert candidate.file.startswith("malignancy-")
    assert hashlib.sha256(weights_path(candidate).read_bytes()).hexdigest() == candidate.sha256
    assert network(candidate).version == str(candidate) == candidate.meta["version"]
    assert candidate.card.startswith(f"# {candidate}")

    assert run.result["difference"]["n_patients"] == run.dataset["test_patients"] == 10
    assert set(run.result["corrections"]) == {str(learnt.pk), str(tests.pk)}
    sides = {one["number"]: one["side"] for one in run.dataset["corrections"]}
    assert sides == {learnt.pk: "train", tests.pk: "test"}
    assert run.dataset["base"][0]["name"] == "phantom"
    assert candidate.meta["training"]["corrections"] == 1
    assert len(run.progress["losses"]) == run.progress["members"]

    learnt.refresh_from_db()
    tests.refresh_from_db()
    passed = run.status == "passed"
    assert learnt.status == ("used" if passed else "accepted")
    assert tests.status == "used", "what has tested once stays in the site's test set"
    assert run.dataset_sha256 == sha256_of(run.dataset)
    assert set(run.result["proof"]["figures"]) == set(gate.WORDS)
    assert run.result["proof"]["subgroups"]
    assert not (settings.TRAINING_DATA_DIR / "runs" / str(run.public_id)).exists()


@pytest.mark.usefixtures("folders")
def test_without_a_base_the_training_says_no_frozen_test_set():
    run = start_run("malignancy")
    run_training(run.pk)
    run.refresh_from_db()
    assert run.status == "failed"
    assert run.reason.startswith("No frozen test set")
    assert not ModelVersion.objects.filter(status="candidate").exists()


@pytest.mark.usefixtures("base")
def test_another_global_test_set_is_refused_until_somebody_freezes_it(settings, capsys):
    call_command("freeze_test_set")
    call_command("freeze_test_set")
    assert "frozen already" in capsys.readouterr().out
    shutil.rmtree(settings.TRAINING_DATA_DIR / "phantom")
    phantom_base(settings.TRAINING_DATA_DIR / "phantom", patients=40, seed=6)
    run = start_run("malignancy", epochs=1)
    run_training(run.pk)
    run.refresh_from_db()
    assert (run.status, run.candidate) == ("failed", None)
    assert "not the one that was frozen" in run.reason
    with pytest.raises(CommandError, match="--replace"):
        call_command("freeze_test_set")
    call_command("freeze_test_set", "--replace", "New base.")
    assert FrozenTestSet.objects.count() == 2


@pytest.mark.usefixtures("base")
def test_without_an_active_version_there_is_nothing_to_test_against():
    ModelVersion.objects.filter(task="malignancy").update(status="retired")
    run = start_run("malignancy", epochs=1)
    run_training(run.pk)
    run.refresh_from_db()
    assert run.status == "failed"
    assert "nothing to test against" in run.reason


@pytest.mark.usefixtures("base")
def test_the_same_message_twice_trains_once():
    run = start_run("malignancy")
    cancel_run(run, request=request_of(make_user("admin")))
    assert not run_training(run.pk)
    run_in_own_process(run.pk)
    assert TrainingRun.objects.get().attempts == 0


@pytest.mark.usefixtures("base")
def test_a_killed_training_continues_from_its_checkpoint_until_it_is_cancelled(settings):
    files = set(settings.MODELS_DIR.iterdir())
    run = start_run("malignancy", epochs=500)
    child = _start(run)
    eventually(lambda: _progress(run).get("epoch", 0) >= 2, seconds=120, what="two epochs")
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    run.refresh_from_db()
    frozen, reached = run.dataset, run.progress["epoch"]
    assert (run.status, run.candidate) == ("running", None)

    TrainingRun.objects.filter(pk=run.pk).update(lease_expires_at=run.started_at, progress={})
    take_back(TrainingRun)
    worker = threading.Thread(target=_work, args=[run.pk])
    worker.start()
    eventually(lambda: _progress(run).get("epoch"), seconds=120, what="an epoch after the kill")
    assert _progress(run)["epoch"] > reached
    run.refresh_from_db()
    assert (run.dataset, run.attempts) == (frozen, 2)

    cancel_run(run, request=request_of(make_user("admin")))
    worker.join(30)
    assert not worker.is_alive()
    run.refresh_from_db()
    assert (run.status, run.candidate) == ("cancelled", None)
    assert set(settings.MODELS_DIR.iterdir()) == files


def test_a_process_that_cannot_start_is_not_started_for_ever(settings, tmp_path):
    settings.BASE_DIR = tmp_path
    (tmp_path / "manage.py").write_text("raise SystemExit(3)")
    run = start_run("malignancy")
    for _ in range(3):
        run_in_own_process(run.pk)
    run.refresh_from_db()
    assert run.status == "failed"
    assert "could not start" in run.reason


@pytest.fixture
def doomed(settings, tmp_path):
    """A waiting run whose process lives until it is told to die: (run, die)."""
    settings.BASE_DIR = tmp_path
    (tmp_path / "manage.py").write_text(
        "import pathlib, time\n"
        "here = pathlib.Path(__file__).parent\n"
        "(here / 'started').touch()\n"
        "while not (here / 'die').exists(): time.sleep(0.05)\n"
        "raise SystemExit(3)\n"
    )
    run = start_run("malignancy")
    worker = threading.Thread(target=_work, args=[run.pk])
    worker.start()
    eventually((tmp_path / "started").exists, seconds=30, what="the training process")

    def die() -> None:
        (tmp_path / "die").touch()
        worker.join(30)
        assert not worker.is_alive()
        run.refresh_from_db()

    yield run, die
    die()


def test_a_process_that_dies_gives_its_training_back_at_once(doomed):
    run, die = doomed
    claim(TrainingRun, run.pk)
    die()
    assert (run.status, run.attempts) == ("queued", 1)


def test_a_process_that_dies_late_leaves_alone_who_took_its_training_over(doomed):
    run, die = doomed
    claim(TrainingRun, run.pk)
    TrainingRun.objects.filter(pk=run.pk).update(status="queued")
    claim(TrainingRun, run.pk)
    run.refresh_from_db()
    lease = run.lease_expires_at
    die()
    assert (run.status, run.attempts, run.lease_expires_at) == ("running", 2, lease)


@pytest.mark.parametrize(
    ("limit", "words"),
    [({"TRAINING_MEMORY_MB": 1}, "needed more than 1 MB"), ({"TRAINING_HOURS": 0}, "longer than")],
)
def test_a_training_beyond_its_limits_is_stopped_and_says_so(doomed, settings, limit, words):
    run, _ = doomed
    claim(TrainingRun, run.pk)
    for name, value in limit.items():
        setattr(settings, name, value)
    eventually(lambda: _status(run) == "failed", seconds=30, what="the end of the training")
    run.refresh_from_db()
    assert words in run.reason
    assert (run.candidate, run.lease_expires_at) == (None, None)


def test_what_a_process_holds_in_memory_is_read_from_the_kernel():
    assert 20 < resident_mb(os.getpid()) < 20_000
    assert resident_mb(2**22 + 1) == 0


def test_a_training_process_ends_when_its_worker_is_gone():
    command = [sys.executable, "manage.py", "train_run", "1", "--parent", "1"]
    done = subprocess.run(
        command,
        cwd=django_settings.BASE_DIR,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "is gone" in done.stderr


def test_make_phantom_base_fills_only_an_empty_folder(settings, tmp_path, capsys):
    settings.TRAINING_DATA_DIR = tmp_path
    call_command("make_phantom_base", "--patients", "4")
    before = (tmp_path / "phantom" / "labels.csv").read_text()
    call_command("make_phantom_base", "--patients", "8")
    assert (tmp_path / "phantom" / "labels.csv").read_text() == before
    assert "nothing was changed" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.usefixtures("base")
def test_retrain_prints_the_comparison_and_the_candidate_can_be_activated(capsys):
    call_command("retrain", "--task", "malignancy")
    assert "AUC difference" in capsys.readouterr().out
    run = TrainingRun.objects.get()
    assert run.status == "passed", run.reason
    activate(run.candidate, request=None, note="tried")
    assert ModelVersion.objects.get(task="malignancy", status="active") == run.candidate


def test_retrain_refuses_while_a_training_is_open():
    start_run("malignancy")
    with pytest.raises(CommandError, match="open already"):
        call_command("retrain", "--task", "malignancy")


def _start(run: TrainingRun) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "manage.py", "train_run", str(run.pk)],
        cwd=django_settings.BASE_DIR,
        env=environment(),
    )


def _status(run: TrainingRun) -> str:
    return TrainingRun.objects.values_list("status", flat=True).get(pk=run.pk)


def _progress(run: TrainingRun) -> dict:
    return TrainingRun.objects.values_list("progress", flat=True).get(pk=run.pk)


def _work(pk: int) -> None:
    try:
        run_in_own_process(pk)
    finally:
        connection.close()
