"""Places, what they serve now, and what they served before."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.query import Asked
from services.inventory.domain.servings import Serving
from services.inventory.store.arrivals import Look
from services.inventory.store.flaws import has_flaw
from services.inventory.store.locks import are_several
from services.inventory.store.queries import place_condition
from services.inventory.store.tables import PlaceRow, ServingRow, Sighting
from services.inventory.store.visibility import Scope, visible_lost_places, visible_places, visible_servings
from shared.events.discovery import Place
from shared.events.inventory import Flaw
from shared.store import Instant, Transaction, insert
from shared.store.parameters import among, table_of


def place_id(key: str) -> str:
    """Return the id of a place: keys are of any length, ids are not."""
    return sha256(key.encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Touched:
    """What it means that a place serves what it served before."""

    is_watched: bool
    """The certificate has a successor."""
    is_awaited: bool
    """What is configured there has changed meanwhile."""
    negotiated_digest: int | None
    tls_digest: int | None
    """How TLS is spoken there, as it is known so far."""


_TOLD = ("is_watched", "is_awaited", "negotiated_digest", "tls_digest")
"""What a touched sighting tells, as `Touched` names it."""


async def touch(
    tx: Transaction, place: str, *, fingerprint: str, chain_digest: str, at: datetime
) -> Touched | None:
    """Note that a place serves what it served before: one narrow UPDATE, the usual case.

    Returns what that means, or None where something is not as before.
    """
    query = (
        sa.update(Sighting)
        .where(
            col(Sighting.place_id) == place,
            col(Sighting.fingerprint) == fingerprint,
            col(Sighting.chain_digest) == chain_digest,
            col(Sighting.last_seen) <= at,
        )
        .values(last_seen=at)
        .returning(*_told())
        .execution_options(synchronize_session=False)
    )
    row = (await tx.session.execute(query)).first()
    return _touched(row) if row is not None else None


def _told() -> list[Any]:
    return [getattr(Sighting, name) for name in _TOLD]


def _touched(row: Any) -> Touched:
    return Touched(**{name: getattr(row, name) for name in _TOLD})


_LOOKS = {
    "place_id": sa.Text,
    "fingerprint": sa.Text,
    "chain_digest": sa.Text,
    "at": Instant,
    "negotiated": sa.BigInteger,
    "looked": sa.BigInteger,
}
_SIGHTINGS = cast(sa.Table, sa.inspect(Sighting).local_table)


async def touch_all(tx: Transaction, looks: Sequence[Look]) -> set[str]:
    """Note that places serve what they served before, as they did, and that it means nothing: one UPDATE for all.

    Returns the places that were left as they were: nearly always none. Each place may be given once.
    """
    # In one order, so that replicas do not wait for each other in a circle.
    rows = sorted(
        (
            look.place_id,
            look.seen.fingerprint,
            look.digest,
            look.seen.observed_at,
            look.negotiated,
            look.looked,
        )
        for look in looks
    )
    given, seen = table_of(tx, _LOOKS, rows), _SIGHTINGS.c
    query = (
        sa.update(_SIGHTINGS)
        .where(
            seen.place_id == given.c.place_id,
            seen.fingerprint == given.c.fingerprint,
            seen.chain_digest == given.c.chain_digest,
            seen.last_seen <= given.c.at,
            sa.not_(sa.or_(seen.is_watched, seen.is_awaited)),
            sa.or_(given.c.negotiated.is_(None), given.c.negotiated == seen.negotiated_digest),
            sa.or_(given.c.looked.is_(None), given.c.looked == seen.tls_digest),
        )
        .values(last_seen=given.c.at)
        .returning(seen.place_id)
    )
    if not are_several(tx):  # SQLite changes nothing within a question
        return {row[0] for row in rows} - set((await tx.session.scalars(query)).all())
    touched = query.cte("touched")
    every = table_of(tx, {"place_id": sa.Text}, [(row[0],) for row in rows])
    left = sa.select(every.c.place_id).where(every.c.place_id.not_in(sa.select(touched.c.place_id)))
    return set((await tx.session.scalars(left)).all())


async def keep_place(tx: Transaction, place: Place) -> str:
    """Make a place known and return its id."""
    row = {"id": place_id(place.key), "key": place.key, **place.model_dump()}
    await tx.session.execute(insert(tx, PlaceRow).values(row).on_conflict_do_nothing())
    return str(row["id"])


async def sighting(tx: Transaction, place: str) -> Sighting | None:
    """Return what a place serves now, as the database has it."""
    query = sa.select(Sighting).where(col(Sighting.place_id) == place)
    found: Sighting | None = await tx.session.scalar(query.execution_options(populate_existing=True))
    return found


async def served_around(tx: Transaction, looks: Collection[tuple[str, datetime]]) -> set[str]:
    """Return the fingerprints of the certificates that places serve now, and served last before an instant and first after it."""
    query = sa.select(col(Sighting.place_id), col(Sighting.fingerprint), col(Sighting.first_seen))
    query = query.where(among(tx.session, col(Sighting.place_id), {place for place, _ in looks}))
    now = {place: (print_, since) for place, print_, since in (await tx.session.execute(query)).all()}
    found = {print_ for print_, _ in now.values() if print_ is not None}
    # Before all that comes later than what is served now is that, and after it nothing.
    earlier = [
        (place, at) for place, at in looks if place in now and (now[place][0] is None or at <= now[place][1])
    ]
    return found | (await _served_beside(tx, earlier) if earlier else set())


async def _served_beside(tx: Transaction, looks: Sequence[tuple[str, datetime]]) -> set[str]:
    given = table_of(tx, {"place_id": sa.Text, "at": Instant}, looks)
    mine = sa.select(col(ServingRow.fingerprint)).where(
        col(ServingRow.place_id) == given.c.place_id, col(ServingRow.fingerprint).is_not(None)
    )
    since = col(ServingRow.since)
    before = mine.where(since < given.c.at).order_by(since.desc()).limit(1)
    after = mine.where(since > given.c.at).order_by(since).limit(1)
    both = (each.correlate(given).scalar_subquery() for each in (before, after))
    rows = await tx.session.execute(sa.select(*both).select_from(given))
    return {print_ for row in rows.all() for print_ in row if print_ is not None}


async def window(tx: Transaction, place: str, *, at: datetime) -> list[Serving]:
    """Return the servings beside an instant: the last that began by then, and the next."""
    mine = sa.select(ServingRow).where(col(ServingRow.place_id) == place)
    before = mine.where(col(ServingRow.since) <= at).order_by(col(ServingRow.since).desc()).limit(1)
    after = mine.where(col(ServingRow.since) > at).order_by(col(ServingRow.since)).limit(1)
    rows = [*(await tx.session.scalars(before)).all(), *(await tx.session.scalars(after)).all()]
    now = await sighting(tx, place)
    return [_serving(row, now) for row in rows]


def _serving(row: ServingRow, now: Sighting | None) -> Serving:
    last_seen = max(row.last_seen, now.last_seen) if now is not None and row.until is None else row.last_seen
    return Serving(fingerprint=row.fingerprint, since=row.since, last_seen=last_seen, until=row.until)


async def neighbours(tx: Transaction, place: str, *, at: datetime) -> tuple[str | None, str | None]:
    """Return the certificates that a place served last before an instant and first after it."""
    mine = sa.select(col(ServingRow.fingerprint)).where(
        col(ServingRow.place_id) == place, col(ServingRow.fingerprint).is_not(None)
    )
    before = mine.where(col(ServingRow.since) < at).order_by(col(ServingRow.since).desc()).limit(1)
    after = mine.where(col(ServingRow.since) > at).order_by(col(ServingRow.since)).limit(1)
    return await tx.session.scalar(before), await tx.session.scalar(after)


async def rewrite(tx: Transaction, place: str, *, old: Sequence[Serving], new: Sequence[Serving]) -> None:
    """Put new servings in the place of old ones."""
    gone = [serving.since for serving in old if serving not in new]
    fresh = [serving for serving in new if serving not in old]
    mine = col(ServingRow.place_id) == place
    if gone:
        await tx.session.execute(sa.delete(ServingRow).where(mine, col(ServingRow.since).in_(gone)))
    if fresh:
        rows = [
            {
                "place_id": place,
                "since": serving.since,
                "fingerprint": serving.fingerprint,
                "last_seen": serving.last_seen,
                "until": serving.until,
            }
            for serving in fresh
        ]
        await tx.session.execute(sa.insert(ServingRow), rows)


async def set_sighting(
    tx: Transaction,
    place: str,
    *,
    serving: Serving,
    chain_digest: str | None,
    is_watched: bool,
    is_proof: bool,
) -> None:
    """Say what a place serves now."""
    values = {
        "fingerprint": serving.fingerprint,
        "chain_digest": chain_digest,
        "first_seen": serving.since,
        "last_seen": serving.last_seen,
        "is_watched": is_watched,
        "is_proof": is_proof,
    }
    row = insert(tx, Sighting).values(place_id=place, **values)
    await tx.session.execute(row.on_conflict_do_update(index_elements=["place_id"], set_=values))


async def set_proof(tx: Transaction, place: str, *, is_proof: bool) -> bool:
    """Say whether what is at a place shows that a certificate is in use; return whether that is news."""
    query = sa.update(Sighting).where(
        col(Sighting.place_id) == place, col(Sighting.is_proof).is_not(is_proof)
    )
    query = query.values(is_proof=is_proof).returning(col(Sighting.place_id))
    return await tx.session.scalar(query.execution_options(synchronize_session=False)) is not None


async def watch(tx: Transaction, fingerprint: str) -> None:
    """From now on, seeing this certificate anywhere again means something."""
    query = sa.update(Sighting).where(col(Sighting.fingerprint) == fingerprint).values(is_watched=True)
    await tx.session.execute(query.execution_options(synchronize_session=False))


async def places_serving(
    session: AsyncSession, fingerprint: str, *, limit: int
) -> Sequence[tuple[PlaceRow, Sighting]]:
    """Return the places that serve a certificate now."""
    query = (
        sa.select(PlaceRow, Sighting)
        .join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
        .where(col(Sighting.fingerprint) == fingerprint)
        .order_by(col(PlaceRow.id))
        .limit(limit)
    )
    return [(place, seen) for place, seen in (await session.execute(query)).all()]


async def count_serving(session: AsyncSession, fingerprint: str) -> int:
    """Return how many places serve a certificate now."""
    query = sa.select(sa.func.count()).where(col(Sighting.fingerprint) == fingerprint)
    return await session.scalar(query) or 0


async def rows_of(session: AsyncSession, ids: Sequence[str]) -> Sequence[PlaceRow]:
    """Return places by their ids."""
    query = sa.select(PlaceRow).where(col(PlaceRow.id).in_(ids)).order_by(col(PlaceRow.id))
    return (await session.scalars(query)).all()


async def visible(session: AsyncSession, ids: Sequence[str], *, scope: Scope) -> Sequence[PlaceRow]:
    """Return those of these places that may be seen."""
    query = sa.select(PlaceRow).where(col(PlaceRow.id).in_(ids)).order_by(col(PlaceRow.id))
    if scope is not None:
        query = query.join(Sighting, col(Sighting.place_id) == col(PlaceRow.id)).where(*visible_places(scope))
    return (await session.scalars(query)).all()


def as_place(row: PlaceRow) -> Place:
    """Return a row as events name places."""
    return Place.model_validate({name: getattr(row, name) for name in Place.model_fields})


async def page(
    session: AsyncSession,
    *,
    scope: Scope,
    after: str | None,
    limit: int,
    address: str | None,
    port: int | None,
    fingerprint: str | None,
    flaw: Flaw | None,
    asked: Asked | None = None,
) -> Sequence[tuple[PlaceRow, Sighting]]:
    """Return `limit + 1` places and what they serve."""
    found = sa.select(PlaceRow, Sighting).join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
    wanted = ((PlaceRow.address, address), (PlaceRow.port, port), (Sighting.fingerprint, fingerprint))
    found = found.where(*(col(column) == value for column, value in wanted if value is not None))
    found = found.where(*visible_places(scope))
    if flaw is not None:
        found = found.where(has_flaw(flaw))
    if asked is not None:
        found = found.where(place_condition(asked.query, now=asked.now))
    if after is not None:
        found = found.where(col(PlaceRow.id) > after)
    rows = await session.execute(found.order_by(col(PlaceRow.id)).limit(limit + 1))
    return [(place, seen) for place, seen in rows.all()]


async def history(
    session: AsyncSession,
    place: str,
    *,
    scope: Scope,
    at: datetime | None,
    during: tuple[datetime, datetime] | None = None,
    limit: int,
) -> list[Serving]:
    """Return what a place served, the latest first; with `at`, only what it served at that instant."""
    query = sa.select(ServingRow).where(col(ServingRow.place_id) == place)
    if at is not None:
        # Chosen first and then looked at: what was there before is no answer to what was there then.
        latest = sa.select(sa.func.max(col(ServingRow.since))).where(
            col(ServingRow.place_id) == place, col(ServingRow.since) <= at
        )
        query = query.where(col(ServingRow.since) == latest.scalar_subquery())
    if during is not None:
        until = col(ServingRow.until)
        query = query.where(col(ServingRow.since) < during[1], sa.or_(until.is_(None), until > during[0]))
    query = query.where(*visible_servings(scope))
    newest = query.order_by(col(ServingRow.since).desc()).limit(limit)
    now = await session.scalar(sa.select(Sighting).where(col(Sighting.place_id) == place))
    return [_serving(row, now) for row in (await session.scalars(newest)).all()]


async def counts(session: AsyncSession, *, scope: Scope) -> tuple[int, int]:
    """Return how many places are to be seen, and how many of them do not answer any more."""
    every = sa.func.count()
    query = sa.select(every, every.filter(col(Sighting.fingerprint).is_(None))).select_from(Sighting)
    if scope is not None:
        query = query.join(PlaceRow, col(PlaceRow.id) == col(Sighting.place_id)).where(*visible_places(scope))
    known, lost = (await session.execute(query)).one()
    return known, lost


async def count_lost(session: AsyncSession, *, scope: frozenset[str]) -> int:
    """Return how many places do not answer any more that have served what is to be seen: few do not, whatever the group."""
    query = sa.select(sa.func.count()).select_from(Sighting)
    query = query.join(PlaceRow, col(PlaceRow.id) == col(Sighting.place_id))
    return await session.scalar(query.where(*visible_lost_places(scope))) or 0
