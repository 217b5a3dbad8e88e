"""Hand a training over to Kubeflow Pipelines, by its REST API (v2beta1); no client is needed.

docs/adr/0007-kubeflow-apart.md says why kfp itself is not in the image.
"""

import json
import logging
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

from apps.classifier.lease import between_steps, claim, held
from apps.classifier.models import TrainingRun
from apps.classifier.training_end import fail

log = logging.getLogger(__name__)
PIPELINE = settings.BASE_DIR / "k8s" / "kubeflow" / "pipeline.yaml"
SERVICE_ACCOUNT = "training-pipeline"  # k8s/kubeflow/rbac.yaml
ANSWER_WITHIN = 30  # seconds


class NotSubmitted(Exception):
    """Kubeflow did not take the pipeline; the message says why in plain words."""


def hand_over(pk: int, *, host: str = "", data: str = "") -> str:
    """Claim a waiting training and submit it; Kubeflow's id of it, empty with nothing to claim.

    The claim's token goes with the pipeline, and its steps write under it. Raises NotSubmitted,
    and then the training has failed with the reason.
    """
    token = claim(TrainingRun, pk)
    if token is None:
        return ""
    run = TrainingRun.objects.get(pk=pk)
    try:
        answer = submit(parameters_of(run, token, data), host or settings.KUBEFLOW_HOST, name(run))
    except NotSubmitted as problem:
        fail(pk, token, str(problem))
        raise
    held(TrainingRun, pk, token).update(
        lease_expires_at=between_steps(),
        progress={**run.progress, "step": "waiting for Kubeflow", "kubeflow_run": answer},
    )
    return answer


def name(run: TrainingRun) -> str:
    """How Kubeflow's page calls it."""
    return f"{run.task} training {run.pk}"


def parameters_of(run: TrainingRun, token: int, data: str = "") -> dict[str, Any]:
    """The pipeline's parameters for a claimed training."""
    return {
        "run": f"{run.public_id}:{token}",
        "task": run.task,
        "epochs": run.epochs or 0,
        "seed": run.seed,
        "data": data,
    }


def submit(parameters: dict[str, Any], host: str, name: str) -> str:
    """Ask the endpoint to run the checked-in pipeline; its id of the run. Raises NotSubmitted."""
    if not host.startswith(("http://", "https://")):
        raise NotSubmitted(f"The address of Kubeflow is no http address: {host or 'none is set'}.")
    body = {
        "display_name": name,
        "pipeline_spec": specification(),
        "runtime_config": {"parameters": parameters},
        "service_account": SERVICE_ACCOUNT,
    }
    asked = urllib.request.Request(  # noqa: S310
        f"{host.rstrip('/')}/apis/v2beta1/runs",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **_credentials()},
        method="POST",
    )
    try:
        with urllib.request.urlopen(asked, timeout=ANSWER_WITHIN) as answer:  # noqa: S310
            return str(json.load(answer)["run_id"])
    except urllib.error.HTTPError as refused:
        log.warning("Kubeflow answered %s: %s", refused.code, refused.read(2000))
        raise NotSubmitted(f"Kubeflow refused the pipeline (HTTP {refused.code}).") from refused
    except (OSError, ValueError, KeyError) as problem:
        log.warning("Kubeflow could not be asked: %s", problem)
        raise NotSubmitted("Kubeflow could not be reached, or did not answer as it should.") from (
            problem
        )


def specification() -> dict[str, Any]:
    """The compiled pipeline as the API takes it, with this installation's image."""
    pipeline, platform = yaml.safe_load_all(PIPELINE.read_text())
    for executor in pipeline["deploymentSpec"]["executors"].values():
        executor["container"]["image"] = settings.KUBEFLOW_IMAGE or executor["container"]["image"]
    return {"pipeline_spec": pipeline, "platform_spec": platform}


def _credentials() -> dict[str, str]:
    """The bearer token of the file, read anew each time: Kubernetes renews it."""
    if not settings.KUBEFLOW_TOKEN_FILE:
        return {}
    try:
        token = Path(settings.KUBEFLOW_TOKEN_FILE).read_text().strip()
    except OSError as problem:
        raise NotSubmitted("The file with Kubeflow's token cannot be read.") from problem
    return {"Authorization": f"Bearer {token}"}
