"""What the networks are trained and tested on: items with a way to draw a patch of each.

Numpy only, so that evaluation can share it without TensorFlow.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from apps.classifier.cnn import patches
from apps.classifier.cnn.datasets import CROP, NoduleExample

CENTRE = (CROP - 1) / 2
VIEW_HEIGHTS = (0.3, 0.5, 0.7)
NO_DIAMETER = float("nan")
USUAL_DIAMETER_MM = 8.0
DISTRACTORS_PER_NODULE = 4
MIN_READERS = 3


@dataclass(frozen=True)
class Draw:
    """One training patch with what the network should answer for it."""

    patch: np.ndarray
    label: float
    log_diameter: float


@dataclass(frozen=True)
class TrainingSet:
    """Items of a task. labels: (n,) soft targets 0…1; weights: how often an item is drawn.

    truth: (n,) 0 or 1 what figures are measured against, NaN where it is disputed.
    diameters: (n,) mm, NaN where unknown. groups: see evaluation.Answers.

    draw(i, rng) gives an augmented patch, views(i) the fixed patches whose mean logit is the
    item's answer.

    corrections: keys of the examples that doctors corrected. They are learnt, but calibration,
    operating point and figures come from the rest: chosen because the AI was wrong about them,
    they are no sample of patients.
    """

    task: str
    keys: list[str]
    patients: list[str]
    labels: np.ndarray
    truth: np.ndarray
    diameters: np.ndarray
    weights: np.ndarray
    draw: Callable[[int, np.random.Generator], Draw]
    views: Callable[[int], np.ndarray]
    groups: dict[str, np.ndarray] = field(default_factory=dict)
    corrections: frozenset[str] = frozenset()

    @property
    def from_base(self) -> np.ndarray:
        """(n,) whether an item is of the base and not of a correction."""
        return np.array([key.split("@")[0] not in self.corrections for key in self.keys])


def heights(count: int) -> list[int]:
    """Indices of the slices an item is judged on, spread through the nodule."""
    return sorted({round(height * (count - 1)) for height in VIEW_HEIGHTS})


def triple(example: NoduleExample, middle: int) -> list[np.ndarray]:
    """The slices 2.5 mm round the middle one."""
    offsets = np.arange(len(example.crops)) * example.slice_spacing_mm
    return [example.crops[index] for index in patches.neighbours(offsets, middle)]


def malignancy_views(example: NoduleExample) -> np.ndarray:
    """(4m, 64, 64, 3) patches of the nodule at 0.5 mm per pixel, through its middle third,
    each in four orientations."""
    near, pixel_mm = patches.Warp(scale=patches.SUSPICION_SCALE), example.pixel_spacing_mm
    return patches.mirrored(
        np.stack(
            [
                patches.stack(triple(example, middle), pixel_mm, CENTRE, CENTRE, near)
                for middle in heights(len(example.crops))
            ]
        )
    )


def random_height(count: int, rng: np.random.Generator) -> int:
    return int(np.clip(round(rng.normal((count - 1) / 2, count / 6)), 0, count - 1))


def random_images(
    example: NoduleExample, middle: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Neighbouring slices; in a third of cases the middle one thrice, as in one-slice uploads."""
    return [example.crops[middle]] * 3 if rng.random() < 0.33 else triple(example, middle)


def disturb(patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other contrast and noise: what other scanners and kernels do to the same anatomy."""
    noise = rng.normal(0, 0.02 * rng.random(), patch.shape)
    return np.clip(patch ** math.exp(rng.normal(0, 0.12)) + noise, 0, 1).astype(np.float32)


def malignancy_set(examples: Sequence[NoduleExample], weights: Sequence[float]) -> TrainingSet:
    """Score nodules. Places that are no nodule have no suspicion to learn and are left out."""
    kept = [(e, w) for e, w in zip(examples, weights, strict=True) if e.kind != "not_nodule"]
    items = [example for example, _ in kept]

    def draw(index: int, rng: np.random.Generator) -> Draw:
        example = items[index]
        images = random_images(example, random_height(len(example.crops), rng), rng)
        warp = patches.Warp(
            angle=rng.uniform(0, 2 * math.pi),
            scale=patches.SUSPICION_SCALE * math.exp(rng.normal(0, 0.06)),
            mirror=rng.random() < 0.5,
            shift_mm=tuple(rng.normal(0, 1.2, 2)),
        )
        patch = patches.stack(images, example.pixel_spacing_mm, CENTRE, CENTRE, warp)
        diameter = example.diameter_mm
        log_diameter = math.log(diameter / 10 / warp.scale) if diameter else NO_DIAMETER
        return Draw(disturb(patch, rng), example.label, log_diameter)

    return TrainingSet(
        task="malignancy",
        keys=[example.key for example in items],
        patients=[example.patient_id for example in items],
        labels=np.array([example.label for example in items]),
        truth=np.array([firm_truth(example) for example in items]),
        diameters=np.array([example.diameter_mm or NO_DIAMETER for example in items]),
        weights=np.array([weight for _, weight in kept]),
        draw=draw,
        views=lambda index: malignancy_views(items[index]),
        groups={"slice spacing": np.array([thickness_group(e.slice_spacing_mm) for e in items])},
    )


def thickness_group(spacing_mm: float) -> str:
    """The band of a slice spacing or thickness, in words."""
    if spacing_mm <= 1.25:
        return "up to 1.25 mm"
    return "over 1.25 to 2.5 mm" if spacing_mm <= 2.5 else "over 2.5 mm"


def firm_truth(example: NoduleExample) -> float:
    """1 malignant, 0 benign, NaN when the readers disagreed or were fewer than three."""
    if example.kind == "ambiguous" or (example.readers or MIN_READERS) < MIN_READERS:
        return float("nan")
    return float(example.kind == "malignant")


@dataclass(frozen=True)
class Place:
    """A place in a crop stack: where the finder should answer yes (a nodule) or no."""

    example: NoduleExample
    slice_index: int | None
    row: float
    column: float
    diameter_mm: float
    is_nodule: bool


def nodule_set(
    examples: Sequence[NoduleExample], weights: Sequence[float], seed: int = 0
) -> TrainingSet:
    """Tell nodules from what resembles them: vessels and walls beside the nodules."""
    rng = np.random.default_rng(seed)
    places, drawn = [], []
    for example, weight in zip(examples, weights, strict=True):
        beside = distractors(example, rng) if example.kind != "not_nodule" else []
        found = [middle_of(example), *beside]
        places += found
        drawn += [weight * how_often(place) for place in found]

    def draw(index: int, rng: np.random.Generator) -> Draw:
        return draw_place(places[index], rng)

    return TrainingSet(
        task="nodule",
        keys=[f"{place.example.key}@{place.row:.0f},{place.column:.0f}" for place in places],
        patients=[place.example.patient_id for place in places],
        labels=np.array([float(place.is_nodule) for place in places]),
        truth=np.array([float(place.is_nodule) for place in places]),
        diameters=np.array([place.diameter_mm for place in places]),
        weights=np.array(drawn),
        draw=draw,
        views=lambda index: place_views(places[index]),
        groups={
            "slice spacing": np.array([thickness_group(p.example.slice_spacing_mm) for p in places])
        },
    )


def how_often(place: Place) -> float:
    """What is large is rare in the base, must not be missed and is not to be heart or liver."""
    if not place.is_nodule:
        return 3.0 if place.diameter_mm >= 30 else 1.0
    return 6.0 if place.diameter_mm >= 20 else 2.0


def middle_of(example: NoduleExample) -> Place:
    """The centre of the crops: the nodule itself, or a place a doctor said is none."""
    diameter = example.diameter_mm or USUAL_DIAMETER_MM
    return Place(example, None, CENTRE, CENTRE, diameter, example.kind != "not_nodule")


def draw_place(place: Place, rng: np.random.Generator) -> Draw:
    """An augmented patch of a place; quarter turns only, so that borders look alike."""
    example, count = place.example, len(place.example.crops)
    middle = random_height(count, rng) if place.slice_index is None else place.slice_index
    guess = place.diameter_mm * math.exp(rng.normal(0, 0.2))
    warp = patches.Warp(
        angle=rng.integers(4) * math.pi / 2 + rng.normal(0, 0.1),
        scale=fitting_scale(example, guess) * math.exp(rng.normal(0, 0.06)),
        mirror=rng.random() < 0.5,
        shift_mm=tuple(rng.normal(0, 0.08 * max(guess, 10), 2)),
    )
    images = random_images(example, middle, rng)
    patch = patches.stack(images, example.pixel_spacing_mm, place.row, place.column, warp)
    target = math.log(place.diameter_mm / 10 / warp.scale) if place.is_nodule else NO_DIAMETER
    return Draw(disturb(patch, rng), float(place.is_nodule), target)


def fitting_scale(example: NoduleExample, diameter_mm: float) -> float:
    """The finder's scale, as far as the crop reaches: its repeated border is no anatomy."""
    widest = CROP * example.pixel_spacing_mm / (patches.SIDE * patches.MM_PER_PIXEL)
    return min(patches.growing_scale(diameter_mm), max(1.0, widest))


def place_views(place: Place) -> np.ndarray:
    """(4, 64, 64, 3) the patch the finder sees of a place, in four orientations."""
    example = place.example
    middle = len(example.crops) // 2 if place.slice_index is None else place.slice_index
    warp = patches.Warp(scale=fitting_scale(example, place.diameter_mm))
    images = triple(example, middle)
    patch = patches.stack(images, example.pixel_spacing_mm, place.row, place.column, warp)
    return patches.mirrored(patch[None])


def distractors(example: NoduleExample, rng: np.random.Generator) -> list[Place]:
    """Up to four places beside the nodule: its brightest blobs, or anywhere at larger scale."""
    index = int(rng.integers(len(example.crops)))
    found = bright_blobs(example, index)
    rng.shuffle(found)
    return [
        Place(example, index, row, column, diameter, is_nodule=False)
        for row, column, diameter in found[: DISTRACTORS_PER_NODULE - 1] + anywhere(example, rng)
    ]


def bright_blobs(example: NoduleExample, index: int) -> list[tuple[float, float, float]]:
    """(row, column, diameter mm) of blob maxima whose patch fits the crop, away from the nodule."""
    pixel_mm = example.pixel_spacing_mm
    image = patches.normalise(example.crops[index])
    response = -cv2.Laplacian(cv2.GaussianBlur(image, (0, 0), 2.0 / pixel_mm), cv2.CV_32F)
    peaks = (response == cv2.dilate(response, np.ones((7, 7)))) & (response > 0.01)
    reach = CENTRE - patches.SIDE * patches.MM_PER_PIXEL / 2 / pixel_mm
    clear = ((example.diameter_mm or USUAL_DIAMETER_MM) / 2 + 5) / pixel_mm
    rows, columns = np.nonzero(peaks)
    distance = np.hypot(rows - CENTRE, columns - CENTRE)
    inside = np.maximum(np.abs(rows - CENTRE), np.abs(columns - CENTRE)) <= max(reach, 12)
    kept = (distance > clear) & inside
    return [(float(r), float(c), 6.0) for r, c in zip(rows[kept], columns[kept], strict=True)]


def anywhere(example: NoduleExample, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """One place at the scale of a large candidate, clear of the nodule."""
    diameter = float(rng.uniform(12, 30))
    clear = ((example.diameter_mm or USUAL_DIAMETER_MM) + diameter) / 2 / example.pixel_spacing_mm
    for _ in range(5):
        row, column = rng.uniform(16, CROP - 16, 2)
        if math.hypot(row - CENTRE, column - CENTRE) > clear:
            return [(float(row), float(column), diameter)]
    return []
