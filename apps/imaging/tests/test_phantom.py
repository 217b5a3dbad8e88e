import hashlib

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from apps.imaging.geometry import is_regular, patient_point, slice_spacing
from apps.imaging.phantom import (
    Nodule,
    PhantomSpec,
    abdomen_phantom,
    chest_phantom,
    head_phantom,
    random_nodules,
    write_series,
)
from apps.imaging.phantom_chest import Body, inside_lung
from apps.imaging.pixels import hounsfield
from apps.imaging.reading import read_instance

QUICK = {"matrix": 256, "noise_hu": 0.0}


def lung_share(hu: np.ndarray) -> float:
    """The part of the middle of the picture that is as thin as lung."""
    middle = hu[:, hu.shape[1] // 3 : -hu.shape[1] // 3, hu.shape[2] // 5 : -hu.shape[2] // 5]
    return float(((middle > -950) & (middle < -700)).mean())


def test_a_chest_has_lung_tissue_bone_and_air():
    hu = chest_phantom(PhantomSpec(slices=6, **QUICK)).hu
    assert hu.dtype == np.int16
    assert lung_share(hu) > 0.3
    assert (hu > 500).mean() > 0.005
    assert abs(float(np.median(hu[:, :8, :8])) + 1000) < 5


@pytest.mark.parametrize("build", [abdomen_phantom, head_phantom])
def test_other_bodies_have_no_lung(build):
    assert lung_share(build(PhantomSpec(slices=6, **QUICK)).hu) < 0.01


@pytest.mark.parametrize("kind", ["solid", "ground_glass"])
def test_a_nodule_lies_where_it_was_placed_with_its_size_and_density(kind):
    value = 40.0 if kind == "solid" else -600.0
    placed = Nodule(center=(-85.0, 10.0, 12.5), diameter_mm=20.0, hu=value, kind=kind)
    spec = PhantomSpec(slices=17, slice_spacing=2.5, nodules=(placed,), **QUICK)
    with_nodule, without = (
        chest_phantom(spec),
        chest_phantom(PhantomSpec(slices=17, slice_spacing=2.5, **QUICK)),
    )
    index, row, column = with_nodule.voxel_of(placed.center)
    assert with_nodule.hu[index, row, column] == pytest.approx(value, abs=15)
    added = with_nodule.hu.astype(float) - without.hu
    surroundings = float(np.median(without.hu[index, row - 5 : row + 5, column - 5 : column + 5]))
    volume = (added > (value - surroundings) / 2).sum() * spec.grid.spacing**2 * 2.5
    assert (6 * volume / np.pi) ** (1 / 3) == pytest.approx(20, abs=1.5)
    center = [float(np.average(axis, weights=added.clip(0))) for axis in np.indices(added.shape)]
    point = patient_point(
        center[1],
        center[2],
        position=with_nodule.image_position(0),
        orientation=(1, 0, 0, 0, 1, 0),
        spacing=(spec.grid.spacing,) * 2,
    )
    assert point[:2] == pytest.approx(placed.center[:2], abs=0.7)
    assert spec.levels[0] + center[0] * 2.5 == pytest.approx(12.5, abs=0.7)


def test_a_part_solid_nodule_is_dense_only_in_its_core():
    placed = Nodule(center=(-85.0, 10.0, 0.0), diameter_mm=24.0, hu=50, kind="part_solid")
    phantom = chest_phantom(PhantomSpec(slices=5, slice_spacing=2.5, nodules=(placed,), **QUICK))
    index, row, column = phantom.voxel_of(placed.center)
    _, _, rim = phantom.voxel_of((-85.0 + 9.0, 10.0, 0.0))
    assert phantom.hu[index, row, column] == pytest.approx(50, abs=20)
    assert phantom.hu[index, row, rim] == pytest.approx(-600, abs=120)


def test_random_nodules_lie_in_the_lungs_apart_and_some_touch_the_pleura():
    nodules = random_nodules(5, 6)
    assert all(inside_lung(Body.of(5), nodule.center) for nodule in nodules)
    assert sum(nodule.attached_to_pleura for nodule in nodules) == 2
    for number, one in enumerate(nodules):
        for other in nodules[:number]:
            assert np.linalg.norm(np.subtract(one.center, other.center)) > 35
    assert nodules == random_nodules(5, 6)


def test_contrast_makes_blood_bright_and_is_declared(tmp_path):
    plain = chest_phantom(PhantomSpec(slices=3, **QUICK))
    bright = chest_phantom(PhantomSpec(slices=3, contrast=True, **QUICK))
    aorta = plain.voxel_of((24.0, 44.0, 0.0))
    assert bright.hu[aorta] - plain.hu[aorta] > 150
    assert read_instance(write_series(plain, tmp_path / "p")[0]).contrast_bolus_agent == ""
    assert read_instance(write_series(bright, tmp_path / "b")[0]).contrast_bolus_agent


def test_the_same_call_writes_the_same_bytes(tmp_path):
    def digests(folder: str) -> list[str]:
        spec = PhantomSpec(slices=3, matrix=64, nodules=random_nodules(1, 1))
        paths = write_series(chest_phantom(spec), tmp_path / folder)
        return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]

    first = digests("a")
    assert first == digests("b")
    assert len(set(first)) == 3


def test_seeds_patients_and_series_differ_in_their_uids(small_phantom, tmp_path):
    calls = [{}, {"patient_id": "P2"}, {"series_number": 2}]
    facts = [
        read_instance(write_series(small_phantom, tmp_path / str(number), **call)[0])
        for number, call in enumerate(calls)
    ]
    assert len({one.sop_instance_uid for one in facts}) == 3
    assert len({one.series_instance_uid for one in facts}) == 3
    assert [one.study_instance_uid == facts[0].study_instance_uid for one in facts] == [
        True,
        False,
        True,
    ]


def test_a_written_series_is_regular_and_says_that_it_is_synthetic(small_phantom, tmp_path):
    facts = [read_instance(path) for path in write_series(small_phantom, tmp_path)]
    assert {one.manufacturer for one in facts} == {"SYNTHETIC PHANTOM"}
    assert is_regular(facts)
    assert slice_spacing(facts) == 5


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_series_keep_every_value(small_phantom, tmp_path, syntax):
    paths = write_series(small_phantom, tmp_path, transfer_syntax=syntax)
    assert all(
        np.array_equal(hounsfield(path), hu)
        for path, hu in zip(paths, small_phantom.hu, strict=True)
    )


def test_unknown_transfer_syntaxes_are_refused(small_phantom, tmp_path):
    with pytest.raises(ValueError, match="transfer syntax"):
        write_series(small_phantom, tmp_path, transfer_syntax="1.2.840.10008.1.2.4.50")


@pytest.mark.parametrize("seed", [1, 2])
def test_random_nodules_are_as_many_as_asked_for(seed: int) -> None:
    assert len(random_nodules(seed, 6)) == 6


def test_more_nodules_than_the_lungs_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        random_nodules(1, 60)
