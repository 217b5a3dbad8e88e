"""Database triggers that keep append-only tables append-only, on both engines."""

from django.db.migrations.operations import RunPython


def append_only(table: str) -> RunPython:
    """A migration operation: UPDATE and DELETE on `table` fail in the database itself."""

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
    function = (
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    return [function] + [
        f"CREATE TRIGGER {table}_no_{event} BEFORE {event.upper()} ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        for event in ("update", "delete")
    ]
