"""What the listeners of http-01 and tls-alpn-01 answer."""

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


async def remove_challenge(tx: Transaction, token: str, *, answer: str | None = None) -> None:
    """Let the listener answer no more; where an answer is named, only as long as it is that one."""
    removed = sa.delete(HttpChallenge).where(col(HttpChallenge.token) == token)
    if answer is not None:
        removed = removed.where(col(HttpChallenge.answer) == answer)
    await tx.session.execute(removed)
