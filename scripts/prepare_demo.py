"""Bring the demo's database, models and static files up to date; print the logins.

Only the logins go to standard output, one per line as `role  e-mail  password`.
"""

import hashlib
import os
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import call_command

_SOURCES = ["static", "apps/*/static", "requirements/base.txt"]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cancerprediction.settings")
    django.setup()
    call_command("migrate", interactive=False, stdout=sys.stderr)
    collect_static()
    call_command("load_models", stdout=sys.stderr)
    call_command("make_phantom_base", stdout=sys.stderr)
    call_command("seed_demo", stdout=sys.stdout)


def collect_static() -> None:
    """Collect and compress static files, unless the collected ones are of these very sources."""
    stamp = settings.VAR_DIR / "static-collected"
    state = _state_of_sources()
    if stamp.exists() and stamp.read_text() == state and settings.STATIC_ROOT.is_dir():
        return
    call_command("collectstatic", interactive=False, clear=True, stdout=sys.stderr)
    stamp.write_text(state)


def _state_of_sources() -> str:
    digest = hashlib.sha256()
    for path in _source_files():
        facts = path.stat()
        digest.update(f"{path} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _source_files() -> list[Path]:
    roots = [root for pattern in _SOURCES for root in settings.BASE_DIR.glob(pattern)]
    files = [root.rglob("*") if root.is_dir() else [root] for root in roots]
    return sorted(path for found in files for path in found if path.is_file())


if __name__ == "__main__":
    main()
