import os
import time

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from apps.imaging.decoding import stored_values
from apps.imaging.loading import load
from apps.imaging.reading import Refusal, read_instance
from apps.imaging.trial import survives


def test_what_ends_normally_survives():
    assert survives(lambda: 1 + 1)


def test_an_exception_is_survived():
    assert survives(lambda: 1 / 0)


def test_a_crash_is_not_survived_and_leaves_the_caller_alive():
    assert not survives(os.abort)


def test_what_hangs_is_ended():
    started = time.monotonic()
    assert not survives(lambda: time.sleep(60), seconds=0.2)
    assert time.monotonic() - started < 5


def test_a_stream_that_crashes_the_decoder_is_refused(ct_path):
    """GDCM aborts on this baseline JPEG, whose marker of a Huffman table is destroyed."""
    quantization = b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
    frame = bytes.fromhex("ffc0000b080040004001011100")
    destroyed = b"\xff\xff\x00\x1e" + b"\x00" * 28
    scan = bytes.fromhex("ffda0008010100003f00")
    dataset = dcmread(ct_path)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    stream = b"\xff\xd8" + quantization + frame + destroyed + scan + b"\xff\xd9"
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(ct_path)
    assert not survives(lambda: stored_values(load(ct_path)))
    with pytest.raises(Refusal) as refused:
        read_instance(ct_path)
    assert refused.value.code == "bad_pixels"
