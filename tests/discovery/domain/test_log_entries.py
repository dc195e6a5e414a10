"""Data tiles are taken apart, and names are found in what the tree's hash covers."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.discovery.domain.checkpoints import LogWrong
from services.discovery.domain.log_entries import Found, is_under, names_under, read_data_tile
from services.discovery.domain.merkle import leaf_hash
from tests.servers.ct_log import CtLog, Leaf, sized


def tile(log: CtLog) -> bytes:
    return b"".join(leaf.timestamped + leaf.rest for leaf in log.leaves)


@pytest.fixture
def log() -> CtLog:
    """A log that is not served."""
    return CtLog()


def test_entries_of_both_kinds_are_read_with_their_hashes(log: CtLog) -> None:
    log.append("www.example.com")
    log.append("pre.example.com", precertificate=True)
    log.append("after.example.com")
    entries = read_data_tile(tile(log))
    assert [entry.is_precertificate for entry in entries] == [False, True, False]
    assert [entry.leaf_hash for entry in entries] == [leaf.hash for leaf in log.leaves]
    found = names_under(entries, ["example.com"])
    assert found.names == {"www.example.com", "pre.example.com", "after.example.com"}
    assert found.unreadable == 0


def test_only_names_under_a_suffix_are_kept_and_a_wildcard_is_what_it_stands_before(log: CtLog) -> None:
    log.append("*.Shop.Example.com", "www.example.net", "notexample.com", "example.com.evil.test")
    log.append("other.test")
    assert names_under(read_data_tile(tile(log)), ["example.com"]).names == {"shop.example.com"}


def test_a_common_name_counts_where_it_looks_like_a_name(log: CtLog) -> None:
    log.append("san.example.com", common_name="cn.example.com")
    log.append(common_name="Example.com operators")
    log.append(common_name="only.example.com")
    found = names_under(read_data_tile(tile(log)), ["example.com"])
    assert found.names == {"san.example.com", "cn.example.com", "only.example.com"}


def test_names_come_from_what_is_hashed_and_not_from_what_stands_beside(log: CtLog) -> None:
    """The submitted precertificate is not covered by the tree: a mirror could write any into it."""
    log.append("true.example.com", precertificate=True)
    log.append("false.example.com", precertificate=True)
    true, false = log.leaves
    log.leaves = [Leaf(timestamped=true.timestamped, rest=false.rest)]
    assert names_under(read_data_tile(tile(log)), ["example.com"]).names == {"true.example.com"}


def test_a_certificate_that_cannot_be_read_is_counted_and_stops_nothing(log: CtLog) -> None:
    log.append_raw(b"\x30\x82 no certificate of example.com")
    log.append_raw(b"\x30\x03 no certificate of example.com", issuer_key_hash=b"k" * 32, submitted=b"")
    log.append_raw(b"nothing of interest")
    log.append("www.example.com")
    found = names_under(read_data_tile(tile(log)), ["example.com"])
    assert found == Found(names=frozenset({"www.example.com"}), unreadable=2)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda data: data[:-1], id="truncated"),
        pytest.param(lambda data: data + b"\x00", id="a byte too many"),
        pytest.param(lambda data: data[:8] + b"\x00\x02" + data[10:], id="unknown type"),
        pytest.param(lambda data: data[:10] + b"\xff\xff\xff" + data[13:], id="wrong length"),
        pytest.param(lambda data: data[:-66] + sized(b"\x01" * 33, 2), id="half a fingerprint"),
        pytest.param(lambda data: data * 257, id="257 entries"),
    ],
)
def test_what_is_no_data_tile_is_wrong(log: CtLog, damaged) -> None:
    log.append("www.example.com")
    with pytest.raises(LogWrong):
        read_data_tile(damaged(tile(log)))


def _tile_of_one(*, precertificate: bool) -> bytes:
    log = CtLog()
    log.append("www.example.com", precertificate=precertificate)
    return tile(log)


TILES = [_tile_of_one(precertificate=False), _tile_of_one(precertificate=True)]


@settings(max_examples=500)
@given(st.sampled_from(TILES), st.integers(0, 2000), st.binary(max_size=40))
def test_no_bytes_raise_anything_but_that_the_log_is_wrong(good: bytes, at: int, piece: bytes) -> None:
    for body in (piece, good[:at] + piece + good[at + len(piece) :], good[:at] + piece + good[at:]):
        with contextlib.suppress(LogWrong):
            names_under(read_data_tile(body), ["example.com"])


def test_a_suffix_holds_at_whole_labels() -> None:
    assert is_under("example.com", ["example.com"])
    assert is_under("a.b.example.com", ["other.test", "example.com"])
    assert not is_under("notexample.com", ["example.com"])


def test_the_hash_of_a_leaf_is_that_of_rfc_6962() -> None:
    leaf = Leaf(timestamped=b"entry", rest=b"")
    assert leaf.hash == leaf_hash(b"\x00\x00entry")
