"""A small synthetic base in the layout of the real one, for tests and the demonstration.

Labelled synthetic: patient ids begin with PHANTOM. The class follows from the margin (spikes or
smooth) as well as from the size, so that diameter alone does not give it away.
"""

from pathlib import Path

import cv2
import numpy as np

from apps.classifier.cnn.datasets import CROP, NoduleExample, write_nodules

PIXEL_MM = 0.7
SLICE_MM = 2.5
LUNG_HU, WALL_HU, TISSUE_HU = -850, 40, 30


def phantom_base(directory: Path, *, patients: int, seed: int) -> None:
    """Write two nodules for each of `patients`; the same seed writes the same pixels."""
    rng = np.random.default_rng(seed)
    examples = []
    for number in range(patients):
        split = "val" if number % 4 == 3 else "train"
        for nodule in range(2):
            examples.append(draw_example(f"PHANTOM-{seed}-{number:04d}", str(nodule), split, rng))
    write_nodules(directory, examples)


def draw_example(
    patient_id: str, nodule: str, split: str, rng: np.random.Generator
) -> NoduleExample:
    """One nodule: spiculated ones are malignant, smooth ones benign, sizes overlapping."""
    malignant = bool(rng.random() < 0.5)
    diameter = float(np.clip(rng.normal(14 if malignant else 10, 3), 5, 25))
    outline = draw_outline(malignant, rng)
    count = max(3, round(diameter / SLICE_MM) + 1)
    vessels = rng.uniform(10, CROP - 10, (8, 3))
    crops = [draw_slice(diameter, outline, z, vessels, rng) for z in np.linspace(-0.9, 0.9, count)]
    return NoduleExample(
        patient_id=patient_id,
        nodule=nodule,
        crops=np.stack(crops),
        pixel_spacing_mm=PIXEL_MM,
        slice_spacing_mm=SLICE_MM,
        diameter_mm=round(diameter, 2),
        label=float(malignant),
        kind="malignant" if malignant else "benign",
        split=split,
    )


def draw_outline(spiculated: bool, rng: np.random.Generator) -> np.ndarray:
    """(360,) radius by angle, mean about 1: waves of eleven spikes, or nearly a circle."""
    angle = np.deg2rad(np.arange(360))
    depth = rng.uniform(0.25, 0.4) if spiculated else rng.uniform(0.0, 0.06)
    return 1 + depth * np.cos(rng.integers(8, 12) * angle + rng.uniform(0, 6))


def draw_slice(
    diameter: float, outline: np.ndarray, z: float, vessels: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(128, 128) int16 HU at height z (-1…1 of the radius), with vessels and a chest wall."""
    y, x = np.mgrid[:CROP, :CROP] - (CROP - 1) / 2
    angle = np.rad2deg(np.arctan2(y, x)).astype(int) % 360
    radius = diameter / 2 / PIXEL_MM * np.sqrt(1 - z * z) * outline[angle]
    image = np.full((CROP, CROP), float(LUNG_HU), np.float32)
    for row, column, size in vessels:
        if np.hypot(row - CROP / 2, column - CROP / 2) > diameter + 8:
            cv2.circle(image, (int(column), int(row)), 1 + int(size) % 3, TISSUE_HU, -1)
    image[:6] = WALL_HU
    image = np.where(np.hypot(x, y) < radius, TISSUE_HU, image)
    blurred = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.8)
    return (blurred + rng.normal(0, 25, image.shape)).astype(np.int16)
