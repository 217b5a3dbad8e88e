"""Windows and tables of the VOI LUT module against the standard's formulas and against pydicom."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_voi, apply_windowing

from apps.imaging.reading import read_instance
from apps.imaging.rendering import png
from apps.imaging.voi import display, is_inverted, through, voi_luts, voi_table

SOME_HU = np.arange(-1500, 1500, dtype=np.int16).reshape(30, 100)


def table_item(entries, first=-1024, bits=16, words="Bones") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS", [len(entries), first, bits])
    item.LUTExplanation = words
    item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return item


@pytest.fixture
def as_signed_hu(with_stored):
    """A dataset of signed Hounsfield units, in which pydicom's grey range is that of 16 bits."""

    def build(**more) -> Dataset:
        return with_stored(SOME_HU.tolist(), np.int16, "1", "0", **more)

    return build


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


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(40, 400), (-600, 1500), (50.5, 3.25)])
def test_each_function_shows_what_pydicom_shows(as_signed_hu, function, center, width):
    dataset = as_signed_hu(WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    theirs = (apply_windowing(SOME_HU, dataset) + 32768) / 65535 * 255
    assert np.abs(display(SOME_HU, center, width, function) - theirs).max() <= 0.5 + 1e-6


def test_the_sigmoid_of_the_standard():
    # PS3.3 C.11.2.1.3.1: 255 / (1 + exp(-4 (x - c) / w)), half of it at the center.
    hu = np.array([[-360, -60, 40, 140, 440]], np.int16)
    expected = [255 / (1 + np.exp(-4 * (x - 40) / 400)) for x in hu[0].astype(float)]
    assert display(hu, 40, 400, "SIGMOID").tolist() == [[round(x) for x in expected]]


def test_the_exact_linear_window_reaches_its_ends_at_half_the_width():
    hu = np.array([[-160, -60, 40, 140, 240]], np.int16)
    assert display(hu, 40, 400, "LINEAR_EXACT").tolist() == [[0, 64, 128, 191, 255]]


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_table_shows_what_pydicom_shows(as_signed_hu, bits):
    entries = np.linspace(0, 1, 1000) ** 2 * (2**bits - 1)
    dataset = as_signed_hu(VOILUTSequence=[table_item(entries.round(), -500, bits)])
    theirs = apply_voi(SOME_HU.astype(np.int32), dataset) / (2**bits - 1) * 255
    shown = through(SOME_HU, voi_table(dataset, 0))
    assert np.abs(shown - theirs).max() <= 0.5 + 1e-6


def test_the_first_mapped_value_is_signed_whatever_the_stored_pixels_are(edited, tmp_path):
    path = edited(VOILUTSequence=[table_item(range(0, 65000, 50), first=-1000)])
    dataset = dcmread(path)
    assert dataset.PixelRepresentation == 0
    hu = np.array([[-1100, -1000, -999, -500, 299, 300]], np.int16)
    expected = [round(x * 255 / 65535) for x in (0, 0, 50, 25000, 64950, 64950)]
    assert through(hu, voi_table(dataset, 0)).tolist() == [expected]


def test_a_table_of_bytes_may_be_packed(as_signed_hu):
    item = table_item(range(256), first=0, bits=8)
    item.LUTData = bytes(range(256))
    table = voi_table(as_signed_hu(VOILUTSequence=[item]), 0)
    assert through(np.array([[-1, 0, 100, 255, 256]], np.int16), table).tolist() == [
        [0, 0, 100, 255, 255]
    ]


def test_tables_that_contradict_themselves_are_left_out(as_signed_hu):
    short, odd, none = table_item(range(10)), table_item(range(10), bits=3), Dataset()
    short.LUTDescriptor = [20, 0, 16]
    good = table_item(range(10), words="Good")
    dataset = as_signed_hu(VOILUTSequence=[short, odd, none, good])
    assert [one["explanation"] for one in voi_luts(dataset)] == ["Good"]


def test_a_sequence_that_is_none_offers_no_table(as_signed_hu):
    dataset = as_signed_hu()
    dataset.add_new("VOILUTSequence", "LO", "rubbish")
    assert voi_luts(dataset) == ()


def test_monochrome1_is_shown_inverted_and_measured_as_it_is(edited):
    facts = read_instance(edited(PhotometricInterpretation="MONOCHROME1"))
    plain = read_instance(edited(PhotometricInterpretation="MONOCHROME2"))
    assert (facts.inverted, plain.inverted) == (True, False)
    assert facts.pixel_sha256 == plain.pixel_sha256
    upright = display(SOME_HU, 40, 400)
    assert (display(SOME_HU, 40, 400, inverted=True) == 255 - upright).all()
    drawn = png(SOME_HU, center=40, width=400, inverted=True)
    assert (cv2.imdecode(np.frombuffer(drawn, np.uint8), -1) == 255 - upright).all()


def test_a_file_says_its_function_and_its_tables(edited):
    path = edited(
        VOILUTFunction="SIGMOID", VOILUTSequence=[table_item(range(4096), words="Lung\n")]
    )
    facts = read_instance(path)
    assert facts.voi_lut_function == "SIGMOID"
    assert facts.voi_luts == voi_luts(dcmread(path))
    assert facts.voi_luts[0]["explanation"] == "Lung"
    assert read_instance(edited(VOILUTFunction="ODD")).voi_lut_function == "LINEAR"
    assert not is_inverted(dcmread(path))
