"""Places in whole slices that look like nodules to the candidate search and are none.

Taken from series without annotation, so some may be nodules after all. Large candidates of
patients with lung cancer may be the tumour: only those are taken that a person looked at and
that are plainly heart, great vessel, hilum, liver dome or bone (large_look_alikes.csv).
"""

import csv
import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from apps.classifier.cnn import patches
from apps.classifier.cnn.candidates import Candidate, find_candidates, sizes
from apps.classifier.cnn.chest import ENOUGH_LUNG_MM2, NO_LUNG_MM2
from apps.classifier.cnn.datasets import CROP, NoduleExample, crop_from_series
from apps.classifier.cnn.folders import find_series, read_slices
from apps.classifier.cnn.geometry import SliceInput, offsets_mm, pixel_position_mm, sort_slices
from apps.classifier.cnn.lungs import find_lungs
from apps.classifier.cnn.pasted_masses import paste_mass
from apps.imaging.phantom import Nodule, Phantom, PhantomSpec, chest_phantom, random_nodules

MOST_PER_SLICE = 40
ANY_SIZE = math.inf
CONTEXT_MM = 11.0
SMALL_MM = 9.0
SPARE = 1.15
MASSES_PER_SLICE = 2
PHANTOM_SEEDS = (800, 801, 802)
LARGE_LOOK_ALIKES = Path(__file__).parent / "large_look_alikes.csv"
MARKED_MASSES = Path(__file__).parent / "mass_marks.csv"
# Lung-cancer patients give small candidates only; the others have no known lung tumour.
FOLDERS = {
    "acrin_breast_001_wholebody_sparse": ANY_SIZE,
    "cptac_pda_C3L-00189_abdomen_35": ANY_SIZE,
    "kits_00072_abdomen_sparse": ANY_SIZE,
    "siim_tcga_100": SMALL_MM,
}


def of_public_data(directory: Path) -> list[NoduleExample]:
    """Look-alikes from the public series in a directory, and phantoms.

    Patients whose masses the finder is measured on are left out. Empty without such series.
    """
    present = {name: size for name, size in FOLDERS.items() if (directory / name).is_dir()}
    if not present:
        return []
    found, held_out = phantom_examples(), marked_patients(directory)
    for name, largest_mm in present.items():
        found += from_folder(directory / name, largest_mm, held_out)
    return found + large_look_alikes(directory, held_out)


def large_look_alikes(directory: Path, without: Collection[str] = ()) -> list[NoduleExample]:
    """The places of LARGE_LOOK_ALIKES whose slices are in the directory, an example for
    each size that the search asks at."""
    with LARGE_LOOK_ALIKES.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if (directory / row["path"]).is_file()]
    found = []
    for number, row in enumerate(rows):
        series = find_series([directory / row["path"]])[0]
        if series.patient_id in without:
            continue
        slices, _ = read_slices(series)
        place, size = (float(row["row"]), float(row["column"])), float(row["diameter_mm"])
        for asked in sizes(size):
            spot = Candidate(0, *place, asked, 0.0)
            name = f"large-{number}-{asked:.0f}"
            found.append(as_example(slices, slices[0], spot, series.patient_id, name, 5.0))
    return found


def marked_patients(directory: Path) -> set[str]:
    with MARKED_MASSES.open(newline="") as lines:
        files = [directory / row["path"] for row in csv.DictReader(lines)]
    return {series.patient_id for series in find_series(file for file in files if file.is_file())}


def from_folder(
    directory: Path, largest_mm: float = ANY_SIZE, without: Collection[str] = ()
) -> list[NoduleExample]:
    """Candidates of every readable chest slice below `largest_mm`; `without`: patients to skip."""
    found = []
    for series in find_series([directory]):
        if series.patient_id in without:
            continue
        slices, _ = read_slices(series)
        patient_id = series.patient_id or directory.name
        found += from_slices(slices, patient_id, largest_mm) + with_masses(slices, patient_id)
    return found


def from_slices(
    slices: Sequence[SliceInput],
    patient_id: str,
    largest_mm: float = ANY_SIZE,
    nodules: Sequence[Nodule] = (),
    most_per_slice: int = MOST_PER_SLICE,
) -> list[NoduleExample]:
    """not_nodule examples at the candidates that lie clear of known nodules."""
    rng = np.random.default_rng(0)
    ordered = sort_slices(slices)
    spacing = spacing_mm(ordered)
    examples = []
    for index, item in enumerate(ordered):
        lungs = find_lungs(item.hu, item.pixel_spacing)
        if lungs.area_mm2 < NO_LUNG_MM2:
            continue
        spots = find_candidates(lungs, item.pixel_spacing, index)
        kept = [s for s in spots if s.diameter_mm < largest_mm and clear_of(item, s, nodules)]
        chosen = rng.permutation(len(kept))[:most_per_slice]
        for number in chosen:
            name = f"{index}-{number}"
            examples.append(as_example(ordered, item, kept[number], patient_id, name, spacing))
    return examples


def spacing_mm(ordered: Sequence[SliceInput]) -> float:
    gaps = np.diff(offsets_mm(ordered))
    return float(np.clip(np.median(gaps), 0.3, 20)) if len(gaps) else 5.0


def clear_of(item: SliceInput, spot: Candidate, nodules: Sequence[Nodule]) -> bool:
    place = pixel_position_mm(item, spot.row, spot.column)
    return place is None or all(
        math.dist(place, nodule.center) > nodule.diameter_mm / 2 + 6 for nodule in nodules
    )


def as_example(
    ordered: Sequence[SliceInput],
    item: SliceInput,
    spot: Candidate,
    patient_id: str,
    name: str,
    spacing: float,
) -> NoduleExample:
    pixel_mm = item.pixel_spacing[0]
    step = crop_step(spot.diameter_mm, pixel_mm)
    return NoduleExample(
        patient_id=patient_id,
        nodule=name,
        crops=crop_from_series(ordered, item.key, spot.row, spot.column, CONTEXT_MM, step),
        pixel_spacing_mm=pixel_mm * step,
        slice_spacing_mm=spacing,
        diameter_mm=spot.diameter_mm,
        label=0.0,
        kind="not_nodule",
    )


def crop_step(diameter_mm: float, pixel_mm: float) -> float:
    """Pixels of the slice per pixel of the crop, so that the finder's patch fits into it."""
    width_mm = patches.SIDE * patches.MM_PER_PIXEL * patches.growing_scale(diameter_mm)
    return max(1.0, SPARE * width_mm / (CROP * pixel_mm))


def with_masses(
    slices: Sequence[SliceInput], patient_id: str, each: int = MASSES_PER_SLICE
) -> list[NoduleExample]:
    """Masses pasted into every chest slice, one at a time, as nodules to find."""
    rng, examples = np.random.default_rng(0), []
    for index, item in enumerate(slices):
        lungs = find_lungs(item.hu, item.pixel_spacing)
        if lungs.area_mm2 < ENOUGH_LUNG_MM2:
            continue
        for number in range(each):
            made = paste_mass(item, lungs, rng)
            if made is None:
                continue
            spot = Candidate(0, made.row, made.column, made.diameter_mm, 0.0)
            name = f"mass-{index}-{number}"
            found = as_example([made.slice], made.slice, spot, patient_id, name, 5.0)
            examples.append(replace(found, label=0.5, kind="ambiguous"))
    return examples


def phantom_examples() -> list[NoduleExample]:
    """Nodules and look-alikes of synthetic chests, so that demonstration cases read sensibly."""
    found = []
    for seed in PHANTOM_SEEDS:
        nodules = random_nodules(seed, 6)
        spec = PhantomSpec(seed=seed, slices=48, slice_spacing=3.0, nodules=nodules)
        phantom, name = chest_phantom(spec), f"PHANTOM-{seed}"
        slices = phantom_slices(phantom)
        found += [as_positive(slices, phantom, nodule, name, i) for i, nodule in enumerate(nodules)]
        found += from_slices(slices, name, nodules=nodules, most_per_slice=6)
    return found


def phantom_slices(phantom: Phantom) -> list[SliceInput]:
    pixel_mm = phantom.spec.field_of_view / phantom.spec.matrix
    return [
        SliceInput(str(index), hu, (pixel_mm, pixel_mm), phantom.image_position(index))
        for index, hu in enumerate(phantom.hu)
    ]


def as_positive(
    slices: Sequence[SliceInput], phantom: Phantom, nodule: Nodule, name: str, number: int
) -> NoduleExample:
    index, row, column = phantom.voxel_of(nodule.center)
    return NoduleExample(
        patient_id=name,
        nodule=str(number),
        crops=crop_from_series(slices, str(index), row, column, nodule.diameter_mm),
        pixel_spacing_mm=slices[0].pixel_spacing[0],
        slice_spacing_mm=phantom.spec.slice_spacing,
        diameter_mm=nodule.diameter_mm,
        label=0.5,
        kind="ambiguous",
    )
