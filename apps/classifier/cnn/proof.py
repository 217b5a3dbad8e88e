"""Candidate against active on the same patients: every figure with its paired difference.

All figures are turned so that a positive gain is good. Intervals resample patients, the same
ones for both networks (paired), because nodules of one patient are not independent.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from apps.classifier.cnn import calibration
from apps.classifier.cnn.datasets import NoduleExample
from apps.classifier.cnn.evaluation import Answers, answer, auc, clean, share
from apps.classifier.cnn.runtime import Network

ROUNDS = 1000
LOWER_IS_BETTER = frozenset({"ece", "brier"})
SIZES = (("under 8 mm", 8.0), ("8 to 15 mm", 15.0), ("15 mm and more", float("inf")))
SLICES = (
    ("up to 1.25 mm", 1.25),
    ("1.25 to 2.5 mm", 2.5),
    ("over 2.5 mm", float("inf")),
)
AGES = (("under 50", 50.0), ("50 to 69", 70.0), ("70 and over", float("inf")))


@dataclass(frozen=True)
class Paired:
    """One figure of both networks. gain: how much better the candidate is, with its 95 %
    interval and the two-sided p of the paired bootstrap; NaN where not measurable."""

    active: float
    candidate: float
    gain: float
    gain_ci: tuple[float, float]
    p: float

    @property
    def surely_worse(self) -> bool:
        """The whole interval of the gain lies below zero."""
        return self.gain_ci[1] < 0


@dataclass(frozen=True)
class Subgroup:
    """The same figures among the items that share a trait, as in size: under 8 mm."""

    trait: str
    value: str
    n: int
    n_patients: int
    n_positive: int
    figures: dict[str, Paired]


@dataclass(frozen=True)
class Proof:
    """Everything that the gate decides by, measured on one set."""

    n: int
    n_patients: int
    n_positive: int
    figures: dict[str, Paired]
    subgroups: list[Subgroup]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        return clean(asdict(self))


def prove(
    task: str, active: Network, candidate: Network, examples: Sequence[NoduleExample]
) -> Proof:
    """Ask both networks about every item with a firm truth. Raises ValueError without any."""
    old, new = answer(task, active, examples), answer(task, candidate, examples)
    if not len(old.truth):
        raise ValueError("no items to compare on")
    traits = {example.key: traits_of(example) for example in examples}
    return compare_answers(old, new, (active.threshold, candidate.threshold), traits)


def compare_answers(
    old: Answers,
    new: Answers,
    thresholds: tuple[float, float],
    traits: dict[str, dict[str, str]] | None = None,
) -> Proof:
    """Figures from answers already collected; `traits` by key of the example, for subgroups."""
    everything = np.arange(len(old.truth))
    return Proof(
        n=len(everything),
        n_patients=len(np.unique(old.patients)),
        n_positive=int(old.truth.sum()),
        figures=_figures(old, new, thresholds, everything),
        subgroups=_subgroups(old, new, thresholds, traits or {}),
    )


def traits_of(example: NoduleExample) -> dict[str, str]:
    """What is known of an example that a model may be unfair about."""
    known = {"slice distance": _band(example.slice_spacing_mm, SLICES)}
    if example.diameter_mm:
        known["size"] = _band(example.diameter_mm, SIZES)
    facts = example.facts
    if facts.get("manufacturer"):
        known["manufacturer"] = facts["manufacturer"].strip().upper()
    if facts.get("patient_sex"):
        known["sex"] = facts["patient_sex"].strip().upper()
    if facts.get("patient_age", "").isdigit():
        known["age"] = _band(float(facts["patient_age"]), AGES)
    return known


def _band(value: float, bands: Sequence[tuple[str, float]]) -> str:
    return next(name for name, below in bands if value < below or below == bands[-1][1])


def _measures(
    thresholds: tuple[float, float],
) -> dict[str, Callable[[np.ndarray, np.ndarray, int], float]]:
    """Each figure as a function of (probabilities, truth, 0 for the active one or 1)."""
    return {
        "auc": lambda said, truth, _: auc(said, truth),
        "sensitivity": lambda said, truth, who: share(said >= thresholds[who], truth > 0.5),
        "specificity": lambda said, truth, who: share(said < thresholds[who], truth < 0.5),
        "ece": lambda said, truth, _: calibration.expected_calibration_error(said, truth),
        "brier": lambda said, truth, _: calibration.brier(said, truth),
    }


def _figures(
    old: Answers, new: Answers, thresholds: tuple[float, float], chosen: np.ndarray
) -> dict[str, Paired]:
    """All figures among the chosen items, from one set of resamples of their patients."""
    draws = _draws(old.patients[chosen])
    return {
        name: _paired(
            lambda index, who, measure=measure: measure(
                (old, new)[who].probabilities[chosen[index]], old.truth[chosen[index]], who
            ),
            -1.0 if name in LOWER_IS_BETTER else 1.0,
            len(chosen),
            draws,
        )
        for name, measure in _measures(thresholds).items()
    }


def _draws(patients: np.ndarray) -> list[np.ndarray]:
    """ROUNDS times the items of patients drawn with replacement, the same at every call."""
    _, owner = np.unique(patients, return_inverse=True)
    members = [np.flatnonzero(owner == index) for index in range(owner.max() + 1)]
    rng = np.random.default_rng(0)
    count = len(members)
    return [
        np.concatenate([members[i] for i in rng.integers(count, size=count)]) for _ in range(ROUNDS)
    ]


def _paired(
    measure: Callable[[np.ndarray, int], float],
    sign: float,
    count: int,
    draws: list[np.ndarray],
) -> Paired:
    everything = np.arange(count)
    before, after = measure(everything, 0), measure(everything, 1)
    gains = np.array([sign * (measure(index, 1) - measure(index, 0)) for index in draws])
    gains = gains[np.isfinite(gains)]
    if not len(gains):
        nothing = float("nan")
        return Paired(before, after, sign * (after - before), (nothing, nothing), nothing)
    low, high = np.percentile(gains, [2.5, 97.5])
    p = min(1.0, 2 * min(float(np.mean(gains <= 0)), float(np.mean(gains >= 0))))
    return Paired(before, after, sign * (after - before), (float(low), float(high)), p)


def _subgroups(
    old: Answers,
    new: Answers,
    thresholds: tuple[float, float],
    traits: dict[str, dict[str, str]],
) -> list[Subgroup]:
    members: dict[tuple[str, str], list[int]] = {}
    for index, key in enumerate(old.keys):
        for trait in traits.get(key.split("@")[0], {}).items():
            members.setdefault(trait, []).append(index)
    return [
        _subgroup(trait, value, old, new, thresholds, np.array(chosen))
        for (trait, value), chosen in sorted(members.items())
    ]


def _subgroup(
    trait: str,
    value: str,
    old: Answers,
    new: Answers,
    thresholds: tuple[float, float],
    chosen: np.ndarray,
) -> Subgroup:
    return Subgroup(
        trait=trait,
        value=value,
        n=len(chosen),
        n_patients=len(np.unique(old.patients[chosen])),
        n_positive=int(old.truth[chosen].sum()),
        figures=_figures(old, new, thresholds, chosen),
    )
