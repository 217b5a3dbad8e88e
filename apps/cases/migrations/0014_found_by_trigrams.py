"""Trigram indexes on PostgreSQL: a part of a name is found among a million without reading all."""

import logging

from django.db import DatabaseError, migrations, transaction

log = logging.getLogger(__name__)
COLUMNS = [
    ("cases_patient", "name"),
    ("cases_patient", "patient_id"),
    ("cases_study", "accession_number"),
]


def create(apps, schema_editor) -> None:
    """Where the extension may not be created, searching works the same, only slower."""
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(schema_editor.connection.alias):
            schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError as problem:
        log.warning("no trigram indexes, searching is slower: %s", problem)
        return
    for table, column in COLUMNS:
        # As Django writes icontains: UPPER(column::text) LIKE UPPER(...).
        schema_editor.execute(
            f"CREATE INDEX {table}_{column}_trigrams ON {table} "
            f"USING gin (UPPER({column}::text) gin_trgm_ops)"
        )


def remove(apps, schema_editor) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    for table, column in COLUMNS:
        schema_editor.execute(f"DROP INDEX IF EXISTS {table}_{column}_trigrams")


class Migration(migrations.Migration):
    dependencies = [("cases", "0013_a_million_cases")]
    operations = [migrations.RunPython(create, remove)]
