"""Every seed of the fuzzing, and everything it has ever found, is read without a failure."""

import pytest

from tests.fuzz.readers import READERS, decrypted_flight, read_any
from tests.fuzz.seeds import decrypted, seeds

FOUND = (
    bytes.fromhex("0140800004000129"),
    # A status of CMP that says nothing.
    bytes.fromhex("073013300b020102a4023000a4023000b70430023000"),
)
"""Inputs that a reader once failed at."""


def test_every_reader_has_seeds_and_reads_them() -> None:
    some = list(seeds())
    assert {seed[0] for seed in some} == set(range(len(READERS)))
    for seed in some:
        read_any(seed)
        for cut in range(1, min(len(seed), 300)):
            read_any(seed[:-cut])


def test_what_is_behind_the_encryption_is_reached() -> None:
    flight = decrypted_flight(decrypted([b"leaf", b"issuer"]))
    assert (flight.chain, flight.alpn, flight.is_done) == ((b"leaf", b"issuer"), "h2", True)


@pytest.mark.parametrize("data", FOUND)
def test_what_was_found_once_is_read(data: bytes) -> None:
    read_any(data)
