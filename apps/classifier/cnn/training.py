"""Train a network: deterministic by seed, resumable, cross-fitted by patient.

Each member of the ensemble leaves one fold of patients out; its answers for that fold give
the figures and the calibration. Imports TensorFlow: training side only.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from apps.classifier.cnn import cards, chest_data, export, networks, samples
from apps.classifier.cnn.datasets import NoduleExample, fold_of, read_nodules, split_by_patient
from apps.classifier.cnn.samples import TrainingSet

BATCH = 32
DIAMETER_LOSS = 0.3
ITEMS_AT_ONCE = 64


@dataclass(frozen=True)
class Settings:
    """How long and how large. Each of `repeats` members per fold leaves that fold out."""

    epochs: int
    folds: int
    widths: tuple[int, int, int]
    repeats: int = 1
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3

    @property
    def members(self) -> int:
        return self.folds * self.repeats


SHIPPED = {
    "malignancy": Settings(epochs=36, folds=5, widths=(24, 48, 64)),
    "nodule": Settings(epochs=10, folds=3, widths=(24, 48, 64)),
    "chest": Settings(epochs=12, folds=3, widths=(8, 12, 16)),
}
QUICK = Settings(epochs=8, folds=2, widths=(8, 12, 16))


@dataclass(frozen=True)
class TrainingProgress:
    """Told after each epoch. fraction: 0…1 of the whole training."""

    member: int
    members: int
    epoch: int
    epochs: int
    loss: float
    fraction: float
    seconds: float


@dataclass(frozen=True)
class TrainedNetwork:
    """What a training leaves: weights and metadata files, and a picture of the learning curve."""

    weights: Path
    meta: dict[str, Any]
    meta_path: Path
    learning_curve: Path


Listener = Callable[[TrainingProgress], None]


def train(
    task: str,
    base: Path | Sequence[NoduleExample],
    *,
    seed: int,
    out_dir: Path,
    epochs: int | None = None,
    quick: bool = False,
    extra: Sequence[NoduleExample] = (),
    extra_weight: float = 1.0,
    checkpoint_dir: Path | None = None,
    on_progress: Listener | None = None,
    version: str | None = None,
    secret: str = "",
) -> TrainedNetwork:
    """Train `malignancy` or `nodule` from nodule crops on the training side of the split.

    base: directory in the layout of datasets, or examples. extra: doctors' corrections, drawn
    extra_weight times as often; they are split like the rest. Raises ValueError for an unknown
    task, DatasetError for an unreadable base.
    """
    if task not in ("malignancy", "nodule"):
        raise ValueError(f"{task!r} is not trained from nodules")
    settings = settings_for(task, epochs, quick)
    examples = read_nodules(Path(base)) if isinstance(base, (str, Path)) else list(base)
    kept, _ = split_by_patient(examples, secret)
    added, _ = split_by_patient([*extra], secret)
    weights = [1.0] * len(kept) + [extra_weight] * len(added)
    problem = replace(
        build_set(task, [*kept, *added], weights, seed),
        corrections=frozenset(one.key for one in added),
    )
    described = cards.describe_examples([*kept, *added], len(added))
    return fit_and_save(
        problem, settings, seed, Path(out_dir), checkpoint_dir, on_progress, version, described
    )


def train_chest(
    directory: Path,
    *,
    seed: int,
    out_dir: Path,
    labels: Path | None = None,
    epochs: int | None = None,
    quick: bool = False,
    checkpoint_dir: Path | None = None,
    on_progress: Listener | None = None,
    version: str | None = None,
) -> TrainedNetwork:
    """Train the chest gate from CT files listed by a table (see chest_data.read_chest).

    Raises DatasetError when nothing can be read.
    """
    examples, described = chest_data.read_chest(Path(directory), labels)
    return fit_and_save(
        chest_data.chest_set(examples),
        settings_for("chest", epochs, quick),
        seed,
        Path(out_dir),
        checkpoint_dir,
        on_progress,
        version,
        described,
    )


def settings_for(task: str, epochs: int | None, quick: bool) -> Settings:
    settings = QUICK if quick else SHIPPED[task]
    return replace(settings, epochs=epochs or settings.epochs)


def build_set(
    task: str, examples: Sequence[NoduleExample], weights: Sequence[float], seed: int
) -> TrainingSet:
    if task == "malignancy":
        return samples.malignancy_set(examples, weights)
    return samples.nodule_set(examples, weights, seed)


def fit_and_save(
    problem: TrainingSet,
    settings: Settings,
    seed: int,
    out_dir: Path,
    checkpoint_dir: Path | None,
    on_progress: Listener | None,
    version: str | None,
    described: dict[str, Any],
) -> TrainedNetwork:
    """Cross-fit the members, average them into one graph, write weights, metadata and curve."""
    started = time.monotonic()
    tf.config.experimental.enable_op_determinism()
    folds = np.array([fold_of(patient, settings.folds, seed) for patient in problem.patients])
    logits, members, curves = np.zeros(len(folds)), [], []
    for member in range(settings.members):
        report = progress_of(member, settings, started, on_progress)
        fold = member % settings.folds
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model, curve = fit_member(
            problem, inside, settings, seed * 100 + member, checkpoint_dir, report
        )
        logits[outside] += out_of_fold(model, problem, outside) / settings.repeats
        members.append(model)
        curves.append(curve)
    out_dir.mkdir(parents=True, exist_ok=True)
    weights = out_dir / f"{problem.task}.tflite"
    sha256, difference = export.save(networks.average(members), weights, all_patches(problem))
    meta = cards.metadata(problem, logits, sha256, seed, version, described)
    meta["training"] |= {
        "epochs": settings.epochs,
        "members": settings.members,
        "parameters": int(sum(member.count_params() for member in members)),
        "seconds": round(time.monotonic() - started),
        "export_difference": difference,
    }
    meta_path = weights.with_suffix(".json")
    meta_path.write_text(json.dumps(meta, indent=1) + "\n")
    cards.write_out_of_fold(
        out_dir / f"{problem.task}.out-of-fold.csv", cards.out_of_fold(problem, logits)[0]
    )
    curve_path = cards.plot_curves(curves, out_dir / f"{problem.task}-learning-curve.png")
    return TrainedNetwork(weights, meta, meta_path, curve_path)


def all_patches(problem: TrainingSet) -> Iterator[np.ndarray]:
    """Every fixed patch of every item, some hundred at a time."""
    for start in range(0, len(problem.keys), ITEMS_AT_ONCE):
        items = range(start, min(start + ITEMS_AT_ONCE, len(problem.keys)))
        yield np.concatenate([problem.views(index) for index in items])


def progress_of(
    member: int, settings: Settings, started: float, listener: Listener | None
) -> Callable[[int, float], None]:
    """A function to call with (epoch, loss) that tells the listener where the training is."""

    def report(epoch: int, loss: float) -> None:
        if listener is None:
            return
        done = member * settings.epochs + epoch
        listener(
            TrainingProgress(
                member=member + 1,
                members=settings.members,
                epoch=epoch,
                epochs=settings.epochs,
                loss=loss,
                fraction=done / (settings.members * settings.epochs),
                seconds=time.monotonic() - started,
            )
        )

    return report


def fit_member(
    problem: TrainingSet,
    inside: np.ndarray,
    settings: Settings,
    seed: int,
    checkpoint_dir: Path | None,
    report: Callable[[int, float], None],
) -> tuple[keras.Model, list[float]]:
    """Train one network on the items `inside`; continues from its checkpoint when there is one."""
    keras.utils.set_random_seed(seed)
    shape = problem.views(int(inside[0])).shape[1:]
    model = networks.patch_network(shape[0], shape[-1], 2, settings.widths)
    steps = max(1, math.ceil(problem.weights[inside].sum() / BATCH))
    optimizer = make_optimizer(settings, steps)
    optimizer.build(model.trainable_variables)
    step = make_step(model, optimizer)
    curve = tf.Variable(tf.zeros([settings.epochs]), trainable=False)
    done = tf.Variable(0, trainable=False)
    saved = open_checkpoint(checkpoint_dir, problem.task, seed, model, optimizer, curve, done)
    for epoch in range(int(done), settings.epochs):
        rng = np.random.default_rng((seed, epoch))
        losses = [float(step(*batch)) for batch in batches(problem, inside, steps, rng)]
        curve[epoch].assign(float(np.mean(losses)))
        done.assign(epoch + 1)
        if saved:
            saved.save()
        report(epoch + 1, float(np.mean(losses)))
    return model, [float(value) for value in curve.numpy()]


def make_optimizer(settings: Settings, steps: int) -> keras.optimizers.Optimizer:
    """AdamW under a cosine that warms up for one epoch."""
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5,
        max(1, steps * (settings.epochs - 1)),
        alpha=0.01,
        warmup_target=settings.learning_rate,
        warmup_steps=steps,
    )
    return keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)


def make_step(model: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable[..., Any]:
    """One update: cross-entropy of the soft label plus the distance of the log diameter."""

    @tf.function(reduce_retracing=True, jit_compile=False)
    def step(images, labels, log_diameters):  # noqa: ANN001
        known = tf.cast(tf.math.is_finite(log_diameters), tf.float32)
        target = tf.where(known > 0, log_diameters, 0.0)
        with tf.GradientTape() as tape:
            answers = model(images, training=True)
            crossed = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=answers[:, 0])
            away = tf.abs(answers[:, 1] - target) * known
            loss = tf.reduce_mean(crossed) + DIAMETER_LOSS * tf.reduce_mean(away)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


def open_checkpoint(
    folder: Path | None, task: str, seed: int, model: Any, optimizer: Any, curve: Any, done: Any
) -> tf.train.CheckpointManager | None:
    """Restore the newest checkpoint of this member, if any, and give what saves the next."""
    if folder is None:
        return None
    # Copies of the variables as a list: Keras names differ between two builds of a network.
    state = tf.train.Checkpoint(
        weights=[v.value for v in model.variables],
        optimizer=[v.value for v in optimizer.variables],
        curve=curve,
        done=done,
    )
    manager = tf.train.CheckpointManager(state, str(Path(folder) / f"{task}-{seed}"), 1)
    if manager.latest_checkpoint:
        state.restore(manager.latest_checkpoint).assert_consumed()
    return manager


def batches(problem: TrainingSet, inside: np.ndarray, steps: int, rng: np.random.Generator):  # noqa: ANN201
    """Augmented batches (images, labels, log diameters), items drawn by their weights."""
    share = problem.weights[inside] / problem.weights[inside].sum()
    order = systematic_draw(share, steps * BATCH, rng)
    for start in range(0, len(order), BATCH):
        drawn = [problem.draw(int(inside[i]), rng) for i in order[start : start + BATCH]]
        yield (
            tf.constant(np.stack([draw.patch for draw in drawn])),
            tf.constant([draw.label for draw in drawn], tf.float32),
            tf.constant([draw.log_diameter for draw in drawn], tf.float32),
        )


def systematic_draw(share: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` indices, each as often as its share says within one, in random order."""
    edges = np.cumsum(share)
    marks = (np.arange(count) + rng.random()) / count
    return rng.permutation(np.minimum(np.searchsorted(edges, marks), len(share) - 1))


def out_of_fold(model: keras.Model, problem: TrainingSet, outside: np.ndarray) -> np.ndarray:
    """Mean logit over each item's views."""
    views = [problem.views(int(index)) for index in outside]
    if not views:
        return np.zeros(0)
    answers = model.predict(np.concatenate(views), batch_size=256, verbose=0)[:, 0]
    ends = np.cumsum([len(view) for view in views])
    return np.array([part.mean() for part in np.split(answers, ends[:-1])])
