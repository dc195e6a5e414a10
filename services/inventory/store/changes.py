"""Writes that many endpoints went over to another certificate, or are gone: a statement a table, however many there are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import col

from services.inventory.store.arrivals import Look
from services.inventory.store.assessment_tables import PlaceTlsRow
from services.inventory.store.tables import Certificate, ServingRow, Sighting
from shared.store import Instant, Transaction, insert
from shared.store.bulk import copy_rows
from shared.store.parameters import among, table_of


@dataclass(frozen=True, kw_only=True)
class Turn:
    """From when an endpoint serves something else; without a fingerprint, nothing."""

    place_id: str
    at: datetime
    last_seen: datetime
    """When it served last what it served before."""
    fingerprint: str | None = None
    chain_digest: str | None = None
    negotiated: int | None = None


_TURN = {
    "place_id": sa.Text,
    "at": Instant,
    "last_seen": Instant,
    "fingerprint": sa.Text,
    "chain_digest": sa.Text,
    "negotiated": sa.BigInteger,
}
_NEGOTIATED = {
    "place_id": sa.Text,
    "version": sa.Text,
    "suite": sa.Text,
    "group": sa.Text,
    "negotiated_at": Instant,
}
_QUIET = {"synchronize_session": False}


class Now(NamedTuple):
    """What a place serves now: rows of columns, since an object of each would cost a multiple."""

    place_id: str
    fingerprint: str | None
    last_seen: datetime
    is_watched: bool
    is_awaited: bool
    negotiated_digest: int | None


class Old(NamedTuple):
    """A certificate that is known, as far as it is asked what comes after it."""

    fingerprint: str
    lineage_id: str
    names: list[str]
    not_before: datetime | None
    next_crossing_at: datetime | None
    owner_id: str | None
    owner_set_by: str | None


_NOW = [getattr(Sighting, name) for name in Now._fields]
_OLD = [getattr(Certificate, name) for name in Old._fields]


async def sightings(tx: Transaction, places: Collection[str]) -> dict[str, Now]:
    """Return what these places serve now, as the database has it."""
    query = sa.select(*_NOW).where(among(tx.session, col(Sighting.place_id), places))
    return {row.place_id: Now._make(row) for row in (await tx.session.execute(query)).all()}


async def certificates(tx: Transaction, fingerprints: Collection[str]) -> dict[str, Old]:
    """Return those of these certificates that are known."""
    query = sa.select(*_OLD).where(among(tx.session, col(Certificate.fingerprint), fingerprints))
    return {row.fingerprint: Old._make(row) for row in (await tx.session.execute(query)).all()}


async def turn(tx: Transaction, turns: Sequence[Turn]) -> None:
    """Write what endpoints serve now, and until when they served what they did before. Raises `LookupError` where that is not on record."""
    ordered = sorted(turns, key=lambda each: each.place_id)
    given = table_of(tx, _TURN, [[getattr(each, name) for name in _TURN] for each in ordered])
    ended = (
        sa.update(ServingRow)
        .where(col(ServingRow.place_id) == given.c.place_id, col(ServingRow.until).is_(None))
        .values(until=given.c.at, last_seen=given.c.last_seen)
        .returning(col(ServingRow.place_id))
        .execution_options(**_QUIET)
    )
    if len((await tx.session.execute(ended)).all()) != len(turns):
        raise LookupError("An endpoint serves something, but it is not on record since when.")
    await copy_rows(tx, ServingRow, [_serving(each) for each in ordered])
    now = (
        sa.update(Sighting)
        .where(col(Sighting.place_id) == given.c.place_id)
        .values(
            fingerprint=given.c.fingerprint,
            chain_digest=given.c.chain_digest,
            first_seen=given.c.at,
            last_seen=given.c.at,
            is_watched=False,
            is_proof=sa.or_(col(Sighting.is_proof), given.c.fingerprint.is_not(None)),
            negotiated_digest=sa.func.coalesce(given.c.negotiated, col(Sighting.negotiated_digest)),
        )
    )
    await tx.session.execute(now.execution_options(**_QUIET))


def _serving(each: Turn) -> dict[str, object]:
    return {
        "place_id": each.place_id,
        "since": each.at,
        "fingerprint": each.fingerprint,
        "last_seen": each.at,
        "until": None,
    }


async def keep_negotiated(tx: Transaction, looks: Sequence[Look]) -> None:
    """Keep how TLS was spoken with endpoints, unless it was spoken otherwise later."""
    rows = [
        (
            look.place_id,
            look.seen.tls_version,
            look.seen.cipher_suite,
            look.seen.group,
            look.seen.observed_at,
        )
        for look in sorted(looks, key=lambda look: look.place_id)
        if look.negotiated is not None
    ]
    if not rows:
        return
    given = table_of(tx, _NEGOTIATED, rows)
    # SQLite takes ON CONFLICT behind a SELECT for a join where no WHERE is between.
    values = sa.select(*(given.c[name] for name in _NEGOTIATED)).where(sa.true())
    new = insert(tx, PlaceTlsRow).from_select(list(_NEGOTIATED), values)
    told = {name: new.excluded[name] for name in _NEGOTIATED if name != "place_id"}
    before = col(PlaceTlsRow.negotiated_at)
    is_later = sa.or_(before.is_(None), before <= new.excluded.negotiated_at)
    await tx.session.execute(
        new.on_conflict_do_update(index_elements=["place_id"], set_=told, where=is_later)
    )


async def heirs(tx: Transaction, lineages: Collection[str]) -> dict[str, Old]:
    """Return of each of these lineages the certificate that is valid longest."""
    of = col(Certificate.lineage_id)
    order = (col(Certificate.not_after).desc(), col(Certificate.id).desc())
    number = sa.func.row_number().over(partition_by=of, order_by=order).label("number")
    numbered = (
        sa.select(col(Certificate.fingerprint), number).where(among(tx.session, of, lineages)).subquery()
    )
    first = sa.select(numbered.c.fingerprint).where(numbered.c.number == 1)
    query = sa.select(*_OLD).where(col(Certificate.fingerprint).in_(first))
    return {row.lineage_id: Old._make(row) for row in (await tx.session.execute(query)).all()}
