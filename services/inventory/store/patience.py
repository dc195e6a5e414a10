"""How long a question may keep the database busy: anybody may ask, also for what no index finds."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.domain.query import Asked
from shared.errors import TooLarge
from shared.store.reader import TookTooLong

LONGEST_MS = 20_000
_CANCELLED = "57014"
"""PostgreSQL's `query_canceled` (its appendix A)."""


@asynccontextmanager
async def patience(session: AsyncSession, asked: Asked | None) -> AsyncIterator[None]:
    """Give up the statements of a question on PostgreSQL after `LONGEST_MS` each. Raises `TooLarge`."""
    if asked is None or session.get_bind().dialect.name != "postgresql":
        yield
        return
    # The settings are those of a transaction, which a session that reads is not in otherwise.
    await session.connection(execution_options={"isolation_level": "READ COMMITTED"})
    await session.execute(
        sa.select(
            sa.func.set_config("statement_timeout", str(LONGEST_MS), True),
            # A plan for any value would be a bad one for the value that somebody has typed.
            sa.func.set_config("plan_cache_mode", "force_custom_plan", True),
        )
    )
    try:
        yield
    except sa.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _CANCELLED:
            raise
        raise _too_much() from error


def longest(asked: Asked | None) -> timedelta | None:
    """Return how long each statement of a reader may take that answers a question; None where nobody has typed one."""
    return None if asked is None else timedelta(milliseconds=LONGEST_MS)


@contextmanager
def given_up() -> Iterator[None]:
    """Say what to do where a reader has given up. Raises `TooLarge`."""
    try:
        yield
    except TookTooLong as error:
        raise _too_much() from error


def _too_much() -> TooLarge:
    return TooLarge(
        "To answer this the database would have to look at too much.",
        next_step="Add a term that finds few certificates by itself, such as a name, an issuer, an address or an "
        "expiry; `~` with a text that neither begins nor ends the value reads everything.",
    )
