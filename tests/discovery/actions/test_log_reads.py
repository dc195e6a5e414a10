"""Logs are read on from where they stand, whatever happens between."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa

from services.discovery import store
from services.discovery.actions.log_reads import LEASE, WAITS, LogReads
from services.discovery.actions.transparency import CtLogs
from shared.clock import utc_now
from shared.store import Database
from shared.telemetry import CT_LOG_FAILURES
from tests.discovery.logreader import CALLER, POLL, configured, read_once, reads_on
from tests.servers.ct_log import CtLog, Reply

LATER = timedelta(days=2)


async def row(database: Database) -> store.CtLog:
    async with database.read() as session:
        return (await session.scalars(sa.select(store.CtLog))).one()


async def names(database: Database) -> set[str]:
    async with database.read() as session:
        rows = (await session.scalars(sa.select(store.KnownName))).all()
    assert {each.origin for each in rows} <= {"transparency"}
    assert {each.address for each in rows} <= {""}
    return {each.name for each in rows}


def grow(log: CtLog, count: int) -> set[str]:
    """Add so many entries, a name under example.com among each 50; return these names."""
    added = set()
    for number in range(log.size, log.size + count):
        if number % 50 == 0:
            name = f"n{number}.example.com"
            log.append(name, "elsewhere.test", precertificate=number % 100 == 0)
            added.add(name)
        else:
            log.fill(1)
    log.publish()
    return added


async def test_a_log_is_read_to_its_end_and_only_wanted_names_are_kept(
    database: Database, ct_log: CtLog
) -> None:
    wanted = grow(ct_log, 600)
    await configured(database, ct_log)
    assert await read_once(reads_on(database))
    assert await names(database) == wanted
    read = await row(database)
    assert (read.state, read.position, read.entries_read, read.checkpoint_size) == ("current", 600, 600, 600)
    assert (read.last_error, read.lease, read.origin) == (None, None, ct_log.origin)
    assert read.checkpoint_root == ct_log.root().hex()
    assert read.signed_at is not None
    assert not await read_once(reads_on(database)), "it is left alone for a while"
    assert read.next_read_at - utc_now() < POLL


async def test_a_log_that_has_grown_is_read_on_and_no_entry_is_counted_twice(
    database: Database, ct_log: CtLog
) -> None:
    wanted = grow(ct_log, 300)
    await configured(database, ct_log)
    for more in (1, 200, 11, 0, 256, 300):
        assert await read_once(reads_on(database), at=utc_now() + LATER)
        assert await names(database) == wanted
        read = await row(database)
        assert (read.position, read.entries_read) == (ct_log.size, ct_log.size)
        wanted |= grow(ct_log, more)
    assert "tile/data/000" not in ct_log.requests[20:], "what is read is not fetched again"


async def test_from_now_on_means_what_is_added_later(database: Database, ct_log: CtLog) -> None:
    grow(ct_log, 300)
    await configured(database, ct_log, start="now")
    await read_once(reads_on(database))
    assert not [path for path in ct_log.requests if "data" in path]
    assert (await row(database)).position == 300
    wanted = grow(ct_log, 100)
    await read_once(reads_on(database), at=utc_now() + LATER)
    assert await names(database) == wanted
    assert (await row(database)).entries_read == 100


async def test_a_start_in_the_middle_leaves_out_what_is_before(database: Database, ct_log: CtLog) -> None:
    grow(ct_log, 400)
    await configured(database, ct_log, start=351)
    await read_once(reads_on(database))
    assert await names(database) == set()
    wanted = grow(ct_log, 51)
    await read_once(reads_on(database), at=utc_now() + LATER)
    assert await names(database) == wanted == {"n400.example.com", "n450.example.com"}


async def test_a_start_beyond_the_end_waits_for_the_log_to_come_there(
    database: Database, ct_log: CtLog
) -> None:
    grow(ct_log, 10)
    await configured(database, ct_log, start=200)
    await read_once(reads_on(database))
    assert ((await row(database)).state, (await row(database)).position) == ("current", 200)
    grow(ct_log, 250)
    await read_once(reads_on(database), at=utc_now() + LATER)
    assert await names(database) == {"n200.example.com", "n250.example.com"}


class _Crash(BaseException):
    """The process ends here."""


async def test_a_crash_before_in_or_after_a_transaction_neither_skips_nor_repeats_an_entry(
    database: Database, ct_log: CtLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = grow(ct_log, 1500)
    await configured(database, ct_log)
    remember, keep, kept = store.remember_names, LogReads._keep, list[int]()
    deaths = ["before", "within", "after"] * 6

    async def remember_and_die(*args: Any, **rest: Any) -> None:
        await remember(*args, **rest)
        if deaths[0] == "within":
            raise _Crash

    async def keep_and_die(self: LogReads, *args: Any, position: int, count: int) -> None:
        if deaths[0] == "before":
            raise _Crash
        await keep(self, *args, position=position, count=count)
        kept.extend(range(position, position + count))
        raise _Crash

    monkeypatch.setattr(store, "remember_names", remember_and_die)
    monkeypatch.setattr(LogReads, "_keep", keep_and_die)
    while deaths:
        with pytest.raises(_Crash):
            await read_once(reads_on(database), at=utc_now() + (19 - len(deaths)) * LATER)
        deaths.pop(0)
    assert await read_once(reads_on(database), at=utc_now() + LATER * 30)
    assert kept == list(range(1500))
    assert await names(database) == wanted
    assert ((await row(database)).entries_read, (await row(database)).state) == (1500, "current")


async def test_a_killed_process_is_replaced_where_it_stood(
    database: Database, database_url: str, ct_log: CtLog
) -> None:
    wanted = grow(ct_log, 256 * 12)
    await configured(database, ct_log)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.discovery.logreader", database_url, cwd=Path(__file__).parents[3]
    )
    with anyio.fail_after(60):
        while ((await row(database)).position or 0) < 600:
            await asyncio.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    stood = await row(database)
    assert 600 <= (stood.position or 0) < 256 * 12
    assert stood.position == stood.entries_read
    assert not await read_once(reads_on(database)), "the dead process holds the lease for a while"
    ct_log.requests.clear()
    assert await read_once(reads_on(database), at=utc_now() + LEASE + timedelta(seconds=5))
    assert await names(database) == wanted
    assert (await row(database)).entries_read == 256 * 12
    assert "tile/data/001" not in ct_log.requests


async def test_two_readers_never_read_the_same_log(database: Database, ct_log: CtLog) -> None:
    grow(ct_log, 600)
    await configured(database, ct_log)
    one, other = reads_on(database), reads_on(database)
    claim = await one.claim(now=utc_now())
    assert claim is not None
    assert await other.claim(now=utc_now()) is None
    taken_over = await other.claim(now=utc_now() + LEASE + timedelta(seconds=1))
    assert taken_over is not None
    await one.run(claim)
    assert (await row(database)).entries_read == 0, "who has lost the lease writes nothing"
    await other.run(taken_over)
    assert (await row(database)).entries_read == 600


async def test_a_reader_that_is_asked_to_end_lets_go_at_once(database: Database, ct_log: CtLog) -> None:
    grow(ct_log, 256 * 20)
    await configured(database, ct_log)
    slow = reads_on(database, requests_per_second=20)
    claim = await slow.claim(now=utc_now())
    assert claim is not None
    with anyio.move_on_after(0.5):
        await slow.run(claim)
    stood = await row(database)
    assert stood.lease is None
    assert stood.position == stood.entries_read
    assert await read_once(reads_on(database)), "the next need not wait"
    assert (await row(database)).entries_read == 256 * 20


async def test_other_suffixes_hold_from_where_the_log_stands_and_stop_who_reads(
    database: Database, ct_log: CtLog
) -> None:
    grow(ct_log, 100)
    made = await configured(database, ct_log, "nothing.test")
    await read_once(reads_on(database))
    grow(ct_log, 100)
    reads = reads_on(database)
    claim = await reads.claim(now=utc_now() + LATER)
    assert claim is not None
    await CtLogs(database).change(
        made.id, suffixes=["*.Example.COM"], expected=1, caller=CALLER, now=utc_now()
    )
    await reads.run(claim)
    assert (await row(database)).entries_read == 100, "it held the old suffixes, and has let go"
    await read_once(reads)
    assert await names(database) == {"n100.example.com", "n150.example.com"}


async def test_a_log_that_is_deleted_while_it_is_read_is_read_no_more(
    database: Database, ct_log: CtLog
) -> None:
    grow(ct_log, 600)
    made = await configured(database, ct_log)
    reads = reads_on(database)
    claim = await reads.claim(now=utc_now())
    assert claim is not None
    await CtLogs(database).delete(made.id, caller=CALLER)
    await reads.run(claim)
    assert await names(database) == set()


async def test_a_long_log_gives_way_to_others_after_a_turn(
    database: Database, ct_log: CtLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.discovery.actions.log_reads.TILES_A_TURN", 2)
    grow(ct_log, 1000)
    await configured(database, ct_log)
    reads = reads_on(database)
    await read_once(reads)
    assert ((await row(database)).state, (await row(database)).position) == ("reading", 512)
    await read_once(reads)
    await read_once(reads)
    assert ((await row(database)).state, (await row(database)).position) == ("current", 1000)


# What logs do wrong


async def test_a_log_that_is_away_is_asked_again_less_and_less_often(
    database: Database, ct_log: CtLog
) -> None:
    wanted = grow(ct_log, 60)
    await configured(database, ct_log)
    await asyncio.to_thread(ct_log.stop)
    waited = []
    now = utc_now()
    for _ in range(5):
        assert await read_once(reads_on(database), at=now + LATER)
        waited.append((await row(database)).next_read_at - utc_now())
    assert [round(wait.total_seconds()) for wait in waited] == [
        round(wait.total_seconds()) for wait in (*WAITS, WAITS[-1])
    ]
    away = await row(database)
    assert (away.state, away.failures, away.position) == ("away", 5, 0)
    assert away.last_error
    assert "checkpoint" in away.last_error
    await asyncio.to_thread(ct_log.start)
    await read_once(reads_on(database), at=now + LATER)
    back = await row(database)
    assert (back.state, back.failures, back.last_error) == ("current", 0, None)
    assert await names(database) == wanted


@pytest.mark.parametrize("status", [429, 503])
async def test_a_log_that_asks_to_be_left_alone_is(database: Database, ct_log: CtLog, status: int) -> None:
    ct_log.twist = lambda _path, _body: Reply(status=status, headers={"Retry-After": "7200"})
    await configured(database, ct_log)
    await read_once(reads_on(database))
    read = await row(database)
    assert read.state == "away"
    assert timedelta(seconds=7190) < read.next_read_at - utc_now() <= timedelta(seconds=7200)


async def test_what_was_read_before_a_tile_failed_is_kept_and_the_rest_read_later(
    database: Database, ct_log: CtLog
) -> None:
    wanted = grow(ct_log, 1000)
    await configured(database, ct_log)
    ct_log.twist = lambda path, _body: Reply(status=404) if path == "tile/data/002" else None
    await read_once(reads_on(database))
    stopped = await row(database)
    assert (stopped.state, stopped.position, stopped.entries_read) == ("away", 512, 512)
    assert stopped.last_error == "tile/data/002: HTTP 404."
    ct_log.twist = None
    await read_once(reads_on(database), at=utc_now() + LATER)
    assert await names(database) == wanted
    assert (await row(database)).entries_read == 1000


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"\xff" * 4000, b"<html>\x00</html>"], ids=["empty", "short", "long", "html"]
)
async def test_hostile_tiles_are_a_recorded_error(database: Database, ct_log: CtLog, body: bytes) -> None:
    grow(ct_log, 600)
    await configured(database, ct_log)
    ct_log.twist = lambda path, _body: Reply(body=body) if path == "tile/data/001" else None
    await read_once(reads_on(database))
    wrong = await row(database)
    assert (wrong.state, wrong.position, wrong.lease) == ("wrong", 256, None)
    assert wrong.last_error
    assert await names(database) == {f"n{number}.example.com" for number in range(0, 256, 50)}


async def test_a_checkpoint_that_is_not_signed_by_the_log_is_a_recorded_error(
    database: Database, ct_log: CtLog
) -> None:
    grow(ct_log, 60)
    other = CtLog()
    forged = ct_log.checkpoint(60, ct_log.root(), key=other.key)
    ct_log.twist = lambda path, _body: Reply(body=forged) if path == "checkpoint" else None
    await configured(database, ct_log)
    await read_once(reads_on(database))
    assert ((await row(database)).state, (await row(database)).position) == ("wrong", 0)
    assert await names(database) == set()


@pytest.mark.parametrize("how", ["shrunk", "rewritten", "renamed"])
async def test_a_log_that_contradicts_itself_is_said_to_and_nothing_is_lost(
    database: Database, ct_log: CtLog, how: str
) -> None:
    wanted = grow(ct_log, 600)
    await configured(database, ct_log)
    await read_once(reads_on(database))
    true = list(ct_log.leaves)
    if how == "shrunk":
        del ct_log.leaves[500:]
    if how == "rewritten":
        ct_log.leaves[3] = ct_log.leaves[4]
        ct_log.append("forged.example.com")
    if how == "renamed":
        ct_log.origin = "other.example"
    ct_log.publish()
    counted = CT_LOG_FAILURES.labels("forked")._value.get()
    await read_once(reads_on(database), at=utc_now() + LATER)
    assert CT_LOG_FAILURES.labels("forked")._value.get() == counted + 1
    forked = await row(database)
    assert (forked.state, forked.position, forked.checkpoint_size) == ("forked", 600, 600)
    assert forked.last_error
    assert forked.evidence == ct_log.answer("checkpoint").body.decode()
    assert await names(database) == wanted

    ct_log.leaves, ct_log.origin = true, "ct.example.test/2026h2"
    wanted |= grow(ct_log, 100)
    await read_once(reads_on(database), at=utc_now() + LATER)
    again = await row(database)
    assert (again.state, again.position, again.last_error) == ("current", 700, None)
    assert again.evidence == forked.evidence, "what it has shown once stays shown"
    assert await names(database) == wanted
