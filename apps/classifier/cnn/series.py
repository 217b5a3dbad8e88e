"""Analyse one CT series: chest gate, nodules found, suspicion score.

No TensorFlow, no files, no database: arrays in, answers out.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from apps.classifier.cnn import finder, vessels
from apps.classifier.cnn.candidates import Candidate, find_candidates
from apps.classifier.cnn.chest import NO_LUNG_MM2, chest_patch, judge
from apps.classifier.cnn.contrast import ContrastCheck
from apps.classifier.cnn.finder import Marked, Scan
from apps.classifier.cnn.geometry import (
    SliceInput,
    normal,
    offsets_mm,
    pixel_position_mm,
    sort_slices,
)
from apps.classifier.cnn.lungs import air_round_patient, find_lungs
from apps.classifier.cnn.runtime import Network, thread_count

LEAST_AXIAL = 0.85
PIXEL_MM = (0.25, 2.0)
SQUARENESS = 0.02
SMALLEST_SIDE = 64
THICK_MM = 5.0
CALIBRATION_TOLERANCE_HU = 60
PROBE_SIZES_MM = (10.0, 20.0, 35.0, 60.0)
ADULT_YEARS = 18.0
AGE_UNKNOWN = float("nan")

__all__ = [
    "ChestAnswer",
    "FoundNodule",
    "Models",
    "ProbeAnswer",
    "Refused",
    "SeriesAnalysis",
    "SliceInput",
    "analyse_series",
    "probe",
]


@dataclass(frozen=True)
class Models:
    """The networks of an analysis; without a contrast check its question stays open."""

    chest: Network
    nodule: Network
    malignancy: Network
    contrast: ContrastCheck | None = None


@dataclass(frozen=True)
class ChestAnswer:
    """Whether one slice shows the chest; reason is a sentence for people."""

    key: str
    answer: Literal["chest", "not_chest", "unsure"]
    probability: float
    lung_area_mm2: float
    reason: str


@dataclass(frozen=True)
class Refused:
    """Why the series was not analysed.

    code: no_slices, unsupported_orientation, unsupported_spacing, unsupported_size, not_adult,
    not_chest; where files are read also failed and the codes of apps.imaging.refusal.
    """

    code: str
    reason: str


@dataclass(frozen=True)
class FoundNodule:
    """One place the finder marked. row, column: pixels of slice `key`; position_mm: patient."""

    key: str
    row: float
    column: float
    position_mm: tuple[float, float, float] | None
    diameter_mm: float
    nodule_probability: float
    malignancy_probability: float


@dataclass(frozen=True)
class SeriesAnalysis:
    """The whole answer for a series.

    findings: best first. profile: suspicion per slice, in the order of `order` (slice keys
    sorted along the normal). series_score: None when nothing was found or analysed, which
    never means "clear". air_hu: median of the air round the patient. contrast_probabilities:
    one per slice that shows enough soft tissue.
    """

    order: list[str]
    chest: list[ChestAnswer]
    refused: Refused | None = None
    findings: list[FoundNodule] = field(default_factory=list)
    profile: list[float] = field(default_factory=list)
    series_score: float | None = None
    air_hu: float | None = None
    warnings: list[str] = field(default_factory=list)
    contrast_probabilities: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class ProbeAnswer:
    """The networks' answer for a place somebody pointed at."""

    nodule_probability: float
    malignancy_probability: float
    diameter_mm: float


Progress = Callable[[float], None]


def analyse_series(
    slices: Sequence[SliceInput],
    models: Models,
    *,
    override_gate: bool = False,
    age_years: float = AGE_UNKNOWN,
    on_progress: Progress | None = None,
) -> SeriesAnalysis:
    """Gate, find and score. Sorts the slices itself; one slice is enough.

    override_gate searches every slice, whatever the gate and the age say. age_years: of the
    patient, NaN where it is unknown. on_progress is called with 0…1.
    """
    tell = on_progress or (lambda _: None)
    child = not_adult(age_years)
    refused = refusal(slices) or (None if override_gate else child)
    if refused:
        return SeriesAnalysis(order=[item.key for item in slices], chest=[], refused=refused)
    ordered = sort_slices(slices)
    scan = Scan(ordered, offsets_mm(ordered))
    order = [item.key for item in ordered]
    searched = search(scan, models, override_gate, tell)
    chest, marked, air = searched.chest, searched.marked, searched.air_hu
    warnings = geometry_warnings(scan) + calibration_warnings(air)
    warnings += [child.reason] if child else []
    if not override_gate and all(answer.answer != "chest" for answer in chest):
        return SeriesAnalysis(order, chest, not_chest(chest), air_hu=air, warnings=warnings)
    found = score(scan, marked, models)
    tell(1.0)
    return SeriesAnalysis(
        order=order,
        chest=chest,
        findings=[finding(scan, place, suspicion) for place, suspicion in found],
        profile=finder.profile(scan, [(place, rank(place, s)) for place, s in found]),
        series_score=max((rank(place, s) for place, s in found), default=None),
        air_hu=air,
        warnings=warnings,
        contrast_probabilities=searched.contrast,
    )


def refusal(slices: Sequence[SliceInput]) -> Refused | None:
    """The intended use: axial CT with a usable pixel size, one picture size per series."""
    if not slices:
        return Refused("no_slices", "The series has no images.")
    if any(min(item.hu.shape) < SMALLEST_SIDE for item in slices):
        return Refused("unsupported_size", "The images are too small to be read.")
    if len({item.hu.shape for item in slices}) > 1:
        return Refused("unsupported_size", "The images of this series have different sizes.")
    if any(abs(normal(item.orientation)[2]) < LEAST_AXIAL for item in slices):
        return Refused(
            "unsupported_orientation", "The images are not axial; only axial CT can be analysed."
        )
    if not all(usable_spacing(item.pixel_spacing) for item in slices):
        low, high = PIXEL_MM
        return Refused(
            "unsupported_spacing",
            f"The pixel size is missing, not square or outside {low:g}–{high:g} mm.",
        )
    return None


def not_adult(age_years: float) -> Refused | None:
    """The intended use again: adults. An age of 0 years stands in many files for none."""
    if not 0 < age_years < ADULT_YEARS:
        return None
    return Refused("not_adult", "The patient is not an adult; the networks have seen adults only.")


def usable_spacing(spacing: tuple[float, float]) -> bool:
    row, column = spacing
    low, high = PIXEL_MM
    return low <= row <= high and abs(row - column) <= SQUARENESS * row


@dataclass
class Searched:
    """What the pass over the slices collects."""

    chest: list[ChestAnswer] = field(default_factory=list)
    marked: list[Marked] = field(default_factory=list)
    contrast: list[float] = field(default_factory=list)
    air: list[float] = field(default_factory=list)

    @property
    def air_hu(self) -> float | None:
        return float(np.median(self.air)) if self.air else None


@dataclass(frozen=True)
class Look:
    """What one slice gives without a network."""

    patch: np.ndarray
    area_mm2: float
    air: float | None
    contrast: float | None
    candidates: list[Candidate]


def search(scan: Scan, models: Models, override_gate: bool, tell: Progress) -> Searched:
    """Gate every slice, look for candidates where lungs are, ask the finder network.

    Slices are looked at by several threads, and the networks are asked in the order of the slices.
    """
    searched = Searched()
    pool = ThreadPoolExecutor(thread_count())
    try:
        looks = pool.map(lambda i: look_at(scan, i, models, override_gate), range(len(scan.slices)))
        for index, look in enumerate(looks):
            answer = gate(scan.slices[index].key, look, models.chest)
            searched.chest.append(answer)
            searched.air += present(look.air)
            searched.contrast += present(look.contrast)
            if override_gate or answer.answer != "not_chest":
                searched.marked += finder.mark(scan, look.candidates, models.nodule)
            tell((index + 1) / len(scan.slices) * 0.95)
    finally:
        pool.shutdown(cancel_futures=True)
    return searched


def look_at(scan: Scan, index: int, models: Models, override_gate: bool) -> Look:
    """Lungs, candidates and densities of one slice; no candidates where the gate must say no."""
    item = scan.slices[index]
    lungs = find_lungs(item.hu, item.pixel_spacing)
    searched = override_gate or lungs.area_mm2 >= NO_LUNG_MM2
    return Look(
        patch=chest_patch(lungs),
        area_mm2=lungs.area_mm2,
        air=air_round_patient(lungs),
        contrast=models.contrast.probability(lungs) if models.contrast else None,
        candidates=find_candidates(lungs, item.pixel_spacing, index) if searched else [],
    )


def present(value: float | None) -> list[float]:
    return [] if value is None else [value]


def gate(key: str, look: Look, chest: Network) -> ChestAnswer:
    probability = float(chest.predict(look.patch[None])[0])
    judgement = judge(probability, look.area_mm2)
    return ChestAnswer(key, judgement.answer, probability, look.area_mm2, judgement.reason)


def score(scan: Scan, marked: Sequence[Marked], models: Models) -> list[tuple[Marked, float]]:
    """The nodules among the marks with their suspicion, best first."""
    steady = finder.looked_at_again(scan, marked, models.nodule)
    sure = [m for m in steady if m.probability >= models.nodule.threshold]
    linked = finder.link(scan, [finder.measured(scan, one) for one in sure])
    nodules = [place for place in linked if not vessels.runs_through(scan, place)]
    found = [(place, finder.suspicion(scan, place, models.malignancy)) for place in nodules]
    return sorted(found, key=lambda pair: -rank(*pair))


def rank(place: Marked, suspicion: float) -> float:
    """What orders findings and cases: suspicious and likely to be a nodule at all."""
    return round(place.probability * suspicion, 4)


def finding(scan: Scan, place: Marked, suspicion: float) -> FoundNodule:
    item = scan.slices[place.slice_index]
    return FoundNodule(
        key=item.key,
        row=round(place.row, 1),
        column=round(place.column, 1),
        position_mm=pixel_position_mm(item, place.row, place.column),
        diameter_mm=round(place.diameter_mm, 1),
        nodule_probability=round(place.probability, 4),
        malignancy_probability=round(suspicion, 4),
    )


def not_chest(chest: Sequence[ChestAnswer]) -> Refused:
    """The refusal of a series without a chest slice, with the most chest-like slice's reason."""
    best = max(chest, key=lambda answer: answer.lung_area_mm2)
    which = "This image does not show" if len(chest) == 1 else f"None of {len(chest)} images shows"
    return Refused("not_chest", f"{which} enough lung. {best.reason}")


def geometry_warnings(scan: Scan) -> list[str]:
    """What about the slices' places makes the answer less sure."""
    if len(scan.slices) == 1:
        return ["Only one image: a nodule cannot be told from a vessel by its neighbours."]
    if any(item.position is None for item in scan.slices):
        return ["Slice positions are missing; the order of the images is assumed."]
    gaps = np.diff(scan.offsets)
    middle, found = float(np.median(gaps)), []
    if middle > THICK_MM:
        found.append(f"Slices are {middle:.1f} mm apart; small nodules can be missed.")
    if gaps.max() > 1.5 * middle + 0.1:
        found.append(f"Images are missing: a gap of {gaps.max():.1f} mm.")
    if gaps.min() < 0.01:
        found.append("Several images lie at the same place.")
    return found


def calibration_warnings(air_hu: float | None) -> list[str]:
    if air_hu is None or abs(air_hu + 1000) <= CALIBRATION_TOLERANCE_HU:
        return []
    return [f"Air measures {air_hu:.0f} HU instead of -1000: check the scanner's calibration."]


def probe(
    slices: Sequence[SliceInput], key: str, row: float, column: float, models: Models
) -> ProbeAnswer:
    """Answer "and this?" for pixel (row, column) of slice `key`.

    Asks at four patch sizes and believes the surest. Raises KeyError for an unknown slice,
    ValueError for a place outside it or a series that cannot be analysed.
    """
    refused = refusal(slices)
    if refused:
        raise ValueError(refused.reason)
    ordered = sort_slices(slices)
    keys = [item.key for item in ordered]
    if key not in keys:
        raise KeyError(key)
    index = keys.index(key)
    rows, columns = ordered[index].hu.shape
    if not (0 <= row < rows and 0 <= column < columns):
        raise ValueError("The place lies outside the image.")
    scan = Scan(ordered, offsets_mm(ordered))
    asked = [Candidate(index, row, column, size, 0.0) for size in PROBE_SIZES_MM]
    surest = max(finder.mark(scan, asked, models.nodule), key=lambda m: m.probability)
    best = finder.measured(scan, surest)
    return ProbeAnswer(
        nodule_probability=round(best.probability, 4),
        malignancy_probability=round(finder.suspicion(scan, best, models.malignancy), 4),
        diameter_mm=round(best.diameter_mm, 1),
    )
