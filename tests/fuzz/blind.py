"""Fuzzing without atheris: seeds, changed at random, until the time is over or a reader fails."""

import hashlib
import random
import time
import traceback
from pathlib import Path

from tests.fuzz.readers import Read, read_any
from tests.fuzz.seeds import seeds

MOST_CHANGES = 8


def fuzz(
    seconds: float, *, found: Path, read: Read = read_any, chance: random.Random | None = None
) -> tuple[int, Path | None]:
    """Return how many inputs were read, and where the one is that failed."""
    chance = chance or random.Random()
    corpus = list(seeds())
    ends, runs = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        data = changed(chance.choice(corpus), chance.choice(corpus), chance)
        runs += 1
        try:
            read(data)
        except Exception:
            traceback.print_exc()
            failing = found / f"crash-{hashlib.sha256(data).hexdigest()[:40]}"
            failing.write_bytes(data)
            return runs, failing
    return runs, None


def changed(seed: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return a seed with some bytes changed, left out, repeated, or from another seed; its reader stays."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, MOST_CHANGES)):
        at, size = chance.randint(1, max(1, len(data) - 1)), chance.choice((1, 2, 4, 16, 64))
        match chance.randrange(5):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at : at + 1] = chance.choice((b"\0", b"\1", b"\x7f", b"\xff", b"\r\n"))
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size] * chance.choice((1, 2, 50))
            case _:
                start = chance.randrange(len(other))
                data[at : at + size] = other[start : start + size]
    return bytes(data)
