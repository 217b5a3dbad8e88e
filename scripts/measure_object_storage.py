"""What object storage would cost: 300 slices put and fetched by django-storages, beside a disk.

    python -m venv /tmp/s3 && /tmp/s3/bin/pip install "django-storages[s3]==1.14.6" "moto[server]"
    /tmp/s3/bin/python -m scripts.measure_object_storage

The program itself keeps its files by path and cannot use object storage (docs/scaling.md). The S3
server is moto's, in memory on this machine, so only the processor time of the client says something
about a real one; the time on the clock holds moto's own slowness and no network.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from scripts.processes import free_port, start, stop, wait_until

SLICES, SIZE = 300, 526_000


def main() -> None:
    """Print one line for each store and direction."""
    slices = [os.urandom(SIZE) for _ in range(SLICES)]
    with tempfile.TemporaryDirectory() as folder:
        _measure("disk, fsync", slices, *_disk(Path(folder)))
    port = free_port()
    server = start([sys.executable, "-m", "moto.server", "-p", str(port)], log=subprocess.DEVNULL)
    try:
        _measure("S3 by django-storages", slices, *_s3(port))
    finally:
        stop([server])


def _measure(
    name: str, slices: list[bytes], put: Callable[[str, bytes], Any], get: Callable[[str], bytes]
) -> None:
    keys = [f"{number:03}.dcm" for number in range(len(slices))]
    _timed(f"{name}, put", lambda: [put(*one) for one in zip(keys, slices, strict=True)])
    found = _timed(f"{name}, get", lambda: [get(key) for key in keys])
    if found != slices:
        raise SystemExit("What came back is not what was put.")


def _timed(name: str, work: Callable[[], list]) -> list:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    each = 1000 / SLICES
    print(f"{name}: {wall * each:.1f} ms a slice, {cpu * each:.1f} ms of them this processor")
    return answer


def _disk(folder: Path) -> tuple[Callable[[str, bytes], Any], Callable[[str], bytes]]:
    def put(key: str, content: bytes) -> None:
        with (folder / key).open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    return put, lambda key: (folder / key).read_bytes()


def _s3(port: int) -> tuple[Callable[[str, bytes], Any], Callable[[str], bytes]]:
    settings.configure()
    import boto3
    from django.core.files.base import ContentFile
    from storages.backends.s3 import S3Storage

    address = f"http://127.0.0.1:{port}"
    access = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", **access)
    wait_until(lambda: _answers(client), seconds=30, what="the start of the S3 server")
    client.create_bucket(Bucket="dicom")
    store = S3Storage(
        bucket_name="dicom",
        endpoint_url=address,
        region_name="us-east-1",
        access_key="any",
        secret_key="any",  # noqa: S106  moto asks for none
    )

    def get(key: str) -> bytes:
        with store.open(key) as stream:
            return stream.read()

    return lambda key, content: store.save(key, ContentFile(content)), get


def _answers(client: Any) -> bool:
    try:
        client.list_buckets()
    except Exception:  # it is not up yet
        return False
    return True


if __name__ == "__main__":
    main()
