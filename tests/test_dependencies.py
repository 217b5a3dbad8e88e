"""Each dependency is there for a reason that is written down, and locked with hashes."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REASONS = (ROOT / "docs" / "dependencies.md").read_text()


def wanted(lock: str) -> list[str]:
    lines = (ROOT / "requirements" / f"{lock}.in").read_text().splitlines()
    names = [re.match(r"[a-z0-9-]+", line) for line in lines if not line.startswith(("#", "-"))]
    return [name.group() for name in names if name]


def locked(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", wanted("base") + wanted("dev"))
def test_every_dependency_has_its_reason(name):
    assert re.search(rf"^\|[^|]*\b{name}\b", REASONS, re.MULTILINE)


@pytest.mark.parametrize("lock", ["base", "dev"])
def test_every_wanted_package_is_locked(lock):
    assert set(wanted(lock)) <= set(locked(lock))


def test_tests_run_on_the_very_versions_of_the_image():
    image, tests = locked("base"), locked("dev")
    assert {name: tests.get(name) for name in image} == image


@pytest.mark.parametrize("lock", ["base", "dev"])
def test_every_locked_package_has_its_hashes(lock):
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    for block in re.split(r"^(?=[a-z0-9-]+(?:\[.*\])?==)", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_no_package_forbids_shipping_it_with_ours():
    assert "pylibjpeg-libjpeg" not in locked("base")
