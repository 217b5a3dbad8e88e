"""The words that a template shows: which are marked for translation, and which are not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SHOWN_ATTRIBUTES = ("title", "aria-label", "placeholder", "alt", "data-confirm", "hx-confirm")
_PIECE = re.compile(
    r"(?P<comment>\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}|<!--.*?-->)"
    r"|(?P<marked>\{% (?:blocktranslate|blocktrans)\b.*?\{% end(?:blocktranslate|blocktrans) %\})"
    r"|(?P<raw><(?:script|style|svg|code|kbd)\b.*?</(?:script|style|svg|code|kbd)>)"
    r"|(?P<classes>\{% block (?:html_attributes|body_class|page_class) %\}.*?\{% endblock %\})"
    r"|(?P<block>\{%.*?%\})"
    r"|(?P<variable>\{\{.*?\}\})"
    r"|(?P<tag><[a-zA-Z/!](?:\{%.*?%\}|\{\{.*?\}\}|\"(?:\{%.*?%\}|\{\{.*?\}\}|[^\"])*\"|[^>\"])*>)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(
    r"\s(?P<name>"
    + "|".join(SHOWN_ATTRIBUTES)
    + r")=\"(?P<value>(?:\{%.*?%\}|\{\{.*?\}\}|[^\"])*)\""
)
_LETTERS = re.compile(r"[A-Za-zÀ-ÿ]{2,}")
_MARKED = re.compile(
    r"\{% (?:blocktranslate|blocktrans)\b.*?\{% end(?:blocktranslate|blocktrans) %\}"
    r"|\{%.*?%\}|\{\{.*?\}\}",
    re.DOTALL,
)


@dataclass(frozen=True)
class Run:
    """Text with its variables, from `start` to `end` of the template's source."""

    start: int
    end: int
    text: str
    attribute: bool = False


def unmarked(source: str) -> Iterator[Run]:
    """Every run of words that the template shows as they are, in every language."""
    start, pieces = 0, []
    for found in _PIECE.finditer(source):
        pieces.append((start, found.start(), None))
        pieces.append((found.start(), found.end(), found.lastgroup))
        start = found.end()
    pieces.append((start, len(source), None))
    run: list[tuple[int, int]] = []
    for begin, end, kind in pieces:
        if kind in {None, "variable"}:
            if begin < end:
                run.append((begin, end))
            continue
        yield from _worded(source, run)
        run = []
        if kind == "tag":
            yield from _attributes(source, begin, end)
    yield from _worded(source, run)


def _worded(source: str, run: list[tuple[int, int]]) -> Iterator[Run]:
    if not run:
        return
    start, end = run[0][0], run[-1][1]
    text = source[start:end]
    if _LETTERS.search(_without_entities(_MARKED.sub("", text))):
        yield Run(start, end, text)


def _attributes(source: str, begin: int, end: int) -> Iterator[Run]:
    for found in _ATTRIBUTE.finditer(source, begin, end):
        value = found["value"]
        if _LETTERS.search(_without_entities(_MARKED.sub("", value))):
            yield Run(found.start("value"), found.end("value"), value, attribute=True)


def _without_entities(text: str) -> str:
    return re.sub(r"&[a-z]+;", "", text)
