"""The files of a study that is deleted: set aside under the open transaction, gone after it.

Whoever is killed in between leaves a folder named after the tombstone. If the tombstone stands,
the rest of the files go; if it does not, the rows are still there and the files come back.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.db import transaction

from apps.audit.models import Tombstone
from apps.cases import storage
from apps.cases.locks import hold
from apps.cases.models import Series

FOLDER = "deleted"


def set_aside(series: Iterable[Series], tombstone: Tombstone) -> None:
    """Take the files of these series from their places, a rename each. The caller's transaction
    decides what becomes of them."""
    hold([_name(tombstone.pk)])
    for source in [folder for one in series if (folder := storage.series_folder(one)).exists()]:
        target = _aside(tombstone.pk) / source.relative_to(settings.STORAGE_DIR)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)
        storage.sync_folders_of([target])
        storage.sync([source.parent])


def finish_removals() -> int:
    """Bring every deletion to its end, that of a killed process too; how many there were."""
    found = [folder for folder in _root().glob("*") if folder.name.isdecimal()]
    for folder in found:
        with transaction.atomic():
            hold([_name(int(folder.name))])  # waits for a deletion that is under way
            _finish(folder)
    return len(found)


def _finish(folder: Path) -> None:
    if not Tombstone.objects.filter(pk=int(folder.name)).exists():
        _put_back(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _put_back(folder: Path) -> None:
    """Into the old places, but over nothing that came there since."""
    for path in [one for one in sorted(folder.rglob("*")) if one.is_file()]:
        final = settings.STORAGE_DIR / path.relative_to(folder)
        if not final.exists():
            storage.settle(path, final)
            storage.sync_folders_of([final])


def _root() -> Path:
    return settings.STORAGE_DIR / FOLDER


def _aside(key: int) -> Path:
    return _root() / str(key)


def _name(key: int) -> str:
    return f"tombstone {key}"
