"""What a .po file says, read as far as these tests need it."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r'^(?:(msgctxt|msgid|msgid_plural|msgstr(?:\[\d\])?) )?("(?:[^"\\]|\\.)*")$')


@dataclass(frozen=True)
class Entry:
    """One message with its translations: one, or one for each plural form."""

    id: str
    translations: tuple[str, ...]
    fuzzy: bool


def entries_of(path: Path) -> list[Entry]:
    """Every message of a .po file but its head; commented-out ones are left out."""
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    found = [_entry(block) for block in blocks]
    return [one for one in found if one and one.id]


def _entry(block: str) -> Entry | None:
    fields: dict[str, str] = {}
    last = ""
    for line in block.splitlines():
        if match := _LINE.match(line):
            last = match[1] or last
            fields[last] = fields.get(last, "") + ast.literal_eval(match[2])
    if "msgid" not in fields:
        return None
    said = tuple(text for name, text in fields.items() if name.startswith("msgstr"))
    fuzzy = any(line.startswith("#,") and "fuzzy" in line for line in block.splitlines())
    return Entry(fields["msgid"], said, fuzzy)
