import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.imaging.pixels import display, hounsfield
from apps.imaging.reading import Refusal


def test_stored_values_become_hounsfield_units_by_slope_and_intercept(with_stored):
    dataset = with_stored([[0, 1024], [1000, 4000]], np.uint16, "1", "-1024")
    assert hounsfield(dataset).tolist() == [[-1024, 0], [-24, 2976]]


def test_a_fractional_slope_is_rounded_to_the_nearest_unit(with_stored):
    dataset = with_stored([[0, 1, 2, 3]], np.uint16, "0.4", "-1000")
    assert hounsfield(dataset).tolist() == [[-1000, -1000, -999, -999]]


def test_values_beyond_int16_are_clipped(with_stored):
    dataset = with_stored([[-1000, 0, 30000]], np.int16, "100", "0")
    assert hounsfield(dataset).tolist() == [[-32768, 0, 32767]]


def test_rescale_written_in_exponent_form_is_understood(with_stored):
    dataset = with_stored([[24]], np.uint16, "001.000000E+00", "-01.024000E+03")
    assert hounsfield(dataset).tolist() == [[-1000]]


def test_padding_becomes_air(with_stored):
    dataset = with_stored([[-2000, -1999, 40]], np.int16, "1", "-1024", PixelPaddingValue=-2000)
    assert hounsfield(dataset).tolist() == [[-1024, -3023, -984]]


def test_a_padding_range_becomes_air(with_stored):
    dataset = with_stored(
        [[-2000, -1999, -1500, 40]],
        PixelPaddingValue=-2000,
        PixelPaddingRangeLimit=-1900,
    )
    assert hounsfield(dataset).tolist() == [[-1024, -1024, -1500, 40]]


def test_padding_declared_as_a_tissue_value_does_not_punch_holes(with_stored):
    dataset = with_stored([[0, 40]], np.int16, "1", "0", PixelPaddingValue=0)
    assert hounsfield(dataset).tolist() == [[0, 40]]


def test_monochrome1_does_not_change_hounsfield_units(with_stored):
    dataset = with_stored([[-1000, 40]], PhotometricInterpretation="MONOCHROME1")
    assert hounsfield(dataset).tolist() == [[-1000, 40]]


def test_bits_above_high_bit_are_ignored(with_stored):
    dataset = with_stored([[0xF000 | 1064, 24]], np.uint16, "1", "-1024", BitsStored=12, HighBit=11)
    assert hounsfield(dataset).tolist() == [[40, -1000]]


def test_twelve_signed_bits_keep_their_sign(with_stored):
    dataset = with_stored([[0x0FFF, 0x0800]], np.int16, BitsStored=12, HighBit=11)
    assert hounsfield(dataset).tolist() == [[-1, -2048]]


@pytest.mark.parametrize("kind", ["MGML", "Z_EFF", "ED"])
def test_material_maps_are_not_taken_for_hounsfield_units(with_stored, kind):
    with pytest.raises(Refusal, match="not Hounsfield") as refusal:
        hounsfield(with_stored([[1]], RescaleType=kind))
    assert refusal.value.code == "bad_rescale"


def test_the_window_of_the_standard_example():
    # PS3.3 C.11.2.1.2.1 Note 3: center 2048, width 4096 maps 0...4095 onto the full range.
    hu = np.array([[-1, 0, 2047, 2048, 4095, 4096]], np.int16)
    assert display(hu, 2048, 4096).tolist() == [[0, 0, 127, 128, 255, 255]]


def test_width_one_is_a_threshold_just_below_the_center():
    assert display(np.array([[99, 100]], np.int16), 100, 1).tolist() == [[0, 255]]


@pytest.mark.parametrize(("center", "width"), [(0, 0.9), (0, 0), (0, -5), (float("nan"), 10)])
def test_impossible_windows_are_refused(center, width):
    with pytest.raises(ValueError, match="window width"):
        display(np.zeros((1, 1), np.int16), center, width)


@settings(max_examples=60, deadline=None)
@given(
    center=st.floats(-40000, 40000),
    width=st.floats(1, 80000),
    values=st.lists(st.integers(-32768, 32767), min_size=2, max_size=20),
)
def test_the_window_agrees_with_the_formula_and_never_falls(center, width, values):
    hu = np.array([sorted(values)], np.int16)
    shown = display(hu, center, width).astype(int)
    assert (np.diff(shown) >= 0).all()
    half = (width - 1) / 2
    for value, grey in zip(hu[0].astype(float), shown[0], strict=True):
        if value <= center - 0.5 - half:
            assert grey == 0
        elif value > center - 0.5 + half:
            assert grey == 255
        else:
            exact = ((value - (center - 0.5)) / (width - 1) + 0.5) * 255
            assert abs(grey - exact) <= 0.5 + 1e-6
