"""How control of a name is shown: on our http-01 listener, or in a zone (RFC 8555 §8.3, §8.4)."""

from hashlib import sha256
from typing import Protocol

from services.renewal.connectors import HttpChallenges
from services.renewal.connectors.jose import base64url
from services.renewal.connectors.rfc2136 import Zone


class Showing(Protocol):
    """One way to show it; both verbs may be done twice."""

    async def show(self, name: str, *, token: str, authorization: str) -> None:
        """Let the authority see the key authorization. Raises `Refused` or `NotNow`."""

    async def clean(self, name: str, *, token: str, authorization: str) -> None:
        """Take it away again. Raises `Refused` or `NotNow`."""


class Http01:
    """By our own listener."""

    def __init__(self, challenges: HttpChallenges) -> None:
        self._challenges = challenges

    async def show(self, name: str, *, token: str, authorization: str) -> None:  # noqa: ARG002 - the token is enough
        """Answer for the token."""
        await self._challenges.put(token, authorization)

    async def clean(self, name: str, *, token: str, authorization: str) -> None:  # noqa: ARG002 - the token is enough
        """Answer no more."""
        await self._challenges.remove(token)


class Dns01:
    """By a TXT record."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    async def show(self, name: str, *, token: str, authorization: str) -> None:  # noqa: ARG002 - in the digest
        """Add the record."""
        await self._zone.add(_record(name), _digest(authorization))

    async def clean(self, name: str, *, token: str, authorization: str) -> None:  # noqa: ARG002 - in the digest
        """Take the record out."""
        await self._zone.remove(_record(name), _digest(authorization))


def _record(name: str) -> str:
    return f"_acme-challenge.{name}."


def _digest(authorization: str) -> str:
    return base64url(sha256(authorization.encode()).digest())
