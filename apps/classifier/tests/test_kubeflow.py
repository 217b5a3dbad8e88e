"""Trainings handed over to Kubeflow: what is sent, what its steps do, what stops them."""

import hashlib
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from apps.accounts.tests.factories import make_user, request_of
from apps.classifier.cnn.phantom_base import phantom_base
from apps.classifier.learning import cancel_run, start_run
from apps.classifier.lease import claim
from apps.classifier.management.commands import training_step
from apps.classifier.models import ModelVersion, TrainingRun
from apps.classifier.shipped import register_shipped
from apps.classifier.sweep import take_back
from apps.classifier.tasks import train
from apps.classifier.training import STEPS
from tests.system import environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("tensorflow")]
ROOT = django_settings.BASE_DIR
COMPILED = ROOT / "k8s" / "kubeflow" / "pipeline.yaml"


class Endpoint(BaseHTTPRequestHandler):
    """As much of the API as a submission meets."""

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        self.server.asked.append(
            (self.path, dict(self.headers), json.loads(self.rfile.read(length)))
        )
        code, answer = self.server.answer
        self.send_response(code)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


@pytest.fixture
def endpoint():
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    server.asked, server.answer = [], (200, b'{"run_id": "kf-17"}')
    server.host = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def base(settings, tmp_path, monkeypatch):
    settings.MODELS_DIR, settings.TRAINING_DATA_DIR = tmp_path / "models", tmp_path / "training"
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    register_shipped()
    phantom_base(settings.TRAINING_DATA_DIR / "phantom", patients=40, seed=5)


def test_a_training_is_handed_over_whole_and_waits_for_its_first_step(endpoint, settings, tmp_path):
    settings.TRAINING_BACKEND, settings.KUBEFLOW_HOST = "kubeflow", f"{endpoint.host}/"
    settings.KUBEFLOW_IMAGE = "registry.example/ours:7"
    settings.KUBEFLOW_TOKEN_FILE = str(tmp_path / "token")
    (tmp_path / "token").write_text("secret\n")
    run = start_run("malignancy", seed=3, epochs=2)
    train(run.pk)
    run.refresh_from_db()

    ((path, headers, body),) = endpoint.asked
    assert path == "/apis/v2beta1/runs"
    assert headers["Authorization"] == "Bearer secret"
    sent = {"run": f"{run.public_id}:1", "task": "malignancy", "epochs": 2, "seed": 3, "data": ""}
    assert body["runtime_config"] == {"parameters": sent}
    specification = body["pipeline_spec"]
    assert set(specification) == {"pipeline_spec", "platform_spec"}
    inputs = specification["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    assert set(inputs) == set(sent)
    executors = specification["pipeline_spec"]["deploymentSpec"]["executors"].values()
    assert {one["container"]["image"] for one in executors} == {"registry.example/ours:7"}

    assert (run.status, run.progress["kubeflow_run"]) == ("running", "kf-17")
    assert (run.lease_expires_at - timezone.now()).total_seconds() > 600
    train(run.pk)  # the same message once more
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [((403, b"{}"), "refused the pipeline"), ((200, b"<html>"), "did not answer as it should")],
)
def test_what_kubeflow_does_not_take_has_failed_with_the_reason(endpoint, answer, words):
    endpoint.answer = answer
    with pytest.raises(CommandError, match=words):
        call_command("submit_pipeline", "--task", "malignancy", "--host", endpoint.host)
    run = TrainingRun.objects.get()
    assert run.status == "failed"
    assert words in run.reason


def test_an_endpoint_that_is_away_or_unnamed_is_told(settings):
    for host, words in [("http://127.0.0.1:1", "could not be reached"), ("", "none is set")]:
        with pytest.raises(CommandError, match=words):
            call_command("submit_pipeline", "--task", "malignancy", "--host", host)


def test_submit_pipeline_says_which_run_it_is(endpoint, capsys):
    call_command("submit_pipeline", "--task", "nodule", "--host", endpoint.host, "--data", "/x")
    assert "is run kf-17" in capsys.readouterr().out
    assert endpoint.asked[0][2]["runtime_config"]["parameters"]["data"] == "/x"


def test_the_steps_of_command_and_program_are_the_same():
    assert list(STEPS) == training_step.STEPS


def test_a_training_that_nobody_goes_on_with_is_taken_back_and_its_old_pods_write_no_more(base):
    run = start_run("malignancy", epochs=1)
    old = f"{run.public_id}:{claim(TrainingRun, run.pk)}"
    call_command("training_step", "collecting", "--run", old)
    run.refresh_from_db()
    assert (run.lease_expires_at - timezone.now()).total_seconds() > 600
    TrainingRun.objects.filter(pk=run.pk).update(lease_expires_at=run.started_at)
    take_back(TrainingRun)
    new = f"{run.public_id}:{claim(TrainingRun, run.pk)}"
    with pytest.raises(CommandError):
        call_command("training_step", "preparing", "--run", old)
    run.refresh_from_db()
    assert run.dataset == {}
    call_command("training_step", "preparing", "--run", new)
    cancel_run(run, request=request_of(make_user("admin")))
    with pytest.raises(CommandError, match="cancelled"):
        call_command("training_step", "training", "--run", new)


def test_a_step_of_no_training_is_refused():
    for named in ["", "nonsense", "00000000-0000-0000-0000-000000000000:1"]:
        with pytest.raises(CommandError, match="no training"):
            call_command("training_step", "training", "--run", named)


def test_the_compiled_pipeline_is_of_this_source_and_runs_commands_that_exist():
    source = hashlib.sha256((ROOT / "apps/classifier/pipeline.py").read_bytes()).hexdigest()
    assert source in COMPILED.read_text().splitlines()[0], "run `make pipeline`"
    pipeline, _ = yaml.safe_load_all(COMPILED.read_text())
    executors = pipeline["deploymentSpec"]["executors"].values()
    commands = [one["container"]["command"] for one in executors]
    assert {tuple(command[:3]) for command in commands} == {
        ("python", "manage.py", "training_step")
    }
    assert {command[3] for command in commands} == set(STEPS)


@pytest.fixture(scope="module")
def kfp() -> Path:
    """The interpreter with kfp; made on demand, as `make kubeflow-venv` does."""
    subprocess.run(["make", "kubeflow-venv"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return ROOT / ".venv-kubeflow" / "bin" / "python"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_compiling_again_gives_the_very_file(kfp, tmp_path):
    again = tmp_path / "pipeline.yaml"
    subprocess.run([kfp, ROOT / "apps/classifier/pipeline.py", again], check=True)
    assert again.read_text() == COMPILED.read_text()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_whole_pipeline_run_by_kfp_registers_a_candidate(base, kfp, tmp_path):
    path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    script = [kfp, "tests/run_pipeline_locally.py", tmp_path / "root", "malignancy", "1"]
    done = subprocess.run(
        script, cwd=ROOT, env=environment(PATH=path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    run = TrainingRun.objects.get()
    assert run.status in {"passed", "not_better"}, run.reason
    assert run.candidate in ModelVersion.objects.filter(task="malignancy", status="candidate")
    assert run.because == "a pipeline begun in Kubeflow"
    assert run.progress["step"] == "storing"
