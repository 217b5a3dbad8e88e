"""A training base comes over a bad line whole or not at all, and leaves its folder nowhere."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from apps.classifier import downloading
from apps.classifier.cnn.datasets import read_nodules
from apps.classifier.cnn.phantom_base import phantom_base


class BadLine(BaseHTTPRequestHandler):
    """Serves server.content in ranges; a connection breaks after what server.gives says."""

    def do_GET(self):
        content, asked = self.server.content, self.headers.get("Range")
        self.server.ranges.append(asked)
        known = self.headers.get("If-Range") in (None, self.server.etag)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and known else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", self.server.etag)
        self.end_headers()
        gives = self.server.gives.pop(0) if self.server.gives else len(content)
        self.wfile.write(content[start : start + gives])

    def log_message(self, *args):
        pass


@pytest.fixture
def training(settings, tmp_path, monkeypatch) -> Path:
    settings.TRAINING_DATA_DIR = tmp_path / "training"
    settings.MIN_FREE_DISK_MB = 0
    monkeypatch.setattr(downloading, "WAIT", 0.0)
    return settings.TRAINING_DATA_DIR


@pytest.fixture
def lidc(tmp_path) -> bytes:
    phantom_base(tmp_path / "made", patients=2, seed=1)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in (tmp_path / "made").rglob("*.*"):
            archive.write(file, f"lidc/{file.relative_to(tmp_path / 'made')}")
    return packed.getvalue()


@pytest.fixture
def line(lidc):
    server = HTTPServer(("127.0.0.1", 0), BadLine)
    server.content, server.etag = lidc, '"one"'
    server.ranges, server.gives = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/lidc.zip"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_line_that_breaks_again_and_again_still_brings_the_whole(training, line, capsys):
    line.gives = [len(line.content) // 5] * 4
    digest = hashlib.sha256(line.content).hexdigest()
    call_command("fetch_dataset", line.url, "--sha256", digest)
    assert [one is None for one in line.ranges] == [True, False, False, False, False]
    assert len(read_nodules(training)) == 4
    assert json.loads((training / "lidc" / "fetched.json").read_text())["sha256"] == digest
    call_command("fetch_dataset", line.url)
    assert "nothing was changed" in capsys.readouterr().out
    assert len(line.ranges) == 5
    assert sorted(one.name for one in (training / ".fetching").iterdir()) == ["lock"]


def _stopped(line) -> None:
    """A command that gives up: a thousand bytes came, and then nothing more."""
    line.gives = [1000, *[0] * downloading.ATTEMPTS]
    with pytest.raises(CommandError, match="goes on from there"):
        call_command("fetch_dataset", line.url)


def test_a_download_that_stopped_goes_on_with_the_next_command(training, line):
    _stopped(line)
    call_command("fetch_dataset", line.url)
    assert line.ranges[-1] == "bytes=1000-"
    assert len(read_nodules(training)) == 4


def test_a_file_that_changed_meanwhile_is_begun_anew(training, line):
    _stopped(line)
    line.etag = '"two"'
    call_command("fetch_dataset", line.url)
    assert len(read_nodules(training)) == 4


def test_other_bytes_than_announced_are_not_kept(training, line):
    with pytest.raises(CommandError, match="Nothing was kept"):
        call_command("fetch_dataset", line.url, "--sha256", "0" * 64)
    assert [one.name for one in training.iterdir()] == [".fetching"]


def test_what_is_missing_there_is_told(training, tmp_path):
    with pytest.raises(CommandError, match="no file or folder"):
        call_command("fetch_dataset", str(tmp_path / "nowhere.zip"))


def test_the_siim_layout_comes_from_a_tar_or_a_folder(training, tmp_path):
    made = tmp_path / "siim"
    (made / "dicom_dir").mkdir(parents=True)
    (made / "overview.csv").write_text("id,Age\n")
    (made / "dicom_dir" / "ID_0000.dcm").write_bytes(b"x")
    with tarfile.open(tmp_path / "siim-images.tar.gz", "w:gz") as archive:
        archive.add(made, "archive")
    call_command("fetch_dataset", str(tmp_path / "siim-images.tar.gz"))
    assert (training / "siim-images" / "dicom_dir" / "ID_0000.dcm").read_bytes() == b"x"
    call_command("fetch_dataset", str(made))
    assert (training / "siim" / "overview.csv").is_file()


def test_another_base_never_replaces_the_one_that_is_there(training, line, tmp_path):
    call_command("fetch_dataset", line.url)
    (tmp_path / "lidc.zip").write_bytes(line.content)
    with pytest.raises(CommandError, match="holds something else"):
        call_command("fetch_dataset", str(tmp_path / "lidc.zip"))


@pytest.mark.parametrize("name", ["../out.txt", "/srv/out.txt", "a/../../out.txt", "C:\\out.txt"])
def test_a_zip_that_would_write_elsewhere_is_refused_whole(training, tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("labels.csv", "patient_id,nodule,class\n")
        archive.writestr(name, "outside")
    with pytest.raises(CommandError, match="lie elsewhere"):
        call_command("fetch_dataset", str(tmp_path / "bad.zip"))
    assert [one.name for one in training.iterdir()] == [".fetching"]
    assert not list(tmp_path.rglob("out.txt"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_a_tar_with_a_link_or_a_device_is_refused(training, tmp_path, kind):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        member = tarfile.TarInfo("labels.csv")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(CommandError, match="link or a device"):
        call_command("fetch_dataset", str(tmp_path / "bad.tar"))


def test_a_damaged_a_too_large_and_a_foreign_archive_are_told_apart(training, tmp_path, lidc):
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "cut.zip").write_bytes(lidc[:-3000] + lidc[-2900:])
    (tmp_path / "good.zip").write_bytes(lidc)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("holiday.txt", "sun")
    for name, limit, words in [
        ("text.zip", "1", "neither a ZIP nor a tar"),
        ("cut.zip", "1", "cannot be read|neither a ZIP"),
        ("good.zip", "0.000001", "are the most here"),
        ("other.zip", "1", "neither the SIIM layout"),
    ]:
        with pytest.raises(CommandError, match=words):
            call_command("fetch_dataset", str(tmp_path / name), "--max-gb", limit)
    assert [one.name for one in training.iterdir()] == [".fetching"]
