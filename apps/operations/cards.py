"""A model card's Markdown as HTML: headings, paragraphs, tables, code. Everything is escaped."""

import re

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

_HEADING = re.compile(r"(#{1,4}) (.*)")
_RULE = re.compile(r"[|\s:-]+")


def render_card(markdown: str) -> SafeString:
    """The blocks of a card, one after the other."""
    blocks = [block.strip("\n") for block in re.split(r"\n\s*\n", markdown) if block.strip()]
    return format_html_join("\n", "{}", ((_block(block),) for block in blocks))


def _block(block: str) -> SafeString:
    lines = block.splitlines()
    heading = _HEADING.fullmatch(lines[0])
    if heading:
        level = min(len(heading[1]) + 1, 4)  # the page has the only h1
        title = format_html("<h{0}>{1}</h{0}>", level, _inline(heading[2]))
        rest = "\n".join(lines[1:]).strip()
        return format_html("{}{}", title, _block(rest)) if rest else title
    if all(line.startswith("|") for line in lines):
        return _table(lines)
    if all(line.startswith("- ") for line in lines):
        items = format_html_join("", "<li>{}</li>", ((_inline(line[2:]),) for line in lines))
        return format_html("<ul>{}</ul>", items)
    return format_html("<p>{}</p>", _inline(" ".join(lines)))


def _table(lines: list[str]) -> SafeString:
    rows = [_cells(line) for line in lines if not _RULE.fullmatch(line)]
    has_head = len(lines) > 1 and bool(_RULE.fullmatch(lines[1])) and not _RULE.fullmatch(lines[0])
    head = _row(rows[0], "th") if has_head else mark_safe("")
    body = format_html_join("", "{}", ((_row(row, "td"),) for row in rows[has_head:]))
    return format_html(
        '<div class="table-scroll"><table class="table table-dense">'
        "<thead>{}</thead><tbody>{}</tbody></table></div>",
        head,
        body,
    )


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _row(cells: list[str], tag: str) -> SafeString:
    inside = format_html_join("", "<{0}>{1}</{0}>", ((tag, _inline(cell)) for cell in cells))
    return format_html("<tr>{}</tr>", inside)


def _inline(text: str) -> SafeString:
    """Code spans; everything else is plain text."""
    parts = text.split("`")
    marked = [("code", part) if index % 2 else ("span", part) for index, part in enumerate(parts)]
    return format_html_join("", "<{0}>{1}</{0}>", ((tag, part) for tag, part in marked if part))
