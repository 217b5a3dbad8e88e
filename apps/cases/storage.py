"""Where a file lives, and how it gets there whole or not at all."""

import hashlib
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, TemporaryFileUploadHandler

from apps.cases.models import Instance, Series

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_CHUNK = 1024 * 1024
_STALE_SECONDS = 3600
_SYNC_AT_ONCE = 8


class DiskNearlyFull(Exception):
    """There is too little room to take another file safely."""

    message = "The server's disk is nearly full, so nothing was stored. Please tell your admin."


def incoming_dir() -> Path:
    """Where files wait while they are checked; on the same file system as their final place."""
    path = settings.STORAGE_DIR / "incoming"
    path.mkdir(parents=True, exist_ok=True)
    return path


def ensure_room(size: int) -> None:
    """Raise DiskNearlyFull when `size` bytes more would leave less than the configured reserve."""
    free = shutil.disk_usage(incoming_dir()).free
    if free - size < settings.MIN_FREE_DISK_MB * 1024 * 1024:
        raise DiskNearlyFull


def path_of(instance: Instance) -> Path:
    """The file of an instance, in the folder of its series, by its SOP Instance UID."""
    return series_folder(instance.series) / f"{_safe(instance.sop_instance_uid)}.dcm"


def series_folder(series: Series) -> Path:
    """Where the files of a series lie, and nothing else: site, then Study and Series Instance UID
    as the files say them."""
    study = series.study
    uids = [series.filed_under or study.study_instance_uid, series.series_instance_uid]
    return (settings.STORAGE_DIR / f"site-{study.site_id}").joinpath(*map(_safe, uids))


def _safe(uid: str) -> str:
    if not (_UID.fullmatch(uid) and len(uid) <= 64):
        raise ValueError("a UID with anything but digits and dots never names a file")
    return uid


def take_in(source: Path) -> Path:
    """Copy a file that is not ours into the incoming folder."""
    target = incoming_dir() / f"{uuid.uuid4().hex}.part"
    shutil.copyfile(source, target)
    return target


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def sync(paths: Iterable[Path]) -> None:
    """Return once the bytes of these files would survive a power cut."""
    # A disk takes several at once in hardly more time than one.
    with ThreadPoolExecutor(_SYNC_AT_ONCE) as pool:
        list(pool.map(_fsync, paths))


def settle(incoming: Path, final: Path) -> None:
    """Move a file whose bytes were synced to its final place, whole or not at all."""
    final.parent.mkdir(parents=True, exist_ok=True)
    os.replace(incoming, final)


def sync_folders_of(finals: Iterable[Path]) -> None:
    """Make the names of settled files survive a power cut, those of new folders above too."""
    folders = {folder for final in finals for folder in final.relative_to(_root()).parents}
    for folder in folders:
        _fsync(_root() / folder)


def _root() -> Path:
    return settings.STORAGE_DIR


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_stale_incoming() -> int:
    """Remove what killed uploads left behind; how many files that were.

    A file nobody wrote to for an hour belongs to no upload that is still running.
    """
    removed = 0
    for left in incoming_dir().iterdir():
        try:
            if left.stat().st_mtime < time.time() - _STALE_SECONDS:
                left.unlink()
                removed += 1
        except FileNotFoundError:
            continue  # its own upload was faster
    return removed


class IncomingFile(TemporaryUploadedFile):
    """An uploaded file in the incoming folder, under a name that says nothing."""

    def __init__(
        self, name: str, content_type: str | None, size: int, charset: str | None, extra: dict
    ) -> None:
        handle = tempfile.NamedTemporaryFile(suffix=".part", dir=incoming_dir())  # noqa: SIM115
        UploadedFile.__init__(self, handle, name, content_type, size, charset, extra)


class IncomingUploadHandler(TemporaryFileUploadHandler):
    """Streams an upload to where it is checked, whence it is renamed and never copied."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        FileUploadHandler.new_file(self, *args, **kwargs)
        self.file = IncomingFile(
            self.file_name, self.content_type, 0, self.charset, self.content_type_extra
        )
