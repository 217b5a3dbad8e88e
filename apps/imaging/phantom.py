"""Synthetic CT volumes with known truth: for tests, for trying the system, for the demo's base.

Nothing here comes from a patient. Anatomy is fixed in patient mm (x to the left, y to the back,
z to the head, 0 at the middle of the lungs); a spec chooses the slices laid through it.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np

from apps.imaging.phantom_chest import (
    Body,
    chest_slice,
    hila,
    inside_lung,
    lung_cover,
    pleura_point,
)
from apps.imaging.phantom_drawing import Grid, Point
from apps.imaging.phantom_files import write_series
from apps.imaging.phantom_organs import abdomen_slice, head_slice
from apps.imaging.phantom_vessels import vessel_cover, vessel_tree

__all__ = [
    "Nodule",
    "Phantom",
    "PhantomSpec",
    "abdomen_phantom",
    "chest_phantom",
    "head_phantom",
    "random_nodules",
    "write_series",
]

Kind = Literal["solid", "part_solid", "ground_glass"]
_GROUND_GLASS_HU = -600.0
_TRIES = 200
_VESSEL_HU, _VESSEL_CONTRAST_HU = 35.0, 190.0


@dataclass(frozen=True)
class Nodule:
    """A nodule as placed: centre in patient mm, diameter of the sphere in mm, HU inside.

    A part-solid one has a solid core of half the diameter and `hu` in a ground-glass hull. For
    ground glass `hu` is that of the whole. `spiculated` adds thin spikes around the sphere.
    """

    center: Point
    diameter_mm: float
    hu: float = 40.0
    kind: Kind = "solid"
    attached_to_pleura: bool = False
    spiculated: bool = False


@dataclass(frozen=True)
class PhantomSpec:
    """What to build. The same spec gives the same values, bit for bit.

    `slices` of `slice_spacing` mm are centred on `center_z`; the picture is `matrix` squared,
    `field_of_view` mm wide. `noise_hu` is the standard deviation of the noise.
    """

    seed: int = 1
    slices: int = 40
    slice_spacing: float = 5.0
    slice_thickness: float | None = None
    matrix: int = 512
    field_of_view: float = 360.0
    center_z: float = 0.0
    contrast: bool = False
    noise_hu: float = 12.0
    nodules: tuple[Nodule, ...] = field(default_factory=tuple)

    @property
    def grid(self) -> Grid:
        """The pixels of each slice."""
        return Grid(self.matrix, self.field_of_view / self.matrix)

    @property
    def thickness(self) -> float:
        """Slice thickness in mm; the spacing, unless given."""
        return self.slice_spacing if self.slice_thickness is None else self.slice_thickness

    @property
    def levels(self) -> np.ndarray:
        """z of every slice in mm, feet to head."""
        return self.center_z + self.slice_spacing * (np.arange(self.slices) - (self.slices - 1) / 2)


@dataclass(frozen=True)
class Phantom:
    """A volume and its truth. `hu` is int16, shape (slices, rows, columns), feet to head."""

    hu: np.ndarray
    spec: PhantomSpec
    body_part: str

    @property
    def nodules(self) -> tuple[Nodule, ...]:
        """The nodules as placed."""
        return self.spec.nodules

    def image_position(self, index: int) -> Point:
        """Image Position (Patient) of slice `index`, mm."""
        first = self.spec.grid.first
        return first, first, float(self.spec.levels[index])

    def voxel_of(self, point: Point) -> tuple[int, int, int]:
        """(slice, row, column) of the voxel nearest to a patient point in mm."""
        grid = self.spec.grid
        index = int(np.abs(self.spec.levels - point[2]).argmin())
        row, column = (round((point[axis] - grid.first) / grid.spacing) for axis in (1, 0))
        return index, row, column


def chest_phantom(spec: PhantomSpec) -> Phantom:
    """A chest: lungs with vessels and fissures, heart, great vessels, airways, ribs, spine."""
    body = Body.of(spec.seed)
    rng = np.random.default_rng(spec.seed)
    segments = [
        segment
        for side, root in hila(body).items()
        for segment in vessel_tree(rng, root, side, lambda point: inside_lung(body, point))
    ]
    vessels = vessel_cover(segments, spec.grid, spec.levels, spec.thickness)
    blood = _VESSEL_CONTRAST_HU if spec.contrast else _VESSEL_HU
    hu = np.empty(vessels.shape, np.float32)
    for index, z in enumerate(spec.levels):
        lung = lung_cover(body, spec.grid, float(z))
        hu[index] = chest_slice(rng, body, spec.grid, float(z), lung, contrast=spec.contrast)
        vessels[index] *= lung
        hu[index] += vessels[index] * (blood - hu[index])
    for nodule in spec.nodules:
        _place(hu, spec, nodule, rng)
    return Phantom(_scanned(hu, spec, rng), spec, "CHEST")


def abdomen_phantom(spec: PhantomSpec) -> Phantom:
    """An abdomen without any lung: liver, spleen, kidneys, bowel with gas, spine."""
    return _simple(spec, abdomen_slice, "ABDOMEN")


def head_phantom(spec: PhantomSpec) -> Phantom:
    """A head: skull, brain with ventricles, air around; no lung."""
    return _simple(spec, head_slice, "HEAD")


def random_nodules(
    seed: int,
    count: int,
    *,
    levels: tuple[float, float] = (-60.0, 70.0),
    diameters: tuple[float, float] = (5.0, 26.0),
) -> tuple[Nodule, ...]:
    """Nodules of mixed kinds in the lungs of the phantom with this seed, apart from each other.

    `levels` bounds z, `diameters` the size, in mm. Every third one is attached to the pleura;
    larger ones are spiculated. The result is to be put into a spec with the same seed. Raises
    ValueError when the lungs have no room for so many.
    """
    rng, body = np.random.default_rng([seed, 7]), Body.of(seed)
    kinds: tuple[Kind, ...] = ("solid", "solid", "part_solid", "ground_glass")
    found: list[Nodule] = []
    for _ in range(count * _TRIES + 1):
        if len(found) == count:
            return tuple(found)
        diameter = round(float(rng.uniform(*diameters)), 1)
        kind = kinds[int(rng.integers(len(kinds)))]
        nodule = Nodule(
            center=(0.0, 0.0, 0.0),
            diameter_mm=diameter,
            hu=_GROUND_GLASS_HU if kind == "ground_glass" else float(rng.integers(10, 70)),
            kind=kind,
            attached_to_pleura=len(found) % 3 == 2,
            spiculated=kind == "solid" and diameter > 14,
        )
        center = _free_place(rng, body, nodule, levels)
        if center and all(np.linalg.norm(np.subtract(center, one.center)) > 35 for one in found):
            found.append(replace(nodule, center=center))
    raise ValueError(f"no room for {count} nodules in the lungs of seed {seed}")


def _free_place(
    rng: np.random.Generator, body: Body, nodule: Nodule, levels: tuple[float, float]
) -> Point | None:
    """A place where the whole nodule fits into the lung, or None after many tries."""
    radius = nodule.diameter_mm / 2
    for _ in range(_TRIES):
        side, z = rng.choice([-1.0, 1.0]), float(rng.uniform(*levels))
        angle = float(rng.uniform(-np.pi / 2.5, np.pi / 2.5))
        # Attached: the centre lies so near the pleura that a fifth of the sphere touches it.
        depth = radius * 0.6 if nodule.attached_to_pleura else radius + rng.uniform(6, 30)
        center = pleura_point(body, side, angle, z, depth)
        margin = 0 if nodule.attached_to_pleura else radius + 3
        steps = [(margin, 0, 0), (-margin, 0, 0), (0, margin, 0), (0, -margin, 0)]
        steps += [(0, 0, margin), (0, 0, -margin)]
        if all(inside_lung(body, tuple(np.add(center, step))) for step in steps):
            return tuple(round(float(part), 2) for part in center)
    return None


def _simple(spec: PhantomSpec, draw: object, body_part: str) -> Phantom:
    rng = np.random.default_rng(spec.seed)
    hu = np.stack([draw(rng, spec.grid, float(z), contrast=spec.contrast) for z in spec.levels])
    return Phantom(_scanned(hu, spec, rng), spec, body_part)


def _place(hu: np.ndarray, spec: PhantomSpec, nodule: Nodule, rng: np.random.Generator) -> None:
    radius = nodule.diameter_mm / 2
    spikes = _spikes(rng, radius) if nodule.spiculated else []
    hull = _sphere(spec, nodule.center, radius, spikes)
    core = _sphere(spec, nodule.center, radius / 2, []) if nodule.kind == "part_solid" else None
    outer = _GROUND_GLASS_HU if nodule.kind == "part_solid" else nodule.hu
    for index, rows, columns, cover in hull:
        part = hu[index, rows, columns]
        # A nodule attached to the wall never makes the wall thinner.
        part += cover * (np.maximum(outer, part) - part)
    for index, rows, columns, cover in core or []:
        part = hu[index, rows, columns]
        part += cover * (np.maximum(nodule.hu, part) - part)


def _spikes(rng: np.random.Generator, radius: float) -> list[tuple[np.ndarray, float]]:
    directions = rng.normal(0, 1, (22, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return [(one, radius * rng.uniform(0.25, 0.6)) for one in directions]


def _sphere(
    spec: PhantomSpec, center: Point, radius: float, spikes: list[tuple[np.ndarray, float]]
) -> list[tuple[int, slice, slice, np.ndarray]]:
    """The cover of a sphere on each slice it touches, averaged over the slice thickness."""
    grid, covers = spec.grid, []
    reach = radius * 1.7 + grid.spacing
    rows = grid.window(center[1] - reach, center[1] + reach)
    columns = grid.window(center[0] - reach, center[0] + reach)
    x, y = grid.axis[columns][None, :] - center[0], grid.axis[rows][:, None] - center[1]
    within = np.linspace(-0.4, 0.4, 5) * spec.thickness
    for index in np.flatnonzero(np.abs(spec.levels - center[2]) < reach + spec.thickness):
        layers = [_ball(x, y, spec.levels[index] + dz - center[2], radius, spikes) for dz in within]
        cover = np.mean([np.clip(0.5 + one / grid.spacing, 0, 1) for one in layers], axis=0)
        covers.append((int(index), rows, columns, cover))
    return covers


def _ball(
    x: np.ndarray, y: np.ndarray, z: float, radius: float, spikes: list[tuple[np.ndarray, float]]
) -> np.ndarray:
    """Depth inside the sphere in mm; each spike lifts the surface around its direction."""
    far = np.sqrt(x**2 + y**2 + z**2) + 1e-6
    surface = np.full(far.shape, radius)
    for direction, height in spikes:
        toward = (x * direction[0] + y * direction[1] + z * direction[2]) / far
        surface = surface + height * np.exp((toward - 1) * 130)
    return surface - far


def _scanned(hu: np.ndarray, spec: PhantomSpec, rng: np.random.Generator) -> np.ndarray:
    """What a scanner makes of it: a soft kernel, then noise with the grain of one."""
    sigma = 0.45 / spec.grid.spacing
    for index in range(len(hu)):
        noise = rng.standard_normal(hu[index].shape, dtype=np.float32)
        noise = cv2.GaussianBlur(noise, (0, 0), 0.7)
        hu[index] = cv2.GaussianBlur(hu[index], (0, 0), sigma) + noise * (
            spec.noise_hu / float(noise.std())
        )
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
