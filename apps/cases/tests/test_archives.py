"""ZIPs of every kind: whole studies, clutter, and what somebody made to do harm."""

import errno
import io
import re
import struct
import zipfile
from pathlib import Path

import pytest
from django.conf import settings as project

from apps.cases import archives, storage
from apps.cases.archives import Unpacked, unpack
from apps.imaging.refusal import Refusal


@pytest.fixture(autouse=True)
def own_storage(settings, tmp_path):
    settings.STORAGE_DIR = tmp_path / "stored"


def packed(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def unpacked(content: bytes, tmp_path: Path) -> list[Unpacked]:
    archive = tmp_path / "sent.zip"
    archive.write_bytes(content)
    return list(unpack(archive))


def refusal_of(content: bytes, tmp_path: Path) -> str:
    with pytest.raises(Refusal) as refused:
        unpacked(content, tmp_path)
    assert list(storage.incoming_dir().iterdir()) == []
    return refused.value.code


def test_nested_zips_are_unpacked_and_clutter_is_passed_over(tmp_path):
    inner = packed({"a/2.dcm": b"two", "DICOMDIR": b"x"})
    found = unpacked(
        packed({"1.dcm": b"one", "inner.zip": inner, "__MACOSX/1.dcm": b"x", ".DS_Store": b"x"}),
        tmp_path,
    )
    assert {one.name: one.path.read_bytes() for one in found} == {
        "1.dcm": b"one",
        "inner.zip/a/2.dcm": b"two",
    }


def test_a_name_that_is_a_path_writes_nowhere_else(tmp_path):
    found = unpacked(packed({"../../evil.dcm": b"1", "/etc/evil.dcm": b"2"}), tmp_path)
    assert len(found) == 2
    assert {one.path.parent for one in found} == {storage.incoming_dir()}
    assert [one for one in tmp_path.rglob("*evil*")] == []


def test_ten_thousand_tiny_files_are_refused_before_one_is_unpacked(tmp_path):
    content = packed({f"{number}.dcm": b"x" for number in range(10_000)}, zipfile.ZIP_STORED)
    assert refusal_of(content, tmp_path) == "zip_too_many"


def test_a_bomb_is_refused_by_its_ratio(tmp_path):
    assert refusal_of(packed({"0.dcm": bytes(150_000_000)}), tmp_path) == "zip_too_large"


def test_more_bytes_than_one_upload_may_hold_are_refused(tmp_path, settings):
    settings.MAX_UPLOAD_TOTAL_MB = 1
    assert refusal_of(packed({"0.dcm": bytes(2_000_000)}), tmp_path) == "zip_too_large"


def test_limits_hold_for_nested_zips_together(tmp_path, settings):
    settings.MAX_UPLOAD_FILES = 3
    inner = packed({"a": b"1", "b": b"2"})
    found = unpacked(packed({"1.zip": inner, "2.zip": inner}), tmp_path)
    assert [one.refusal.code for one in found] == ["zip_too_many", "zip_too_many"]


def test_zips_in_zips_without_end_are_refused(tmp_path):
    content = packed({"0.dcm": b"x"})
    for _ in range(4):
        content = packed({"in.zip": content})
    (found,) = unpacked(content, tmp_path)
    assert found.refusal.code == "zip_too_deep"
    assert list(storage.incoming_dir().iterdir()) == []


def test_a_zip_with_a_password_is_refused(tmp_path):
    content = bytearray(packed({"0.dcm": b"x"}, zipfile.ZIP_STORED))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    assert refusal_of(bytes(content), tmp_path) == "zip_encrypted"


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_zip_that_is_cut_off_is_refused(tmp_path, share):
    content = packed({f"{n}.dcm": bytes(5000) for n in range(20)}, zipfile.ZIP_STORED)
    assert refusal_of(content[: int(len(content) * share)], tmp_path) == "zip_damaged"


def test_one_damaged_file_in_a_zip_does_not_keep_the_others_out(tmp_path):
    content = packed({"1.dcm": b"A" * 100, "2.dcm": b"B" * 100}, zipfile.ZIP_STORED)
    found = unpacked(content.replace(b"A" * 100, b"A" * 99 + b"C"), tmp_path)
    assert [one.refusal.code if one.refusal else one.name for one in found] == [
        "zip_damaged",
        "2.dcm",
    ]


def test_names_that_begin_with_dots_and_a_slash_are_files_like_others(tmp_path):
    names = ["./study/IM1", "../IM2", "a/./IM3", "a/../IM4"]
    hidden = ["./.DS_Store", "../.hidden/IM5", "..IM6", "a/./Thumbs.db"]
    found = unpacked(packed(dict.fromkeys(names + hidden, b"x")), tmp_path)
    assert [one.name for one in found] == names


def test_the_page_passes_over_the_same_clutter_as_the_server():
    script = (project.BASE_DIR / "static/js/labtech/dropped.js").read_text(encoding="utf-8")
    (expression,) = re.findall(r"CLUTTER = /(.+)/i;", script)
    assert expression.replace(r"\/", "/") == archives._CLUTTER.pattern


def with_zip64(content: bytes, count: int) -> bytes:
    """The ZIP with a ZIP64 end record (APPNOTE 4.3.14, 4.3.15); the plain one says one entry."""
    at = content.rindex(b"PK\x05\x06")
    size, begin = struct.unpack_from("<II", content, at + 12)
    record = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, begin)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, at, 1)
    plain = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, 46, 0, 0)
    return content[:at] + record + locator + plain


def with_plain_record_of_one(content: bytes) -> bytes:
    at = content.rindex(b"PK\x05\x06")
    return content[: at + 8] + struct.pack("<HH", 1, 1) + content[at + 12 :]


@pytest.mark.parametrize(
    "lying",
    [
        lambda content: with_zip64(content, 60),
        lambda content: with_zip64(content, 1),
        with_plain_record_of_one,
    ],
    ids=["plain record", "both records", "no ZIP64"],
)
def test_a_long_table_of_contents_is_never_read_whatever_a_record_says(
    tmp_path, settings, monkeypatch, lying
):
    content = lying(packed({f"{number}.dcm": b"x" for number in range(60)}, zipfile.ZIP_STORED))
    assert len(zipfile.ZipFile(io.BytesIO(content)).infolist()) == 60
    settings.MAX_UPLOAD_FILES = 5
    opened = []
    monkeypatch.setattr(archives.zipfile, "ZipFile", opened.append)
    assert refusal_of(content, tmp_path) == "zip_too_many"
    assert opened == []


def test_a_zip64_that_tells_the_truth_is_unpacked(tmp_path):
    content = with_zip64(packed({"1.dcm": b"one", "2.dcm": b"two"}), 2)
    assert [one.path.read_bytes() for one in unpacked(content, tmp_path)] == [b"one", b"two"]


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_file_is_refused_however_it_is_packed(tmp_path, how):
    content = bytearray(packed({"1.dcm": bytes(range(256)) * 40}, how))
    begin = 30 + len("1.dcm")
    content[begin + 4 : begin + 40] = b"\xff" * 36
    (found,) = unpacked(bytes(content), tmp_path)
    assert found.refusal.code == "zip_damaged"
    assert list(storage.incoming_dir().iterdir()) == []


def test_a_way_of_packing_that_is_not_known_is_not_called_damage(tmp_path):
    content = packed({"1.dcm": b"x" * 100, "2.dcm": b"y"})
    at = content.index(b"PK\x01\x02") + 10
    deflate64 = content[:at] + b"\x09\x00" + content[at + 2 :]
    deflate64 = deflate64[:8] + b"\x09\x00" + deflate64[10:]
    found = unpacked(deflate64, tmp_path)
    assert [one.refusal and one.refusal.code for one in found] == ["zip_unsupported", None]
    assert "cannot read" in found[0].refusal.message


def test_a_disk_that_fills_up_while_unpacking_is_not_called_damage(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _piece: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    archive = tmp_path / "sent.zip"
    archive.write_bytes(packed({"1.dcm": b"x"}))
    really = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode="r": Full() if mode == "wb" else really(path, mode)
    )
    with pytest.raises(OSError, match="No space left"):
        list(unpack(archive))


def test_a_file_without_a_name_is_a_file(tmp_path):
    content = packed({"x": b"one", "2.dcm": b"two"}, zipfile.ZIP_STORED)
    nameless = content.replace(b"\x01\x00\x00\x00x", b"\x01\x00\x00\x00\0")
    at = nameless.index(b"PK\x01\x02")
    assert nameless[at + 46] == ord("x")
    nameless = nameless[: at + 46] + b"\0" + nameless[at + 47 :]
    assert [one.path.read_bytes() for one in unpacked(nameless, tmp_path)] == [b"one", b"two"]
