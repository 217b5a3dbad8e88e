"""The worker's side of a training run, in a process of its own: this module loads TensorFlow."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.classifier import gate
from apps.classifier.cnn import cards, evaluation
from apps.classifier.cnn.datasets import NoduleExample
from apps.classifier.cnn.proof import Proof, prove
from apps.classifier.cnn.runtime import Network, WeightsMismatch, load_network
from apps.classifier.cnn.training import TrainingProgress, train
from apps.classifier.lease import LeaseLost, between_steps, claim, heartbeat, held
from apps.classifier.model_files import keep_weights, network
from apps.classifier.models import ModelVersion, TrainingExample, TrainingRun
from apps.classifier.shipped import next_number
from apps.classifier.training_base import FrozenTestSetChanged, NoFrozenTestSet
from apps.classifier.training_end import clear_folder, fail
from apps.classifier.training_set import (
    DatasetChanged,
    TrainingData,
    chosen_examples,
    collect,
    freeze,
    run_folder,
    sha256_of,
    thaw,
)

log = logging.getLogger(__name__)
Status = TrainingRun.Status
CORRECTION_WEIGHT = 3.0
CANDIDATE, RESULT = "candidate", "result.json"
PHANTOM_EPOCHS = 20  # a small network on the small synthetic base: about half a minute
CURVE_POINTS = 400


class NothingToTestAgainst(Exception):
    """No version of the task is active."""


class Progress:
    """Writes where the training is into its row, and stops it when the row is no longer ours."""

    def __init__(self, run: TrainingRun, token: int, is_lost: Callable[[], bool]) -> None:
        self._row = (TrainingRun, run.pk, token)
        self._is_lost = is_lost
        self._state: dict[str, Any] = {"losses": [], **run.progress}
        self.data: TrainingData | None = None  # kept from step to step within one process

    def step(self, name: str) -> None:
        """Begin a step: preparing, training, testing, storing. Raises LeaseLost."""
        self._write(step=name)

    def epoch(self, told: TrainingProgress) -> None:
        """One epoch is over. Raises LeaseLost."""
        left = told.seconds * (1 - told.fraction) / max(told.fraction, 1e-6)
        losses = [*self._state["losses"], [told.member, told.epoch, round(told.loss, 4)]]
        self._write(
            member=told.member,
            members=told.members,
            epoch=told.epoch,
            epochs=told.epochs,
            loss=round(told.loss, 4),
            losses=losses[-CURVE_POINTS:],
            fraction=round(told.fraction, 4),
            seconds_left=round(left),
        )

    def _write(self, **changes: Any) -> None:
        self._state |= changes
        stands = held(*self._row).update(progress=self._state)
        if not stands or self._is_lost():
            raise LeaseLost


def run_training(pk: int) -> bool:
    """Run one queued training to its end; False when there was nothing to claim."""
    token = claim(TrainingRun, pk)
    if token is None:
        return False
    _guarded(pk, token, list(STEPS))
    clear_folder(pk)
    return True


def run_step(pk: int, token: int, name: str) -> bool:
    """One step of a training whose steps run in processes of their own, under one claim.

    False when the training is no longer ours or the step has failed: the next one must not
    begin. After it the lease lasts until the next step's process may have started. The last
    step tried again after it was done changes nothing.
    """
    if TrainingRun.objects.filter(pk=pk, fencing_token=token).exclude(candidate=None).exists():
        return True
    done = _guarded(pk, token, [name])
    if done:
        held(TrainingRun, pk, token).update(lease_expires_at=between_steps())
    clear_folder(pk)
    return done


def _guarded(pk: int, token: int, names: Sequence[str]) -> bool:
    """Run these steps under a heartbeat; what stops them is told in the row."""
    run = TrainingRun.objects.get(pk=pk)
    with heartbeat(TrainingRun, pk, token) as lost:
        progress = Progress(run, token, lost.is_set)
        try:
            for name in names:
                progress.step(name)
                STEPS[name](run, token, progress)
            return True
        except LeaseLost:
            log.warning("training %s: lease lost or cancelled, stopped", pk)
        except DatabaseError:
            raise  # the lease runs out, and the sweep has it tried again from its checkpoint
        except Exception as error:
            log.exception("training %s failed", pk)
            fail(pk, token, _in_words(error))
    return False


def _collect(run: TrainingRun, token: int, progress: Progress) -> None:
    """Choose what is learnt; what cannot work is found before hours of training, not after."""
    network(_active(run))
    if not run.dataset:
        run.examples.set(collect(run))


def _prepare(run: TrainingRun, token: int, progress: Progress) -> None:
    """Cut the corrections out of the stored images, and freeze everything by hash."""
    if run.dataset:
        return
    data = progress.data = freeze(run, list(chosen_examples(run)))
    run.dataset, run.dataset_sha256 = data.listing, sha256_of(data.listing)
    if not held(TrainingRun, run.pk, token).update(
        dataset=run.dataset, dataset_sha256=run.dataset_sha256
    ):
        raise LeaseLost


def _train(run: TrainingRun, token: int, progress: Progress) -> None:
    data, folder = _data(run, progress), run_folder(run)
    train(
        run.task,
        data.base_train,
        seed=run.seed,
        out_dir=folder / CANDIDATE,
        epochs=run.epochs or (PHANTOM_EPOCHS if data.is_synthetic else None),
        quick=data.is_synthetic,
        extra=data.on("train"),
        extra_weight=CORRECTION_WEIGHT,
        checkpoint_dir=folder / "checkpoints",
        on_progress=progress.epoch,
    )


def _test(run: TrainingRun, token: int, progress: Progress) -> None:
    data, active = _data(run, progress), _active(run)
    weights, meta = _trained(run, data)
    result = compare(run.task, network(active), load_network(weights, meta), data)
    found = {"active_version": active.pk, "sha256": meta["sha256"], "result": result}
    (run_folder(run) / RESULT).write_text(json.dumps(found))


def _register(run: TrainingRun, token: int, progress: Progress) -> None:
    """The candidate's file first, then all rows in one transaction, only under our lease."""
    weights, meta = _trained(run, _data(run, progress))
    tested = json.loads((run_folder(run) / RESULT).read_text())
    if tested["sha256"] != meta["sha256"]:
        raise WeightsMismatch("the network on disk is not the one that was tested")
    file = keep_weights(weights, run.task, meta["sha256"])
    _store(run, token, tested["active_version"], file, meta, tested["result"])


STEPS: dict[str, Callable[[TrainingRun, int, Progress], None]] = {
    "collecting": _collect,
    "preparing": _prepare,
    "training": _train,
    "testing": _test,
    "storing": _register,
}


def _data(run: TrainingRun, progress: Progress) -> TrainingData:
    """What the run froze, checked by hash where another process did it. Raises DatasetChanged."""
    progress.data = progress.data or thaw(run)
    return progress.data


def _active(run: TrainingRun) -> ModelVersion:
    active = ModelVersion.objects.filter(task=run.task, status="active").first()
    if active is None:
        raise NothingToTestAgainst
    return active


def _trained(run: TrainingRun, data: TrainingData) -> tuple[Path, dict[str, Any]]:
    """What the training step left: weights and metadata."""
    weights = run_folder(run) / CANDIDATE / f"{run.task}.tflite"
    meta = json.loads(weights.with_suffix(".json").read_text())
    if data.is_synthetic:
        meta["training"]["synthetic"] = True
        meta["citation"] = "none: the base is synthetic"
    return weights, meta


def compare(task: str, active: Network, candidate: Network, data: TrainingData) -> dict[str, Any]:
    """Both networks on the frozen test patients, the site's test side, and each correction."""
    margins = gate.configured()
    proof = prove(task, active, candidate, data.base_test)
    site = _on_site(task, active, candidate, data.on("test"))
    against = gate.objections(proof, margins)
    if site and site.n_patients >= margins.least_patients:
        against += gate.objections(site, margins, on="This site's test patients")
    return {
        "active": evaluation.evaluate(task, active, data.base_test).as_dict(),
        "candidate": evaluation.evaluate(task, candidate, data.base_test).as_dict(),
        "difference": evaluation.compare(task, active, candidate, data.base_test).as_dict(),
        "proof": proof.as_dict(),
        "objections": against,
        "margins": margins.as_dict(),
        "site": site.as_dict() if site else {"n": 0},
        "corrections": _answers(task, active, candidate, data.corrections),
    }


def _on_site(
    task: str, active: Network, candidate: Network, examples: Sequence[NoduleExample]
) -> Proof | None:
    """The site's own test patients: shown, and decisive once there are enough of both labels."""
    if not examples:
        return None
    try:
        proof = prove(task, active, candidate, examples)
    except ValueError:
        return None
    return proof if 0 < proof.n_positive < proof.n else None


def _answers(
    task: str, active: Network, candidate: Network, corrections: Sequence[NoduleExample]
) -> dict[str, list[float]]:
    """Correction's number -> what the active version and the candidate say about it."""
    before = _by_correction(evaluation.answer(task, active, corrections))
    after = _by_correction(evaluation.answer(task, candidate, corrections))
    return {number: [before[number], after[number]] for number in before}


def _by_correction(answers: evaluation.Answers) -> dict[str, float]:
    """The finder's set also holds places beside each one; the place itself comes first."""
    found: dict[str, float] = {}
    for key, probability in zip(answers.keys, answers.probabilities, strict=True):
        found.setdefault(key.split("@")[0].rpartition("/")[2], round(float(probability), 4))
    return found


def _store(
    run: TrainingRun,
    token: int,
    active: int,
    file: str,
    meta: dict[str, Any],
    result: dict[str, Any],
) -> None:
    passed = not result["objections"]
    with transaction.atomic():
        candidate = _candidate(run, file, meta, result)
        stored = held(TrainingRun, run.pk, token).update(
            status=Status.PASSED if passed else Status.NOT_BETTER,
            finished_at=timezone.now(),
            lease_expires_at=None,
            active_version=active,
            candidate=candidate,
            result=result,
            reason=" ".join(result["objections"])[:500] or "Not worse than the active version.",
        )
        if not stored:
            raise LeaseLost
        # What has tested a version stays in the site's test set for ever: that set only grows.
        used = ["train", "test"] if passed else ["test"]
        TrainingExample.objects.filter(
            runs=run, side__in=used, status=TrainingExample.Status.ACCEPTED
        ).update(status=TrainingExample.Status.USED)


def _candidate(
    run: TrainingRun, file: str, meta: dict[str, Any], result: dict[str, Any]
) -> ModelVersion:
    number = next_number(run.task)
    meta = {**meta, "version": f"{run.task}-v{number}"}
    return ModelVersion.objects.create(
        task=run.task,
        number=number,
        file=file,
        sha256=meta["sha256"],
        meta=meta,
        metrics={"how": "frozen test patients", **result["candidate"]},
        card=cards.card(meta),
        synthetic=meta["training"]["synthetic"],
    )


def _in_words(error: Exception) -> str:
    if isinstance(error, NoFrozenTestSet | FrozenTestSetChanged | DatasetChanged):
        return str(error)
    if isinstance(error, NothingToTestAgainst):
        return "No version is active for this task, so there is nothing to test against."
    if isinstance(error, WeightsMismatch):
        return "The active version's weights file is not the one that was approved."
    if isinstance(error, FileNotFoundError):
        return "A stored image or weights file is missing on the server."
    return f"The training stopped with an error ({type(error).__name__}); see the worker's log."
