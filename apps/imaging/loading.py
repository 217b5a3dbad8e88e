"""Open a DICOM file of unknown honesty: bounded in memory, never hanging, never a traceback."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, config
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import data_element_generator, read_dataset, read_partial
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from apps.imaging.refusal import Refusal

# pydicom's complaints about odd values quote them, and so would put names into logs.
config.settings.reading_validation_mode = config.IGNORE

# The finest CT scanners write 2048 x 2048.
MAX_PIXELS = 2048 * 2048
_HEADER_ALLOWANCE = 16 * 1024 * 1024
_MOST_ELEMENTS = 50_000
_PIXEL_DATA = 0x7FE00010
_UNDEFINED_LENGTH = 0xFFFFFFFF


def load(path: Path, *, max_pixels: int = MAX_PIXELS) -> FileDataset:
    """The dataset of a DICOM file (PS3.10), read whole into memory.

    Raises Refusal: empty, not_dicom, too_large, truncated, damaged.
    """
    size = path.stat().st_size
    if size == 0:
        raise Refusal("empty", "This file is empty.")
    if size > _most_bytes(max_pixels):
        raise Refusal("too_large", "This file is larger than a single CT image can be.")
    data = path.read_bytes()
    try:
        _check_inflated_size(data, _most_bytes(max_pixels))
        dataset = read_partial(BytesIO(data), stop_when=_StopAtRubbish())
        ended_early = _ended_early(dataset, data)
    except Refusal:
        raise
    except InvalidDicomError:
        raise Refusal("not_dicom", "This is not a DICOM file.") from None
    except (EOFError, OSError, struct.error):
        raise truncated() from None
    except Exception:
        raise damaged() from None
    if ended_early:
        raise truncated()
    return dataset


def truncated() -> Refusal:
    """The refusal for a file that stops before its own declared end."""
    return Refusal("truncated", "This file is incomplete: its end is missing. Copy it again.")


def damaged() -> Refusal:
    """The refusal for a file that calls itself DICOM and cannot be understood."""
    return Refusal("damaged", "This file is damaged and cannot be read.")


class _StopAtRubbish:
    """Tells pydicom to stop where elements go backwards behind the pixels, or never end.

    Real files carry megabytes of zeros there, each eight of them an "element"; a hostile file
    could fill memory and hours with them.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.after_pixels = False

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        self.seen += 1
        if self.seen > _MOST_ELEMENTS:
            raise damaged()
        if self.after_pixels and tag <= _PIXEL_DATA:
            return True
        self.after_pixels = self.after_pixels or tag == _PIXEL_DATA
        return False


def _most_bytes(max_pixels: int) -> int:
    return 2 * max_pixels + _HEADER_ALLOWANCE


def _check_inflated_size(data: bytes, limit: int) -> None:
    """Refuse a deflated dataset (PS3.5 A.5) that is cut off or would inflate beyond `limit`."""
    if data[128:132] != b"DICM":
        raise InvalidDicomError
    meta, start = _file_meta(data)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    if len(inflater.decompress(data[start:], limit)) >= limit:
        raise Refusal("too_large", "This file is larger than a single CT image can be.")
    if not inflater.eof:
        raise truncated()


def _file_meta(data: bytes) -> tuple[Dataset, int]:
    """The File Meta Information (PS3.10 7.1) and the offset of the dataset behind it."""
    source = BytesIO(data)
    source.seek(132)
    meta = read_dataset(source, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    return meta, source.tell()


def _ended_early(dataset: FileDataset, data: bytes) -> bool:
    """Whether the bytes stop in the middle of an element; pydicom only warns about that."""
    last = next(reversed(list(dataset.elements())), None)
    if last is None:
        return True
    if isinstance(last, RawDataElement) and last.length != _UNDEFINED_LENGTH:
        if len(last.value or b"") < last.length:
            return True
        leftover = len(data) - last.value_tell - last.length
        deflated = dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
        if not deflated and 0 < leftover < 8 and any(data[-leftover:]):
            return True
    return "PixelData" not in dataset and _stops_inside_a_sequence(data)


def _stops_inside_a_sequence(data: bytes) -> bool:
    meta, start = _file_meta(data)
    syntax = UID(str(meta.get("TransferSyntaxUID", ExplicitVRLittleEndian)))
    if syntax == DeflatedExplicitVRLittleEndian or not syntax.is_transfer_syntax:
        return False
    source = BytesIO(data)
    source.seek(start)
    try:
        for _ in data_element_generator(source, syntax.is_implicit_VR, syntax.is_little_endian):
            pass
    except EOFError:
        return True
    return False
