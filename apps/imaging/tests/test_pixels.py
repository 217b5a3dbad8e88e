import numpy as np
import pytest

from apps.imaging.pixels import hounsfield
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
