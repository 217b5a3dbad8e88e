"""ZIPs of every kind: whole studies, clutter, and what somebody made to do harm."""

import io
import zipfile
from pathlib import Path

import pytest

from apps.cases import storage
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
