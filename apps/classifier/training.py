"""The worker's side of a training run, in a process of its own: this module loads TensorFlow."""

import logging
import shutil
from collections.abc import Callable, Sequence
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone

from apps.classifier import gate
from apps.classifier.cnn import cards, evaluation
from apps.classifier.cnn.datasets import NoduleExample
from apps.classifier.cnn.proof import Proof, prove
from apps.classifier.cnn.runtime import Network, WeightsMismatch, load_network
from apps.classifier.cnn.training import TrainedNetwork, TrainingProgress, train
from apps.classifier.lease import LeaseLost, claim, heartbeat, held
from apps.classifier.model_files import keep_weights, network
from apps.classifier.models import ModelVersion, TrainingExample, TrainingRun
from apps.classifier.shipped import next_number
from apps.classifier.training_base import FrozenTestSetChanged, NoFrozenTestSet
from apps.classifier.training_set import (
    DatasetChanged,
    TrainingData,
    freeze,
    run_folder,
    sha256_of,
    thaw,
    usable_examples,
)

log = logging.getLogger(__name__)
Status = TrainingRun.Status
CORRECTION_WEIGHT = 3.0
PHANTOM_EPOCHS = 20  # a small network on the small synthetic base: about half a minute
CURVE_POINTS = 400


class NothingToTestAgainst(Exception):
    """No version of the task is active."""


class Progress:
    """Writes where the training is into its row, and stops it when the row is no longer ours."""

    def __init__(self, pk: int, token: int, is_lost: Callable[[], bool]) -> None:
        self._row = (TrainingRun, pk, token)
        self._is_lost = is_lost
        self._state: dict[str, Any] = {"losses": []}

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
    run = TrainingRun.objects.get(pk=pk)
    with heartbeat(TrainingRun, pk, token) as lost:
        try:
            _run(run, token, Progress(pk, token, lost.is_set))
        except LeaseLost:
            log.warning("training %s: lease lost or cancelled, stopped", pk)
        except DatabaseError:
            raise  # the lease runs out, and the sweep has it tried again from its checkpoint
        except Exception as error:
            log.exception("training %s failed", pk)
            _fail(pk, token, error)
    _clear(pk)
    return True


def _run(run: TrainingRun, token: int, progress: Progress) -> None:
    progress.step("preparing")
    active = ModelVersion.objects.filter(task=run.task, status="active").first()
    if active is None:
        raise NothingToTestAgainst
    tested_against = network(active)  # before hours of training, not after them
    data = thaw(run) if run.dataset else _freeze(run, token)
    progress.step("training")
    trained = _train(run, data, progress)
    progress.step("testing")
    candidate = load_network(trained.weights, trained.meta)
    result = compare(run.task, tested_against, candidate, data)
    progress.step("storing")
    _store(run, token, active, trained, data, result)


def _freeze(run: TrainingRun, token: int) -> TrainingData:
    examples = usable_examples(run.task)
    data = freeze(run, examples)
    with transaction.atomic():
        if not held(TrainingRun, run.pk, token).update(
            dataset=data.listing, dataset_sha256=sha256_of(data.listing)
        ):
            raise LeaseLost
        run.examples.set(examples)
    return data


def _train(run: TrainingRun, data: TrainingData, progress: Progress) -> TrainedNetwork:
    folder = run_folder(run)
    trained = train(
        run.task,
        data.base_train,
        seed=run.seed,
        out_dir=folder / "candidate",
        epochs=run.epochs or (PHANTOM_EPOCHS if data.is_synthetic else None),
        quick=data.is_synthetic,
        extra=data.on("train"),
        extra_weight=CORRECTION_WEIGHT,
        checkpoint_dir=folder / "checkpoints",
        on_progress=progress.epoch,
    )
    if data.is_synthetic:
        trained.meta["training"]["synthetic"] = True
        trained.meta["citation"] = "none: the base is synthetic"
    return trained


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
    active: ModelVersion,
    trained: TrainedNetwork,
    data: TrainingData,
    result: dict[str, Any],
) -> None:
    """The candidate's file first, then all rows in one transaction, only under our lease."""
    file = keep_weights(trained.weights, run.task, trained.meta["sha256"])
    passed = not result["objections"]
    with transaction.atomic():
        candidate = _candidate(run, file, trained.meta, data, result)
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
    run: TrainingRun,
    file: str,
    meta: dict[str, Any],
    data: TrainingData,
    result: dict[str, Any],
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
        synthetic=data.is_synthetic,
    )


def _fail(pk: int, token: int, error: Exception) -> None:
    held(TrainingRun, pk, token).update(
        status=Status.FAILED,
        finished_at=timezone.now(),
        lease_expires_at=None,
        reason=_in_words(error),
    )


def _in_words(error: Exception) -> str:
    if isinstance(error, NoFrozenTestSet | FrozenTestSetChanged | DatasetChanged):
        return str(error)[:500]
    if isinstance(error, NothingToTestAgainst):
        return "No version is active for this task, so there is nothing to test against."
    if isinstance(error, WeightsMismatch):
        return "The active version's weights file is not the one that was approved."
    if isinstance(error, FileNotFoundError):
        return "A stored image or weights file is missing on the server."
    return f"The training stopped with an error ({type(error).__name__}); see the worker's log."


def _clear(pk: int) -> None:
    """Checkpoints and crops are of no use once the run has ended; the row keeps their hashes."""
    run = TrainingRun.objects.get(pk=pk)
    if run.status not in {Status.QUEUED, Status.RUNNING}:
        shutil.rmtree(run_folder(run), ignore_errors=True)
