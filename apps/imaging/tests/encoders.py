"""CT files in every transfer syntax, made with other libraries than the ones that read them.

imagecodecs brings libjpeg-turbo, CharLS, OpenJPEG and OpenJPH. Where the product decodes with
another of these families (GDCM's JPEG, OpenJPEG's HTJ2K), two makers must agree on each pixel.
"""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

NEAR = 3
LOSSLESS = {
    ImplicitVRLittleEndian: "implicit little endian",
    ExplicitVRLittleEndian: "explicit little endian",
    ExplicitVRBigEndian: "explicit big endian",
    DeflatedExplicitVRLittleEndian: "deflated",
    RLELossless: "RLE",
    JPEGLossless: "JPEG lossless, process 14",
    JPEGLosslessSV1: "JPEG lossless, first-order",
    JPEGLSLossless: "JPEG-LS lossless",
    JPEG2000Lossless: "JPEG 2000 lossless",
    HTJ2KLossless: "HTJ2K lossless",
    HTJ2KLosslessRPCL: "HTJ2K lossless RPCL",
    HTJ2K: "HTJ2K, reversible",
}
# The furthest a pixel may be from the original, in stored values; the encoders' settings below.
LOSSY = {JPEGLSNearLossless: NEAR, JPEG2000: 5, HTJ2K: 5, JPEGExtended12Bit: 8}


def reencoded(dataset: Dataset, syntax: str, *, lossy: bool = False) -> Dataset:
    """A copy of an uncompressed CT dataset in another transfer syntax."""
    native = get_decoder(dataset.file_meta.TransferSyntaxUID)
    stored, _ = native.as_array(dataset, index=0, raw=True)
    copy = deepcopy(dataset)
    copy.file_meta.TransferSyntaxUID = syntax
    frame = _frame(stored, int(dataset.BitsStored), syntax, lossy)
    if frame is None:
        _store_natively(copy, stored, syntax)
        list(copy.iterall())  # what was read lazily is still in the old byte order
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        copy.set_original_encoding(implicit, little)
    else:
        copy.PixelData = encapsulate([frame])
        copy["PixelData"].is_undefined_length = True
    return copy


def written(dataset: Dataset, path: Path) -> Path:
    """The dataset as a file, in the transfer syntax it names."""
    dataset.save_as(path, enforce_file_format=True)
    return path


def decoded_elsewhere(dataset: Dataset) -> np.ndarray:
    """The compressed stream as another decoder than the product's reads it, without its sign."""
    decoders: dict[str, Callable[[bytes], np.ndarray]] = {
        JPEGBaseline8Bit: imagecodecs.jpeg8_decode,
        JPEGExtended12Bit: imagecodecs.jpeg8_decode,
        JPEGLossless: imagecodecs.jpeg8_decode,
        JPEGLosslessSV1: imagecodecs.jpeg8_decode,
        JPEGLSLossless: imagecodecs.jpegls_decode,
        JPEGLSNearLossless: imagecodecs.jpegls_decode,
        JPEG2000Lossless: imagecodecs.jpeg2k_decode,
        JPEG2000: imagecodecs.jpeg2k_decode,
        HTJ2KLossless: imagecodecs.htj2k_decode,
        HTJ2KLosslessRPCL: imagecodecs.htj2k_decode,
        HTJ2K: imagecodecs.htj2k_decode,
    }
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == RLELossless:
        return get_decoder(syntax).as_array(dataset, raw=True, decoding_plugin="pydicom")[0]
    return decoders[syntax](get_frame(dataset.PixelData, 0, number_of_frames=1))


def _frame(stored: np.ndarray, used: int, syntax: str, lossy: bool) -> bytes | None:
    """The compressed stream, or None where the syntax does not compress."""
    # JPEG and JPEG-LS know no sign: the bits of a negative number are sent as they are.
    bits = stored.view(f"u{stored.itemsize}") & ((1 << used) - 1)
    bits = bits.astype(np.uint8 if used <= 8 else np.uint16)
    encoders: dict[str, Callable[[], bytes]] = {
        RLELossless: lambda: _run_lengths(stored),
        JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode(bits, level=98),
        JPEGExtended12Bit: lambda: imagecodecs.jpeg8_encode(bits, level=98, bitspersample=12),
        JPEGLossless: lambda: _jpeg_lossless(bits, used, predictor=4),
        JPEGLosslessSV1: lambda: _jpeg_lossless(bits, used, predictor=1),
        JPEGLSLossless: lambda: imagecodecs.jpegls_encode(bits),
        JPEGLSNearLossless: lambda: imagecodecs.jpegls_encode(bits, level=NEAR),
        JPEG2000Lossless: lambda: _jpeg_2000(stored),
        JPEG2000: lambda: imagecodecs.jpeg2k_encode(stored, level=95, codecformat="J2K"),
        HTJ2KLossless: lambda: imagecodecs.htj2k_encode(stored, reversible=True),
        # OpenJPH writes its packets in the order RPCL; the syntax asks for TLM markers with it.
        HTJ2KLosslessRPCL: lambda: imagecodecs.htj2k_encode(stored, reversible=True, tlm=True),
        HTJ2K: lambda: _htj2k(stored, lossy),
    }
    return encoders[syntax]() if syntax in encoders else None


def _jpeg_lossless(bits: np.ndarray, used: int, predictor: int) -> bytes:
    return imagecodecs.jpeg8_encode(bits, lossless=True, predictor=predictor, bitspersample=used)


def _jpeg_2000(stored: np.ndarray) -> bytes:
    return imagecodecs.jpeg2k_encode(stored, codecformat="J2K", reversible=True)


def _htj2k(stored: np.ndarray, lossy: bool) -> bytes:
    if not lossy:
        return imagecodecs.htj2k_encode(stored, reversible=True)
    return imagecodecs.htj2k_encode(stored, level=0.00005, reversible=False)


def _store_natively(dataset: Dataset, stored: np.ndarray, syntax: str) -> None:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if stored.itemsize == 1 else "OW"


def _run_lengths(stored: np.ndarray) -> bytes:
    """RLE Lossless (PS3.5 annex G): a header, then each byte plane row by row, high byte first."""
    planes = stored.astype(stored.dtype.newbyteorder(">")).view(np.uint8)
    planes = planes.reshape(*stored.shape, stored.itemsize)
    segments = [_segment(planes[:, :, plane]) for plane in range(stored.itemsize)]
    offsets = np.zeros(16, "<u4")
    offsets[0] = len(segments)
    offsets[1 : len(segments) + 1] = 64 + np.cumsum([0, *map(len, segments[:-1])])
    return offsets.tobytes() + b"".join(segments)


def _segment(plane: np.ndarray) -> bytes:
    coded = b"".join(_packed(row.tobytes()) for row in plane)
    return coded + b"\0" * (len(coded) % 2)


def _packed(row: bytes) -> bytes:
    """Literal runs and repeats of at most 128 bytes (PS3.5 G.3.1)."""
    coded, position = bytearray(), 0
    while position < len(row):
        run = _run(row, position)
        if run > 1:
            coded += bytes((257 - run, row[position]))
        else:
            run = 1
            while position + run < len(row) and run < 128 and _run(row, position + run) < 3:
                run += 1
            coded += bytes((run - 1,)) + row[position : position + run]
        position += run
    return bytes(coded)


def _run(row: bytes, position: int) -> int:
    end = position + 1
    while end < len(row) and end - position < 128 and row[end] == row[position]:
        end += 1
    return end - position
