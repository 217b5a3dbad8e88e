"""How long the server takes for one slice, over HTTP with one connection, as a viewer asks.

`make test-long ARGS="tests/test_slice_speed.py -s"` prints the figures of docs/benchmarks.md.
"""

import os
import statistics
import sys
import time
from pathlib import Path

import pytest
import requests
from django.conf import settings
from django.urls import reverse
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, generate_uid

from apps.cases.models import Instance
from apps.cases.tests.factories import receive
from apps.imaging.phantom import PhantomSpec, chest_phantom, write_series
from apps.imaging.tests.encoders import reencoded, written
from tests.people import People, logged_in
from tests.system import System

pytestmark = pytest.mark.long
DATA = Path(os.environ["CT_DATA_DIR"]) if os.environ.get("CT_DATA_DIR") else None
SLICES = 60


def test_a_slice_of_512_by_512_comes_in_ten_milliseconds_and_jpeg_2000_in_forty(
    running_system: System, people: People, tmp_path: Path
) -> None:
    plain, packed = _files(tmp_path)
    client = _client(people)
    urls = [running_system.base_url + _address(one, people) for one in plain]
    for url in urls[:8]:
        _milliseconds(client, url)  # the server warms up
    warm = [_milliseconds(client, url) for url in urls]
    first = [
        _milliseconds(client, running_system.base_url + _address(one, people)) for one in packed
    ]
    known = _milliseconds(client, urls[0], headers={"If-None-Match": _etag(client, urls[0])})
    sys.stdout.write(
        f"\nuncompressed, {len(warm)} slices, ms: median {statistics.median(warm):.1f}, "
        f"95th {sorted(warm)[int(len(warm) * 0.95)]:.1f}"
        f"\nJPEG 2000 lossless, first time, {len(first)} slices, ms: "
        f"median {statistics.median(first):.1f}, most {max(first):.1f}"
        f"\nnot modified, ms: {known:.1f}\n"
    )
    assert statistics.median(warm) <= 10
    assert statistics.median(first) <= 40


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Uncompressed slices, and as many of them as JPEG 2000; real ones where there are any."""
    if DATA:
        plain = sorted((DATA / "rider_0117_chest_95").glob("*.dcm"))[:SLICES]
    else:
        plain = write_series(chest_phantom(PhantomSpec(slices=SLICES)), folder / "plain")
    return plain, [_packed(path, folder) for path in plain[::4]]


def _packed(path: Path, folder: Path) -> Path:
    dataset = dcmread(path)
    dataset.SOPInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.SeriesInstanceUID = generate_uid()
    return written(reencoded(dataset, JPEG2000Lossless), folder / f"packed-{path.stem}.dcm")


def _address(path: Path, people: People) -> str:
    instance: Instance = receive(path, site=people.home, user=people.technician)[0].instance
    return reverse("instance_hu", args=[instance.public_id])


def _client(people: People) -> requests.Session:
    client = requests.Session()
    name = settings.SESSION_COOKIE_NAME
    client.cookies.set(name, logged_in(people.technician).cookies[name].value)
    client.headers["Accept-Encoding"] = "gzip"
    return client


def _milliseconds(client: requests.Session, url: str, **more: dict) -> float:
    """Until the last byte is here; unpacking it is the client's work."""
    began = time.perf_counter()
    answer = client.get(url, stream=True, **more)
    packed = answer.raw.read(decode_content=False)
    took = 1000 * (time.perf_counter() - began)
    assert answer.status_code == 304 or len(packed) > 50_000
    assert answer.status_code in (200, 304), packed[:200]
    assert "immutable" in answer.headers["Cache-Control"]
    return took


def _etag(client: requests.Session, url: str) -> str:
    return client.get(url).headers["ETag"]
