"""Stored pixel values, believing nothing the file claims before it is checked."""

import struct

import gdcm
import numpy as np
from pydicom import Dataset
from pydicom.encaps import get_frame
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

from apps.imaging.loading import MAX_PIXELS, truncated
from apps.imaging.refusal import Refusal
from apps.imaging.values import whole

_END_OF_IMAGE = b"\xff\xd9"

NATIVE = {
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
}
# The fastest decoder measured for each syntax; chosen here so that installing another package
# can never change the pixels a doctor sees.
DECODERS = {
    RLELossless: "pylibjpeg",
    JPEGBaseline8Bit: "gdcm",
    JPEGExtended12Bit: "gdcm",
    JPEGLossless: "gdcm",
    JPEGLosslessSV1: "gdcm",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
}
_JPEG_FAMILY = {
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
}
# Coded bit for bit, so also what lies above the value; the other syntaxes code numbers.
_MAY_HOLD_OVERLAYS = {*NATIVE, RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless}
_WITHOUT_SIGN = {JPEGLSNearLossless, JPEGExtended12Bit}
_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xF7}


def stored_values(dataset: Dataset, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Stored pixel values (PS3.5 8.1), shape (rows, columns), 8 or 16 bit integers, sign applied.

    The declared size is checked against `max_pixels`, against the bytes present and against the
    size that the compressed stream itself declares, all before anything is allocated.

    Raises Refusal: unsupported_transfer_syntax, no_pixels, multiframe, too_large, truncated,
    bad_pixels, damaged.
    """
    syntax = transfer_syntax(dataset)
    _check_description(dataset, syntax, max_pixels)
    try:
        if syntax in NATIVE:
            _check_native_length(dataset)
        else:
            _check_stream(dataset, syntax)
        stored = _decode(dataset, syntax)
    except (Refusal, KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        # The RLE decoder is written in Rust and panics past Exception on damaged streams.
        raise Refusal(
            "bad_pixels", "The image in this file is damaged and cannot be decoded."
        ) from None
    if stored.shape != (dataset.Rows, dataset.Columns):
        raise Refusal("bad_pixels", "The image does not have the size that the file declares.")
    return stored


def transfer_syntax(dataset: Dataset) -> str:
    """The Transfer Syntax UID (PS3.5 10) if this system can decode it.

    Raises Refusal: unsupported_transfer_syntax.
    """
    meta = getattr(dataset, "file_meta", None) or {}
    syntax = str(meta.get("TransferSyntaxUID", "") or "").strip("\0 ")
    if syntax not in NATIVE and syntax not in DECODERS:
        raise Refusal(
            "unsupported_transfer_syntax",
            "The image is compressed in a way this system cannot read. "
            "Export it again uncompressed or with lossless compression.",
        )
    return syntax


def _check_description(dataset: Dataset, syntax: str, max_pixels: int) -> None:
    """The Image Pixel module (PS3.3 C.7.6.3) describes one greyscale frame of a sane size."""
    if "PixelData" not in dataset:
        raise Refusal("no_pixels", "This file holds no image, or was cut off before it.")
    if (whole(dataset, "NumberOfFrames") or 1) > 1:
        raise Refusal(
            "multiframe",
            "This file holds many frames (Enhanced CT). "
            "Export the study as single-frame CT images and send those.",
        )
    rows, columns = whole(dataset, "Rows") or 0, whole(dataset, "Columns") or 0
    if rows < 1 or columns < 1:
        raise Refusal("bad_pixels", "The file does not give the size of its image.")
    if rows * columns > max_pixels:
        raise Refusal("too_large", f"The image claims {columns} x {rows} pixels: too large.")
    if whole(dataset, "SamplesPerPixel") not in (None, 1) or str(
        dataset.get("PhotometricInterpretation", "")
    ) not in ("MONOCHROME1", "MONOCHROME2"):
        raise Refusal("bad_pixels", "This is a colour image; a CT image is greyscale.")
    _check_bits(dataset, syntax)


def _check_bits(dataset: Dataset, syntax: str) -> None:
    """8 or 16 bits; the value at their lower end or, as old scanners wrote it, further up."""
    allocated, used = whole(dataset, "BitsAllocated"), whole(dataset, "BitsStored")
    if (
        allocated not in (8, 16)
        or used is None
        or not 1 <= used <= allocated
        or not used - 1 <= _high_bit(dataset) < (allocated if syntax in NATIVE else used)
        or whole(dataset, "PixelRepresentation") not in (0, 1)
    ):
        raise Refusal("bad_pixels", "The image stores its pixels in a way no CT scanner does.")


def _check_native_length(dataset: Dataset) -> None:
    expected = dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
    if not dataset.PixelData:
        raise Refusal("no_pixels", "This file holds no image, or was cut off before it.")
    if len(dataset.PixelData) < expected:
        raise truncated()


def _check_stream(dataset: Dataset, syntax: str) -> None:
    """A compressed frame declares the size the file declares and has its end marker."""
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if syntax == RLELossless:
        return
    declared = _jpeg_size(frame) if syntax in _JPEG_FAMILY else _jpeg_2000_size(frame)
    if declared != (dataset.Rows, dataset.Columns, 1):
        raise Refusal("bad_pixels", "The image does not have the size that the file declares.")
    if _END_OF_IMAGE not in frame[-64:]:
        raise truncated()


def _jpeg_size(frame: bytes) -> tuple[int, int, int]:
    """Rows, columns and components from a JPEG or JPEG-LS frame header (ISO 10918-1 B.2.2)."""
    position = frame.index(b"\xff\xd8") + 2
    while True:
        while frame[position + 1] == 0xFF:
            position += 1
        marker, length = frame[position + 1], int.from_bytes(frame[position + 2 : position + 4])
        if marker in _START_OF_FRAME:
            return struct.unpack_from(">xHHB", frame, position + 4)
        position += 2 + max(length, 2)


def _jpeg_2000_size(frame: bytes) -> tuple[int, int, int]:
    """Rows, columns and components from a JPEG 2000 SIZ marker (ISO 15444-1 A.5.1)."""
    start = frame.index(b"\xff\x4f\xff\x51")
    right, bottom, left, top = struct.unpack_from(">IIII", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    return bottom - top, right - left, components


def _decode(dataset: Dataset, syntax: str) -> np.ndarray:
    if syntax == JPEGExtended12Bit and dataset.BitsStored > 8:
        return _decode_extended_12_bit(dataset)
    plugin = DECODERS.get(syntax, "")
    stored, _ = get_decoder(syntax).as_array(
        dataset, index=0, raw=True, decoding_plugin=plugin, correct_unused_bits=False
    )
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=True)
    if syntax in _MAY_HOLD_OVERLAYS or (stored.dtype.kind == "i" and syntax in _WITHOUT_SIGN):
        _keep_the_value_s_bits(dataset, stored)
    return stored


def _keep_the_value_s_bits(dataset: Dataset, stored: np.ndarray) -> None:
    """Bits outside Bits Stored may hold anything, old overlays for one (PS3.5 8.1.1).

    Taken to the top and shifted down again, the value keeps its bits and spreads its sign.
    """
    bits, used = 8 * stored.dtype.itemsize, dataset.BitsStored
    if used < bits:
        stored <<= bits - 1 - _high_bit(dataset)
        stored >>= bits - used


def _high_bit(dataset: Dataset) -> int:
    found = whole(dataset, "HighBit")
    return dataset.BitsStored - 1 if found is None else found


def _decode_extended_12_bit(dataset: Dataset) -> np.ndarray:
    """JPEG Extended of more than 8 bits, which pydicom keeps from GDCM although GDCM decodes it."""
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(get_frame(dataset.PixelData, 0, number_of_frames=1))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((dataset.Columns, dataset.Rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    )
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    used = dataset.BitsStored
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, used, used - 1, dataset.PixelRepresentation))
    raw = image.GetBuffer().encode("utf-8", "surrogateescape")
    kind = np.int16 if dataset.PixelRepresentation else np.uint16
    return np.frombuffer(raw, kind).reshape(dataset.Rows, dataset.Columns)
