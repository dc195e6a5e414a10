"""The rows that lead from what is served to what is configured for it, and back."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from services.inventory.domain.configured import Front
from services.inventory.store.tables import (
    FlawRow,
    FrontAddress,
    FrontRow,
    HeldRow,
    PlaceRow,
    Sighting,
    SlotRow,
    SourceReadRow,
)
from shared.events.inventory import Flaw
from shared.store import Transaction, insert, write_rows
from shared.store.parameters import among

MOST_FRONTS = 50
"""At one address; what more hosts say to have is nobody's own (a container bridge, say) and tells nothing."""
MOST_FOUND = 10_000


def front_id(addresses: Sequence[str]) -> str:
    """Return the id of a set of addresses."""
    return sha256(" ".join(sorted(set(addresses))).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Configured:
    """A store that is configured for a port and a name."""

    front_id: str
    port: int
    server_name: str
    place_id: str


async def front_of(tx: Transaction, place: str) -> str | None:
    """Return the front of a store."""
    query = sa.select(col(HeldRow.front_id)).where(col(HeldRow.place_id) == place)
    found: str | None = await tx.session.scalar(query)
    return found


async def keep_front(tx: Transaction, front: str, addresses: Sequence[str], *, at: datetime) -> None:
    """Make a front known."""
    await tx.session.execute(insert(tx, FrontRow).values(id=front, seen_at=at).on_conflict_do_nothing())
    rows = [{"address": address, "front_id": front} for address in sorted(set(addresses))]
    await write_rows(tx, insert(tx, FrontAddress).on_conflict_do_nothing(), rows)


async def change_front(tx: Transaction, front: str, *, at: datetime) -> None:
    """Note that a certificate is configured there no more: what is served since before then may be that one still."""
    is_later = sa.or_(col(FrontRow.changed_at).is_(None), col(FrontRow.changed_at) < at)
    query = sa.update(FrontRow).where(col(FrontRow.id) == front, is_later).values(changed_at=at)
    await tx.session.execute(query.execution_options(synchronize_session=False))


async def show_front(tx: Transaction, front: str, *, run_id: str, at: datetime) -> bool:
    """Note that a run has shown a front; return whether it is known already that this run was complete."""
    query = sa.update(FrontRow).where(
        col(FrontRow.id) == front,
        sa.or_(col(FrontRow.run_id).is_(None), col(FrontRow.run_id) != run_id),
        col(FrontRow.seen_at) <= at,
    )
    query = query.values(run_id=run_id, seen_at=at).returning(col(FrontRow.id))
    if await tx.session.scalar(query.execution_options(synchronize_session=False)) is None:
        return False
    known = sa.select(col(SourceReadRow.read_at)).where(col(SourceReadRow.run_id) == run_id)
    read_at = await tx.session.scalar(known.limit(1))
    if read_at is None:
        return False
    told = sa.update(FrontRow).where(col(FrontRow.id) == front).values(read_at=read_at)
    await tx.session.execute(told.execution_options(synchronize_session=False))
    return True


async def forget_front(tx: Transaction, front: str) -> Sequence[str]:
    """Forget a front that no store has any more; return the endpoints of which something was said by it."""
    used = sa.select(col(HeldRow.place_id)).where(col(HeldRow.front_id) == front)
    if await tx.session.scalar(used.limit(1)) is not None:
        return ()
    said = _endpoints().where(col(FrontAddress.front_id) == front, _is_said()).limit(MOST_FOUND)
    found = (await tx.session.scalars(said)).all()
    await tx.session.execute(sa.delete(FrontAddress).where(col(FrontAddress.front_id) == front))
    await tx.session.execute(sa.delete(FrontRow).where(col(FrontRow.id) == front))
    return found


async def join(tx: Transaction, place: str, *, front: str | None, slots: Collection[tuple[int, str]]) -> None:
    """Keep the ports and names that a store is configured for."""
    await tx.session.execute(sa.delete(SlotRow).where(col(SlotRow.place_id) == place))
    rows = [
        {"front_id": front, "port": port, "server_name": name, "place_id": place}
        for port, name in sorted(set(slots))
    ]
    await write_rows(tx, sa.insert(SlotRow), rows if front is not None else [])
    query = sa.update(HeldRow).where(col(HeldRow.place_id) == place)
    values = {"front_id": front, "is_joined": True, "is_waiting": False}
    await tx.session.execute(query.values(values).execution_options(synchronize_session=False))


async def part(tx: Transaction, place: str) -> None:
    """Forget what a store was configured for: it holds nothing now."""
    await tx.session.execute(sa.delete(SlotRow).where(col(SlotRow.place_id) == place))
    query = sa.update(HeldRow).where(col(HeldRow.place_id) == place)
    values = {"front_id": None, "is_joined": False, "is_waiting": False}
    await tx.session.execute(query.values(values).execution_options(synchronize_session=False))


async def wait_for_reading(tx: Transaction, place: str) -> None:
    """From now on, being told the same of a store again means something."""
    query = sa.update(HeldRow).where(col(HeldRow.place_id) == place, col(HeldRow.is_waiting).is_(False))
    await tx.session.execute(query.values(is_waiting=True).execution_options(synchronize_session=False))


async def await_look(tx: Transaction, places: Collection[str], *, is_awaited: bool = True) -> None:
    """From now on, seeing the same at these places again means something; or does so no more."""
    query = sa.update(Sighting).where(col(Sighting.place_id).in_(places))
    query = query.where(col(Sighting.is_awaited).is_(not is_awaited)).values(is_awaited=is_awaited)
    await tx.session.execute(query.execution_options(synchronize_session=False))


async def fronts_at(session: AsyncSession, addresses: Collection[str]) -> Mapping[str, Sequence[Front]]:
    """Return the fronts of each address that has some, and not too many: those are not even fetched."""
    own = (
        sa.select(col(FrontAddress.address))
        .where(among(session, col(FrontAddress.address), addresses))
        .group_by(col(FrontAddress.address))
        .having(sa.func.count() <= MOST_FRONTS)
    )
    query = (
        sa.select(col(FrontAddress.address), FrontRow)
        .join(FrontRow, col(FrontRow.id) == col(FrontAddress.front_id))
        .where(col(FrontAddress.address).in_(own))
        .limit(MOST_FOUND)
        .execution_options(populate_existing=True)
    )
    found: dict[str, list[Front]] = {}
    for address, row in (await session.execute(query)).all():
        front = Front(id=row.id, changed_at=row.changed_at, read_at=row.read_at)
        found.setdefault(address, []).append(front)
    return found


async def fronts_and_keys_of(tx: Transaction, stores: Collection[str]) -> tuple[set[str], set[str]]:
    """Return the fronts that stores are known to have, and the private keys that they are known to hold."""
    query = sa.select(col(HeldRow.front_id), col(HeldRow.key_fingerprint))
    rows = (await tx.session.execute(query.where(among(tx.session, col(HeldRow.place_id), stores)))).all()
    fronts = {front for front, _ in rows if front is not None}
    return fronts, {key for _, key in rows if key is not None}


async def fronts_of_runs(tx: Transaction, runs: Collection[str]) -> set[str]:
    """Return the fronts that runs of sources have shown, and those that have an address in common with one."""
    own, beside = aliased(FrontAddress), aliased(FrontAddress)
    query = (
        sa.select(col(beside.front_id))
        .distinct()
        .join(own, col(own.address) == col(beside.address))
        .join(FrontRow, col(FrontRow.id) == col(own.front_id))
        .where(among(tx.session, col(FrontRow.run_id), runs))
    )
    return set((await tx.session.scalars(query)).all())


async def configured_at(
    session: AsyncSession, fronts: Collection[str], *, ports: Collection[int], names: Collection[str]
) -> Sequence[Configured]:
    """Return the stores that are configured for one of these ports and names."""
    columns = (SlotRow.front_id, SlotRow.port, SlotRow.server_name, SlotRow.place_id)
    query = sa.select(*map(col, columns)).where(
        col(SlotRow.front_id).in_(fronts), col(SlotRow.port).in_(ports), col(SlotRow.server_name).in_(names)
    )
    rows = (await session.execute(query.limit(MOST_FOUND))).mappings()
    return [Configured(**row) for row in rows]


async def holding(
    session: AsyncSession, fingerprints: Collection[str], *, fronts: Collection[str]
) -> Sequence[str]:
    """Return the stores of these fronts that hold one of these certificates."""
    query = _holding(fingerprints, fronts=fronts).with_only_columns(col(HeldRow.place_id))
    return (await session.scalars(query.limit(MOST_FOUND))).all()


async def is_named(session: AsyncSession, fingerprint: str, *, fronts: Collection[str]) -> bool:
    """Return whether a configuration behind these fronts names a certificate."""
    query = _holding([fingerprint], fronts=fronts).where(col(HeldRow.is_named).is_(True))
    return await session.scalar(query.with_only_columns(col(HeldRow.place_id)).limit(1)) is not None


def _holding(fingerprints: Collection[str], *, fronts: Collection[str]) -> sa.Select[HeldRow]:
    return (
        sa.select(HeldRow)
        .join(Sighting, col(Sighting.place_id) == col(HeldRow.place_id))
        .where(col(HeldRow.front_id).in_(fronts), col(Sighting.fingerprint).in_(fingerprints))
    )


async def serving(session: AsyncSession, fingerprints: Collection[str], *, front: str) -> Sequence[str]:
    """Return the endpoints of a front that serve one of these certificates."""
    query = _endpoints().where(
        col(FrontAddress.front_id) == front, col(Sighting.fingerprint).in_(fingerprints)
    )
    return (await session.scalars(query.limit(MOST_FOUND))).all()


async def unexplained(session: AsyncSession, front: str) -> Sequence[str]:
    """Return the endpoints of a front that serve what no configuration behind it names, and of which that is not said."""
    return (await session.scalars(_unexplained().where(col(FrontAddress.front_id) == front))).all()


async def keep_read(tx: Transaction, source_id: str, *, run_id: str, read_at: datetime) -> Sequence[str]:
    """Keep that a run was complete; return the endpoints of what it has shown that serve what nothing names there."""
    values = {"run_id": run_id, "read_at": read_at}
    row = insert(tx, SourceReadRow).values(source_id=source_id, **values)
    is_newer = col(SourceReadRow.read_at) <= read_at
    await tx.session.execute(
        row.on_conflict_do_update(index_elements=["source_id"], set_=values, where=is_newer)
    )
    before = sa.or_(col(FrontRow.read_at).is_(None), col(FrontRow.read_at) < read_at)
    known = sa.update(FrontRow).where(col(FrontRow.run_id) == run_id, before).values(read_at=read_at)
    await tx.session.execute(known.execution_options(synchronize_session=False))
    query = _unexplained().join(FrontRow, col(FrontRow.id) == col(FrontAddress.front_id))
    query = query.where(col(FrontRow.run_id) == run_id, col(Sighting.first_seen) <= read_at)
    return (await tx.session.scalars(query)).all()


def _endpoints() -> sa.Select[str]:
    return (
        sa.select(col(PlaceRow.id))
        .join(FrontAddress, col(FrontAddress.address) == col(PlaceRow.address))
        .join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
        .where(col(PlaceRow.kind) == "endpoint")
    )


def _is_said() -> sa.ColumnElement[bool]:
    return col(PlaceRow.id).in_(
        sa.select(col(FlawRow.place_id)).where(
            col(FlawRow.place_id) == col(PlaceRow.id),
            col(FlawRow.flaw) == Flaw.NOT_CONFIGURED,
            col(FlawRow.ended_at).is_(None),
        )
    )


def _unexplained() -> sa.Select[str]:
    own = aliased(Sighting)
    named = (
        sa.select(col(HeldRow.place_id))
        .join(own, col(own.place_id) == col(HeldRow.place_id))
        .where(col(HeldRow.front_id) == col(FrontAddress.front_id), col(HeldRow.is_named).is_(True))
        .where(col(own.fingerprint) == col(Sighting.fingerprint))
    )
    foreign = _endpoints().where(col(Sighting.fingerprint).is_not(None), ~named.exists(), ~_is_said())
    return foreign.limit(MOST_FOUND)
