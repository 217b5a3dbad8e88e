"""Names that one transaction at a time may hold, for what no row stands for yet."""

from collections.abc import Iterable

from django.db import connection


def hold(names: Iterable[str]) -> None:
    """Wait for these names, and hold them until the caller's transaction ends.

    Taken in their sorted order: who takes all it needs in one call meets nobody head-on.
    SQLite needs none of it, its transactions that write come one after another.
    """
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        for name in sorted(set(names)):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
