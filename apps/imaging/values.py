"""Single values of a dataset as plain Python, harmless to whoever stores or shows them.

Real files break the rules of PS3.5 6.2 often. What cannot be understood becomes None or "", so
that an odd birth date never keeps an image from its doctor.
"""

import hashlib
import math
import re
from datetime import date, time

from pydicom import Dataset
from pydicom.multival import MultiValue

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LARGEST_WHOLE = 2**31 - 1


def text(dataset: Dataset, keyword: str, limit: int = 64) -> str:
    """The value as one clean line of at most `limit` characters; several values joined by ", "."""
    return one_line(_value(dataset, keyword))[:limit].strip()


def identifier(dataset: Dataset, keyword: str, limit: int = 64) -> str:
    """As `text`, yet two different over-long identifiers never become the same when cut."""
    whole_text = one_line(_value(dataset, keyword))
    if len(whole_text) <= limit:
        return whole_text
    digest = hashlib.sha256(whole_text.encode()).hexdigest()[:16]
    return f"{whole_text[: limit - 17]}~{digest}"


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite float."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def numbers(dataset: Dataset, keyword: str) -> tuple[float | None, ...]:
    """All values as floats; None where one is not a finite number."""
    value = _value(dataset, keyword)
    if value is None or value == "":
        return ()
    many = value if isinstance(value, MultiValue | list | tuple) else [value]
    return tuple(_finite(one) for one in many)


def whole(dataset: Dataset, keyword: str) -> int | None:
    """The first value as an integer that a 32-bit column holds."""
    found = number(dataset, keyword)
    if found is None or found != int(found) or abs(found) > _LARGEST_WHOLE:
        return None
    return int(found)


def day(dataset: Dataset, keyword: str) -> date | None:
    """A DA value, also in the old form 2020.01.31."""
    match = re.match(r"(\d{4})\.?(\d{2})\.?(\d{2})", text(dataset, keyword), re.ASCII)
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def clock(dataset: Dataset, keyword: str) -> time | None:
    """A TM value such as 1015, 101530.5 or 10:15:30; without zone, as in the file."""
    pattern = r"(\d{2}):?(\d{2})?:?(\d{2})?(?:\.(\d{1,6}))?"
    match = re.match(pattern, text(dataset, keyword), re.ASCII)
    if not match:
        return None
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    microsecond = int((match.group(4) or "").ljust(6, "0"))
    try:
        # A leap second, 60, is legal in DICOM and unknown to Python.
        return time(hour, minute, min(second, 59), microsecond)
    except ValueError:
        return None


def one_line(value: object) -> str:
    """Any value as one line of text that every database and page takes; values joined by ", "."""
    if value is None:
        return ""
    if isinstance(value, MultiValue | list | tuple):
        return ", ".join(one_line(one) for one in value)
    plain = _CONTROL.sub(" ", str(value)).strip()
    return plain.encode("utf-8", "replace").decode("utf-8")


def _value(dataset: Dataset, keyword: str) -> object:
    try:
        return dataset.get(keyword)
    except Exception:
        # pydicom converts on access and raises many types for values it cannot convert.
        return None


def _finite(value: object) -> float | None:
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
