"""Arrangements: each person's own, kept for the next time and on other machines."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from services.inventory.store.arrangements import arrangement
from services.inventory.store.tables import ArrangementRow
from shared.access import Principal
from shared.errors import Conflict
from shared.ids import new_id
from shared.store import Database

Cards = Sequence[Mapping[str, Any]]


class Arrangements:
    """The verbs on arrangements. Nobody sees those of others."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, name: str, *, caller: Principal) -> Cards:
        """Return how the caller has arranged a page: nothing where they have left it as it comes."""
        async with self._database.read() as session:
            row = await arrangement(session, name, owner_id=caller.id)
        return row.cards if row is not None else []

    async def keep(self, name: str, cards: Cards, *, caller: Principal, now: datetime) -> None:
        """Keep an arrangement instead of the one before. Raises `Conflict` where another tab does the same."""
        async with self._database.transaction() as tx:
            row = await arrangement(tx.session, name, owner_id=caller.id)
            if row is None:
                row = ArrangementRow(id=new_id(), owner_id=caller.id, name=name, cards=[], updated_at=now)
                tx.session.add(row)
            row.cards, row.updated_at = [dict(card) for card in cards], now
            try:
                await tx.session.flush()
            except IntegrityError as error:
                raise Conflict("The page is being arranged elsewhere.", next_step="Try again.") from error
