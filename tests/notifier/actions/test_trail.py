"""The audit trail: whatever is done to it afterwards is found, by who has the export and the keys and nothing else."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import col

from services.notifier.actions.trail import Trail
from services.notifier.actions.trail_keys import TrailKeys
from services.notifier.service import SCHEMA
from services.notifier.store.tables import SUBJECTS
from services.notifier.store.trail import (
    TrailCheckpoint,
    TrailCosignature,
    TrailEntry,
    TrailHead,
    TrailKey,
    Wanted,
)
from shared.access import Principal, public_keys
from shared.audit.chain import digest_of
from shared.audit.keys import AuditKeys
from shared.audit.signed import Kind, digest, opened, signed
from shared.audit.verification import Verdict, Verification
from shared.audit.witness import Witness
from shared.errors import Conflict
from shared.events import Event
from shared.events.audit import ChangeRecorded, CheckpointCosigned, CheckpointRefused, TrailCheckpointed
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store import Database
from shared.store.plumbing import OUTBOX, PLUMBING
from tests.notifier.workshop import NOON, Time

SEALER = Sealer([KeyEncryptionKey(b"k" * 32)])
SERVICES = ("inventory", "renewal")
"""Who co-signs here."""
AUDITOR = Principal(id="auditor", name="Auditor", roles=frozenset({"auditor"}))


@dataclass
class Archive:
    """A trail, its witnesses, and time in hand."""

    database: Database
    witnesses: dict[str, tuple[Database, Witness]]
    clock: Time

    def __post_init__(self) -> None:
        self.keys = TrailKeys(self.database, SEALER)
        self.trail = Trail(self.database, self.keys, kept_for=timedelta(days=30), ring=lambda: None)
        self.counts: dict[str, int] = {}

    def told(self, source: str, **other: Any) -> Event[ChangeRecorded]:
        """Return the next change that a service has recorded."""
        self.counts[source] = number = self.counts.get(source, 0) + 1
        payload = {
            "sequence": number,
            "at": self.clock(),
            "actor_id": "ann",
            "actor_name": "Ann",
            "action": "channel.changed",
            "object_kind": "channel",
            "object_id": f"{source}-{number}",
            "groups": [],
            "trace_id": "f" * 32,
            **other,
        }
        return Event.of(ChangeRecorded.model_validate(payload), source=source, now=self.clock())

    async def append(self, *events: Event[ChangeRecorded]) -> None:
        async with self.database.transaction() as tx:
            await self.trail.append(tx, events)

    async def grow(self, entries: int = 4) -> None:
        """Let changes be recorded here and there, and a checkpoint be signed and co-signed."""
        for number in range(entries):
            await self.append(self.told(SERVICES[number % 2]))
        await self.trail.checkpoint(self.clock())
        await self.witness()

    async def witness(self) -> None:
        """Take the news of the last checkpoint to the witnesses, and their signatures back."""
        checkpoint: Event[TrailCheckpointed] = await newest(self.database, TrailCheckpointed)
        for service, (database, witness) in self.witnesses.items():
            async with database.transaction() as tx:
                await witness.reaction.handle(tx, checkpoint)
            signature: Event[CheckpointCosigned] = await newest(database, CheckpointCosigned)
            assert signature.source == f"/everleaf/{service}"
            async with self.database.transaction() as tx:
                await self.trail.cosigned(tx, signature, now=self.clock())

    async def export(self) -> list[bytes]:
        return [line async for line in self.trail.export(now=self.clock())]

    async def published(self) -> list[dict[str, str]]:
        """Return the keys as their services publish them."""
        own = await self.keys.published()
        others = [await AuditKeys(database, SEALER).published() for database, _ in self.witnesses.values()]
        return [*own, *(key for keys in others for key in keys)]

    async def verify(self, lines: Sequence[bytes] | None = None) -> Verdict:
        jwks = await self.published()
        owners = {key["kid"]: key["service"] for key in jwks}
        verification = Verification(public_keys({"keys": jwks}), owners=owners)
        return verification.run(await self.export() if lines is None else lines)


async def told_of(database: Database, payload: type[Any]) -> list[Any]:
    """Return what was said of this, oldest first."""
    query = sa.select(OUTBOX.c.body).where(OUTBOX.c.type == payload.type).order_by(OUTBOX.c.id)
    async with database.read() as session:
        return [Event.parse(body, payload).data for body in await session.scalars(query)]


async def newest(database: Database, payload: type[Any]) -> Event[Any]:
    query = sa.select(OUTBOX.c.body).where(OUTBOX.c.type == payload.type).order_by(OUTBOX.c.id.desc())
    async with database.read() as session:
        body = await session.scalar(query.limit(1))
    assert body is not None
    return Event.parse(body, payload)


@pytest.fixture
async def archive(database: Database, tmp_path: Path) -> AsyncIterator[Archive]:
    """A trail on each kind of database, and witnesses with stores of their own."""
    clock = Time()
    await SCHEMA.upgrade(database)
    witnesses = {}
    for service in SERVICES:
        own = Database(f"sqlite:///{tmp_path}/{service}.db", source=service)
        async with own.engine.begin() as connection:
            await connection.run_sync(PLUMBING.create_all)
        witnesses[service] = (own, Witness(AuditKeys(own, SEALER), clock=clock))
    yield Archive(database, witnesses, clock)
    for own, _ in witnesses.values():
        await own.close()


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[Archive]:
    """The same on SQLite alone."""
    database, clock = Database(f"sqlite:///{tmp_path}/notifier.db", source="notifier"), Time()
    await SCHEMA.upgrade(database)
    own = Database(f"sqlite:///{tmp_path}/inventory.db", source="inventory")
    async with own.engine.begin() as connection:
        await connection.run_sync(PLUMBING.create_all)
    yield Archive(database, {"inventory": (own, Witness(AuditKeys(own, SEALER), clock=clock))}, clock)
    await own.close()
    await database.close()


async def test_a_trail_that_nobody_has_touched_is_whole(archive: Archive):
    await archive.grow()
    await archive.grow()
    await archive.append(archive.told("renewal"))
    verdict = await archive.verify()
    assert verdict.faults == []
    assert (verdict.entries, verdict.last, verdict.checkpoints, verdict.after_checkpoint) == (9, 9, 2, 1)
    assert verdict.cosigners == set(SERVICES)
    await archive.database.ready()


# What is done to the store afterwards. Each is found from the platform's own export, which the platform itself signs.

Crime = Callable[[Archive], Awaitable[None]]


async def _do(archive: Archive, *statements: sa.Executable) -> None:
    async with archive.database.transaction() as tx:
        for statement in statements:
            await tx.session.execute(statement)


async def edit(archive: Archive) -> None:
    line = col(TrailEntry.line)
    changed = sa.update(TrailEntry).where(col(TrailEntry.number) == 3)
    await _do(archive, changed.values(line=sa.func.replace(line, '"Ann"', '"Bob"')))


async def edit_and_chain_anew(archive: Archive) -> None:
    """Change an entry, and all that follow so that they fit; only what was signed is left as it was."""
    async with archive.database.transaction() as tx:
        rows = (await tx.session.scalars(sa.select(TrailEntry).order_by(col(TrailEntry.number)))).all()
        previous = "0" * 64
        for row in rows:
            document = {**json.loads(row.line), "previous": previous}
            if row.number == 3:
                document["actor_name"] = "Bob"
            row.line = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
            row.digest = previous = digest_of(row.line)
        head = await tx.session.get_one(TrailHead, 1)
        head.digest = previous


async def edit_chain_anew_and_sign_anew(archive: Archive) -> None:
    """The same with the key of who keeps the trail: what others have co-signed is left as it was."""
    await edit_and_chain_anew(archive)
    key = await archive.keys.signing_key()
    async with archive.database.transaction() as tx:
        rows = await tx.session.scalars(sa.select(TrailCheckpoint).order_by(col(TrailCheckpoint.number)))
        previous = "0" * 64
        for row in rows.all():
            last = await tx.session.get_one(TrailEntry, row.last)
            claims: dict[str, Any] = {"number": row.number, "first": row.first, "last": row.last}
            claims |= {"head": last.digest, "previous": previous}
            row.head, row.token = last.digest, signed(Kind.CHECKPOINT, claims, key, now=row.at)
            previous = digest(row.token)


async def sign_anew_and_drop_cosignatures(archive: Archive) -> None:
    await edit_chain_anew_and_sign_anew(archive)
    await _do(archive, sa.delete(TrailCosignature))


async def delete(archive: Archive) -> None:
    await _do(archive, sa.delete(TrailEntry).where(col(TrailEntry.number) == 3))


async def insert(archive: Archive) -> None:
    number = col(TrailEntry.number)
    async with archive.database.read() as session:
        row = await session.get_one(TrailEntry, 3)
    line = row.line.replace('"number":3', '"number":4').replace("Ann", "Bob")
    forged = {**row.model_dump(), "number": 4, "event_id": "forged", "sequence": 77, "line": line}
    await _do(
        archive,
        sa.update(TrailEntry).where(number > 3).values(number=number + 1000),
        sa.insert(TrailEntry).values(forged),
        sa.update(TrailEntry).where(number > 1000).values(number=number - 999),
        sa.update(TrailHead).values(number=9),
    )


async def reorder(archive: Archive) -> None:
    async with archive.database.transaction() as tx:
        one, other = await tx.session.get_one(TrailEntry, 3), await tx.session.get_one(TrailEntry, 4)
        one.line, other.line = other.line, one.line


async def truncate(archive: Archive) -> None:
    await _do(archive, sa.delete(TrailEntry).where(col(TrailEntry.number) > 6))


async def truncate_with_the_checkpoint(archive: Archive) -> None:
    await _do(
        archive,
        sa.delete(TrailEntry).where(col(TrailEntry.number) > 4),
        sa.delete(TrailCheckpoint).where(col(TrailCheckpoint.number) == 2),
    )


async def cut_the_beginning_off(archive: Archive) -> None:
    await _do(
        archive,
        sa.delete(TrailEntry).where(col(TrailEntry.number) <= 4),
        sa.delete(TrailCheckpoint).where(col(TrailCheckpoint.number) == 1),
    )


CRIMES: dict[str, tuple[Crime, str]] = {
    "edited": (edit, "entry 4 does not follow the one before"),
    "edited, and the chain made anew": (
        edit_and_chain_anew,
        "checkpoint 1 signs entry 4, and that is not what stands",
    ),
    "edited, chained and signed anew": (edit_chain_anew_and_sign_anew, "is not the one that was co-signed"),
    "signed anew, without co-signatures": (
        sign_anew_and_drop_cosignatures,
        "checkpoint 1 is not co-signed by",
    ),
    "deleted": (delete, "entries 3 to 3 are missing before entry 4"),
    "inserted": (insert, "entry 4 does not follow the one before"),
    "reordered": (reorder, "is out of its place"),
    "truncated": (truncate, "checkpoint 2 signs entry 8, and that is not what stands"),
    "truncated, with its checkpoint": (truncate_with_the_checkpoint, "went on to entry 8"),
    "its beginning cut off": (cut_the_beginning_off, "entries 1 to 4 are missing before entry 5"),
}


@pytest.mark.parametrize("crime", CRIMES)
async def test_what_was_done_to_the_store_is_found(small: Archive, crime: str):
    await small.grow()
    await small.grow()
    assert (await small.verify()).faults == []
    commit, fault = CRIMES[crime]
    await commit(small)
    faults = (await small.verify()).faults
    assert [each for each in faults if fault in each], faults


# What is done to an exported file


FILES: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "a line is edited": (
        lambda lines: [line.replace(b'"ann"', b'"bob"') if n == 2 else line for n, line in enumerate(lines)],
        "does not follow the one before",
    ),
    "a line is deleted": (lambda lines: [*lines[:2], *lines[3:]], "are missing"),
    "a line is inserted": (lambda lines: [*lines[:3], lines[2], *lines[3:]], "out of its place"),
    "lines are reordered": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "out of its place"),
    "it is truncated": (lambda lines: lines[:-3], "cut off"),
    "its last line alone is left out": (lambda lines: lines[:-1], "cut off"),
    "its first line says other keys": (
        lambda lines: [lines[0].replace(b'"keys":[', b'"keys":[{},'), *lines[1:]],
        "changed, moved, added or taken away since it was exported",
    ),
    "rubbish is put in": (lambda lines: [*lines[:3], b"{}\n", *lines[3:]], "is no line of an audit trail"),
}


@pytest.mark.parametrize("change", FILES)
async def test_what_was_done_to_a_file_is_found(small: Archive, change: str):
    await small.grow()
    commit, fault = FILES[change]
    lines = await small.export()
    faults = (await small.verify(commit(lines))).faults
    assert [each for each in faults if fault in each], faults


async def test_what_another_has_signed_is_not_taken(small: Archive):
    await small.grow()
    lines = await small.export()
    verdict = Verification(public_keys({"keys": []}), owners={}).run(lines)
    assert "signed by none of the keys" in " ".join(verdict.faults)


# Witnesses


async def test_a_witness_co_signs_nothing_that_does_not_continue_what_it_has_seen(small: Archive):
    await small.grow()
    await edit_chain_anew_and_sign_anew(small)
    await small.append(small.told("renewal"))
    await small.trail.checkpoint(small.clock())
    database, witness = small.witnesses["inventory"]
    async with database.transaction() as tx:
        await witness.reaction.handle(tx, await newest(small.database, TrailCheckpointed))
    assert [said.number for said in await told_of(database, CheckpointCosigned)] == [1]
    [refused] = await told_of(database, CheckpointRefused)
    assert (refused.number, refused.known) == (2, 1)
    assert refused.reason == "It does not continue the one that was co-signed before."


async def test_a_witness_refuses_another_checkpoint_of_the_same_number_and_one_by_another_key(small: Archive):
    await small.grow()
    database, witness = small.witnesses["inventory"]
    event: Event[TrailCheckpointed] = await newest(small.database, TrailCheckpointed)
    stranger, now = AuditKeys(database, SEALER), small.clock()
    keeper = await small.keys.signing_key()
    claims = {"number": 1, "first": 1, "last": 9, "head": "f" * 64, "previous": "0" * 64}
    for key in (keeper, await stranger.signing_key()):
        token = signed(Kind.CHECKPOINT, claims, key, now=now)
        forged = event.data.model_copy(update={"checkpoint": token, "signer": key.jwk()})
        async with database.transaction() as tx:
            await witness.reaction.handle(tx, event.model_copy(update={"data": forged}))
    assert [said.reason for said in await told_of(database, CheckpointRefused)] == [
        "It is not the one of this number that was co-signed.",
        "It is not signed with the key that the trail is kept with.",
    ]


# Keys that follow one another


KEEPER = Principal(id="keeper", name="Keeper", roles=frozenset({"admin"}))


async def rotated(small: Archive) -> str:
    """Let the key that signs be followed by another, and return the id of the one before."""
    before = await small.keys.signing_key()
    heir = await small.trail.rotate_key(caller=KEEPER, now=small.clock())
    assert (await small.keys.signing_key()).id == before.id, "until the next checkpoint"
    with pytest.raises(Conflict, match="waits for the next checkpoint"):
        await small.trail.rotate_key(caller=KEEPER, now=small.clock())
    await small.grow()
    assert (await small.keys.signing_key()).id == heir.id
    return before.id


async def test_a_trail_is_whole_across_keys_of_which_each_names_the_next(archive: Archive):
    await archive.grow()
    first = await rotated(archive)
    await archive.grow()
    second = await rotated(archive)
    await archive.grow()
    verdict = await archive.verify()
    assert verdict.faults == []
    assert (verdict.checkpoints, verdict.handovers, verdict.cosigners) == (5, 2, set(SERVICES))
    present, *retired = [key["kid"] for key in await archive.keys.published()]
    assert (set(retired), present in retired) == ({first, second}, False)
    async with archive.database.read() as session:
        left = (await session.scalars(sa.select(TrailKey))).all()
    assert {row.id: row.private_key for row in left} == {first: None, second: None}, "no private half stays"


async def test_who_has_a_key_that_was_followed_by_another_can_sign_nothing_with_it(small: Archive):
    await small.grow()
    stolen = await small.keys.signing_key()
    await rotated(small)
    await small.append(small.told("renewal"))
    async with small.database.transaction() as tx:
        await small.keys.replace_in(tx, stolen)
    await small.trail.checkpoint(small.clock())
    database, witness = small.witnesses["inventory"]
    async with database.transaction() as tx:
        await witness.reaction.handle(tx, await newest(small.database, TrailCheckpointed))
    [refused] = await told_of(database, CheckpointRefused)
    assert refused.reason == "It is not signed with the key that the trail is kept with."
    faults = " ".join((await small.verify()).faults)
    assert f"checkpoint 3 is signed with {stolen.id}, and" in faults
    assert "its last line is signed with" in faults


async def test_a_witness_takes_a_checkpoint_that_comes_again_and_waits_for_one_that_is_missing(
    small: Archive,
):
    await small.grow()
    first: Event[TrailCheckpointed] = await newest(small.database, TrailCheckpointed)
    database, witness = small.witnesses["inventory"]
    async with database.transaction() as tx:
        await witness.reaction.handle(tx, first)
    await small.append(small.told("renewal"))
    await small.trail.checkpoint(small.clock())
    second: Event[TrailCheckpointed] = await newest(small.database, TrailCheckpointed)
    await small.append(small.told("renewal"))
    await small.trail.checkpoint(small.clock())
    third: Event[TrailCheckpointed] = await newest(small.database, TrailCheckpointed)
    with pytest.raises(Conflict):
        async with database.transaction() as tx:
            await witness.reaction.handle(tx, third)
    for each in (second, third):
        async with database.transaction() as tx:
            await witness.reaction.handle(tx, each)
    signature: Event[CheckpointCosigned] = await newest(database, CheckpointCosigned)
    keys = public_keys({"keys": await AuditKeys(database, SEALER).published()})
    assert opened(Kind.COSIGNATURE, signature.data.signature, keys)[1]["number"] == 3


async def test_a_co_signature_by_another_key_than_before_is_not_taken(small: Archive):
    await small.grow()
    other = AuditKeys(small.database, SEALER)
    signature: Event[CheckpointCosigned] = await newest(small.witnesses["inventory"][0], CheckpointCosigned)
    forged = signature.model_copy(
        update={"data": signature.data.model_copy(update={"signer": (await other.signing_key()).jwk()})}
    )
    with pytest.raises(Conflict, match="another key"):
        async with small.database.transaction() as tx:
            await small.trail.cosigned(tx, forged, now=NOON)


# Whole, however events come


async def test_a_change_that_has_not_come_is_noticed_and_one_that_comes_late_fills_the_gap(archive: Archive):
    one, two, three = (archive.told("renewal") for _ in range(3))
    await archive.append(one, three)
    [source] = await archive.trail.sources()
    assert (source.highest, source.entries) == (3, 2)
    assert "1 changes are missing that renewal has recorded" in " ".join((await archive.verify()).faults)
    await archive.append(two)
    [source] = await archive.trail.sources()
    assert (source.highest, source.entries) == (3, 3)
    assert (await archive.verify()).faults == []


async def test_old_segments_are_let_go_whole_and_what_is_left_is_verified(archive: Archive):
    await archive.grow()
    archive.clock.passes(timedelta(days=20))
    await archive.grow()
    archive.clock.passes(timedelta(days=11))
    assert await archive.trail.let_go(archive.clock())
    assert not await archive.trail.let_go(archive.clock())
    await archive.grow()
    verdict = await archive.verify()
    assert verdict.faults == []
    assert (verdict.let_go, verdict.entries, verdict.last) == (4, 8, 12)
    rows = await archive.trail.page(Wanted(exactly={}), before=None, limit=50, caller=AUDITOR)
    assert [row.number for row in rows] == list(range(12, 4, -1))


# Search


async def test_entries_are_found_by_what_is_asked_for_a_page_at_a_time(archive: Archive):
    await archive.append(
        archive.told("renewal", action="order.created", object_kind="order", object_id="o1"),
        archive.told("renewal", actor_id="bob"),
        archive.told("inventory"),
    )

    async def found(before: int | None = None, limit: int = 50, **exactly: str) -> list[int]:
        wanted = Wanted(exactly=exactly, until=NOON + timedelta(days=1))
        rows = await archive.trail.page(wanted, before=before, limit=limit, caller=AUDITOR)
        return [row.number for row in rows]

    assert await found() == [3, 2, 1]
    assert await found(limit=1) == [3, 2]
    assert await found(before=3) == [2, 1]
    assert await found(actor_id="bob") == [2]
    assert await found(action="order.created", object_id="o1") == [1]
    assert await found(source="inventory") == [3]


async def test_who_is_limited_to_groups_finds_what_is_about_them(archive: Archive):
    async with archive.database.transaction() as tx:
        await SUBJECTS.tell(tx, "web", joined=["l1"], at=NOON)
    await archive.append(
        archive.told("renewal", groups=["web", "db"]),
        archive.told("renewal", lineage_id="l1"),
        archive.told("renewal", groups=["db"], lineage_id="l2"),
        archive.told("renewal"),
    )
    caller = Principal(id="w", name="W", roles=frozenset({"auditor"}), groups=frozenset({"web"}))
    rows = await archive.trail.page(Wanted(exactly={}), before=None, limit=50, caller=caller)
    assert [row.number for row in rows] == [2, 1]
