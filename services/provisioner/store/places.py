"""Where bindings show, and what was seen there."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.provisioner.domain import OPEN
from services.provisioner.store.tables import Binding, BindingPlace, Deployment, table_of
from shared.store import Transaction

_BINDINGS = table_of(Binding)
IS_IN_PLACE = (
    sa.update(_BINDINGS)
    .where(_BINDINGS.c.id == sa.bindparam("of_binding"))
    .values(
        fingerprint=sa.bindparam("seen"),
        deployed_at=sa.bindparam("at"),
        look_at=sa.bindparam("next_look"),
        drift=sa.null(),
        drifted_at=sa.null(),
    )
)
"""What was seen in the slot of a binding by our doing, and when it is looked at again."""


async def keep_places(tx: Transaction, binding_id: str, places: Collection[str]) -> None:
    """Remember where a binding shows, in place of what was known."""
    await forget_places(tx, binding_id)
    tx.session.add_all(BindingPlace(place=place, binding_id=binding_id) for place in sorted(set(places)))


async def forget_places(tx: Transaction, binding_id: str) -> None:
    """Forget where a binding shows."""
    await tx.session.execute(sa.delete(BindingPlace).where(col(BindingPlace.binding_id) == binding_id))


async def bindings_at(tx: Transaction, places: Collection[str]) -> Sequence[Binding]:
    """Return the bindings that show at one of these places, each held until the transaction ends."""
    shown = sa.select(col(BindingPlace.binding_id)).where(col(BindingPlace.place).in_(sorted(places)))
    query = sa.select(Binding).where(col(Binding.id).in_(shown)).order_by(col(Binding.id))
    return (await tx.session.scalars(query.with_for_update())).all()


async def is_any_bound_at(session: AsyncSession, place: str) -> bool:
    """Return whether a binding shows at a place, without holding anything: mostly none does."""
    query = sa.select(col(BindingPlace.binding_id)).where(col(BindingPlace.place) == place).limit(1)
    return await session.scalar(query) is not None


async def bindings_to_look_at(
    tx: Transaction, *, now: datetime, pause: timedelta, limit: int
) -> Sequence[Binding]:
    """Return bindings whose endpoints are due to be looked at, and let the next look be after a pause."""
    query = sa.select(Binding).where(col(Binding.look_at) <= now).order_by(col(Binding.look_at)).limit(limit)
    rows = (await tx.session.scalars(query.with_for_update(skip_locked=True))).all()
    for row in rows:
        row.look_at = now + pause
    return rows


async def is_any_binding_due(session: AsyncSession, now: datetime) -> bool:
    """Return whether there is one to look at, without locking anything."""
    query = sa.select(col(Binding.id)).where(col(Binding.look_at) <= now).limit(1)
    return await session.scalar(query) is not None


async def is_on_its_way(session: AsyncSession, binding_id: str) -> bool:
    """Return whether a certificate is to come into the slot of a binding: what is seen there now says nothing."""
    query = sa.select(col(Deployment.id)).where(
        col(Deployment.binding_id) == binding_id, col(Deployment.state).in_(OPEN)
    )
    return await session.scalar(query.limit(1)) is not None


async def last_deployed(tx: Transaction, binding_id: str, *, fingerprint: str) -> Deployment | None:
    """Return the deployment that has brought a certificate into the slot of a binding, for changing it."""
    query = sa.select(Deployment).where(
        col(Deployment.binding_id) == binding_id,
        col(Deployment.fingerprint) == fingerprint,
        col(Deployment.deployed_at).is_not(None),
    )
    query = query.order_by(col(Deployment.renewed_at).desc()).limit(1).with_for_update()
    found: Deployment | None = await tx.session.scalar(query)
    return found
