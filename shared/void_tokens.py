"""Which tokens are refused though they have not ended: what somebody may do has changed since.

Tokens are verified offline, so every service keeps for itself what `access.changed` has told. The
event reaches one replica, which writes it into the service's database; the others read it there
within `READ_EVERY`. A service that cannot read it accepts no token after `TRUSTED_FOR`.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import anyio
import sqlalchemy as sa

from shared.errors import Unavailable
from shared.events import Event
from shared.events.inventory import AccessChanged
from shared.reactions import Reaction
from shared.store import Database, Transaction, insert, is_away
from shared.store.plumbing import VOID_TOKENS

READ_EVERY = timedelta(seconds=10)
TRUSTED_FOR = timedelta(seconds=45)
"""How long what was read last is good for while the database is away: with the event's way, within a minute."""


class VoidTokens:
    """The void tokens of one service, read from its database and kept in memory."""

    def __init__(self, database: Database, *, seconds: Callable[[], float] = time.monotonic) -> None:
        """`seconds` is a clock that never goes back."""
        self._database = database
        self._seconds = seconds
        self._issued_until: Mapping[str, datetime] = {}
        self._read_at: float | None = None
        self._is_due = True
        self._one_read = anyio.Lock()

    @property
    def reaction(self) -> Reaction[AccessChanged]:
        """Return what a service does on `access.changed`."""
        return Reaction(AccessChanged, self._heard)

    async def _heard(self, tx: Transaction, event: Event[AccessChanged]) -> None:
        await self.add(tx, event.data.principal_id, issued_until=event.data.void_until)

    async def add(self, tx: Transaction, principal_id: str, *, issued_until: datetime) -> None:
        """Refuse the tokens of a principal that were issued at this instant or before."""
        new = insert(tx, VOID_TOKENS).values(principal_id=principal_id, issued_until=issued_until)
        # Events come in any order: what is void stays so.
        later = new.excluded.issued_until
        await tx.session.execute(
            new.on_conflict_do_update(
                index_elements=["principal_id"],
                set_={"issued_until": later},
                where=VOID_TOKENS.c.issued_until < later,
            )
        )
        tx.after_commit(self._read_again)

    def _read_again(self) -> None:
        self._is_due = True

    async def is_void(self, principal_id: str, *, issued_at: datetime) -> bool:
        """Return whether a token is refused. Raises `Unavailable` where that cannot be known."""
        if self._must_read():
            async with self._one_read:  # who comes meanwhile waits for the same answer
                if self._must_read():
                    await self._read()
        until = self._issued_until.get(principal_id)
        return until is not None and issued_at <= until

    def _must_read(self) -> bool:
        return self._is_due or self._age() >= READ_EVERY.total_seconds()

    def _age(self) -> float:
        return float("inf") if self._read_at is None else self._seconds() - self._read_at

    async def _read(self) -> None:
        began = self._seconds()
        self._is_due = False
        try:
            async with self._database.read() as session:
                rows = (await session.execute(sa.select(VOID_TOKENS))).all()
        except Exception as error:
            self._is_due = True
            if not (isinstance(error, Unavailable | OSError) or is_away(error)):
                raise
            if self._age() < TRUSTED_FOR.total_seconds():
                return
            raise Unavailable(
                "It cannot be known which tokens were revoked: the database does not answer.",
                next_step="Try again shortly.",
            ) from error
        self._issued_until = {row.principal_id: row.issued_until for row in rows}
        self._read_at = began
