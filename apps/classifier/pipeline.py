"""The training as a Kubeflow pipeline: the steps of training.py, each a command of the one image.

Imports kfp, which lives in an environment of its own (`make kubeflow-venv`); the program itself
never imports this module. Compile with `make pipeline`.
"""

import hashlib
import sys
from pathlib import Path

from kfp import compiler, dsl, kubernetes

IMAGE = "cancer-prediction-system:0.1.0"
STEP = ["python", "manage.py", "training_step"]
VOLUMES = {"training": "/data/training", "models": "/data/models", "dicom": "/data/dicom"}
# The folders stand in the image; a step sends no message, so it needs no broker.
SECRETS = ["SECRET_KEY", "TRAINING_KEY", "DATABASE_URL"]
USER = 10001


@dsl.container_component
def collect(  # noqa: ANN201
    run: str, task: str, data: str, epochs: int, seed: int, ran: dsl.OutputPath(str)
):
    """Fetch `data` if it is named; take over the training `run`, or begin one; choose examples."""
    return dsl.ContainerSpec(
        image=IMAGE,
        command=[*STEP, "collecting"],
        args=[
            *["--run", run, "--task", task, "--data", data],
            *["--epochs", epochs, "--seed", seed, "--write-run", ran],
        ],
    )


@dsl.container_component
def preprocess(run: str):  # noqa: ANN201
    """Cut the corrections out of the stored images and freeze everything by hash."""
    return dsl.ContainerSpec(image=IMAGE, command=[*STEP, "preparing"], args=["--run", run])


@dsl.container_component
def train(run: str):  # noqa: ANN201
    """Train the candidate; goes on from its checkpoint when it is tried again."""
    return dsl.ContainerSpec(image=IMAGE, command=[*STEP, "training"], args=["--run", run])


@dsl.container_component
def evaluate(run: str):  # noqa: ANN201
    """Candidate against active on the frozen test patients."""
    return dsl.ContainerSpec(image=IMAGE, command=[*STEP, "testing"], args=["--run", run])


@dsl.container_component
def register(run: str):  # noqa: ANN201
    """Store the candidate and the gate's answer."""
    return dsl.ContainerSpec(image=IMAGE, command=[*STEP, "storing"], args=["--run", run])


def _in_our_pod(step: dsl.PipelineTask, *, cpu: str, memory: str) -> dsl.PipelineTask:
    """The shared volumes, the settings, and the pod's limits; never Kubeflow's own cache."""
    step.set_caching_options(False).set_cpu_limit(cpu).set_memory_limit(memory)
    step.set_retry(2)
    for claim, path in VOLUMES.items():
        kubernetes.mount_pvc(step, pvc_name=claim, mount_path=path)
    kubernetes.empty_dir_mount(step, volume_name="tmp", mount_path="/tmp")  # noqa: S108
    kubernetes.use_secret_as_env(step, "cancer-prediction-system", {key: key for key in SECRETS})
    kubernetes.add_pod_label(step, "app.kubernetes.io/name", "cancer-prediction-system")
    kubernetes.add_pod_label(step, "app.kubernetes.io/component", "training-pipeline")
    kubernetes.set_security_context(step, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    return step


@dsl.pipeline(
    name="cancer-prediction-training",
    description="Train a candidate from the base and the accepted corrections, and test it.",
)
def training_pipeline(
    task: str = "malignancy", epochs: int = 0, seed: int = 1, data: str = "", run: str = ""
) -> None:
    """epochs 0: the task's own number. data: what fetch_dataset takes; empty: what is there.

    run: the training that the program has handed over; empty: begin a new one.
    """
    first = collect(run=run, task=task, data=data, epochs=epochs, seed=seed)
    before = _in_our_pod(first, cpu="1", memory="4Gi")
    for step, cpu, memory in [
        (preprocess, "1", "4Gi"),
        (train, "4", "8Gi"),
        (evaluate, "2", "4Gi"),
        (register, "1", "4Gi"),
    ]:
        task_of_step = step(run=first.outputs["ran"]).after(before)
        before = _in_our_pod(task_of_step, cpu=cpu, memory=memory)


def write(path: Path) -> None:
    """Compile, and say on top which source it was made of, so that a test sees a stale one."""
    compiler.Compiler().compile(training_pipeline, package_path=str(path))
    source = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    path.write_text(f"# Made by `make pipeline` of source {source}\n{path.read_text()}")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
