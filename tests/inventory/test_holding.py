"""Replicas that take in what bears upon the same things wait for each other, and never in a circle."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from sqlmodel import col
from structlog.testing import capture_logs

from services.inventory.store.tables import Lineage
from shared.bus.sqlite import SqliteBus
from shared.events import Event
from shared.events.renewal import LineageEnrolled
from shared.store import Database
from tests.inventory.conftest import Issue
from tests.inventory.ledger import HOUR, NOON, Ledger, found, lost, place, renewed, stored
from tests.inventory.test_holdings import held
from tests.servers.tls import CertificateAuthority, Issued

LATER = NOON + HOUR
WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def enrolled(lineage: str) -> Event[Any]:
    """Return renewal's event."""
    said = LineageEnrolled(lineage_id=lineage, profile="web", enrolled_at=LATER)
    return Event[LineageEnrolled].of(said, source="renewal", now=LATER)


def gate() -> Event[Any]:
    """Return an event that nobody gets past before the gate opens."""
    return enrolled("gate")


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """What two replicas hear at the same time, and what is known before: each begins with what the other ends with."""

    first: Sequence[Event[Any]]
    second: Sequence[Event[Any]]
    known: Sequence[Event[Any]] = ()


def lineages(_issue: Issue) -> Crossed:
    return Crossed(
        first=[enrolled("one"), gate(), enrolled("two")], second=[enrolled("two"), gate(), enrolled("one")]
    )


def replacements(issue: Issue) -> Crossed:
    """One replica hears of the certificates that are replaced, the other of those that take their place."""
    old, new = ([issue(f"{each}.test", since=since) for each in "ab"] for since in (30, 0.5))
    return Crossed(
        known=[
            *(found(each, place(number), NOON) for number, each in enumerate([*old, *new])),
            *(renewed(old[at], new[at], NOON, lineage=f"lineage-{at}") for at in (0, 1)),
        ],
        first=[found(old[0], place(11), LATER), gate(), found(old[1], place(12), LATER)],
        second=[found(new[1], place(13), LATER), gate(), found(new[0], place(14), LATER)],
    )


def late_looks(issue: Issue) -> Crossed:
    """What comes late bears upon what a place served last before that, which is served elsewhere now."""
    before, after = ([issue(f"{each}-{name}.test") for each in "ab"] for name in ("before", "after"))

    def late(number: int) -> Event[Any]:
        return found(issue(f"between-{number}.test"), place(number), NOON - HOUR)

    return Crossed(
        known=[
            *(found(each, place(number), NOON - 2 * HOUR) for number, each in enumerate(before)),
            *(found(each, place(number), NOON) for number, each in enumerate(after)),
        ],
        first=[gate(), late(0), found(before[1], place(11), LATER)],
        second=[gate(), late(1), found(before[0], place(12), LATER)],
    )


def changed(issue: Issue) -> Crossed:
    return _ending(issue, lambda _old, number: found(issue(f"newer-{number}.test"), place(number), LATER))


def gone(issue: Issue) -> Crossed:
    return _ending(issue, lambda old, number: lost(old, place(number), LATER))


def _ending(issue: Issue, end: Callable[[Issued, int], Event[Any]]) -> Crossed:
    """What one replica hears the end of at a place, the other hears of at another."""
    one, other = issue("one.test"), issue("other.test")
    return Crossed(
        known=[found(one, place(1), NOON), found(other, place(2), NOON)],
        first=[end(one, 1), gate(), found(other, place(11), LATER)],
        second=[end(other, 2), gate(), found(one, place(12), LATER)],
    )


def stores_of_hosts(issue: Issue) -> Crossed:
    def store(host: int, path: str) -> Event[Any]:
        there = held(key=None, addresses=[f"192.0.2.{host}"])
        return stored(issue(f"{path}-{host}.test"), f"web-{host}", LATER, held=there, path=f"/etc/{path}.pem")

    return Crossed(
        first=[store(1, "a"), gate(), store(2, "a")], second=[store(2, "b"), gate(), store(1, "b")]
    )


def keys_of_hosts(issue: Issue) -> Crossed:
    def store(host: int, key: str) -> Event[Any]:
        return stored(issue(f"{key}-{host}.test"), f"web-{host}", LATER, held=held(key=key * 64))

    return Crossed(
        first=[store(1, "a"), gate(), store(2, "b")], second=[store(3, "b"), gate(), store(4, "a")]
    )


def authorities(issue: Issue) -> Crossed:
    """The bytes of an authority are kept by who meets it first."""
    above = [
        CertificateAuthority(f"CA {each}", parent=CertificateAuthority(now=NOON), now=NOON) for each in "ab"
    ]

    def store(host: int, authority: CertificateAuthority) -> Event[Any]:
        leaf = authority.issue(f"{host}.test", not_before=NOON - HOUR, not_after=NOON + 90 * 24 * HOUR)
        return stored(leaf, f"web-{host}", LATER, held=None)

    return Crossed(
        first=[store(1, above[0]), gate(), store(2, above[1])],
        second=[store(3, above[1]), gate(), store(4, above[0])],
    )


async def both_wait(database: Database) -> None:
    waiting = 0
    with anyio.fail_after(60):
        while waiting != 2:
            await anyio.sleep(0.01)
            async with database.read() as session:  # anew: a transaction is told once who waits
                waiting = await session.scalar(WAITING) or 0


async def take_in_together(database: Database, bus: SqliteBus, crossed: Crossed) -> list[Any]:
    """Let two replicas take in a batch each; return what they have logged. Both have begun before either can go on."""
    await Ledger(database, bus).hear(gate(), *crossed.known)
    with capture_logs() as logged:
        async with anyio.create_task_group() as tasks, database.transaction() as tx:
            of_gate = sa.select(Lineage).where(col(Lineage.id) == "gate")
            await tx.session.execute(of_gate.with_for_update())
            for batch in (crossed.first, crossed.second):
                tasks.start_soon(Ledger(database, bus, now=LATER + HOUR).hear, *batch)
            await both_wait(database)
    return logged


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
@pytest.mark.parametrize(
    "crossing",
    [lineages, replacements, late_looks, changed, gone, stores_of_hosts, keys_of_hosts, authorities],
)
async def test_two_replicas_each_of_which_begins_with_what_the_other_ends_with_do_not_lock_each_other(
    database: Database, bus: SqliteBus, issue: Issue, crossing: Callable[[Issue], Crossed]
) -> None:
    crossed = crossing(issue)
    logged = await take_in_together(database, bus, crossed)
    assert [each["event"] for each in logged if "deadlock" in repr(each)] == []
    ledger = Ledger(database, bus)
    for event in (*crossed.first, *crossed.second):
        if event.type == "certificate.found" and event.data.observed_at == LATER:
            assert await ledger.served(event.data.place) == [
                event.data.fingerprint,
                *(each.data.fingerprint for each in crossed.known if _is_at(each, event.data.place)),
            ]


def _is_at(event: Event[Any], where: Any) -> bool:
    return event.type == "certificate.found" and event.data.place == where
