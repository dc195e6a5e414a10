"""What the http-01 listener answers."""

from datetime import timedelta

import sqlalchemy as sa
from sqlmodel import col

from services.renewal.store.tables import HttpChallenge
from shared.store import Transaction, insert


async def put_challenge(tx: Transaction, challenge: HttpChallenge) -> None:
    """Let the listener answer for a token; forget what was left over days ago."""
    old = col(HttpChallenge.created_at) < challenge.created_at - timedelta(days=2)
    await tx.session.execute(sa.delete(HttpChallenge).where(old))
    added = insert(tx, HttpChallenge).values(challenge.model_dump())
    await tx.session.execute(
        added.on_conflict_do_update(index_elements=["token"], set_={"answer": challenge.answer})
    )


async def remove_challenge(tx: Transaction, token: str) -> None:
    """Let the listener answer no more."""
    await tx.session.execute(sa.delete(HttpChallenge).where(col(HttpChallenge.token) == token))
