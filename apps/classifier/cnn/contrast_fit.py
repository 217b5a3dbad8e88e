"""Fit and measure the contrast check by patient. Numpy only, seconds.

Run as `python -m apps.classifier.cnn.contrast_fit DIR OUT.json`.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from apps.classifier.cnn import calibration, cards, evaluation
from apps.classifier.cnn.contrast import ContrastCheck, contrast_features
from apps.classifier.cnn.datasets import DatasetError, fingerprint, fold_of, labelled_rows
from apps.classifier.cnn.lungs import find_lungs
from apps.imaging.pixels import hounsfield
from apps.imaging.reading import read_instance
from apps.imaging.refusal import Refusal

FOLDS = 10
RIDGE = 3.0
ROUNDS = 60
WORDS = {
    1: ("1", "1.0", "contrast", "true", "yes", "contrast_1"),
    0: ("0", "0.0", "no_contrast", "no contrast", "false", "no", "none", "contrast_0"),
}
LABELS = {word: label for label, words in WORDS.items() for word in words}
Rows = tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]


def read_contrast(directory: Path) -> Rows:
    """Features (n, 19), labels (n,), patients (n,) and files of the slices in labels.csv
    (path, patient_id, label 1 or 0), or of the SIIM layout where the file name says it."""
    listed = [
        (name, patient, label, features_of(directory / name))
        for name, patient, label in listed_files(directory)
    ]
    read = [row for row in listed if row[3] is not None]
    if not read:
        raise DatasetError(f"no readable CT slices with labels in {directory.name}")
    names, patients, labels, features = zip(*read, strict=True)
    return np.stack(features), np.array(labels, float), np.array(patients), list(names)


def listed_files(directory: Path) -> list[tuple[str, str, int]]:
    table = directory / "labels.csv"
    if table.is_file():
        rows = labelled_rows(table)
        return [(r["path"], r["patient_id"], label_of(r["label"])) for r in rows]
    folder = directory if (directory / "patients.csv").is_file() else directory / "siim_tcga_100"
    if not (folder / "patients.csv").is_file():
        raise DatasetError(f"neither labels.csv nor patients.csv in {directory.name}")
    prefix = "" if folder == directory else f"{folder.name}/"
    with (folder / "patients.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [(prefix + r["file"], r["PatientID"], int("CONTRAST_1" in r["file"])) for r in rows]


def label_of(text: str) -> int:
    """1 with contrast agent, 0 without. Raises DatasetError for any other word."""
    if text.strip().lower() not in LABELS:
        raise DatasetError(f"label {text!r} is none of {', '.join(LABELS)}")
    return LABELS[text.strip().lower()]


def features_of(path: Path) -> np.ndarray | None:
    try:
        spacing = read_instance(path).pixel_spacing
        return contrast_features(find_lungs(hounsfield(path), spacing or (0.7, 0.7)))
    except (Refusal, OSError):
        return None


def fit(features: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Ridge-penalised logistic regression by Newton's method on standardised features."""
    means, scales = features.mean(axis=0), features.std(axis=0) + 1e-6
    design = np.column_stack([(features - means) / scales, np.ones(len(features))])
    penalty = np.diag([RIDGE] * features.shape[1] + [1e-6])
    theta = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        said = calibration.sigmoid(design @ theta)
        curvature = (design * (said * (1 - said))[:, None]).T @ design + penalty
        theta -= np.linalg.solve(curvature, design.T @ (said - labels) + penalty @ theta)
    return {
        "means": means.tolist(),
        "scales": scales.tolist(),
        "weights": theta[:-1].tolist(),
        "intercept": float(theta[-1]),
    }


def cross_fitted(features: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Probabilities (n,) from fits that never saw the patient."""
    folds = np.array([fold_of(str(patient), FOLDS, 1) for patient in patients])
    said = np.zeros(len(labels))
    for fold in np.unique(folds):
        model = fit(features[folds != fold], labels[folds != fold])
        scaled = (features[folds == fold] - model["means"]) / np.array(model["scales"])
        said[folds == fold] = calibration.sigmoid(
            scaled @ np.array(model["weights"]) + model["intercept"]
        )
    return said


def fit_contrast(directory: Path, version: str = "contrast-v1") -> ContrastCheck:
    """The check fitted on a directory, with cross-fitted figures in its metadata."""
    features, labels, patients, _ = read_contrast(Path(directory))
    said = cross_fitted(features, labels, patients)
    return ContrastCheck(
        fit(features, labels)
        | {
            "task": "contrast",
            "version": version,
            "meaning": cards.MEANING["contrast"],
            "licence": "weights: Apache-2.0",
            "citation": cards.TCGA,
            "training": {
                "examples": len(labels),
                "patients": len(set(patients)),
                "patient_fingerprints": sorted({fingerprint(str(p)) for p in patients}),
            },
            "metrics": {"how": "cross-fitted by patient"} | figures(said, labels, patients),
        }
    )


def figures(said: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> dict[str, Any]:
    return evaluation.clean(
        {
            "n": len(labels),
            "n_patients": len(set(patients)),
            "n_positive": int(labels.sum()),
            "auc": evaluation.auc(said, labels),
            "auc_ci": evaluation.bootstrap(patients, lambda i: evaluation.auc(said[i], labels[i])),
            "accuracy": float(np.mean((said >= 0.5) == (labels > 0.5))),
            "ece": calibration.expected_calibration_error(said, labels),
            "brier": calibration.brier(said, labels),
            "reliability": calibration.reliability(said, labels),
            "roc": evaluation.roc(said, labels),
        }
    )


def evaluate_contrast(
    check: ContrastCheck, directory: Path, out: Path | None = None
) -> dict[str, Any]:
    """Figures of a fitted check on a directory; n_seen_in_training says how many it knows.

    `out` gets patient_id, path and probability of every slice that could be read.
    """
    features, labels, patients, names = read_contrast(Path(directory))
    scaled = (features - np.array(check.meta["means"])) / np.array(check.meta["scales"])
    said = calibration.sigmoid(scaled @ np.array(check.meta["weights"]) + check.meta["intercept"])
    known = set(check.meta["training"]["patient_fingerprints"])
    seen = sum(fingerprint(str(patient)) in known for patient in patients)
    if out is not None:
        with Path(out).open("w", newline="") as lines:
            table = csv.writer(lines)
            table.writerow(["patient_id", "path", "probability"])
            table.writerows(zip(patients, names, [f"{p:.6f}" for p in said], strict=True))
    unreadable = len(listed_files(Path(directory))) - len(names)
    told = figures(said, labels, patients)
    return {"n": told.pop("n"), "n_seen_in_training": seen} | told | {"unreadable": unreadable}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    check = fit_contrast(given.directory)
    given.out.write_text(json.dumps(check.meta, indent=1) + "\n")
    print(json.dumps(check.meta["metrics"]))  # noqa: T201


if __name__ == "__main__":
    main()
