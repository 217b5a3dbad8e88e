"""The files in a ZIP, nested ones too, within limits; a name in a ZIP never becomes a path."""

import errno
import lzma
import re
import struct
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest

from apps.accounts.models import Site, User
from apps.cases import storage
from apps.cases.ingest import Answer, ingest_files
from apps.imaging.refusal import Refusal

# "./study/IM1" and "../IM1" are files like others; the page's dropped.js has the same expression.
_CLUTTER = re.compile(
    r"(^|/)(\.(?!\.?/)|thumbs\.db$|desktop\.ini$|dicomdir$|__macosx)", re.IGNORECASE
)
_DEEPEST = 3
_SUSPICIOUS_RATIO, _HARMLESS_BYTES = 200, 100 * 1024 * 1024
_LARGEST_DIRECTORY = 64 * 1024 * 1024
_BATCH_FILES, _BATCH_BYTES = 32, 64 * 1024 * 1024
_END, _END_SIZE = b"PK\x05\x06", 22
_END64, _END64_SIZE, _LOCATOR64, _LOCATOR64_SIZE = b"PK\x06\x06", 56, b"PK\x06\x07", 20
_ENTRY = b"PK\x01\x02"
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    struct.error,
    ValueError,
    OverflowError,
)


@dataclass
class _Left:
    """What the whole upload may still hold, nested ZIPs included."""

    files: int
    bytes: int


@dataclass(frozen=True)
class Unpacked:
    """One file of a ZIP: copied to `storage.incoming_dir()`, or (no path) refused."""

    name: str
    path: Path | None
    refusal: Refusal | None = None


def ingest_zip(
    archive: Path, *, site: Site, user: User | None, request: HttpRequest | None = None
) -> Iterator[tuple[str, Answer]]:
    """Take in the files of a ZIP as `ingest_files` does; the name of each, and its answer.

    Some are unpacked and stored together, so the ZIP never lies unpacked on the disk as a whole.
    Raises what `unpack` raises, before the first answer, and storage.DiskNearlyFull at any: what
    was answered by then is stored.
    """
    batch: list[Unpacked] = []
    try:
        for one in unpack(archive):
            batch.append(one)
            if _is_full(batch):
                yield from _ingested(batch, site, user, request)
                batch = []
        yield from _ingested(batch, site, user, request)
    finally:
        for path in _paths(batch):
            path.unlink(missing_ok=True)


def unpack(archive: Path) -> Iterator[Unpacked]:
    """The files of a ZIP one after the other, each copied when it is asked for.

    Raises Refusal before anything is unpacked when the ZIP is damaged, cut off, protected by a
    password, or larger than one upload may be (MAX_UPLOAD_FILES, MAX_UPLOAD_TOTAL_MB). A nested
    ZIP that breaks these rules is one refused file. DICOMDIR and what systems leave is passed over.
    """
    left = _Left(settings.MAX_UPLOAD_FILES, settings.MAX_UPLOAD_TOTAL_MB * 1024 * 1024)
    return _files(archive, left, depth=1)


def is_zip(path: Path) -> bool:
    """Whether a file begins as a ZIP does; its end may be missing, or an image's bytes look so."""
    with path.open("rb") as stream:
        return stream.read(4) in {b"PK\x03\x04", _END}


def _ingested(
    batch: list[Unpacked], site: Site, user: User | None, request: HttpRequest | None
) -> Iterator[tuple[str, Answer]]:
    stored = iter(ingest_files(_paths(batch), site=site, user=user, request=request))
    for one in batch:
        yield one.name, one.refusal or next(stored)


def _is_full(batch: list[Unpacked]) -> bool:
    size = sum(path.stat().st_size for path in _paths(batch))
    return len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES


def _paths(batch: list[Unpacked]) -> list[Path]:
    return [one.path for one in batch if one.path is not None]


def _files(archive: Path, left: _Left, *, depth: int) -> Iterator[Unpacked]:
    with _opened(archive) as opened:
        members = [one for one in opened.infolist() if _is_wanted(one)]
        _check(archive, members, left)
        left.files -= len(members)
        left.bytes -= sum(one.file_size for one in members)
        for member in members:
            try:
                path = _copied(opened, member)
            except Refusal as refusal:
                yield Unpacked(member.filename, None, refusal)
                continue
            if is_zip(path):
                yield from _nested(member.filename, path, left, depth + 1)
            else:
                yield Unpacked(member.filename, path)


def _nested(name: str, path: Path, left: _Left, depth: int) -> Iterator[Unpacked]:
    try:
        if depth > _DEEPEST:
            words = f"ZIPs lie in ZIPs more than {_DEEPEST} deep. Unpack them, and send the files."
            raise Refusal("zip_too_deep", words)
        for one in _files(path, left, depth=depth):
            yield Unpacked(f"{name}/{one.name}", one.path, one.refusal)
    except Refusal as refusal:
        yield Unpacked(name, None, refusal)
    finally:
        path.unlink(missing_ok=True)


def _opened(archive: Path) -> zipfile.ZipFile:
    """The ZIP, after a look at how large a table of contents it would make us read."""
    count, size = _directory(archive)
    if count > 10 * settings.MAX_UPLOAD_FILES or size > _LARGEST_DIRECTORY:
        raise _too_many(count)
    try:
        return zipfile.ZipFile(archive)
    except NotImplementedError:
        raise _unsupported() from None
    except _BROKEN:
        raise _damaged() from None


def _directory(archive: Path) -> tuple[int, int]:
    """Entries and bytes of the central directory (APPNOTE 4.3.12 to 4.3.16).

    The size is the one that zipfile believes, ZIP64's before the plain record's; the entries are
    counted too, because zipfile reads as many as there are, whatever a record says.
    """
    with archive.open("rb") as stream:
        longest = _END_SIZE + 65535 + _LOCATOR64_SIZE + _END64_SIZE
        begin = stream.seek(max(0, archive.stat().st_size - longest))
        at, count, size = _end_record(stream.read())
        if size <= _LARGEST_DIRECTORY:
            stream.seek(max(0, begin + at - size))
            count = max(count, stream.read(size).count(_ENTRY))
    return count, size


def _end_record(tail: bytes) -> tuple[int, int, int]:
    """Where the directory ends in the last bytes of a ZIP; its entries and bytes as told there."""
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise _damaged()
    if not tail[max(0, at - _LOCATOR64_SIZE) : at].startswith(_LOCATOR64):
        return at, *struct.unpack_from("<HI", tail, at + 10)
    at -= _LOCATOR64_SIZE + _END64_SIZE
    if at < 0 or not tail.startswith(_END64, at):
        raise _damaged()
    return at, *struct.unpack_from("<QQ", tail, at + 32)


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    is_link = (member.external_attr >> 28) == 0o12
    # Not is_dir(): Python 3.11's fails where a name is empty.
    is_folder = member.filename.endswith("/")
    return not is_folder and not is_link and not _CLUTTER.search(member.filename)


def _check(archive: Path, members: list[zipfile.ZipInfo], left: _Left) -> None:
    if any(one.flag_bits & 1 for one in members):
        words = "This ZIP is protected by a password. Unpack it, and send the files."
        raise Refusal("zip_encrypted", words)
    if len(members) > left.files:
        raise _too_many(len(members))
    unpacked = sum(one.file_size for one in members)
    packed = sum(one.compress_size for one in members)
    if packed > archive.stat().st_size:  # files that share their bytes
        raise _damaged()
    if unpacked > left.bytes or unpacked > max(_SUSPICIOUS_RATIO * packed, _HARMLESS_BYTES):
        raise Refusal(
            "zip_too_large",
            f"This ZIP would unpack to {unpacked / 1e9:.1f} GB: more than one upload may hold, or "
            "more than images can be packed. Nothing of it was stored.",
        )
    storage.ensure_room(max((one.file_size for one in members), default=0))


def _copied(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> Path:
    path = storage.incoming_dir() / f"{uuid.uuid4().hex}.part"
    try:
        with path.open("wb") as target:
            for piece in _pieces(opened, member):
                target.write(piece)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _pieces(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The unpacked bytes. Only reading is judged: a full disk is met where they are written."""
    try:
        with opened.open(member) as source:
            while piece := source.read(1024 * 1024):
                yield piece
    except NotImplementedError:
        raise _unsupported() from None
    except _BROKEN:
        raise _damaged() from None
    except OSError as error:
        # bzip2's own error has no number; EINVAL is a place before the file's begin.
        if error.errno not in {None, errno.EINVAL}:
            raise
        raise _damaged() from None


def _damaged() -> Refusal:
    return Refusal("zip_damaged", "This ZIP is damaged or incomplete. Copy or export it again.")


def _unsupported() -> Refusal:
    return Refusal(
        "zip_unsupported",
        "This ZIP is packed in a way this system cannot read. Unpack it, and send the files.",
    )


def _too_many(count: int) -> Refusal:
    return Refusal(
        "zip_too_many",
        f"This ZIP holds {count:,} files; at most {settings.MAX_UPLOAD_FILES:,} can be sent at "
        "once. Nothing of it was stored. Send one study at a time.",
    )
