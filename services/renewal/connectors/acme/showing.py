"""How control of a name is shown: on our listeners, or in a zone (RFC 8555 §8.3, §8.4, RFC 8737)."""

from datetime import datetime
from hashlib import sha256
from typing import Protocol

from services.renewal.connectors import HttpChallenges, TlsChallenges
from services.renewal.connectors.acme.jose import base64url
from services.renewal.connectors.dns import Records
from services.renewal.connectors.dns.lookup import Lookup


class Showing(Protocol):
    """One way to show it; both verbs may be done twice. `place` is what `place_of` has said before."""

    async def place_of(self, name: str) -> str:
        """Return where control of a name is shown. Raises `NotNow`."""

    async def show(self, place: str, *, token: str, authorization: str) -> None:
        """Let the authority see the key authorization. Raises `Refused` or `NotNow`."""

    async def is_seen(self, place: str, *, authorization: str, since: datetime, now: datetime) -> bool:
        """Return whether whoever looks can see what is shown `since`. Raises `Refused` or `NotNow`."""

    async def clean(self, place: str, *, token: str, authorization: str) -> None:
        """Take it away again. Raises `Refused` or `NotNow`."""


class _AtOnce:
    """What our own listener shows is at the name itself, and there to be seen at once."""

    async def place_of(self, name: str) -> str:
        return name

    async def is_seen(self, place: str, *, authorization: str, since: datetime, now: datetime) -> bool:  # noqa: ARG002 - the Protocol's
        return True


class Http01(_AtOnce):
    """By our own listener of HTTP."""

    def __init__(self, challenges: HttpChallenges) -> None:
        self._challenges = challenges

    async def show(self, place: str, *, token: str, authorization: str) -> None:  # noqa: ARG002 - the token is enough
        """Answer for the token."""
        await self._challenges.put(token, authorization)

    async def clean(self, place: str, *, token: str, authorization: str) -> None:  # noqa: ARG002 - the token is enough
        """Answer no more."""
        await self._challenges.remove(token)


class TlsAlpn01(_AtOnce):
    """By our own listener of TLS."""

    def __init__(self, challenges: TlsChallenges) -> None:
        self._challenges = challenges

    async def show(self, place: str, *, token: str, authorization: str) -> None:  # noqa: ARG002 - part of the authorization
        """Show the name's certificate."""
        await self._challenges.put(place, authorization)

    async def clean(self, place: str, *, token: str, authorization: str) -> None:  # noqa: ARG002 - part of the authorization
        """Show it no more."""
        await self._challenges.remove(place, authorization)


class Dns01:
    """By a TXT record, put where the name's `_acme-challenge` leads to."""

    def __init__(self, records: Records, *, lookup: Lookup) -> None:
        self._records = records
        self._lookup = lookup

    async def place_of(self, name: str) -> str:
        """Return the name that has the record."""
        return await self._lookup.target(f"_acme-challenge.{name}.")

    async def show(self, place: str, *, token: str, authorization: str) -> None:  # noqa: ARG002 - in the digest
        """Add the record."""
        await self._records.add(place, _digest(authorization))

    async def is_seen(self, place: str, *, authorization: str, since: datetime, now: datetime) -> bool:
        """Return whether the zone's servers give the record."""
        return await self._lookup.is_given(place, _digest(authorization), since=since, now=now)

    async def clean(self, place: str, *, token: str, authorization: str) -> None:  # noqa: ARG002 - in the digest
        """Take the record out."""
        await self._records.remove(place, _digest(authorization))


def _digest(authorization: str) -> str:
    return base64url(sha256(authorization.encode()).digest())
