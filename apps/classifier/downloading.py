"""Download a large file over a bad line: in pieces, resumed, checked by its SHA-256."""

import hashlib
import http.client
import json
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)
CHUNK = 1 << 20
ATTEMPTS = 6
WAIT = 1.0  # seconds after the first drop, doubled after each further one that brought nothing
SILENCE = 60  # seconds without a byte
Watch = Callable[[int, int | None], None]


class DownloadFailed(Exception):
    """The file is not here; the message says why, and whether asking again goes on."""


@dataclass
class _Part:
    """What is here of a file, and the mark by which the server knows that it is the same file."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def mark(self) -> str:
        beside = self.path.with_suffix(".mark")
        return json.loads(beside.read_text()) if beside.exists() else ""

    def remember(self, mark: str) -> None:
        self.path.with_suffix(".mark").write_text(json.dumps(mark))

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(".mark").unlink(missing_ok=True)


def download(url: str, path: Path, *, watch: Watch = lambda here, whole: None) -> None:
    """Fetch `url` into `path`, going on where an earlier attempt stopped. Raises DownloadFailed.

    watch: told how many bytes are here and, where the server says it, of how many. A file that
    the server changed meanwhile (by its ETag or date) is begun anew.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadFailed("Only http and https addresses are fetched.")
    part, fruitless = _Part(path), 0
    while True:
        before = part.size
        try:
            if _fetch(url, part, watch):
                return
            problem = "the connection ended too early"
        except urllib.error.HTTPError as refused:
            if refused.code < 500 and refused.code != 429:
                raise DownloadFailed(f"The server answers {refused.code} for it.") from refused
            problem = f"the server answers {refused.code}"
        except (OSError, http.client.HTTPException) as dropped:
            problem = str(dropped)
        fruitless = 0 if part.size > before else fruitless + 1
        if fruitless >= ATTEMPTS:
            raise DownloadFailed(
                f"The download stopped at {part.size:,} bytes ({problem}). What is here is kept: "
                "the same command goes on from there."
            )
        log.warning("download interrupted at %d bytes: %s", part.size, problem)
        time.sleep(WAIT * 2**fruitless if fruitless else 0)


def _fetch(url: str, part: _Part, watch: Watch) -> bool:
    """Append what one connection brings; whether the file is whole now."""
    asked = urllib.request.Request(url, headers=_headers(part))  # noqa: S310
    try:
        answer = urllib.request.urlopen(asked, timeout=SILENCE)  # noqa: S310
    except urllib.error.HTTPError as refused:
        if refused.code != 416:  # nothing lies beyond what is here, or it is another file
            raise
        if _whole(refused.headers.get("Content-Range", "")) == part.size:
            return True
        part.forget()
        return False
    with answer:
        begins = _start(answer)
        if begins != part.size:
            part.forget()
        part.remember(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
        whole = _size_of(answer)
        _append(answer, part.path, lambda here: watch(here, whole))
    return whole is None or part.size == whole


def _headers(part: _Part) -> dict[str, str]:
    if not (part.size and part.mark):
        part.forget()  # nothing tells whether the server still has the same file
        return {}
    return {"Range": f"bytes={part.size}-", "If-Range": part.mark}


def _start(answer: http.client.HTTPResponse) -> int:
    said = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(said[1]) if answer.status == 206 and said else 0


def _size_of(answer: http.client.HTTPResponse) -> int | None:
    if answer.status == 206:
        return _whole(answer.headers.get("Content-Range", ""))
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _whole(content_range: str) -> int | None:
    said = re.search(r"/(\d+)$", content_range)
    return int(said[1]) if said else None


def _append(answer: http.client.HTTPResponse, path: Path, watch: Callable[[int], None]) -> None:
    with path.open("ab") as stream:
        while chunk := answer.read1(CHUNK):
            stream.write(chunk)
            watch(stream.tell())


def forget(path: Path) -> None:
    """Remove what was downloaded into `path`, and what is remembered of it."""
    _Part(path).forget()


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
