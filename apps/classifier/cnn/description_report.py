"""The report of a data set, Markdown with pictures, for `manage.py describe_dataset`.

Takes CT slices as DICOM files, or nodule crops laid out like the LIDC base. Names of files and,
for crops, patient ids of the labels are in the report: it stays where the data stay.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from apps.classifier.cnn import description
from apps.classifier.cnn.datasets import (
    DatasetError,
    NoduleExample,
    nodule_roots,
    read_one,
)
from apps.classifier.cnn.description import LANDMARKS, PLAUSIBLE_HU, Slice
from apps.classifier.cnn.evaluation import bootstrap

TRENDS = {
    "body_hu": "mean of the body, HU",
    "body_sd": "standard deviation of the body, HU",
    "lung_hu": "mean of the lungs, HU",
    "lung_area": "lung area of the slice, cm²",
}
ROUNDS = 500
MOST_LISTED = 30
MANY = 20


def describe(directory: Path, out: Path, watch: description.Watch = iter) -> Path:
    """Write report.md and its pictures into `out`; returns the report.

    Raises DatasetError where there are neither CT slices nor nodule crops.
    """
    roots = nodule_roots(directory)
    if roots:
        examples = [one for root in roots for one in read_one(root, watch)]
        parts = describe_crops(examples, out)
    else:
        slices, left_out = description.read_folder(directory, watch)
        if not slices:
            why = "; ".join(f"{count} files: {reason}" for reason, count in left_out.items())
            raise DatasetError(f"neither CT slices nor nodule crops in {directory.name}. {why}")
        parts = describe_slices(slices, left_out, out)
    report = out / "report.md"
    report.write_text("\n\n".join([f"# Data set {directory.resolve().name}", *parts]) + "\n")
    return report


def describe_slices(slices: Sequence[Slice], left_out: Counter[str], out: Path) -> list[str]:
    """The sections of the report for CT slices; the pictures go into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    # A patient is called by the first of the files: identifiers stay out of the report.
    first = {one.patient: one.file for one in reversed(slices)}
    patients = [first[one.patient] for one in slices]
    return [
        *counted(slices, left_out),
        *age_and_contrast(slices, out),
        *trends(slices, out),
        *geometry(slices, out),
        *calibration(slices, out),
        *doubles([one.file for one in slices], [one.pixels for one in slices], patients),
        *sides(patients, [one.split for one in slices]),
    ]


def counted(slices: Sequence[Slice], left_out: Counter[str]) -> list[str]:
    rows = [
        ("CT slices", len(slices)),
        ("patients", len({one.patient for one in slices})),
        ("series", len({one.series for one in slices})),
        *((f"left out: {reason}", count) for reason, count in left_out.most_common()),
    ]
    return ["## Counts", table(("", "files"), rows)]


def age_and_contrast(slices: Sequence[Slice], out: Path) -> list[str]:
    ages = np.array([one.age for one in slices])
    known = {True: "contrast", False: "no contrast", None: "not told"}
    flags = [one.contrast if one.contrast is not None else one.contrast_header for one in slices]
    differing = [
        one.file for one in slices if one.contrast is not None
        and one.contrast != one.contrast_header
    ]  # fmt: skip
    ages_differ = [one.file for one in slices if abs(one.age - one.header_age) > 1]
    groups = {
        known[flag]: ages[[f is flag for f in flags] & np.isfinite(ages)] for flag in (True, False)
    }
    picture = histograms(out / "age.png", [("age, years", groups)])
    pairs = Counter(
        (known[one.contrast], "names an agent" if one.contrast_header else "names none")
        for one in slices
    )
    return [
        "## Age and contrast",
        f"Age: {spread(ages, 'years')}, missing in {np.isnan(ages).sum()} of {len(ages)} slices; "
        f"the table beside the files and the header differ by over a year in {len(ages_differ)}.",
        table(("table", "header", "slices"), [(*pair, n) for pair, n in sorted(pairs.items())]),
        f"The table and the header disagree on contrast in {len(differing)} slices"
        f"{': ' + listed(differing) if differing else '.'}",
        picture,
    ]


def trends(slices: Sequence[Slice], out: Path) -> list[str]:
    """Rank correlation of image statistics with age, one point per patient."""
    by_patient: dict[str, list[Slice]] = {}
    for one in slices:
        by_patient.setdefault(one.patient, []).append(one)
    rows, panels = [], []
    for name, words in TRENDS.items():
        points = np.array([
            [np.mean([s.age for s in group]), nanmean([getattr(s, name) for s in group])]
            for group in by_patient.values()
        ])  # fmt: skip
        age, value = points[np.isfinite(points).all(axis=1)].T
        rows.append((words, len(age), *correlation(age, value)))
        panels.append(("age, years", words, {"patients": (age, value)}))
    return [
        "## Age and image statistics",
        "One value per patient. Where the interval holds zero, no trend is shown; slices at "
        "different heights of the body make up most of the scatter.",
        table(("statistic", "patients", "rank correlation with age", "95 % interval"), rows),
        scatters(out / "age-trends.png", panels),
    ]


def correlation(first: np.ndarray, second: np.ndarray) -> tuple[str, str]:
    """Spearman's rho and its interval over resampled patients, in words."""
    rho = description.spearman(first, second)
    if not np.isfinite(rho):
        return "not measurable", "–"
    low, high = bootstrap(
        np.arange(len(first)), lambda i: description.spearman(first[i], second[i]), ROUNDS
    )
    return f"{rho:.2f}", f"{low:.2f} to {high:.2f}"


def geometry(slices: Sequence[Slice], out: Path) -> list[str]:
    pixel = np.array([one.pixel_mm for one in slices])
    thickness = np.array([one.thickness_mm for one in slices])
    kinds = Counter((one.matrix, text(one.kvp, "kV")) for one in slices)
    return [
        "## Geometry",
        f"Pixel spacing: {spread(pixel, 'mm')}, missing in {np.isnan(pixel).sum()}. "
        f"Slice thickness: {spread(thickness, 'mm')}, missing in {np.isnan(thickness).sum()}.",
        table(("matrix", "tube voltage", "slices"), [(*k, n) for k, n in kinds.most_common()]),
        histograms(
            out / "geometry.png",
            [("pixel spacing, mm", {"": pixel}), ("slice thickness, mm", {"": thickness})],
        ),
    ]


def calibration(slices: Sequence[Slice], out: Path) -> list[str]:
    """Landmarks of the whole set, its outliers, and scanners whose middle is not plausible."""
    whole = [
        (
            name,
            f"{PLAUSIBLE_HU[name][0]:.0f} to {PLAUSIBLE_HU[name][1]:.0f}",
            spread(values := np.array([getattr(one, name) for one in slices])),
            int(np.isfinite(values).sum()),
        )
        for name in LANDMARKS
    ]
    groups = description.scanners(slices)
    each = [
        (
            name,
            len(group),
            len({one.patient for one in group}),
            *(text(description.middle(group, landmark), "HU") for landmark in LANDMARKS),
            ", ".join(description.suspected(group)) or "–",
        )
        for name, group in groups.items()
    ]
    far = [
        (landmark, one.file, one.scanner, text(getattr(one, landmark), "HU"))
        for landmark in LANDMARKS
        for one in description.outliers(slices, landmark)
    ]
    panels = [(f"{name}, HU", {"": np.array([getattr(s, name) for s in slices])}) for name in LANDMARKS]  # fmt: skip  # noqa: E501
    heads = ("scanner", "slices", "patients", *LANDMARKS, "suspected")
    return [
        "## Calibration in Hounsfield units",
        "Peaks of the histogram: air round the patient, fat and water (soft tissue, which contrast "
        "agent raises) inside. A scanner is suspected when the median of its slices lies outside "
        "the plausible range; one patient proves little, and where the field of view is narrow a "
        "blanket can stand for air.",
        table(("landmark", "plausible", "range", "slices measured"), whole),
        table(heads, each),
        f"### Outliers ({len(far)})",
        "Slices further than 3.5 robust deviations from the middle of the set.",
        table(("landmark", "file", "scanner", "value"), far) if far else "None.",
        histograms(out / "calibration.png", panels),
    ]


def doubles(names: Sequence[str], keys: Sequence[str], patients: Sequence[str]) -> list[str]:
    """Equal pixels, found by their hash; pairs of two patients are the dangerous ones."""
    groups = description.repeated(keys)
    rows = [
        (listed([names[i] for i in group]), len({patients[i] for i in group})) for group in groups
    ]
    found = table(("equal pixels", "patients"), rows[:MOST_LISTED]) if rows else "None."
    crossing = sum(count > 1 for _, count in rows)
    said = f"{len(rows)} groups of equal pictures, {crossing} of them across patients."
    return ["## Duplicates", said, found]


def sides(patients: Sequence[str], splits: Sequence[str]) -> list[str]:
    """Whether the split keeps every patient on one side; without one, what is at stake."""
    several = sum(count > 1 for count in Counter(patients).values())
    if not any(splits):
        said = (
            f"The set names no split. {several} of {len(set(patients))} patients have more than "
            "one item: a split by item would put them on both sides."
        )
        return ["## Split by patient", said]
    both = description.on_both_sides(patients, splits)
    counts = Counter(split or "none" for split in splits)
    members = {(split or "none", patient) for split, patient in zip(splits, patients, strict=True)}
    heads = Counter(split for split, _ in members)
    rows = [(split, n, heads[split]) for split, n in sorted(counts.items())]
    said = f"Patients on both sides: {len(both)}{': ' + listed(both) if both else '.'}"
    return ["## Split by patient", table(("part", "items", "patients"), rows), said]


def describe_crops(examples: Sequence[NoduleExample], out: Path) -> list[str]:
    """The sections of the report for nodule crops; the pictures go into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    patients, kinds = [one.patient_id for one in examples], Counter(one.kind for one in examples)
    crops = [(f"{one.key} crop {i}", one.patient_id, crop) for one in examples for i, crop in enumerate(one.crops)]  # fmt: skip  # noqa: E501
    rows = [("nodules", len(examples)), ("patients", len(set(patients))), ("crops", len(crops))]
    keys = [hashlib.sha256(crop.tobytes()).hexdigest() for _, _, crop in crops]
    return [
        "## Counts",
        table(("", "n"), [*rows, *kinds.most_common()]),
        "Age and contrast are not recorded in this layout, so there are no trends with age.",
        *crop_geometry(examples, sorted(kinds), out),
        "## Calibration in Hounsfield units",
        "Not measurable: every crop was scaled to its own minimum and maximum, so Hounsfield "
        "units are lost.",
        *doubles([name for name, _, _ in crops], keys, [patient for _, patient, _ in crops]),
        *sides(patients, [one.split or "" for one in examples]),
    ]


def crop_geometry(examples: Sequence[NoduleExample], kinds: Sequence[str], out: Path) -> list[str]:
    def by_kind(value: Callable[[NoduleExample], float | None]) -> dict[str, np.ndarray]:
        return {k: np.array([value(e) for e in examples if e.kind == k], float) for k in kinds}

    measures = {
        "readers' diameter, mm": by_kind(lambda e: e.diameter_mm),
        "suspicion by the readers": by_kind(lambda e: e.label),
        "pixel spacing, mm": by_kind(lambda e: e.pixel_spacing_mm),
        "slice spacing, mm": by_kind(lambda e: e.slice_spacing_mm),
        "mean grey of the crops": by_kind(lambda e: e.crops.mean()),
        "crops per nodule": by_kind(lambda e: len(e.crops)),
    }
    rows = [
        (words, kind, spread(values))
        for words, groups in measures.items()
        for kind, values in groups.items()
    ]
    return [
        "## Nodules and geometry",
        table(("measure", "class", "range"), rows),
        histograms(out / "nodules.png", list(measures.items())),
    ]


def histograms(path: Path, panels: Sequence[tuple[str, dict[str, np.ndarray]]]) -> str:
    """A picture with a histogram of each panel's groups; returns the Markdown that shows it."""
    figure, places = grid(len(panels))
    for axes, (words, groups) in zip(places, panels, strict=False):
        known = {name: v[np.isfinite(v)] for name, v in groups.items()}
        everything = np.concatenate([*known.values(), []])
        axes.set(xlabel=words, ylabel="number")
        axes.locator_params(axis="x", nbins=6)
        if everything.size:
            edges = np.histogram_bin_edges(everything, MANY)
            axes.hist(list(known.values()), edges, stacked=True, label=list(known))
            if any(known):
                axes.legend()
    return saved(figure, path)


def scatters(
    path: Path, panels: Sequence[tuple[str, str, dict[str, tuple[np.ndarray, np.ndarray]]]]
) -> str:
    figure, places = grid(len(panels))
    for axes, (across, up, groups) in zip(places, panels, strict=False):
        axes.set(xlabel=across, ylabel=up)
        for x, y in groups.values():
            axes.scatter(x, y, s=12, alpha=0.7)
    return saved(figure, path)


def grid(count: int) -> tuple[Figure, list[Any]]:
    columns = min(count, 3) if count != 4 else 2
    rows = -(-count // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.ravel(figure.subplots(rows, columns, squeeze=False)))


def saved(figure: Figure, path: Path) -> str:
    figure.savefig(path, dpi=100, metadata={"Software": None})
    return f"![{path.stem}]({path.name})"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(value) for value in line) + " |" for line in lines)


def cell(value: Any) -> str:
    """Header values are free text: nothing in them may break the table or become markup."""
    return str(value).replace("|", "/").replace("<", "‹").replace("\n", " ")


def listed(names: Sequence[str]) -> str:
    rest = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def spread(values: np.ndarray, unit: str = "") -> str:
    """Least, median and largest of what is known."""
    known = values[np.isfinite(values)]
    if not known.size:
        return "not known"
    return f"{known.min():.4g} to {known.max():.4g}, median {np.median(known):.4g} {unit}".strip()


def text(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if np.isfinite(value) else "–"


def nanmean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
