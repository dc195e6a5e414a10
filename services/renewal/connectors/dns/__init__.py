"""How TXT records get into a zone, for dns-01 (RFC 8555 §8.4): one file for each kind of service that keeps zones."""

from typing import ClassVar, Protocol

from services.renewal.connectors import Part


class DnsPart(Part):
    """What each kind's options say of themselves."""

    needs_secret: ClassVar[bool] = True


class Records(Protocol):
    """TXT records that we may change; names are absolute, and both verbs may be done twice."""

    async def add(self, name: str, value: str) -> None:
        """Add a value beside those that are there. Raises `shared.errors.Refused` or `NotNow`."""

    async def remove(self, name: str, value: str) -> None:
        """Take this one value out, if it is there. Raises `shared.errors.Refused` or `NotNow`."""
