"""What the http-01 listener answers: kept in the database, so that any process can answer for any other."""

from services.renewal import store
from shared.clock import Clock
from shared.store import Database


class Challenges:
    """The answers."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(self, token: str, text: str) -> None:
        """Answer with this text when asked for the token."""
        async with self._database.transaction() as tx:
            challenge = store.HttpChallenge(token=token, answer=text, created_at=self._clock())
            await store.put_challenge(tx, challenge)

    async def remove(self, token: str) -> None:
        """Answer no more."""
        async with self._database.transaction() as tx:
            await store.remove_challenge(tx, token)

    async def find(self, token: str) -> str | None:
        """Return the answer, or None."""
        async with self._database.read() as session:
            found = await session.get(store.HttpChallenge, token)
        return found.answer if found is not None else None
