"""What is written beside the weights: metadata, pictures, the model card."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from apps.classifier.cnn import calibration, chest, evaluation, patches
from apps.classifier.cnn.datasets import NoduleExample, fingerprint
from apps.classifier.cnn.samples import TrainingSet

FORMAT = 1
OUT_OF_FOLD = ("patient", "truth", "probability", "diameter_mm")
SCALE = {"malignancy": patches.SUSPICION_SCALE, "nodule": 1.0}
WANTED_SENSITIVITY = {"malignancy": 0.9, "nodule": 0.8, "chest": 0.95}
MEANING = {
    "malignancy": "that radiologists would rate the nodule as more likely malignant than not: "
    "readers' opinion, not histology",
    "nodule": "that a place in the lungs is a nodule and not a vessel, wall or scar",
    "chest": "that a CT slice shows the chest with lungs",
    "contrast": "that the patient was given contrast agent, from the densities of soft tissue",
}
LIDC = (
    "Armato SG III et al. Data From LIDC-IDRI. The Cancer Imaging Archive, 2015. "
    "doi:10.7937/K9/TCIA.2015.LO9QL9SX. Armato SG III et al. Medical Physics 38:915, 2011."
)
COLLECTIONS = (
    "The Cancer Imaging Archive: TCGA-LUAD/LUSC (doi:10.7937/K9/TCIA.2016.JGNIHEP5), RIDER Lung "
    "CT, LIDC-IDRI, CPTAC-PDA, ACRIN-FLT-Breast, C4KC-KiTS; Clark K et al. J Digit Imaging "
    "26:1045, 2013. dcm_qa_ct and NEMA WG04 sample images."
)


TCGA = (
    "Albertina B et al. The Cancer Genome Atlas Lung Adenocarcinoma Collection (TCGA-LUAD), The "
    "Cancer Imaging Archive, 2016. doi:10.7937/K9/TCIA.2016.JGNIHEP5. Clark K et al. J Digit "
    "Imaging 26:1045, 2013."
)


def describe_examples(examples: Sequence[NoduleExample], extra: int) -> dict[str, Any]:
    """The training set in numbers, never in names."""
    return {
        "examples": len(examples),
        "patients": len({example.patient_id for example in examples}),
        "classes": dict(sorted(Counter(example.kind for example in examples).items())),
        "corrections": extra,
        "synthetic": bool(examples)
        and all(example.patient_id.startswith("PHANTOM") for example in examples),
        "patient_fingerprints": sorted({fingerprint(e.patient_id) for e in examples}),
    }


def metadata(
    problem: TrainingSet,
    logits: np.ndarray,
    sha256: str,
    seed: int,
    version: str | None,
    described: dict[str, Any],
) -> dict[str, Any]:
    """Everything the runtime and the card need, from out-of-fold logits."""
    answers, scaling = out_of_fold(problem, logits)
    points = evaluation.operating_points(answers.probabilities, answers.truth)
    wanted = WANTED_SENSITIVITY[problem.task]
    point = next(point for point in points if point["wanted"] == wanted)
    name = version or f"{problem.task}-{sha256[:8]}"
    measured = evaluation.measure(problem.task, name, answers, point["threshold"])
    return {
        "format": FORMAT,
        "task": problem.task,
        "version": name,
        "meaning": MEANING[problem.task],
        "sha256": sha256,
        "input": input_spec(problem),
        "calibration": scaling,
        "operating_point": evaluation.clean(point),
        "operating_points": evaluation.clean(points),
        "training": described | {"seed": seed},
        "metrics": {"how": "cross-fitted by patient, out of fold"} | measured.as_dict(),
        "licence": "weights: Apache-2.0",
        "citation": citation(problem.task, described),
    }


def out_of_fold(
    problem: TrainingSet, logits: np.ndarray
) -> tuple[evaluation.Answers, dict[str, float]]:
    """Calibrated answers of the base's items with a firm truth, and the calibration fitted
    on them; corrections count for neither (see TrainingSet)."""
    firm = np.flatnonzero(np.isfinite(problem.truth) & problem.from_base)
    truth = problem.truth[firm]
    scaling = calibration.fit_platt(logits[firm], truth)
    answers = evaluation.Answers(
        keys=[problem.keys[index] for index in firm],
        patients=np.array(problem.patients)[firm],
        truth=truth,
        probabilities=calibration.sigmoid(scaling["slope"] * logits[firm] + scaling["intercept"]),
        diameters=problem.diameters[firm],
        groups={name: values[firm] for name, values in problem.groups.items()},
    )
    return answers, scaling


def write_out_of_fold(path: Path, answers: evaluation.Answers) -> Path:
    """The answers that the figures were made of, as CSV; patients are numbers, never names."""
    _, numbers = np.unique(answers.patients, return_inverse=True)
    with path.open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow([*OUT_OF_FOLD, *answers.groups])
        table.writerows(
            zip(
                numbers,
                answers.truth.astype(int),
                [f"{value:.4f}" for value in answers.probabilities],
                [f"{value:.1f}" if np.isfinite(value) else "" for value in answers.diameters],
                *answers.groups.values(),
                strict=True,
            )
        )
    return path


def read_out_of_fold(path: Path) -> evaluation.Answers:
    """What write_out_of_fold wrote."""
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    patients, truth, said, diameters = (columns.pop(name) for name in OUT_OF_FOLD)
    return evaluation.Answers(
        keys=[str(number) for number in range(len(rows))],
        patients=patients,
        truth=truth.astype(float),
        probabilities=said.astype(float),
        diameters=np.array([float(value or "nan") for value in diameters]),
        groups=columns,
    )


def citation(task: str, described: dict[str, Any]) -> str:
    if described.get("synthetic"):
        return "none: synthetic data"
    return COLLECTIONS if task == "chest" else LIDC


def input_spec(problem: TrainingSet) -> dict[str, Any]:
    if problem.task == "chest":
        return {
            "shape": list(problem.views(0).shape[1:]),
            "field_mm": chest.FIELD_MM,
            "window_hu": list(chest.WINDOW_HU),
        }
    return {
        "shape": list(problem.views(0).shape[1:]),
        "mm_per_pixel": patches.MM_PER_PIXEL * SCALE[problem.task],
        "slice_gap_mm": patches.SLICE_GAP_MM,
        "normalisation": "0.5 and 99.5 percentiles of the patch to 0 and 1",
    }


def plot_curves(curves: list[list[float]], path: Path) -> Path:
    """Training loss per epoch, one line per member."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="epoch", ylabel="training loss", title="Learning curve")
    for number, curve in enumerate(curves, start=1):
        axes.plot(range(1, len(curve) + 1), curve, marker="o", ms=3, label=f"member {number}")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
    return path


def card(meta: dict[str, Any]) -> str:
    """The model card in Markdown, every figure from the metadata."""
    metrics, training = meta["metrics"], meta["training"]
    parts = [
        f"# {meta['version']}",
        f"What it says: the probability {meta['meaning']}.",
        "Not a medical device. It shows places to a doctor; it never decides.",
        "## Training data",
        rows({key: training.get(key) for key in DATA_ROWS if training.get(key) not in (None, "")}),
        meta["citation"],
        f"## Figures ({metrics['how']})",
        rows({name: figure(metrics, key) for key, name in FIGURES.items()}),
        baseline(meta["task"]),
        held_out(meta),
        operating_table(meta.get("operating_points", []), meta.get("operating_point", {})),
        size_table(metrics.get("by_size_band", [])),
        subgroup_table(metrics.get("subgroups", [])),
        scans(metrics.get("scans", {})),
        "## Limits",
        LIMITS[meta["task"]],
        failures(meta["task"]),
        "## Licence",
        f"{meta['licence']}. SHA-256 of the weights: `{meta['sha256']}`.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


DATA_ROWS = (
    "examples",
    "patients",
    "classes",
    "corrections",
    "synthetic",
    "phantom_slices",
    "phantom_patients",
    "unreadable",
    "seed",
    "members",
    "epochs",
    "parameters",
    "seconds",
    "export_difference",
)
BAND_COLUMNS = (
    "band_mm",
    "n",
    "n_positive",
    "auc",
    "diameter_auc",
    "accuracy",
    "mean_probability",
    "observed",
)
FIGURES = {
    "n": "items",
    "n_patients": "patients",
    "n_positive": "positive",
    "auc": "AUC",
    "accuracy": "accuracy at 0.5",
    "ece": "expected calibration error",
    "ece_by_chance": "the same of a perfect score, by chance",
    "brier": "Brier score",
    "diameter_auc": "AUC of the readers' diameter alone",
    "hard_band_gain": "AUC gained over diameter, 6–15 mm",
}
LIMITS = {
    "malignancy": "The label is the opinion of radiologists looking at the pictures, not "
    "histology. Adult chest CT of one public collection; other scanners and populations were "
    "not measured.",
    "nodule": "The figures above are for single places (crops centred on nodules, blobs beside "
    "them, look-alikes of whole slices), not for whole scans; docs/benchmarks.md has what was "
    "measured on scans. It marks vessels and hilar structures too, and misses tumours that melt "
    "into mediastinum or chest wall: a series without marks is not clear. Part of its training "
    "data are synthetic chests.",
    "chest": "Hand-labelled slices of few patients. Decides together with the lung area "
    "(below 20 cm² not a chest, above 60 cm² a chest unless the network objects).",
    "contrast": "A hint to the technician, never a block. One collection of 54 patients with lung "
    "cancer, single slices; the label is that collection's flag.",
}


BASELINES = {
    "malignancy": "the readers' diameter alone, in the table and as the dashed line of the ROC.",
    "nodule": "every candidate of the search is a mark; the network keeps or drops them.",
    "chest": "the lung area alone; it decides, and the network may only veto.",
    "contrast": "the word of the header, which the check is there to doubt.",
}
FAILURES = {
    "malignancy": [
        "Benign nodules over 15 mm are few in the base: nearly all such nodules get a high score.",
        "Against pathology instead of readers' opinion such scores are known to fall to an AUC "
        "near 0.7.",
        "A place that is no nodule gets a score as well; the score assumes that it is one.",
    ],
    "nodule": [
        "Ground glass under 6 mm is mostly missed (picture: missed places in synthetic chests).",
        "Vessels cut across and bronchial walls are marked; so is now and then round soft tissue "
        "that lungs surround, as the dome of the liver (picture: marks without a nodule).",
        "A mass that melts into collapsed lung, mediastinum or heart has no outline to find.",
        "Slices thicker than 5 mm and sharp kernels cost nodules under 8 mm and add marks.",
    ],
    "chest": [
        "Slices at the top and base of the chest: abstained on, refused or accepted.",
        "Long streaks of air in the chest wall (subcutaneous emphysema, drawn into phantoms) open "
        "the outline of the body: such slices are refused though they show a chest.",
        "Collapsed or fluid-filled lungs leave too little air: such a chest may be refused.",
    ],
    "contrast": [
        "Late phases and thin patients look like no contrast agent; calcium and metal like some.",
    ],
}


def rows(values: dict[str, Any]) -> str:
    lines = [f"| {name.replace('_', ' ')} | {value} |" for name, value in values.items() if value]
    return "\n".join(["| | |", "|---|---|", *lines])


def figure(metrics: dict[str, Any], key: str) -> str:
    """A figure with its interval where it has one; empty when not measurable."""
    value, interval = metrics.get(key), metrics.get(f"{key}_ci")
    if value is None:
        return ""
    return f"{value} [{interval[0]}, {interval[1]}]" if interval else f"{value}"


def held_out(meta: dict[str, Any]) -> str:
    """The same figures on patients that no choice was made on, where they were measured."""
    measured = meta.get("held_out")
    if not measured:
        return ""
    table = rows({name: figure(measured, key) for key, name in FIGURES.items()})
    parts = [f"## Held-out patients ({measured['how']})", table]
    return "\n\n".join([*parts, size_table(measured["by_size_band"])])


def operating_table(points: list[dict[str, float]], chosen: dict[str, float]) -> str:
    if not points:
        return ""
    lines = [
        f"| {p['wanted']} | {p['threshold']} | {p['sensitivity']} | {p['specificity']} |"
        f"{' shipped' if p['wanted'] == chosen['wanted'] else ''} |"
        for p in points
    ]
    head = "| sensitivity wanted | threshold | sensitivity | specificity | |\n|---|---|---|---|---|"
    return "\n".join(["## Operating points\n", head, *lines])


def size_table(bands: list[dict[str, Any]]) -> str:
    if not bands:
        return ""
    lines = [
        "| " + " | ".join("–" if b[key] is None else str(b[key]) for key in BAND_COLUMNS) + " |"
        for b in bands
    ]
    head = (
        "| mm | n | malignant | AUC | AUC of diameter | accuracy | mean probability | observed |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    return "\n".join(["## By size\n", head, *lines])


def scans(measured: dict[str, Any]) -> str:
    """What the finder does on whole series (finding_report), where it was measured."""
    table = rows({name: value for name, value in measured.items() if value is not None})
    return f"## On whole series\n\n{table}" if measured else ""


def baseline(task: str) -> str:
    return f"The simplest thing beside it: {BASELINES[task]}" if task in BASELINES else ""


def failures(task: str) -> str:
    known = FAILURES.get(task, [])
    return (
        "\n\n".join(["## Known failures", "\n".join(f"- {one}" for one in known)]) if known else ""
    )


def subgroup_table(groups: list[dict[str, Any]]) -> str:
    """The figures of each subgroup of at least ten items."""
    if not groups:
        return ""
    lines = [
        f"| {g['by']} | {g['group']} | {g['n']} | {g['n_patients']} | {g['n_positive']} "
        f"| {figure(g, 'auc') or '–'} | {g['accuracy']} | {g['ece']} |"
        for g in groups
    ]
    head = "| by | group | n | patients | positive | AUC | accuracy | ECE |\n" + "|---" * 8 + "|"
    return "\n".join(["## Subgroups\n", head, *lines])
