"""Measure a network: figures with intervals, by patient, beside the simplest baseline.

No TensorFlow: measures what inference runs. Intervals come from resampling patients, because
nodules of one patient are not independent.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from apps.classifier.cnn import calibration, samples
from apps.classifier.cnn.datasets import NoduleExample
from apps.classifier.cnn.runtime import Network
from apps.classifier.cnn.samples import TrainingSet

ROUNDS = 1000
CURVE_POINTS = 100
LEAST_OF_A_GROUP = 10
BANDS = ((0, 6), (6, 8), (8, 15), (15, 25), (25, 1000))
HARD_BAND = (6, 15)
NOT_MEASURABLE = float("nan")
Interval = tuple[float, float]


@dataclass(frozen=True)
class Answers:
    """What a network said about n items: all arrays (n,); keys name the items.

    groups: name of a property -> (n,) which value each item has, "" where it is unknown.
    """

    keys: list[str]
    patients: np.ndarray
    truth: np.ndarray
    probabilities: np.ndarray
    diameters: np.ndarray
    groups: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Figures of one network on one set. Intervals are 95 %; NaN where not measurable.

    ece_by_chance: what a perfectly calibrated score would show on as many items.
    roc, diameter_roc: points (1 - specificity, sensitivity) of the network and of diameter alone.
    """

    task: str
    version: str
    n: int
    n_patients: int
    n_positive: int
    auc: float
    auc_ci: Interval
    accuracy: float
    threshold: float
    sensitivity: float
    sensitivity_ci: Interval
    specificity: float
    ece: float
    ece_by_chance: float
    ece_by_chance_ci: Interval
    brier: float
    diameter_auc: float
    diameter_auc_ci: Interval
    hard_band_gain: float
    hard_band_gain_ci: Interval
    by_size_band: list[dict[str, Any]]
    reliability: list[dict[str, float]]
    roc: list[tuple[float, float]]
    diameter_roc: list[tuple[float, float]]
    subgroups: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN becomes None."""
        return clean(asdict(self))


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same items: difference is b minus a."""

    task: str
    n: int
    n_patients: int
    auc_a: float
    auc_b: float
    difference: float
    difference_ci: Interval
    accuracy_a: float
    accuracy_b: float

    @property
    def b_is_better(self) -> bool:
        """The whole interval of the difference lies above zero."""
        return self.difference_ci[0] > 0

    @property
    def b_is_worse(self) -> bool:
        return self.difference_ci[1] < 0

    def as_dict(self) -> dict[str, Any]:
        return clean(
            asdict(self) | {"b_is_better": self.b_is_better, "b_is_worse": self.b_is_worse}
        )


def clean(value: Any) -> Any:
    """The same value with floats rounded and NaN as None, fit for JSON."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if np.isfinite(value) else None
    return value


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve by ranks, ties counting half; NaN with one class only."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        return NOT_MEASURABLE
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float(
        (ranks[truth > 0.5].sum() - positives * (positives + 1) / 2) / positives / negatives
    )


def bootstrap(
    patients: np.ndarray, statistic: Callable[[np.ndarray], float], rounds: int = ROUNDS
) -> Interval:
    """95 % interval of statistic(indices) when patients are drawn with replacement."""
    _, owner = np.unique(patients, return_inverse=True)
    members = [np.flatnonzero(owner == index) for index in range(owner.max() + 1)]
    rng = np.random.default_rng(0)
    drawn = [
        statistic(
            np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        )
        for _ in range(rounds)
    ]
    known = [value for value in drawn if np.isfinite(value)]
    if not known:
        return NOT_MEASURABLE, NOT_MEASURABLE
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def build_set(task: str, examples: Sequence[NoduleExample]) -> TrainingSet:
    """The items a task is measured on; the same for every network compared."""
    if task == "malignancy":
        return samples.malignancy_set(examples, [1.0] * len(examples))
    if task == "nodule":
        return samples.nodule_set(examples, [1.0] * len(examples))
    raise ValueError(f"no network called {task!r}")


def answer(task: str, network: Network, examples: Sequence[NoduleExample]) -> Answers:
    """Ask the network about every item with a firm truth."""
    items = build_set(task, examples)
    firm = np.flatnonzero(np.isfinite(items.truth))
    probabilities = network.calibrated(mean_logits(network, items, firm))
    return Answers(
        keys=[items.keys[index] for index in firm],
        patients=np.array(items.patients)[firm],
        truth=items.truth[firm],
        probabilities=probabilities,
        diameters=items.diameters[firm],
        groups={name: values[firm] for name, values in items.groups.items()},
    )


def mean_logits(network: Network, items: TrainingSet, chosen: np.ndarray) -> np.ndarray:
    """(n,) mean logit over the views of each chosen item."""
    if not len(chosen):
        return np.zeros(0)
    views = [items.views(int(index)) for index in chosen]
    logits = network.logits(np.concatenate(views))
    ends = np.cumsum([len(view) for view in views])
    return np.array([part.mean() for part in np.split(logits, ends[:-1])])


def evaluate(task: str, network: Network, examples: Sequence[NoduleExample]) -> Evaluation:
    """Figures of the network on the examples; they must be patients it never saw."""
    return measure(task, network.version, answer(task, network, examples), network.threshold)


def measure(task: str, version: str, answers: Answers, threshold: float) -> Evaluation:
    """Figures from answers already collected. Raises ValueError without any item."""
    truth, said, patients = answers.truth, answers.probabilities, answers.patients
    if not len(truth):
        raise ValueError("no items to measure on")
    marked = said >= threshold
    sized = np.isfinite(answers.diameters) & (task == "malignancy")
    diameter = np.where(sized, answers.diameters, 0.0)
    gain, gain_ci = gain_over_diameter(answers, sized)
    by_chance, by_chance_range = calibration.chance_calibration_error(said)
    return Evaluation(
        task=task,
        version=version,
        n=len(truth),
        n_patients=len(np.unique(patients)),
        n_positive=int(truth.sum()),
        auc=auc(said, truth),
        auc_ci=bootstrap(patients, lambda i: auc(said[i], truth[i])),
        accuracy=float(np.mean((said >= 0.5) == (truth > 0.5))),
        threshold=threshold,
        sensitivity=share(marked, truth > 0.5),
        sensitivity_ci=bootstrap(patients, lambda i: share(marked[i], truth[i] > 0.5)),
        specificity=share(~marked, truth < 0.5),
        ece=calibration.expected_calibration_error(said, truth),
        ece_by_chance=by_chance,
        ece_by_chance_ci=by_chance_range,
        brier=calibration.brier(said, truth),
        diameter_auc=auc(diameter, truth) if sized.all() else NOT_MEASURABLE,
        diameter_auc_ci=bootstrap(patients, lambda i: auc(diameter[i], truth[i]))
        if sized.all()
        else (NOT_MEASURABLE, NOT_MEASURABLE),
        hard_band_gain=gain,
        hard_band_gain_ci=gain_ci,
        by_size_band=size_bands(answers) if task == "malignancy" else [],
        reliability=calibration.reliability(said, truth),
        roc=roc(said, truth),
        diameter_roc=roc(diameter, truth) if sized.all() else [],
        subgroups=subgroups(answers),
    )


def roc(scores: np.ndarray, truth: np.ndarray) -> list[tuple[float, float]]:
    """At most a hundred points from (0, 0) to (1, 1); none with one class only."""
    if not 0 < truth.sum() < len(truth):
        return []
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    hits, alarms = (np.cumsum(truth[order] == side)[last_of_tie] for side in (1, 0))
    curve = np.column_stack([alarms / alarms[-1], hits / hits[-1]])
    kept = np.linspace(0, len(curve) - 1, min(len(curve), CURVE_POINTS)).round().astype(int)
    return [(0.0, 0.0), *((float(x), float(y)) for x, y in curve[kept])]


def subgroups(answers: Answers) -> list[dict[str, Any]]:
    """Figures of each group of at least ten items, property by property."""
    return [
        {"by": name, "group": str(group), **in_group(answers, np.flatnonzero(values == group))}
        for name, values in answers.groups.items()
        for group, count in zip(*np.unique(values, return_counts=True), strict=True)
        if group != "" and count >= LEAST_OF_A_GROUP
    ]


def in_group(answers: Answers, chosen: np.ndarray) -> dict[str, Any]:
    truth, said = answers.truth[chosen], answers.probabilities[chosen]
    patients = answers.patients[chosen]
    return {
        "n": len(truth),
        "n_patients": len(np.unique(patients)),
        "n_positive": int(truth.sum()),
        "auc": auc(said, truth),
        "auc_ci": bootstrap(patients, lambda i: auc(said[i], truth[i])),
        "accuracy": float(np.mean((said >= 0.5) == (truth > 0.5))),
        "ece": calibration.expected_calibration_error(said, truth),
    }


def share(marked: np.ndarray, among: np.ndarray) -> float:
    """Share of `among` that is marked."""
    return float(marked[among].mean()) if among.any() else NOT_MEASURABLE


def gain_over_diameter(answers: Answers, sized: np.ndarray) -> tuple[float, Interval]:
    """AUC minus the AUC of diameter alone where size says least (6–15 mm), paired."""
    low, high = HARD_BAND
    chosen = sized & (answers.diameters >= low) & (answers.diameters < high)
    truth, said, size = (
        array[chosen] for array in (answers.truth, answers.probabilities, answers.diameters)
    )
    if len(truth) == 0:
        return NOT_MEASURABLE, (NOT_MEASURABLE, NOT_MEASURABLE)

    def gain(index: np.ndarray) -> float:
        return auc(said[index], truth[index]) - auc(size[index], truth[index])

    return gain(np.arange(len(truth))), bootstrap(answers.patients[chosen], gain)


def size_bands(answers: Answers) -> list[dict[str, Any]]:
    return [band for band in (in_band(answers, *edges) for edges in BANDS) if band]


def in_band(answers: Answers, low: float, high: float) -> dict[str, Any] | None:
    """Figures of one size band; None when it is empty."""
    chosen = (answers.diameters >= low) & (answers.diameters < high)
    truth, said = answers.truth[chosen], answers.probabilities[chosen]
    if not len(truth):
        return None
    return {
        "band_mm": f"{low:g}–{high:g}" if high < BANDS[-1][1] else f"≥ {low:g}",
        "n": len(truth),
        "n_positive": int(truth.sum()),
        "auc": auc(said, truth),
        "diameter_auc": auc(answers.diameters[chosen], truth),
        "accuracy": float(np.mean((said >= 0.5) == (truth > 0.5))),
        "mean_probability": float(said.mean()),
        "observed": float(truth.mean()),
    }


def operating_points(probabilities: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """For each wanted sensitivity the threshold that reaches it and what it costs."""
    positives = np.sort(probabilities[truth > 0.5])
    points = []
    for wanted in (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98):
        threshold = float(positives[int(np.floor((1 - wanted) * len(positives)))])
        marked = probabilities >= threshold
        points.append(
            {
                "wanted": wanted,
                "threshold": threshold,
                "sensitivity": share(marked, truth > 0.5),
                "specificity": share(~marked, truth < 0.5),
            }
        )
    return points


def compare(task: str, a: Network, b: Network, examples: Sequence[NoduleExample]) -> Comparison:
    """Both networks on the same items; the interval of the difference resamples patients."""
    first, second = answer(task, a, examples), answer(task, b, examples)
    truth = first.truth
    if not len(truth):
        raise ValueError("no items to compare on")

    def difference(index: np.ndarray) -> float:
        better = auc(second.probabilities[index], truth[index])
        return better - auc(first.probabilities[index], truth[index])

    return Comparison(
        task=task,
        n=len(truth),
        n_patients=len(np.unique(first.patients)),
        auc_a=auc(first.probabilities, truth),
        auc_b=auc(second.probabilities, truth),
        difference=difference(np.arange(len(truth))),
        difference_ci=bootstrap(first.patients, difference),
        accuracy_a=float(np.mean((first.probabilities >= 0.5) == (truth > 0.5))),
        accuracy_b=float(np.mean((second.probabilities >= 0.5) == (truth > 0.5))),
    )
