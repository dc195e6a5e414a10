"""The places that ought to change, and when to look at them next."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from services.discovery.store.tables import KnownPlace, Watch
from shared.store import Instant, Transaction, insert, write_rows


async def watch_places(tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
    """Watch these places, in place of what they were watched for before; rows have distinct keys."""
    await write_rows(tx, _instead(insert(tx, Watch), sooner_only=False), rows)


async def watch_places_serving(
    tx: Transaction, fingerprint: str, *, at: datetime, sooner_only: bool = False
) -> None:
    """Watch every place last seen to serve this certificate, in one statement however many there are.

    `sooner_only` leaves a watch alone that looks earlier anyway.
    """
    source = sa.select(
        col(KnownPlace.key),
        col(KnownPlace.address),
        col(KnownPlace.port),
        col(KnownPlace.server_name),
        col(KnownPlace.starttls),
        col(KnownPlace.key_type),
        sa.literal(fingerprint),
        sa.literal(0),
        sa.literal(at, Instant),
    ).where(col(KnownPlace.fingerprint) == fingerprint)
    place = ["place_key", "address", "port", "server_name", "starttls", "key_type"]
    names = [*place, "old_fingerprint", "looks", "next_look_at"]
    statement = insert(tx, Watch).from_select(names, source)
    await tx.session.execute(_instead(statement, sooner_only=sooner_only))


def _instead(statement: Any, *, sooner_only: bool) -> Any:
    new = statement.excluded
    changes = {name: new[name] for name in ("old_fingerprint", "looks", "next_look_at")}
    condition = new.next_look_at < col(Watch.next_look_at) if sooner_only else None
    return statement.on_conflict_do_update(index_elements=["place_key"], set_=changes, where=condition)


async def claim_watches(tx: Transaction, *, now: datetime, lease: timedelta, limit: int) -> Sequence[Watch]:
    """Take due watches; they come due again after the lease if nothing becomes of this look."""
    query = (
        sa.select(Watch)
        .where(col(Watch.next_look_at) <= now)
        .order_by(col(Watch.next_look_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    due = (await tx.session.scalars(query)).all()
    for watch in due:
        watch.next_look_at = now + lease
    return due


async def watches_as_claimed(tx: Transaction, due: Sequence[Watch]) -> Sequence[Watch]:
    """Return those of the claimed watches that nobody has changed since, held until the transaction ends."""
    if not due:
        return ()
    at = due[0].next_look_at
    query = (
        sa.select(Watch)
        .where(col(Watch.place_key).in_([watch.place_key for watch in due]), col(Watch.next_look_at) == at)
        .with_for_update()
    )
    return (await tx.session.scalars(query)).all()
