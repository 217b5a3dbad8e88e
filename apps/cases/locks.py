"""Names that one transaction at a time may hold, for what no row stands for yet."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

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


_STORED_FILES = "stored files"


@contextmanager
def files_stay() -> Iterator[None]:
    """No stored file is deleted meanwhile. PostgreSQL only; ends with the connection, too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [_STORED_FILES])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [_STORED_FILES])


def files_may_go() -> bool:
    """Whether nobody inside `files_stay` needs them, until the caller's transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock_shared(hashtextextended(%s, 0))", [_STORED_FILES]
        )
        return cursor.fetchone()[0]
