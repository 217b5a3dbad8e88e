"""Compare the stored files with what the rows say of them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from apps.cases import storage
from apps.cases.models import Instance


class Command(BaseCommand):
    help = (
        "Check every stored file: missing, altered (its SHA-256 differs), or orphan (no row). "
        "Changes nothing. Exit code 1 when something was found."
    )

    def add_arguments(self, parser):
        parser.add_argument("--report", type=Path, help="Also write the findings as JSON there.")

    def handle(self, *args, report, **options) -> None:
        instances = Instance.objects.select_related("series__study").order_by("pk")
        total, expected, problems = instances.count(), set(), []
        rows = tqdm(
            instances.iterator(chunk_size=500),
            total=total,
            unit="file",
            disable=not sys.stderr.isatty(),
        )
        for instance in rows:
            path = storage.path_of(instance)
            expected.add(path)
            problem = _problem(instance, path)
            if problem:
                problems.append(_told(problem, path, instance))
        problems += [_told("orphan", path) for path in _orphans(expected)]
        self._tell(total, problems, report)

    def _tell(self, total: int, problems: list[dict], report: Path | None) -> None:
        for one in problems:
            self.stdout.write(f"{one['problem']:8} {one['instance'] or '-':36} {one['file']}")
        counts = {
            kind: sum(one["problem"] == kind for one in problems)
            for kind in ("missing", "altered", "orphan")
        }
        if report:
            found = {"files": total, "counts": counts, "problems": problems}
            report.write_text(json.dumps(found, indent=2) + "\n")
        words = ", ".join(f"{number} {kind}" for kind, number in counts.items())
        if problems:
            raise CommandError(f"{total} files: {words}")
        self.stdout.write(f"{total} files: {words}")


def _problem(instance: Instance, path: Path) -> str:
    """What is wrong with the file of an instance; one that cannot be read counts as altered."""
    try:
        return "" if storage.sha256_of(path) == instance.sha256 else "altered"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "altered"


def _orphans(expected: set[Path]) -> Iterator[Path]:
    """Files without a row, even now: an upload may have brought file and row since."""
    for path in [one for one in _stored() if one not in expected]:
        named = Instance.objects.filter(sop_instance_uid=path.stem).select_related("series__study")
        if all(storage.path_of(one) != path for one in named):
            yield path


def _stored() -> Iterator[Path]:
    return (one for one in sorted(settings.STORAGE_DIR.glob("site-*/**/*")) if one.is_file())


def _told(problem: str, path: Path, instance: Instance | None = None) -> dict:
    return {
        "problem": problem,
        "instance": str(instance.public_id) if instance else "",
        "file": str(path.relative_to(settings.STORAGE_DIR)),
    }
