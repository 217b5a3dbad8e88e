import cv2
import numpy as np
import pytest

from apps.classifier.cnn.finder import Marked, Scan
from apps.classifier.cnn.geometry import SliceInput
from apps.classifier.cnn.vessels import runs_through

SIDE, MIDDLE = 120, 20


def volume(*, spacing=1.25, drift=0.0, ball_mm=0.0, vessel_mm=0.0, wall=False) -> Scan:
    """Lung at -850 HU with a ball, a vessel along z that drifts sideways, a wall beside it."""
    y, x = np.mgrid[:SIDE, :SIDE] * 0.7 - 42.0
    slices, offsets = [], (np.arange(2 * MIDDLE + 1) - MIDDLE) * spacing
    for index, z in enumerate(offsets):
        across = np.hypot(y, x - drift * z) < vessel_mm / 2
        inside = across | (y * y + x * x + z * z < (ball_mm / 2) ** 2)
        if wall:
            inside |= x > ball_mm / 2 - 2
        hu = cv2.GaussianBlur(np.where(inside, 40.0, -850.0), (0, 0), 0.8).astype(np.int16)
        slices.append(SliceInput(str(index), hu, (0.7, 0.7), (0.0, 0.0, float(z))))
    return Scan(slices, offsets)


def marked(diameter_mm: float, index: int = MIDDLE) -> Marked:
    return Marked(index, 60.0, 60.0, diameter_mm, 0.9)


@pytest.mark.parametrize("drift", [0.0, 0.6], ids=["straight", "oblique"])
@pytest.mark.parametrize("size", [4.0, 6.0, 9.0])
def test_a_vessel_cut_across_runs_through(size, drift):
    assert runs_through(volume(vessel_mm=size, drift=drift), marked(size))


@pytest.mark.parametrize(
    "parts",
    [
        {"ball_mm": 8.0},
        {"ball_mm": 8.0, "vessel_mm": 2.0},
        {"ball_mm": 8.0, "wall": True},
    ],
    ids=["alone", "on a thin vessel", "on the wall"],
)
def test_a_nodule_ends(parts):
    assert not runs_through(volume(**parts), marked(8.0))


def test_a_nodule_cut_by_the_end_of_the_series_is_kept():
    scan = volume(ball_mm=8.0)
    cut = Scan(scan.slices[MIDDLE:], scan.offsets[MIDDLE:])
    assert not runs_through(cut, marked(8.0, index=0))


def test_thick_slices_and_single_images_prove_nothing():
    assert not runs_through(volume(vessel_mm=6.0, spacing=5.0), marked(6.0))
    scan = volume(vessel_mm=6.0)
    alone = Scan(scan.slices[:1], scan.offsets[:1])
    assert not runs_through(alone, marked(6.0, index=0))
