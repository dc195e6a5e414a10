"""Counts that are kept are what counting finds, whoever writes what at the same time."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
import sqlalchemy as sa
from sqlmodel import col

from services.inventory.service import SCHEMA
from services.inventory.store import facets, findings, groups, lineages, summaries, tallies, teams
from services.inventory.store.certificates import CertificateFilter
from services.inventory.store.facets import CERTIFICATE_FACETS, PLACE_FACETS
from services.inventory.store.places import place_id
from services.inventory.store.tables import Certificate, Sighting
from services.inventory.store.tallies import CURRENT, EVERYTHING, TALLY_CHANGES, TallyRow
from shared.bus.sqlite import SqliteBus
from shared.events import Event
from shared.events.renewal import LineageEnrolled, LineageWithdrawn
from shared.lint import Finding, Severity
from shared.store import Database, Transaction
from tests.inventory.assessment.court import GOOD, OLD, Court, looked
from tests.inventory.conftest import Issue
from tests.inventory.ledger import DAY, HOUR, NOON, Ledger, deployed, found, lost, place, renewed, stored
from tests.inventory.office import ADA, Office
from tests.inventory.test_holdings import held
from tests.servers.postgres import Postgres
from tests.servers.tls import Issued

Numbers = dict[tuple[str, str, str | None], int]
"""How many, by group, kind of fact, and value."""
HAND, OTHER, RULED = "hand", "other", "ruled"
WHATS = (
    *("all", "issuer", "key.type", "key.size", "signature", "ca", "self_issued", "readable", "current"),
    *("urgency", "renewal", "owner", "unowned", "managed", "ends", "ends.managed", "place", "flaw", "grade"),
    *("pq", "verdict", "finding", "lost", "replacement"),
)
COUNT = sa.text(
    """
    SELECT '', what, value, count(*) FROM facts GROUP BY 2, 3
    UNION ALL SELECT group_id, what, value, count(*) FROM group_members JOIN facts USING (fingerprint) GROUP BY 1, 2, 3
    UNION ALL SELECT ' current', what, value, count(*) FROM facts JOIN certificates USING (fingerprint)
    WHERE is_current AND what = 'finding' GROUP BY 2, 3
    """
)


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> str:
    """A PostgreSQL database, made once."""
    made = postgres.database("inventory").url

    async def make() -> None:
        opened = Database(made, source="inventory")
        await SCHEMA.upgrade(opened)
        await opened.close()

    anyio.run(make)
    return made


@pytest.fixture
async def ledger(url: str, bus: SqliteBus) -> AsyncIterator[Ledger]:
    """An inventory on PostgreSQL that knows nothing yet."""
    database = Database(url, source="inventory")
    opened = Ledger(database, bus)
    await opened.forget()
    yield opened
    await database.close()


async def fold(ledger: Ledger) -> None:
    await ledger.summaries.fold(ledger.now)


async def assert_exact(ledger: Ledger) -> Numbers:
    """Compare all counts, as they are read, with what counting finds."""
    kept: Numbers = {}
    async with ledger.database.read() as session:
        for of in (EVERYTHING, CURRENT, HAND, OTHER, RULED):
            for what, numbers in (
                await tallies.numbers(session, [of] if of else tallies.kept_for(session, None) or (), *WHATS)
            ).items():
                kept |= {(of, what, value): number for value, number in numbers.items()}
        truth = {(row[0], row[1], row[2]): row[3] for row in (await session.execute(COUNT)).all()}
    assert kept == truth
    return truth


async def assert_folded(ledger: Ledger) -> None:
    """The same of what is there once all is folded, and that nothing is left of what is gone."""
    await fold(ledger)
    truth = await assert_exact(ledger)
    async with ledger.database.read() as session:
        rows = (await session.scalars(sa.select(TallyRow))).all()
        assert {(row.group_id, row.what, row.value): row.number for row in rows} == truth
        assert await session.scalar(sa.select(sa.func.count()).select_from(TALLY_CHANGES)) == 0


class Life:
    """Things that happen to an inventory, at random."""

    def __init__(self, ledger: Ledger, issue: Issue, *, seed: int) -> None:
        self.ledger, self.office, self.court = ledger, Office(ledger), Court(ledger)
        self.random = random.Random(seed)
        self.certificates = [issue(f"{n}.test", since=30, ends_in=20 + 10 * n) for n in range(5)]
        self.certificates += [issue("shop.test", ends_in=89), issue("shop.test", ends_in=88)]
        self.known: list[Issued] = []
        self.kinds: tuple[Callable[[], Awaitable[None]], ...] = (
            *(self.find, self.find, self.look, self.lose, self.store, self.renew, self.put, self.put),
            *(self.own, self.manage, self.lint, self.rule, self.wait, self.delete, lambda: fold(ledger)),
        )

    async def begin(self) -> None:
        for name in ("red", "blue"):
            await self.office.team(name)
        for name in (HAND, OTHER):
            await self.office.group(name)
        await self.office.group(RULED, "current")
        await self.court.switch("mozilla-6.0-intermediate")
        await self.find()

    async def step(self) -> None:
        await self.random.choice(self.kinds)()

    def _pick(self) -> Issued:
        return self.random.choice(self.known)

    async def find(self) -> None:
        one = self.random.choice(self.certificates)
        self.known.append(one)
        await self.ledger.hear(found(one, place(self.random.randrange(6)), self.ledger.now))

    async def look(self) -> None:
        where = place(self.random.randrange(6))
        await self.court.hear(looked(self._pick(), where, self.ledger.now, self.random.choice((GOOD, OLD))))

    async def lose(self) -> None:
        await self.ledger.hear(lost(self._pick(), place(self.random.randrange(6)), self.ledger.now))

    async def store(self) -> None:
        told = held(is_exposed=self.random.random() < 0.5)
        host = self.random.choice(("web-1", "web-2"))
        await self.ledger.hear(stored(self._pick(), host, self.ledger.now, held=told))

    async def renew(self) -> None:
        old, new = self.certificates[-1], self.certificates[-2]
        self.known.append(new)
        await self.ledger.hear(
            renewed(old, new, self.ledger.now, lineage="shop"),
            deployed(old, new, self.ledger.now, lineage="shop"),
        )

    async def put(self) -> None:
        which, is_in = self.random.choice((HAND, OTHER)), self.random.random() < 0.7
        await self.office.group(OTHER) if not await self._has(OTHER) else None
        await self.office.groups.put(which, self._pick().fingerprint, is_in=is_in, caller=ADA)

    async def delete(self) -> None:
        if await self._has(OTHER):
            await self.office.groups.delete(OTHER, caller=ADA)

    async def _has(self, group: str) -> bool:
        async with self.ledger.database.read() as session:
            return await groups.group(session, group) is not None

    async def own(self) -> None:
        await self.office.edit(self._pick(), owner=self.random.choice(("red", "blue", None)))
        await self.office.work()

    async def manage(self) -> None:
        lineage, at = (await self.ledger.row(self._pick())).lineage_id, self.ledger.now
        told = self.random.choice(
            (
                LineageEnrolled(lineage_id=lineage, profile="web", enrolled_at=at),
                LineageWithdrawn(lineage_id=lineage, withdrawn_at=at),
            )
        )
        await self.ledger.hear(Event.of(told, source="renewal", now=at))

    async def lint(self) -> None:
        rules = self.random.sample(("a", "b", "c"), self.random.randrange(4))
        broken = [
            Finding(rule=rule, severity=self.random.choice(list(Severity)), evidence="") for rule in rules
        ]
        async with self.ledger.database.transaction() as tx:
            await findings.replace(tx, {self._pick().fingerprint: broken}, linter="test", now=self.ledger.now)

    async def rule(self) -> None:
        await self.office.edit(self._pick(), add_tags=["t"])
        await self.office.work()

    async def wait(self) -> None:
        await self.court.at(self.ledger.now + self.random.choice((HOUR, 3 * DAY)))


@pytest.mark.parametrize("seed", [1, 2])
async def test_counts_are_what_counting_finds_whatever_happens(
    ledger: Ledger, issue: Issue, seed: int
) -> None:
    life = Life(ledger, issue, seed=seed)
    await life.begin()
    for _ in range(8):
        for _ in range(6):
            ledger.now += HOUR / 60
            await life.step()
        await assert_exact(ledger)
    await assert_folded(ledger)
    await assert_same_answers(ledger)


async def assert_same_answers(ledger: Ledger) -> None:
    """What is answered from counts is what is answered by counting, for who sees all, one group, or several."""
    async with ledger.database.read() as session:
        for scope in (
            None,
            frozenset({HAND}),
            frozenset({RULED}),
            frozenset({HAND, RULED}),
            frozenset[str](),
        ):
            of = tallies.kept_for(session, scope)
            assert of is not None
            today, wanted = ledger.now.date(), CertificateFilter(scope=scope)
            counted = await summaries._counted(session, scope=scope, today=today)
            assert await summaries._kept(session, of, scope=scope, today=today) == counted
            for field in (*CERTIFICATE_FACETS, *PLACE_FACETS):
                count = facets._of_places if field in PLACE_FACETS else facets._of_certificates
                rows = (await session.execute(count(field, wanted, 10))).all()
                assert [tuple(row) for row in await facets._kept(session, field, of, 10)] == [
                    tuple(row) for row in rows
                ]


Write = Callable[[Transaction], Awaitable[object]]


async def test_what_two_write_at_once_without_seeing_each_other_is_counted(
    ledger: Ledger, issue: Issue, old: Issued
) -> None:
    """Whoever commits first, and whether what that one has written is folded before the other commits."""
    office = Office(ledger)
    await office.group(HAND)
    await office.team("red")
    fingerprint, where = old.fingerprint, place_id(place().key)

    async def join(tx: Transaction) -> None:
        await groups.add_members(tx, [(HAND, fingerprint)])

    async def own(tx: Transaction) -> None:
        change = sa.update(Certificate).where(col(Certificate.fingerprint) == fingerprint)
        await tx.session.execute(change.values(owner_id="red", urgency="warning"))

    async def go(tx: Transaction) -> None:
        change = sa.update(Sighting).where(col(Sighting.place_id) == where)
        await tx.session.execute(change.values(fingerprint=None))

    async def lint(tx: Transaction) -> None:
        broken = [Finding(rule="a", severity=Severity.ERROR, evidence="")]
        await findings.replace(tx, {fingerprint: broken}, linter="test", now=NOON)

    async def end(tx: Transaction) -> None:
        change = sa.update(Certificate).where(col(Certificate.fingerprint) == fingerprint)
        await tx.session.execute(change.values(is_current=False))

    pairs: tuple[tuple[Write, Write], ...] = (
        (join, own),
        (own, join),
        (join, go),
        (go, join),
        (lint, end),
        (end, lint),
    )
    for first, second in pairs:
        for is_folded_between in (False, True):
            await ledger.forget()
            await office.group(HAND)
            await office.team("red")
            await ledger.hear(found(old, place(), NOON))
            await fold(ledger)
            async with ledger.database.transaction() as late:
                await second(late)
                async with ledger.database.transaction() as early:
                    await first(early)
                if is_folded_between:
                    await fold(ledger)
            await assert_exact(ledger)
            await assert_folded(ledger)


async def test_who_changes_a_lineage_and_who_changes_its_certificate_wait_for_each_other(
    ledger: Ledger, old: Issued
) -> None:
    await ledger.hear(found(old, place(), NOON))
    lineage = (await ledger.row(old)).lineage_id
    change = sa.update(Certificate).where(col(Certificate.fingerprint) == old.fingerprint)

    async def end(tx: Transaction) -> None:
        await tx.session.execute(change.values(is_current=False))

    async def begin(tx: Transaction) -> None:
        await tx.session.execute(change.values(is_current=True))

    async def enrol(tx: Transaction) -> None:
        await lineages.keep_managed(tx, lineage, is_managed=True, at=NOON)

    async def withdraw(tx: Transaction) -> None:
        await lineages.keep_managed(tx, lineage, is_managed=False, at=NOON + HOUR)

    for first, second in ((enrol, end), (begin, withdraw)):
        async with anyio.create_task_group() as tasks, ledger.database.transaction() as tx:
            await first(tx)
            tasks.start_soon(_write, ledger.database, second)
            await _until_somebody_waits(ledger.database)
        await assert_exact(ledger)
    await assert_folded(ledger)


async def _write(database: Database, write: Write) -> None:
    async with database.transaction() as tx:
        await write(tx)


async def _until_somebody_waits(database: Database) -> None:
    """Return when a statement waits for a lock."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with anyio.fail_after(60):
        while True:
            async with database.read() as session:
                if await session.scalar(waiting):
                    return
            await anyio.sleep(0.01)


async def test_counts_are_folded_while_others_write_and_read(ledger: Ledger, issue: Issue) -> None:
    office = Office(ledger)
    await office.group(RULED, "current")
    made = [issue(f"{n}.test") for n in range(12)]
    over = anyio.Event()

    async def find(part: list[Issued], first: int) -> None:
        for number, each in enumerate(part):
            await ledger.hear(found(each, place(first + number), NOON))

    async def keep_folding() -> None:
        while not over.is_set():
            await fold(ledger)

    async def keep_reading() -> None:
        before = 0
        while not over.is_set():
            async with ledger.database.read() as session:
                numbers = await tallies.numbers(session, [RULED], "all", "current", "place")
            counted = [sum(numbers[what].values()) for what in ("all", "current", "place")]
            assert counted == [counted[0]] * 3
            assert counted[0] >= before
            before = counted[0]

    async with anyio.create_task_group() as others:
        for _ in range(2):
            others.start_soon(keep_folding)
        others.start_soon(keep_reading)
        async with anyio.create_task_group() as writers:
            for at in range(3):
                writers.start_soon(find, made[at::3], 10 * at)
        over.set()
    await assert_folded(ledger)
    async with ledger.database.read() as session:
        assert await tallies.totals(session, [RULED, HAND]) == {RULED: 12}
        assert await teams.owned(session, ["red"], scope=None) == {}
