"""What waits to be fetched, and who may fetch it."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.provisioner.store.tables import Binding, Deployment, Table
from shared.store import Instant, Sealed, Transaction


class PullOffer(Table, table=True):
    """A pair that waits to be fetched for a slot, or the word that it is to be taken back; one for each slot."""

    __tablename__ = "pull_offers"
    __table_args__ = (sa.UniqueConstraint("target_id", "slot_key"),)

    id: str = Field(primary_key=True, max_length=36)
    target_id: str = Field(max_length=36)
    slot_key: str = Field(max_length=1000)
    action: str = Field(max_length=20)
    fingerprint: str = Field(max_length=64)
    chain: str = Field(sa_type=sa.Text)
    private_key: bytes | None = Field(default=None, sa_type=Sealed)
    """Sealed; nothing where it is not needed any more."""
    offered_at: datetime = Field(sa_type=Instant)
    key_released_at: datetime | None = Field(default=None, sa_type=Instant)
    released_to: str | None = Field(default=None, max_length=64)
    """The public key that it was sealed to, in base64: to that it may be released again."""
    outcome: str | None = Field(default=None, max_length=20)
    reason: str | None = Field(default=None, sa_type=sa.Text)
    reported_at: datetime | None = Field(default=None, sa_type=Instant)


class PullToken(Table, table=True):
    """Who knows the token of this digest may fetch for one binding, and nothing else."""

    __tablename__ = "pull_tokens"

    binding_id: str = Field(primary_key=True, max_length=36)
    digest: str = Field(max_length=64)
    """SHA-256 of a token that is too long to be guessed."""
    made_at: datetime = Field(sa_type=Instant)
    made_by: str = Field(max_length=100)


async def pull_offer(session: AsyncSession, *, target_id: str, slot_key: str) -> PullOffer | None:
    """Return what waits for a slot."""
    query = sa.select(PullOffer).where(
        col(PullOffer.target_id) == target_id, col(PullOffer.slot_key) == slot_key
    )
    found: PullOffer | None = await session.scalar(query)
    return found


async def pull_offer_to_change(tx: Transaction, *, target_id: str, slot_key: str) -> PullOffer | None:
    """Return what waits for a slot, held until the transaction ends."""
    query = sa.select(PullOffer).where(
        col(PullOffer.target_id) == target_id, col(PullOffer.slot_key) == slot_key
    )
    found: PullOffer | None = await tx.session.scalar(query.with_for_update())
    return found


async def forget_pulls(tx: Transaction, binding: Binding) -> None:
    """Void the token of a binding, and take back what waits for it."""
    await tx.session.execute(sa.delete(PullToken).where(col(PullToken.binding_id) == binding.id))
    await tx.session.execute(
        sa.delete(PullOffer).where(
            col(PullOffer.target_id) == binding.target_id, col(PullOffer.slot_key) == binding.slot_key
        )
    )


async def deployment_at_work(tx: Transaction, binding: Binding) -> Deployment | None:
    """Return the deployment of a binding that waits for what its target does, held until the transaction ends."""
    query = (
        sa.select(Deployment)
        .where(col(Deployment.binding_id) == binding.id, col(Deployment.next_attempt_at).is_not(None))
        .where(col(Deployment.phase).in_(("binding", "restoring")))
        .with_for_update()
    )
    found: Deployment | None = await tx.session.scalar(query.limit(1))
    return found
