import os
import time

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, RLELossless

from apps.imaging import reading
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


def test_what_waits_is_ended_but_was_not_seen_to_fail():
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        survives(lambda: time.sleep(60), seconds=0.2)
    assert time.monotonic() - started < 5


def test_what_works_without_end_does_not_survive():
    def work() -> None:
        while True:
            pass

    assert not survives(work, cpu_seconds=1, seconds=60)


def test_an_image_that_could_not_be_tried_out_in_time_is_not_called_damaged(ct_path, monkeypatch):
    dataset = dcmread(ct_path)
    dataset.compress(RLELossless)
    dataset.save_as(ct_path)

    def too_busy(_action: object) -> bool:
        raise TimeoutError

    monkeypatch.setattr(reading, "survives", too_busy)
    with pytest.raises(Refusal) as refused:
        read_instance(ct_path)
    assert refused.value.code == "too_busy"


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
