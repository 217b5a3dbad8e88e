"""The finder where it is hard: masses up to 90 mm, ground glass, sharp kernels, air in the wall."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from apps.classifier.cnn.lungs import find_lungs
from apps.classifier.cnn.series import analyse_series
from apps.classifier.cnn.tests.conftest import as_slices
from apps.imaging.phantom import Nodule, PhantomSpec, chest_phantom

SPACING = 5.0


def series_with(nodule, slices=7, seed=3):
    spec = PhantomSpec(
        seed=seed,
        slices=slices,
        slice_spacing=SPACING,
        center_z=nodule.center[2],
        nodules=(nodule,),
    )
    return as_slices(chest_phantom(spec))


def place_of(nodule, found):
    """1 for the first finding at the nodule, 2 for the second …; None when it was missed."""
    reach = max(5.0, nodule.diameter_mm / 2)
    at = [math.dist(one.position_mm, nodule.center) <= reach for one in found]
    return at.index(True) + 1 if True in at else None


MASSES = {
    "30 mm at the pleura": Nodule((-100.0, 10.0, 0.0), 30.0, attached_to_pleura=True),
    "45 mm at the back": Nodule((90.0, 55.0, 0.0), 45.0, attached_to_pleura=True),
    "60 mm at the mediastinum": Nodule((-55.0, 20.0, 0.0), 60.0),
    "90 mm": Nodule((80.0, 15.0, 0.0), 90.0),
}


@pytest.mark.parametrize("mass", MASSES.values(), ids=MASSES)
def test_a_mass_is_among_the_first_three_of_a_single_slice(mass, models):
    analysis = analyse_series(series_with(mass, slices=1), models)
    assert place_of(mass, analysis.findings) in {1, 2, 3}


@pytest.mark.parametrize("kind", ["ground_glass", "part_solid"])
def test_ground_glass_is_found(kind, models):
    hu = -600.0 if kind == "ground_glass" else 30.0
    nodule = Nodule((-85.0, -20.0, 0.0), 14.0, hu=hu, kind=kind)
    assert place_of(nodule, analyse_series(series_with(nodule), models).findings)


def sharpened(item, rng):
    """What a lung kernel makes of a slice: edges overshoot and the noise is fine and strong."""
    image = item.hu.astype(np.float32)
    edges = image + 1.5 * (image - cv2.GaussianBlur(image, (0, 0), 1.2))
    noisy = edges + rng.normal(0, 45, image.shape)
    return replace(item, hu=np.clip(noisy, -1024, 3071).astype(np.int16))


def test_a_sharp_kernel_hides_no_nodule_and_does_not_flood_the_series(models):
    nodule = Nodule((-85.0, -20.0, 0.0), 12.0)
    smooth, rng = series_with(nodule), np.random.default_rng(0)
    sharp = analyse_series([sharpened(item, rng) for item in smooth], models)
    assert place_of(nodule, sharp.findings)
    assert len(sharp.findings) <= 3 * max(1, len(analyse_series(smooth, models).findings)) + 3


def with_air_in_the_wall(item, rng):
    """Small bubbles of air between ribs and skin; long streaks are a known failure of the gate."""
    lungs = find_lungs(item.hu, item.pixel_spacing)
    fine = cv2.erode(lungs.body, np.ones((9, 9))) - cv2.dilate(
        cv2.erode(lungs.body, np.ones((41, 41))), np.ones((3, 3))
    )
    noise = cv2.GaussianBlur(rng.standard_normal(fine.shape).astype(np.float32), (0, 0), 3)
    air = ((noise > 2.2 * noise.std()) & (fine > 0)).astype(np.float32)
    air = cv2.resize(air, item.hu.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return replace(item, hu=np.rint(item.hu * (1 - air) - 980 * air).astype(np.int16))


def test_air_in_the_chest_wall_is_neither_lung_nor_nodule(models):
    nodule = Nodule((-85.0, -20.0, 0.0), 14.0)
    smooth, rng = series_with(nodule), np.random.default_rng(0)
    swollen = [with_air_in_the_wall(item, rng) for item in smooth]
    changed = sum(int((a.hu != b.hu).sum()) for a, b in zip(smooth, swollen, strict=True))
    assert changed > 1_000
    plain, analysis = analyse_series(smooth, models), analyse_series(swollen, models)
    assert {one.answer for one in analysis.chest} == {"chest"}
    for before, after in zip(plain.chest, analysis.chest, strict=True):
        assert after.lung_area_mm2 == pytest.approx(before.lung_area_mm2, rel=0.25)
    assert place_of(nodule, analysis.findings)
    body = find_lungs(smooth[3].hu, smooth[3].pixel_spacing).wide
    for found in analysis.findings:
        row = int((found.row + 0.5) * smooth[0].pixel_spacing[0])
        column = int((found.column + 0.5) * smooth[0].pixel_spacing[1])
        assert cv2.dilate(body, np.ones((31, 31)))[row, column]
