"""Unpack an archive of training data: nothing leaves the folder, nothing but files comes out."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError)
Watch = Callable[[int], None]
Member = tuple[str, int, Callable[[], IO[bytes] | None]]


class CannotUnpack(Exception):
    """The archive is damaged, of no known kind, too large, or not to be trusted."""


def unpack(
    archive: Path, folder: Path, *, most_bytes: int, watch: Watch = lambda size: None
) -> None:
    """Unpack a ZIP or tar (gz, bz2, xz) into an empty folder. Raises CannotUnpack.

    Before the first byte is written every name is checked: no absolute one, none with "..", no
    link, no device, and not more than `most_bytes` together. watch: told the bytes of each file.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                _copy(list(_of_zip(opened)), folder, most_bytes, watch)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as opened:
                _copy(list(_of_tar(opened)), folder, most_bytes, watch)
        else:
            raise CannotUnpack("It is neither a ZIP nor a tar archive.")
    # RuntimeError: a ZIP with a password. OSError: a place outside the file, or a full disk.
    except (*_BROKEN, RuntimeError, ValueError, OSError) as damage:
        raise CannotUnpack(f"The archive cannot be read: {damage}.") from damage


def _of_zip(opened: zipfile.ZipFile) -> Iterator[Member]:
    for one in opened.infolist():
        if one.is_dir():
            continue
        if stat.S_ISLNK(one.external_attr >> 16):
            raise CannotUnpack(f"The archive holds a link: {one.filename!r}.")
        yield one.filename, one.file_size, lambda one=one: opened.open(one)


def _of_tar(opened: tarfile.TarFile) -> Iterator[Member]:
    for one in opened:
        if one.isdir():
            continue
        if not one.isreg():
            raise CannotUnpack(f"The archive holds a link or a device: {one.name!r}.")
        yield one.name, one.size, lambda one=one: opened.extractfile(one)


def _copy(members: list[Member], folder: Path, most_bytes: int, watch: Watch) -> None:
    total = sum(size for _, size, _ in members)
    if total > most_bytes:
        raise CannotUnpack(f"Unpacked it has {total:,} bytes; {most_bytes:,} are the most here.")
    targets = [folder / _safe(name) for name, _, _ in members]
    if len(set(targets)) != len(targets):
        raise CannotUnpack("The archive holds two files of one name.")
    for (_, size, opening), target in zip(members, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        with opening() as source, target.open("xb") as stream:
            shutil.copyfileobj(source, stream, 1 << 20)
        watch(size)


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name or not path.parts:
        raise CannotUnpack(f"The archive holds a file that would lie elsewhere: {name!r}.")
    return path
