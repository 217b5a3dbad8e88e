"""Every attribute of a DICOM file as rows of a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_description, keyword_for_tag
from pydicom.tag import BaseTag

from apps.imaging.loading import load
from apps.imaging.values import one_line

LONGEST_VALUE = 256
_DEEPEST = 16
_BINARY = {"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"}


@dataclass(frozen=True)
class Attribute:
    """One row: `depth` counts the sequences around it; `tag` is like "(0010,0010)".

    The start of a sequence item is a row of its own, with tag "(FFFE,E000)" and name "Item 1".
    `private_creator` names who defined a private tag, else "".
    """

    depth: int
    tag: str
    keyword: str
    name: str
    vr: str
    value: str
    private_creator: str = ""


def list_attributes(path: Path) -> list[Attribute]:
    """All attributes in the order of the file, file meta information (PS3.10 7.1) first.

    Values over 256 characters are shortened and end in "…"; binary ones are shown as their size.
    Raises Refusal when the file is no readable DICOM at all (see `loading.load`).
    """
    dataset = load(Path(path))
    return [*_rows(dataset.file_meta, 0), *_rows(dataset, 0)]


def _rows(dataset: Dataset, depth: int) -> Iterator[Attribute]:
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:
            # Conversion happens on access; one bad value must not hide the others.
            yield _unreadable(dataset, tag, depth)
            continue
        yield _row(element, depth)
        if element.VR == "SQ" and depth < _DEEPEST:
            for number, item in enumerate(element.value or [], start=1):
                yield Attribute(depth + 1, "(FFFE,E000)", "", f"Item {number}", "", "")
                yield from _rows(item, depth + 2)


def _row(element: DataElement, depth: int) -> Attribute:
    return Attribute(
        depth=depth,
        tag=_written(element.tag),
        keyword=keyword_for_tag(element.tag),
        name=_name(element.tag, element.name),
        vr=str(element.VR),
        value=_shown(element),
        private_creator=str(element.private_creator or "") if element.tag.is_private else "",
    )


def _unreadable(dataset: Dataset, tag: BaseTag, depth: int) -> Attribute:
    vr = str(dataset.get_item(tag).VR or "")
    keyword = keyword_for_tag(tag)
    return Attribute(depth, _written(tag), keyword, _name(tag, ""), vr, "not readable")


def _name(tag: BaseTag, given: str) -> str:
    try:
        return dictionary_description(tag)
    except KeyError:
        plain = given[1:-1] if given.startswith("[") and given.endswith("]") else given
        return plain or ("Private attribute" if tag.is_private else "Unknown attribute")


def _written(tag: BaseTag) -> str:
    return f"({tag.group:04X},{tag.element:04X})"


def _shown(element: DataElement) -> str:
    value = element.value
    if element.VR == "SQ":
        return f"{len(value or [])} items" if len(value or []) != 1 else "1 item"
    if isinstance(value, bytes) or element.VR in _BINARY:
        return f"{len(value or b'')} bytes"
    shown = one_line(value)
    return shown if len(shown) <= LONGEST_VALUE else shown[: LONGEST_VALUE - 1] + "…"
