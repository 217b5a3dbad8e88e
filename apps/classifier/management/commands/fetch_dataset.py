"""Bring a training base into TRAINING_DATA_DIR: download, check, unpack, put in place."""

import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from apps.classifier.cnn.datasets import has_nodule_labels
from apps.classifier.downloading import DownloadFailed, download, forget, sha256_of_file
from apps.classifier.unpacking import CannotUnpack, unpack

FETCHED = "fetched.json"
DEEPEST = 3
ARCHIVE_ENDINGS = re.compile(r"\.(zip|tar|tgz|tar\.(gz|bz2|xz))$", re.IGNORECASE)


class Command(BaseCommand):
    help = (
        "Fetch a training base from an address, an archive or a folder: the SIIM layout "
        "(dicom_dir/, overview.csv) or the LIDC layout (labels.csv with nodules)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", metavar="URL|PATH")
        parser.add_argument("--sha256", default="", help="what the archive must have")
        parser.add_argument("--name", default="", help="the folder's name; else the archive's")
        parser.add_argument("--max-gb", type=float, default=200.0, help="unpacked, at most")

    def handle(self, *args, source: str, sha256: str, name: str, max_gb: float, **options) -> None:
        name = name or _name_of(source)
        if not re.fullmatch(r"[\w][\w.-]{0,99}", name) or name == "runs":
            raise CommandError(f"{name!r} cannot be the name of a folder here; give --name.")
        with _alone() as work:
            target = settings.TRAINING_DATA_DIR / name
            if _is_there(target, source, sha256.lower()):
                self.stdout.write(f"{target} holds it already; nothing was changed.")
                return
            found = self._bring(source, sha256.lower(), work, int(max_gb * 1e9))
            (found / FETCHED).write_text(json.dumps(self._facts, indent=1))
            found.rename(target)
            shutil.rmtree(work / "unpacked", ignore_errors=True)
            self.stdout.write(f"{target}: {self._facts['layout']}, SHA-256 {self._facts['sha256']}")

    def _bring(self, source: str, sha256: str, work: Path, most: int) -> Path:
        """The folder of the base, complete and checked, not yet in place."""
        unpacked = work / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        here = Path(source)
        if here.is_dir():
            if sha256:
                raise CommandError("--sha256 is that of an archive, and this is a folder.")
            try:
                shutil.copytree(here, unpacked)
            except (OSError, shutil.Error) as problem:
                raise CommandError(f"The folder cannot be copied: {problem}") from problem
            digest = "of a folder: none"
        else:
            archive = here if here.is_file() else self._download(source, work)
            digest = sha256_of_file(archive)
            if sha256 and digest != sha256:
                if archive != here:
                    forget(archive)
                raise CommandError(f"Its SHA-256 is {digest}, not the one given. Nothing was kept.")
            self._unpack(archive, unpacked, most)
            if archive != here:
                forget(archive)
        root, layout = _root_of(unpacked)
        self._facts = {
            "source": source,
            "sha256": digest,
            "layout": layout,
            "fetched_at": timezone.now().isoformat(),
        }
        return root

    def _download(self, source: str, work: Path) -> Path:
        if not source.startswith(("http://", "https://")):
            raise CommandError(f"There is no file or folder {source}, and it is no http address.")
        part = work / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.part"
        with tqdm(unit="B", unit_scale=True, desc="download") as bar:

            def watch(here: int, whole: int | None) -> None:
                bar.total, bar.n = whole, here
                bar.refresh()

            try:
                download(source, part, watch=watch)
            except DownloadFailed as problem:
                raise CommandError(str(problem)) from problem
        return part

    def _unpack(self, archive: Path, folder: Path, most: int) -> None:
        free = shutil.disk_usage(folder.parent).free - settings.MIN_FREE_DISK_MB * 1024 * 1024
        folder.mkdir(parents=True)
        with tqdm(unit="B", unit_scale=True, desc="unpack") as bar:
            try:
                unpack(archive, folder, most_bytes=max(0, min(most, free)), watch=bar.update)
            except CannotUnpack as problem:
                shutil.rmtree(folder)
                raise CommandError(f"{problem} Nothing was unpacked.") from problem


def _name_of(source: str) -> str:
    last = unquote(urlsplit(source).path).rstrip("/").rpartition("/")[2]
    return ARCHIVE_ENDINGS.sub("", last)


def _is_there(target: Path, source: str, sha256: str) -> bool:
    """Whether this very source was put there; another content is never replaced."""
    if not target.exists():
        return False
    record = target / FETCHED
    facts = json.loads(record.read_text()) if record.is_file() else {}
    if facts.get("source") == source and sha256 in {"", facts.get("sha256")}:
        return True
    raise CommandError(f"{target} holds something else. Give --name, or move it away first.")


def _root_of(folder: Path) -> tuple[Path, str]:
    """The folder with the base, at most a few single folders down, and its layout."""
    for _ in range(DEEPEST):
        if has_nodule_labels(folder):
            return folder, "LIDC layout"
        if (folder / "overview.csv").is_file() and (folder / "dicom_dir").is_dir():
            return folder, "SIIM layout"
        inside = [one for one in folder.iterdir() if not one.name.startswith((".", "__MACOSX"))]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].is_symlink():
            break
        folder = inside[0]
    raise CommandError(
        "It has neither the SIIM layout (dicom_dir/, overview.csv) nor the LIDC layout (labels.csv "
        "with patient_id, nodule and class). Nothing was put in place."
    )


@contextmanager
def _alone() -> Iterator[Path]:
    """The folder for work in progress; a second command waits until the first is done."""
    work = settings.TRAINING_DATA_DIR / ".fetching"
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield work
