"""A consistent copy of everything, and the way back into an empty installation.

A backup is a folder of its own for the rows and a list of files by SHA-256; the files lie beside
it, each content once, so that the next backup adds only what is new. PostgreSQL only.
"""

import hashlib
import hmac
import json
import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import AuditEvent, Tombstone
from apps.audit.services import record
from apps.cases import removal, storage
from apps.cases.locks import files_stay
from apps.cases.models import Instance, Patient, Study
from apps.operations.deletion import DeletionRefused, delete_study, studies_by_sha256

_LEFT_OUT = {"django_session"}  # nobody is logged in after a restore
_ON_THEIR_WAY = {"incoming", removal.FOLDER}  # in, and out


class BackupError(Exception):
    """Why there is no whole backup, or no restore, in words for the operator."""


def back_up(target: Path) -> tuple[Path, list[str]]:
    """Write a backup below `target`; its folder, and what is wrong with the stored files.

    The rows are one snapshot. Files are read after it: a file is on disk before its row is
    committed and never changes, so each row of the snapshot finds its own. Nothing is deleted
    meanwhile.
    """
    _postgres_only()
    with files_stay():
        made, problems, files = _back_up(target)
    record(
        AuditEvent.Action.BACKED_UP,
        actor="backup command",
        backup=made.name,
        files=files,
        damaged=len(problems),
    )
    return made, problems


def _back_up(target: Path) -> tuple[Path, list[str], int]:
    name = timezone.now().strftime("%Y-%m-%dT%H%M%SZ")
    partial, final = target / f".{name}.partial", target / name
    target.mkdir(mode=0o700, parents=True, exist_ok=True)  # it will hold patients' data
    partial.mkdir()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        tables = {table: _copy_out(cursor, table, partial) for table in _tables()}
        expected = dict(_files_of_rows())
        migrations, deleted = _migrations(), _deleted_until_now()
        sequences = _sequences(cursor)
    files = {str(path): _keep(_absolute(path), target) for path in _stored()}
    manifest = {
        "made": name,
        "tables": tables,
        "files": files,
        "migrations": migrations,
        "training_key": _fingerprint(),
        "sequences": sequences,
        "deleted": deleted,
    }
    _write(partial / "manifest.json", json.dumps(manifest).encode())
    partial.rename(final)
    return final, _problems(expected, files), len(files)


def forget_old(target: Path, keep: int) -> list[str]:
    """Remove all but the newest `keep` backups, and the contents that only they held; their names.

    What was deleted in the installation is gone for good once the last backup with it is.
    """
    made = _made(target)
    for name in made[:-keep]:
        shutil.rmtree(target / name)
    kept = [_manifest(target / name)["files"].values() for name in made[-keep:]]
    needed = {sha256 for files in kept for sha256 in files}
    for content in [one for one in (target / "files").rglob("*") if one.is_file()]:
        if content.name not in needed:
            content.unlink()
    return made[:-keep]


def restore(folder: Path) -> list[str]:
    """Put a backup into an empty installation; raises BackupError before anything is changed.

    Files first, each checked against its hash; the rows last, in one transaction. What newer
    backups beside it know to be deleted is deleted again; returns why something was not.
    """
    _postgres_only()
    manifest = _manifest(folder)
    _refuse_other_place(manifest)
    for table, facts in manifest["tables"].items():
        if storage.sha256_of(folder / f"{table}.copy") != facts["sha256"]:
            raise BackupError(f"The rows of {table} are not those that were backed up.")
    for path, sha256 in manifest["files"].items():
        _put_back(_content(folder.parent, sha256), _absolute(Path(path)), sha256)
    with transaction.atomic(), connection.cursor() as cursor:
        for table in manifest["tables"]:
            cursor.execute(f"DELETE FROM {_quoted(table)}")  # noqa: S608  what migrations made
        for table, facts in manifest["tables"].items():
            _copy_in(cursor, table, facts["columns"], folder)
        for sequence, value in manifest["sequences"].items():
            cursor.execute("SELECT setval(%s::regclass, %s)", [sequence, value])
        record(AuditEvent.Action.RESTORED, actor="restore command", backup=manifest["made"])
    return _delete_again(folder)


def _delete_again(folder: Path) -> list[str]:
    """A restore must not bring back what was deleted after the backup was made."""
    stored, left = studies_by_sha256(), []
    for one in _deleted_later(folder):
        study = Study.objects.filter(pk=stored.get(one["study_sha256"])).first()
        if study is None or study.received_at > datetime.fromisoformat(one["at"]):
            continue
        try:
            delete_study(study, cause="restore", reason=one["reason"], actor=one["actor"])
        except DeletionRefused as refused:
            left.append(f"Study {study.pk} was deleted after the backup, and not again: {refused}")
    return left


def _deleted_later(folder: Path) -> list[dict[str, str]]:
    newer = [name for name in _made(folder.parent) if name > folder.name]
    return _manifest(folder.parent / newer[-1])["deleted"] if newer else []


def _deleted_until_now() -> list[dict[str, str]]:
    rows = Tombstone.objects.order_by("pk").values("study_sha256", "reason", "actor", "at")
    return [row | {"at": row["at"].isoformat()} for row in rows]


def _made(target: Path) -> list[str]:
    """The whole backups in a folder, the oldest first."""
    return sorted(one.parent.name for one in target.glob("[0-9]*/manifest.json"))


def _manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def _refuse_other_place(manifest: dict[str, Any]) -> None:
    rows = {"patients": Patient, "users": User, "audit rows": AuditEvent}
    found = [name for name, model in rows.items() if model.objects.exists()]
    if found:
        raise BackupError(
            f"This installation is not empty (it has {', '.join(found)}), so nothing was changed. "
            "Restore right after the first migrate, before load_models."
        )
    if manifest["migrations"] != _migrations():
        raise BackupError(
            "This program has other migrations than the one that made the backup. Restore with "
            "that release, then upgrade."
        )
    if manifest["training_key"] != _fingerprint():
        raise BackupError(
            "TRAINING_KEY is not that of the backup: patients would change sides between training "
            "and test. Restore the Secrets first."
        )


def _tables() -> list[str]:
    found = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return sorted(set(found) - _LEFT_OUT)


def _columns(cursor: Any, table: str) -> list[str]:
    return [one.name for one in connection.introspection.get_table_description(cursor, table)]


def _copy_out(cursor: Any, table: str, folder: Path) -> dict[str, Any]:
    columns = _columns(cursor, table)
    with (folder / f"{table}.copy").open("wb") as stream:
        cursor.copy_expert(f"COPY {_quoted(table)} ({_list(columns)}) TO STDOUT", stream)
        stream.flush()
        os.fsync(stream.fileno())
    return {"columns": columns, "sha256": storage.sha256_of(folder / f"{table}.copy")}


def _copy_in(cursor: Any, table: str, columns: list[str], folder: Path) -> None:
    with (folder / f"{table}.copy").open("rb") as stream:
        cursor.copy_expert(f"COPY {_quoted(table)} ({_list(columns)}) FROM STDIN", stream)


def _sequences(cursor: Any) -> dict[str, int]:
    """Where the numbers of rows stand: that of a deleted row is never given again."""
    cursor.execute(
        "SELECT quote_ident(sequencename), last_value FROM pg_sequences "
        "WHERE schemaname = current_schema() AND last_value IS NOT NULL"
    )
    return dict(cursor.fetchall())


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _list(columns: list[str]) -> str:
    return ", ".join(_quoted(column) for column in columns)


def _migrations() -> list[list[str]]:
    applied = MigrationRecorder(connection).applied_migrations()
    return sorted([app, name] for app, name in applied)


def _fingerprint() -> str:
    return hmac.new(settings.TRAINING_KEY.encode(), b"backup", hashlib.sha256).hexdigest()


def _folders() -> dict[str, Path]:
    return {
        "dicom": settings.STORAGE_DIR,
        "models": settings.MODELS_DIR,
        "training": settings.TRAINING_DATA_DIR,
    }


def _absolute(path: Path) -> Path:
    """The place of a file that a backup names; raises BackupError outside our folders."""
    if ".." in path.parts or path.parts[0] not in _folders():
        raise BackupError(f"The backup names a file at a place of its own: {path}")
    return _folders()[path.parts[0]].joinpath(*path.parts[1:])


def _stored() -> Iterator[Path]:
    for name, folder in _folders().items():
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and inside.parts[0] not in _ON_THEIR_WAY:
                yield Path(name) / inside


def _files_of_rows() -> Iterator[tuple[str, str]]:
    for instance in Instance.objects.select_related("series__study").iterator(chunk_size=500):
        path = storage.path_of(instance).relative_to(settings.STORAGE_DIR)
        yield str(Path("dicom") / path), instance.sha256


def _problems(expected: dict[str, str], files: dict[str, str]) -> list[str]:
    return [
        f"{'altered' if path in files else 'missing'}: {path}"
        for path, sha256 in expected.items()
        if files.get(path) != sha256
    ]


def _content(target: Path, sha256: str) -> Path:
    return target / "files" / sha256[:2] / sha256


def _keep(source: Path, target: Path) -> str:
    """Keep a file's content under its hash, unless an earlier backup did; the hash."""
    sha256 = storage.sha256_of(source)
    kept = _content(target, sha256)
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        shutil.copyfile(source, partial)
        storage.settle(partial, kept)
    return sha256


def _put_back(source: Path, final: Path, sha256: str) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f".{final.name}.partial")
    try:
        shutil.copyfile(source, partial)
        if storage.sha256_of(partial) != sha256:
            raise BackupError(f"{source} is not the file that was backed up.")
        storage.settle(partial, final)
    except FileNotFoundError as error:
        raise BackupError(f"{source} is missing in the backup.") from error
    finally:
        partial.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _postgres_only() -> None:
    if connection.vendor != "postgresql":
        raise BackupError("This is for PostgreSQL. Stop the demo and copy its folder var/ instead.")
