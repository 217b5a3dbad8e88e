"""Database triggers that keep append-only tables append-only, on both engines."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.migrations.operations import RunPython

from apps.audit.models import Tombstone

# A row may go only while the transaction names a tombstone that stands in the database.
_REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND TG_TABLE_NAME NOT LIKE 'audit%' THEN
    IF EXISTS (
      SELECT 1 FROM audit_tombstone WHERE id::text = current_setting('cancer.tombstone', true)
    ) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$
"""


@contextmanager
def deletion(tombstone: Tombstone) -> Iterator[None]:
    """Inside, this transaction may delete append-only rows, for which the tombstone stands.

    PostgreSQL only. The permission ends with the block, and with the transaction whatever happens.
    """
    _name_tombstone(str(tombstone.pk))
    yield
    _name_tombstone("")


def _name_tombstone(key: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('cancer.tombstone', %s, true)", [key])


def append_only(table: str) -> RunPython:
    """A migration operation: UPDATE and DELETE on `table` fail in the database itself.

    One exception, on PostgreSQL: inside `deletion` rows may go, but never those of this app.
    """

    def install(apps, schema_editor) -> None:  # noqa: ANN001
        for statement in _statements(table, schema_editor.connection.vendor):
            # No parameters: else PostgreSQL's driver takes the % in the text for one.
            schema_editor.execute(statement, params=None)

    def remove(apps, schema_editor) -> None:  # noqa: ANN001
        suffix = f" ON {table}" if schema_editor.connection.vendor == "postgresql" else ""
        for event in ("update", "delete"):
            schema_editor.execute(f"DROP TRIGGER {table}_no_{event}{suffix}", params=None)

    return RunPython(install, remove)


def _statements(table: str, vendor: str) -> list[str]:
    message = f"{table} is append-only"
    if vendor == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{event} BEFORE {event.upper()} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            for event in ("update", "delete")
        ]
    return [_REFUSE_CHANGE] + [
        f"CREATE TRIGGER {table}_no_{event} BEFORE {event.upper()} ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        for event in ("update", "delete")
    ]
