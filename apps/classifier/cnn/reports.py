"""Evaluate a shipped network on a directory: the figures and the table the commands print."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from apps.classifier.cnn import calibration, evaluation
from apps.classifier.cnn.chest import judge
from apps.classifier.cnn.chest_data import read_chest
from apps.classifier.cnn.datasets import fingerprint, read_nodules
from apps.classifier.cnn.intervals import wilson
from apps.classifier.cnn.runtime import Network


def evaluate_nodules(network: Network, directory: Path, out: Path | None = None) -> dict[str, Any]:
    """Figures on a directory laid out like the base; `out` gets patient, nodule, probability.

    Every nodule with a firm class is counted, those seen in training too: n_seen_in_training
    says how many. Raises DatasetError, and ValueError when no nodule has a firm class.
    """
    examples = read_nodules(Path(directory))
    answers = evaluation.answer(network.task, network, examples)
    figures = evaluation.measure(network.task, network.version, answers, network.threshold)
    if out is not None:
        write_answers(out, answers)
    told = figures.as_dict()
    return {
        "n": told.pop("n"),
        "n_seen_in_training": seen_in_training(network, answers.patients),
    } | told


def seen_in_training(network: Network, patients: Sequence[str]) -> int:
    """How many of the items belong to patients the network was trained on."""
    known = set(network.meta["training"].get("patient_fingerprints", []))
    return sum(fingerprint(str(patient)) in known for patient in patients)


def write_answers(out: Path, answers: evaluation.Answers) -> None:
    """CSV: patient_id, nodule, probability."""
    with Path(out).open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["patient_id", "nodule", "probability"])
        for key, patient, said in zip(
            answers.keys, answers.patients, answers.probabilities, strict=True
        ):
            table.writerow([patient, key.removeprefix(f"{patient}/"), f"{said:.6f}"])


def evaluate_chest(
    network: Network, directory: Path, labels: Path | None = None, out: Path | None = None
) -> dict[str, Any]:
    """The gate (network and lung area) on slices listed by path, patient_id, label.

    Slices labelled edge are right whatever is answered but a confident chest below 20 cm².
    """
    examples, described = read_chest(Path(directory), labels, phantoms=False)
    said = network.predict(np.stack([item.patch for item in examples]))
    answers = [judge(float(p), e.lung_area_mm2).answer for p, e in zip(said, examples, strict=True)]
    if out is not None:
        write_gate(out, examples, said, answers)
    firm = [(e, a) for e, a in zip(examples, answers, strict=True) if e.target != 0.5]
    verdicts = Counter(verdict(e.target, a) for e, a in firm)
    truth = np.array([e.target for e in examples])
    clear, patients = truth != 0.5, [e.patient_id for e in examples]
    return {
        "n": len(firm),
        "n_seen_in_training": seen_in_training(network, [e.patient_id for e, _ in firm]),
        "right": verdicts["right"],
        "abstained": verdicts["abstained"],
        "wrong": verdicts["wrong"],
        "accepted_without_chest": sum(a == "chest" and e.target == 0 for e, a in firm),
        "right_ci": evaluation.clean(wilson(verdicts["right"], len(firm))),
        "wrong_ci": evaluation.clean(wilson(verdicts["wrong"], len(firm))),
        "edge": dict(Counter(a for e, a in zip(examples, answers, strict=True) if e.target == 0.5)),
        "by_folder": by_folder(firm),
        **network_figures(said[clear], truth[clear], np.array(patients)[clear]),
        "unreadable": described["unreadable"],
    }


def network_figures(said: np.ndarray, truth: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
    """How the network alone separates the slices with a firm label."""
    if not len(truth):
        return {}
    return evaluation.clean(
        {
            "auc": evaluation.auc(said, truth),
            "auc_ci": evaluation.bootstrap(patients, lambda i: evaluation.auc(said[i], truth[i])),
            "accuracy": float(np.mean((said >= 0.5) == (truth > 0.5))),
            "ece": calibration.expected_calibration_error(said, truth),
        }
    )


def by_folder(firm: Sequence[tuple[Any, str]]) -> dict[str, dict[str, Any]]:
    """Right, abstained and wrong of each data set, with 95 % bounds of the right and the wrong."""
    groups: dict[str, Counter] = {}
    for item, answer in firm:
        groups.setdefault(item.folder, Counter())[verdict(item.target, answer)] += 1
    return {
        folder: {
            "n": count.total(),
            **{name: count[name] for name in ("right", "abstained", "wrong")},
            "right_ci": evaluation.clean(wilson(count["right"], count.total())),
            "wrong_ci": evaluation.clean(wilson(count["wrong"], count.total())),
        }
        for folder, count in groups.items()
    }


def verdict(target: float, answer: str) -> str:
    if answer == "unsure":
        return "abstained"
    return "right" if (answer == "chest") == (target > 0.5) else "wrong"


def write_gate(out: Path, examples: Sequence[Any], said: np.ndarray, answers: list[str]) -> None:
    with Path(out).open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(["patient_id", "file", "probability", "lung_area_mm2", "answer"])
        for item, probability, answer in zip(examples, said, answers, strict=True):
            table.writerow(
                [item.patient_id, item.key, f"{probability:.4f}", item.lung_area_mm2, answer]
            )
