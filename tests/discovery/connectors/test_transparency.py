"""A log is read over HTTP, and believed only as far as its root goes."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from services.discovery.connectors.transparency import LogAway, LogFiles, LogTree
from services.discovery.domain.checkpoints import LogForked, LogWrong, read_log_key
from services.discovery.domain.log_entries import names_under
from shared.clock import utc_now
from shared.outbound import Policy, guarded_client
from tests.servers.ct_log import CtLog, Reply, StartCtLog
from tests.servers.tls import CertificateAuthority

OURS = Policy(allow=["127.0.0.0/8", "::1/128"])
FAST = 10_000


@pytest.fixture
async def files(ct_log: CtLog) -> AsyncIterator[LogFiles]:
    """The files of the test's log."""
    async with guarded_client(OURS) as client:
        yield LogFiles(client, ct_log.url, requests_per_second=FAST, clock=utc_now)


async def tree_of(files: LogFiles, log: CtLog) -> LogTree:
    """Return the tree of the present checkpoint, checked."""
    tree = LogTree(files, await files.checkpoint(key=read_log_key(log.public_key, pointer="")))
    await tree.check()
    return tree


async def all_names(tree: LogTree, log: CtLog) -> set[str]:
    names = set[str]()
    for index in range((log.size + 255) // 256):
        names |= names_under(await tree.entries(index), ["example.com"]).names
    return names


def grow(log: CtLog, count: int) -> None:
    """Fill up to so many entries, the last of them for a name that says how many."""
    log.fill(count - log.size - 1)
    log.append(f"n{count}.example.com", precertificate=count % 2 == 0)
    log.publish()


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600, 1024])
async def test_every_entry_is_read_and_belongs_to_the_root(ct_log: CtLog, files: LogFiles, size: int) -> None:
    ct_log.append("first.example.com") if size > 1 else None
    grow(ct_log, size)
    tree = await tree_of(files, ct_log)
    expected = {f"n{size}.example.com"} | ({"first.example.com"} if size > 1 else set())
    assert await all_names(tree, ct_log) == expected


async def test_a_tree_of_three_levels_is_held_against_its_root(ct_log: CtLog, files: LogFiles) -> None:
    grow(ct_log, 256 * 256 + 300)
    tree = await tree_of(files, ct_log)
    assert len(await tree.entries(0)) == 256
    assert len(await tree.entries(255)) == 256
    assert len(await tree.entries(257)) == 44
    assert ct_log.requests.count("tile/1/000") == 1, "a tile that was verified is not fetched again"


async def test_an_empty_log_is_read_to_its_end(ct_log: CtLog, files: LogFiles) -> None:
    await tree_of(files, ct_log)
    assert ct_log.requests == ["checkpoint"]


async def test_a_partial_tile_that_is_gone_is_read_from_the_full_one(ct_log: CtLog, files: LogFiles) -> None:
    grow(ct_log, 300)
    checkpoint = await files.checkpoint(key=None)
    grow(ct_log, 600)
    ct_log.drops_old_partial_tiles = True
    tree = LogTree(files, checkpoint)
    await tree.check()
    assert len(await tree.entries(1)) == 44
    assert "tile/data/001.p/44" in ct_log.requests
    assert "tile/data/001" in ct_log.requests


async def test_what_is_not_compressed_is_read_too(ct_log: CtLog, files: LogFiles) -> None:
    ct_log.compresses = False
    grow(ct_log, 3)
    assert await all_names(await tree_of(files, ct_log), ct_log) == {"n3.example.com"}


async def test_a_log_is_read_over_https_only_with_a_trusted_certificate(
    start_ct_log: StartCtLog, lab_ca: CertificateAuthority
) -> None:
    log = start_ct_log(tls=True)
    trusting = ssl.create_default_context(cadata=lab_ca.pem.decode())
    async with guarded_client(OURS, tls=trusting) as client:
        files = LogFiles(client, log.url, requests_per_second=FAST, clock=utc_now)
        assert (await files.checkpoint(key=None)).size == 0
    async with guarded_client(OURS) as client:
        with pytest.raises(LogAway, match="certificate"):
            await LogFiles(client, log.url, requests_per_second=FAST, clock=utc_now).checkpoint(key=None)


async def test_an_address_that_may_not_be_reached_is_not_asked(ct_log: CtLog) -> None:
    async with guarded_client(Policy()) as client:
        files = LogFiles(client, ct_log.url, requests_per_second=FAST, clock=utc_now)
        with pytest.raises(LogAway, match="policy"):
            await files.checkpoint(key=None)
    assert ct_log.requests == []


# What a tree goes on from


@pytest.mark.parametrize(
    ("old", "new"), [(1, 2), (255, 257), (256, 256), (256, 512), (300, 1024), (700, 701)]
)
async def test_a_tree_that_goes_on_from_the_one_before_is_no_fork(
    ct_log: CtLog, files: LogFiles, old: int, new: int
) -> None:
    grow(ct_log, old)
    before = await files.checkpoint(key=None)
    if new > old:
        grow(ct_log, new)
    tree = await tree_of(files, ct_log)
    await tree.refuse_fork(size=before.size, root_then=before.root)


async def test_a_tree_whose_past_has_changed_is_a_fork(ct_log: CtLog, files: LogFiles) -> None:
    grow(ct_log, 300)
    before = await files.checkpoint(key=None)
    ct_log.leaves[5], ct_log.leaves[6] = ct_log.leaves[299], ct_log.leaves[5]
    grow(ct_log, 600)
    tree = await tree_of(files, ct_log)
    with pytest.raises(LogForked, match="others than they were"):
        await tree.refuse_fork(size=before.size, root_then=before.root)


async def test_a_tree_that_has_shrunk_is_a_fork(ct_log: CtLog, files: LogFiles) -> None:
    grow(ct_log, 300)
    before = await files.checkpoint(key=None)
    del ct_log.leaves[200:]
    ct_log.publish()
    tree = await tree_of(files, ct_log)
    with pytest.raises(LogForked, match="had 300 entries and now shows 200"):
        await tree.refuse_fork(size=before.size, root_then=before.root)


# Misbehaviour


Damage = Callable[[bytes], bytes]


def flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


@pytest.mark.parametrize(
    ("prefix", "damage"),
    [
        ("tile/0/", flipped),
        ("tile/1/", flipped),
        ("tile/1/", lambda body: body[:-1]),
        ("tile/1/", lambda body: body + b"x"),
        ("tile/0/", lambda body: b""),
        ("tile/data/", lambda body: body[:-1]),
        ("tile/data/", lambda body: body + body[:200]),
        ("tile/data/", lambda body: b""),
        ("tile/data/", lambda body: body[:20] + bytes([body[20] ^ 1]) + body[21:]),
        ("tile/data/000", lambda body: b"<html>moved</html>"),
    ],
)
async def test_what_does_not_belong_to_the_root_is_wrong(
    ct_log: CtLog, files: LogFiles, prefix: str, damage: Damage
) -> None:
    grow(ct_log, 700)
    ct_log.twist = lambda path, body: Reply(body=damage(body)) if path.startswith(prefix) else None
    with pytest.raises(LogWrong):
        await all_names(await tree_of(files, ct_log), ct_log)


async def test_other_entries_with_other_hashes_than_the_trees_are_wrong(
    ct_log: CtLog, files: LogFiles
) -> None:
    """A full tile of a neighbour: well-formed, and not at its place."""
    grow(ct_log, 600)
    neighbour = ct_log.answer("tile/data/000")
    ct_log.twist = lambda path, _body: neighbour if path == "tile/data/001" else None
    tree = await tree_of(files, ct_log)
    with pytest.raises(LogWrong, match="not those of the log's tree"):
        await tree.entries(1)


async def test_entries_and_the_tile_above_them_forged_alike_are_wrong(ct_log: CtLog, files: LogFiles) -> None:
    grow(ct_log, 256 * 256 + 1)
    true = ct_log.answer("tile/1/000").body
    forged = {
        "tile/data/000": ct_log.answer("tile/data/001"),
        "tile/1/000": Reply(body=true[32:64] + true[32:]),
    }
    ct_log.twist = lambda path, _body: forged.get(path)
    tree = await tree_of(files, ct_log)
    with pytest.raises(LogWrong, match="Tile 0 of level 1 is not one of the log's tree"):
        await tree.entries(0)


async def test_a_checkpoint_with_another_root_or_signature_is_wrong(ct_log: CtLog, files: LogFiles) -> None:
    grow(ct_log, 300)
    key = read_log_key(ct_log.public_key, pointer="")
    other_root = ct_log.checkpoint(300, b"\x01" * 32)
    ct_log.twist = lambda path, _body: Reply(body=other_root) if path == "checkpoint" else None
    with pytest.raises(LogWrong, match="do not hash to the root"):
        await tree_of(files, ct_log)
    stranger = ct_log.checkpoint(300, ct_log.root(), key=ec.generate_private_key(ec.SECP256R1()))
    ct_log.twist = lambda path, _body: Reply(body=stranger) if path == "checkpoint" else None
    with pytest.raises(LogWrong, match="not signed with the log's key"):
        await files.checkpoint(key=key)


@pytest.mark.parametrize("status", [301, 403, 404, 429, 500, 503])
async def test_a_log_that_does_not_answer_well_is_away(ct_log: CtLog, files: LogFiles, status: int) -> None:
    ct_log.twist = lambda _path, _body: Reply(status=status, headers={"Retry-After": "120"})
    with pytest.raises(LogAway, match=str(status)) as caught:
        await files.checkpoint(key=None)
    assert caught.value.retry_after == timedelta(seconds=120)


async def test_a_log_that_is_not_there_is_away(ct_log: CtLog, files: LogFiles) -> None:
    await asyncio.to_thread(ct_log.stop)
    with pytest.raises(LogAway):
        await files.checkpoint(key=None)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=gzip.compress(bytes(100_000_000), 1), headers={"Content-Encoding": "gzip"}),
        Reply(body=bytes(70_000)),
        Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
        Reply(body=b"x", headers={"Content-Encoding": "br"}),
        Reply(body=gzip.compress(b"x") + bytes(70_000), headers={"Content-Encoding": "gzip"}),
    ],
    ids=["bomb", "too large", "no gzip", "unknown encoding", "more behind its end"],
)
async def test_an_answer_is_never_larger_than_it_may_be(ct_log: CtLog, files: LogFiles, reply: Reply) -> None:
    ct_log.twist = lambda _path, _body: reply
    with pytest.raises(LogWrong):
        await files.checkpoint(key=None)


async def test_an_answer_that_ends_early_is_asked_for_again_later(ct_log: CtLog, files: LogFiles) -> None:
    whole = gzip.compress(b"x" * 1000)
    ct_log.twist = lambda _path, _body: Reply(body=whole[:-9], headers={"Content-Encoding": "gzip"})
    with pytest.raises(LogAway, match="ends early"):
        await files.checkpoint(key=None)


async def test_requests_come_no_faster_than_they_may(ct_log: CtLog) -> None:
    async with guarded_client(OURS) as client:
        files = LogFiles(client, ct_log.url, requests_per_second=20, clock=utc_now)
        for _ in range(10):
            await files.checkpoint(key=None)
    # Nine pauses of 0.05 s, seen from the other side, where each request may be late by a little.
    assert ct_log.request_times[-1] - ct_log.request_times[0] > 0.35
