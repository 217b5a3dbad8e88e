"""The audit trail as CSV, line by line, so that a million rows need no memory."""

import csv
import json
from collections.abc import Iterator

from django.db.models import QuerySet

from apps.audit.models import AuditEvent

_COLUMNS = ["at", "actor", "actor_role", "action", "target_type", "target_id", "site_pk", "address"]
_COLUMNS += ["user_agent", "details"]
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Line:
    """What csv writes to: hands each line back."""

    def write(self, line: str) -> str:
        return line


def audit_lines(events: QuerySet[AuditEvent]) -> Iterator[str]:
    """A head and one line for each event, the newest first; times in UTC."""
    writer = csv.writer(_Line())
    yield writer.writerow(_COLUMNS)
    for event in events.iterator(chunk_size=2000):
        yield writer.writerow([_cell(getattr(event, name)) for name in _COLUMNS])


def _cell(value: object) -> str:
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False) if value else ""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
