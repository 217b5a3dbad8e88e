"""Every transfer syntax against the values that were encoded and against another decoder."""

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from apps.imaging.decoding import NATIVE, stored_values
from apps.imaging.pixels import hounsfield
from apps.imaging.reading import Refusal, read_instance
from apps.imaging.tests.encoders import LOSSLESS, LOSSY, decoded_elsewhere, reencoded, written

# Bits allocated, bits stored, signed: what CT scanners write, and the edges of what is legal.
LAYOUTS = [(8, 8, 0), (16, 12, 0), (16, 12, 1), (16, 16, 0), (16, 16, 1), (16, 10, 0), (16, 13, 1)]
BY_NUMBERS = {JPEG2000, HTJ2K, JPEGBaseline8Bit, JPEGExtended12Bit}


@pytest.fixture
def stored_ct(with_stored, small_phantom):
    """A CT dataset of the phantom in a layout, its values spread over `share` of the range."""

    def build(allocated: int, used: int, signed: int, share: float = 1.0):
        lowest, highest = -(signed << (used - 1)), (1 << (used - signed)) - 1
        middle, reach = (lowest + highest) / 2, (highest - lowest) / 2 * share
        hu = small_phantom.hu[0].astype(float)
        spread = 2 * (hu - hu.min()) / (hu.max() - hu.min()) - 1
        values = np.rint(middle + spread * reach).astype(f"{'iu'[not signed]}{allocated // 8}")
        bits = {"BitsStored": used, "HighBit": used - 1}
        return with_stored(values.tolist(), values.dtype, "1", "-1024", **bits), values.astype(int)

    return build


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: "/".join(map(str, one)))
@pytest.mark.parametrize("syntax", LOSSLESS, ids=LOSSLESS.get)
def test_a_lossless_syntax_gives_back_every_value(stored_ct, syntax, layout, tmp_path):
    dataset, values = stored_ct(*layout)
    path = written(reencoded(dataset, syntax), tmp_path / "slice.dcm")
    assert np.array_equal(hounsfield(path), np.clip(values - 1024, -32768, 32767))
    facts = read_instance(path)
    assert facts.transfer_syntax_uid == syntax
    # Only .203 may be either, and a file that does not say so is marked as lossy.
    assert facts.lossy is (syntax == HTJ2K)


@pytest.mark.parametrize(
    ("syntax", "signed"),
    # No encoder codes signed values by JPEG's frequencies: the bits of -1 and 0 are far apart.
    [(one, signed) for one in LOSSY for signed in (0, 1) if not signed or one != JPEGExtended12Bit],
)
def test_a_lossy_syntax_stays_within_its_tolerance(stored_ct, syntax, signed, tmp_path):
    dataset, values = stored_ct(16, 12, signed, share=0.9)
    path = written(reencoded(dataset, syntax, lossy=True), tmp_path / "slice.dcm")
    assert 0 < np.abs(hounsfield(path) + 1024 - values).max() <= LOSSY[syntax]
    assert read_instance(path).lossy


def test_baseline_jpeg_of_eight_bits_is_near_its_original(stored_ct, tmp_path):
    dataset, values = stored_ct(8, 8, 0)
    path = written(reencoded(dataset, JPEGBaseline8Bit), tmp_path / "slice.dcm")
    assert np.abs(hounsfield(path) + 1024 - values).max() <= 8
    assert read_instance(path).lossy


@pytest.mark.parametrize(
    ("syntax", "lossy"),
    [(one, False) for one in LOSSLESS if one not in NATIVE] + [(one, True) for one in LOSSY],
)
def test_another_decoder_reads_the_same_values(stored_ct, syntax, lossy):
    dataset = reencoded(stored_ct(16, 12, 0)[0], syntax, lossy=lossy)
    ours = stored_values(dataset).astype(int)
    # Decoders of what is coded in frequencies may round a half either way.
    assert np.abs(ours - decoded_elsewhere(dataset)).max() <= (syntax in BY_NUMBERS and lossy)


def test_jpeg_2000_of_signed_values_coded_without_sign_is_understood(stored_ct):
    """Some scanners hand the encoder the bits of negative numbers as they are."""
    dataset, values = stored_ct(16, 12, 1)
    bits = (values & 0xFFF).astype(np.uint16)
    stream = imagecodecs.jpeg2k_encode(bits, codecformat="J2K", reversible=True, bitspersample=12)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([stream])
    assert np.array_equal(stored_values(dataset), values)


@pytest.mark.parametrize("high_bit", range(11, 16))
@pytest.mark.parametrize("signed", [0, 1], ids=["unsigned", "signed"])
def test_the_value_is_found_wherever_high_bit_says(with_stored, signed, high_bit):
    """PS3.5 8.1.1; the rest of the sixteen bits is filled as an overlay would fill it."""
    values = np.array([[0, 1, 2047, -1 if signed else 2048, -2048 if signed else 4095]])
    low = high_bit - 11
    cells = ((values & 0xFFF) << low) | (0xFFFF & ~(0xFFF << low))
    kind = np.int16 if signed else np.uint16
    layout = {"BitsStored": 12, "HighBit": high_bit}
    dataset = with_stored(cells.astype(np.uint16).view(kind).tolist(), kind, **layout)
    assert np.array_equal(stored_values(dataset), values)


@pytest.mark.parametrize("high_bit", [10, 16])
def test_a_high_bit_where_no_value_fits_is_refused(with_stored, high_bit):
    dataset = with_stored([[1]], np.uint16, BitsStored=12, HighBit=high_bit)
    with pytest.raises(Refusal, match="no CT scanner") as refused:
        stored_values(dataset)
    assert refused.value.code == "bad_pixels"


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"])
def test_retired_jpeg_is_refused_with_what_to_do(stored_ct, syntax, tmp_path):
    """Processes 6/8 and 10/12, retired by the standard (PS3.5 2004)."""
    dataset = reencoded(stored_ct(8, 8, 0)[0], JPEGBaseline8Bit)
    dataset.file_meta.TransferSyntaxUID = syntax
    with pytest.raises(Refusal, match="Export it again uncompressed") as refused:
        read_instance(written(dataset, tmp_path / "slice.dcm"))
    assert refused.value.code == "unsupported_transfer_syntax"
