"""The parser of the first flight against bytes that a hostile server may send."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.discovery.scanner.flight import MOST_BYTES, Flight, Malformed, NotTls
from services.discovery.scanner.hello import client_hello
from services.discovery.scanner.keys import Keys
from services.discovery.scanner.look import FIRST

KEYS = Keys()


def fed(data: bytes, *, chunk: int = 1 << 20) -> Flight:
    flight = Flight(client_hello(FIRST, server_name=None, keys=KEYS), KEYS)
    for start in range(0, len(data), chunk):
        if flight.feed(data[start : start + chunk]):
            break
    return flight


def record(fragment: bytes, kind: int = 22) -> bytes:
    return bytes([kind]) + b"\x03\x03" + len(fragment).to_bytes(2, "big") + fragment


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def certificates(*ders: bytes) -> bytes:
    entries = b"".join(len(der).to_bytes(3, "big") + der for der in ders)
    return message(11, len(entries).to_bytes(3, "big") + entries)


HELLO_12 = message(2, b"\x03\x03" + bytes(32) + b"\0" + b"\xc0\x2f" + b"\0")


@given(st.integers(1, 50))
def test_it_does_not_matter_how_the_bytes_are_cut(chunk: int) -> None:
    flight = fed(record(HELLO_12[:7]) + record(HELLO_12[7:] + certificates(b"leaf", b"issuer")), chunk=chunk)
    assert flight.chain == (b"leaf", b"issuer")
    assert (flight.version, flight.suite) == (0x0303, 0xC02F)


@given(st.binary(max_size=2000))
def test_no_bytes_do_worse_than_being_called_malformed(data: bytes) -> None:
    try:
        fed(data)
    except (Malformed, NotTls):
        return


@given(st.binary(max_size=300), st.integers(0, 255))
def test_no_handshake_message_does_worse_than_being_called_malformed(body: bytes, kind: int) -> None:
    try:
        fed(record(HELLO_12 + message(kind, body)))
    except (Malformed, NotTls):
        return


@given(st.integers(0, 60), st.integers(0, 255))
def test_a_changed_byte_does_no_worse(position: int, value: int) -> None:
    data = bytearray(record(HELLO_12 + certificates(b"leaf")))
    data[position % len(data)] = value
    try:
        fed(bytes(data))
    except (Malformed, NotTls):
        return


def test_endless_records_are_cut_off() -> None:
    endless = record(message(12, bytes(16_000))) * (MOST_BYTES // 16_000 + 2)
    with pytest.raises(Malformed, match="bytes and no certificate"):
        fed(endless, chunk=4096)


def test_a_huge_chain_is_refused() -> None:
    big = certificates(*[bytes(3000)] * 30)
    parts = [big[start : start + 16_000] for start in range(0, len(big), 16_000)]
    with pytest.raises(Malformed, match="a certificate chain of"):
        fed(record(HELLO_12) + b"".join(record(part) for part in parts))


def test_an_alert_is_an_answer_and_a_warning_about_the_name_is_not() -> None:
    assert fed(record(b"\x02\x28", 21)).alert == 0x28
    assert fed(record(b"\x01\x70", 21) + record(HELLO_12 + certificates(b"leaf"))).chain == (b"leaf",)


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400 Bad Request\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail ESMTP\r\n"]
)
def test_other_protocols_are_told_apart(data: bytes) -> None:
    with pytest.raises(NotTls):
        fed(data)


@pytest.mark.parametrize("kind", [20, 21, 22])
def test_an_empty_record_is_none(kind: int) -> None:
    with pytest.raises(Malformed, match="empty"):
        fed(record(HELLO_12) + record(b"", kind))


@pytest.mark.parametrize("tiny", [record(message(4, b"1")), record(b"", 23), record(b"1", 20)])
def test_tiny_records_and_messages_cost_little(tiny: bytes) -> None:
    """What a server may send within the bound is read in less time than it takes to send it."""
    flood = record(HELLO_12) + tiny * ((MOST_BYTES - 200) // len(tiny))
    began = time.process_time()
    fed(flood, chunk=65536)
    fed(record(HELLO_12) + record(message(4, b"") * 4000) * 16)
    assert time.process_time() - began < 2


def test_the_group_of_an_older_version_is_told() -> None:
    exchange = message(12, b"\x03\x00\x17" + bytes(70))
    flight = fed(record(HELLO_12 + certificates(b"leaf") + exchange + message(14, b"")))
    assert (flight.group, flight.is_done, flight.chain) == (0x0017, True, (b"leaf",))
