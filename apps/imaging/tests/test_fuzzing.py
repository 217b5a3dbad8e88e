"""Ten minutes of damaged files; FUZZ_SECONDS asks for more or fewer."""

import json
import os
import subprocess
import sys

import pytest

SECONDS = int(os.environ.get("FUZZ_SECONDS", "600"))


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 300)
def test_no_damaged_file_crashes_hangs_or_fills_the_memory(tmp_path):
    """Fuzzing led by coverage; the seeds are phantoms and, with CT_DATA_DIR, real files."""
    command = [sys.executable, "-W", "ignore", "-m", "apps.imaging.tests.fuzz_reader"]
    done = subprocess.run(
        [*command, str(tmp_path / "fuzz"), str(SECONDS)],
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "RUST_BACKTRACE": "0"},
        timeout=SECONDS + 240,
    )
    # What was found may hold a patient's pixels: the words are shown, the file is not kept.
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    sys.stdout.write(f"\n{told}\n")
    assert told["files"] > 5 * SECONDS
    assert told["answers"]["received"] > 0
    assert told["slowest_s"] < 5
    assert told["memory_mb"] < 1024
