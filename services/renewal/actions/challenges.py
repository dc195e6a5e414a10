"""What our listeners answer: kept in the database, so that any process can answer for any other."""

from hashlib import sha256

from services.renewal import store
from shared.clock import Clock
from shared.store import Database


class Challenges:
    """The answers of http-01."""

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


class TlsChallenges:
    """What is shown by tls-alpn-01: to whoever asks for a name, for which there is one at a time."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(self, name: str, authorization: str) -> None:
        """Show this key authorization when asked for the name."""
        async with self._database.transaction() as tx:
            challenge = store.HttpChallenge(token=_row(name), answer=authorization, created_at=self._clock())
            await store.put_challenge(tx, challenge)

    async def remove(self, name: str, authorization: str) -> None:
        """Show it no more."""
        async with self._database.transaction() as tx:
            await store.remove_challenge(tx, _row(name), answer=authorization)

    async def find(self, name: str) -> str | None:
        """Return the key authorization, or None."""
        async with self._database.read() as session:
            found = await session.get(store.HttpChallenge, _row(name))
        return found.answer if found is not None else None


def _row(name: str) -> str:
    """Return what a name is kept under: no token is written so (RFC 8555 §8.1), and any name fits."""
    return f"tls-alpn-01 {sha256(name.lower().encode()).hexdigest()}"
