"""The loop learns what it lacked, and the gate stands between it and poisoned labels.

The quick form runs on the phantom; the long one on real crops, and prints the two tables of
docs/benchmarks.md.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command

from apps.classifier.activation import active_version
from apps.classifier.cnn.datasets import CROP, NoduleExample, read_one
from apps.classifier.cnn.phantom_base import LUNG_HU, PIXEL_MM, draw_example
from apps.classifier.labels import LearningConflict
from tests.experiment import (
    TASK,
    Loop,
    Sets,
    Trained,
    auc_gain,
    gain,
    lie,
    sensitivity_gain,
    truth,
    without_kind,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("tensorflow")]

SEEDS = (1, 2, 3, 4, 5)
DOSES = (10, 30, 100)
POISONED = (0.05, 0.15, 0.30)
KIND_BELOW_MM = 20.0
BASE_SIZE, EPOCHS = 160, 12


@dataclass
class Told:
    """One seed's story: the runs by dose, what the doctor's page said last, the runs by poison."""

    learnt: list[Trained]
    page: Counter
    poisoned: list[Trained]


def _site(settings, folder: Path, sets: Sets, **how) -> Loop:
    settings.MODELS_DIR, settings.TRAINING_DATA_DIR = folder / "models", folder / "training"
    settings.STORAGE_DIR = folder / "files"
    settings.TRAINING_KEY = f"seed {how['seed']}"
    loop = Loop(sets, folder, **how)
    loop.open()
    return loop


def _learn(loop: Loop, doses: Sequence[int]) -> list[Trained]:
    """The doctor sends the corrections of the largest dose; the admin takes them in steps."""
    sent = loop.send(loop.sets.kind, doses[-1], truth)
    runs, accepted = [], 0
    for dose in doses:
        loop.accept(min(dose, sent) - accepted)
        accepted = min(dose, sent)
        runs.append(loop.train(dose))
        if runs[-1].passed:
            loop.activate(runs[-1])
    return runs


def _poison(loop: Loop, shares: Sequence[float], right: int) -> list[Trained]:
    """Lies join the right corrections; no candidate is activated, so that doses compare."""
    clean, pool, runs, lies = active_version(TASK), iter(loop.sets.others), [], 0
    for share in shares:
        sent = loop.send(pool, round(right * share / (1 - share)) - lies, lie)
        lies += sent
        loop.accept(sent)
        runs.append(loop.train(share))
    assert active_version(TASK) == clean
    return runs


def _phantoms(patients: int) -> list[NoduleExample]:
    """Two drawn nodules a patient. Spiked ones are malignant; so are smooth ones with a hole."""
    rng, drawn = np.random.default_rng(3), []
    for number in range(patients):
        split = "val" if number % 3 == 2 else "train"
        for nodule in ("0", "1"):
            one = draw_example(f"PHANTOM-E-{number:04d}", nodule, split, rng)
            look = "smooth" if one.kind == "benign" else "spiked"
            is_hollow = look == "smooth" and rng.random() < 0.35
            changes = _hollowed(one) if is_hollow else {}
            drawn.append(replace(one, facts={"look": look}, **changes))
    return drawn


def _hollowed(one: NoduleExample) -> dict[str, Any]:
    """A hole in the middle, and malignant: what no example of the base shows."""
    rows, columns = np.mgrid[:CROP, :CROP] - (CROP - 1) / 2
    hole = np.hypot(rows, columns) < 0.22 * one.diameter_mm / PIXEL_MM
    return {"kind": "malignant", "label": 1.0, "crops": np.where(hole, LUNG_HU, one.crops)}


@pytest.mark.timeout(600)  # three trainings: half a minute, on a busy machine some
def test_corrections_teach_what_the_base_lacked_and_heavy_poison_is_refused(settings, tmp_path):
    drawn = _phantoms(110)
    smooth = {one.key for one in drawn if one.facts["look"] == "smooth"}
    sets = without_kind(
        drawn,
        is_kind=lambda one: one.kind == "malignant" and one.key in smooth,
        in_band=lambda one: one.key in smooth,
        base_size=70,
        seed=1,
    )
    loop = _site(settings, tmp_path, sets, seed=1, epochs=40, synthetic=True)
    (learnt,) = _learn(loop, (12,))
    version, tests = learnt.run.candidate, learnt.sent - learnt.learnt
    assert learnt.passed, learnt.run.reason
    assert gain(sensitivity_gain, [learnt])[1] > 0
    assert gain(auc_gain, [learnt])[0] > 0
    said = {
        f"is in {version}, in use now": learnt.learnt,
        f"tests {version}, in use now": tests,
    }
    assert loop.page() == Counter({words: number for words, number in said.items() if number})

    (poisoned,) = _poison(loop, (0.6,), right=learnt.sent)
    assert not poisoned.passed, "the gate let heavy poison pass"
    with pytest.raises(LearningConflict, match="did not pass"):
        loop.activate(poisoned)


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
def test_learning_by_dose_and_poisoning_by_dose(settings, tmp_path, ct_data_dir, capsys):
    if ct_data_dir is None:
        pytest.skip("CT_DATA_DIR is not set: the experiment needs the LIDC crops")
    crops, told = read_one(ct_data_dir / "lidc_nodules"), []
    for seed in SEEDS:
        call_command("flush", interactive=False, verbosity=0)
        told.append(_tell(settings, tmp_path / str(seed), crops, seed))
        _say(capsys, [f"seed {seed}:", *_lines(told[-1])])
    _say(capsys, [*_learning_table(told), "", *_poison_table(told)])
    largest = [one.learnt[-1] for one in told]
    assert gain(sensitivity_gain, largest)[1] > 0, "the corrections taught nothing"
    assert any(not run.passed for one in told for run in one.poisoned), "the gate refused nothing"


def _say(capsys, lines: Iterable[str]) -> None:
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


def _tell(settings, folder: Path, crops: list[NoduleExample], seed: int) -> Told:
    sets = without_kind(
        crops,
        is_kind=lambda one: one.kind == "malignant" and one.diameter_mm < KIND_BELOW_MM,
        in_band=lambda one: one.diameter_mm < KIND_BELOW_MM,
        base_size=BASE_SIZE,
        seed=seed,
    )
    loop = _site(settings, folder, sets, seed=seed, epochs=EPOCHS)
    learnt = _learn(loop, DOSES)
    return Told(learnt, loop.page(), _poison(loop, POISONED, right=DOSES[-1]))


def _lines(told: Told) -> list[str]:
    """Each run of a seed in one line."""
    return [
        f"{run.dose}: {run.sent} sent, {run.learnt} learnt; sensitivity "
        f"{gain(sensitivity_gain, [run])}, AUC {gain(auc_gain, [run])}; "
        f"{run.run.status}: {run.run.reason}"
        for run in [*told.learnt, *told.poisoned]
    ] + [str(dict(told.page))]


def _learning_table(told: list[Told]) -> list[str]:
    rows = ["| corrections | learnt | gate | sensitivity | AUC |", "|---|---|---|---|---|"]
    for number, dose in enumerate(DOSES):
        runs = [one.learnt[number] for one in told]
        rows.append(
            f"| {dose} | {_mean(run.learnt for run in runs)} | permits {_passed(runs)} | "
            f"{_words(gain(sensitivity_gain, runs))} | {_words(gain(auc_gain, runs))} |"
        )
    return rows


def _poison_table(told: list[Told]) -> list[str]:
    rows = ["| poisoned | lies | gate | sensitivity | AUC |", "|---|---|---|---|---|"]
    for number, share in enumerate(POISONED):
        runs = [one.poisoned[number] for one in told]
        lies = _mean(run.sent - told[0].learnt[-1].sent for run in runs)
        rows.append(
            f"| {share:.0%} | {lies} | refuses {len(runs) - sum(run.passed for run in runs)} of "
            f"{len(runs)} | {_words(gain(sensitivity_gain, runs))} | "
            f"{_words(gain(auc_gain, runs))} |"
        )
    return rows


def _mean(numbers: Iterable[int]) -> str:
    return f"{np.mean(list(numbers)):.1f}"


def _passed(runs: list[Trained]) -> str:
    return f"{sum(run.passed for run in runs)} of {len(runs)}"


def _words(figure: tuple[float, float, float]) -> str:
    return f"{figure[0]:+.3f} [{figure[1]:+.3f}, {figure[2]:+.3f}]"
