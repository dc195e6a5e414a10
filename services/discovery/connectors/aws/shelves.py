"""Where an account keeps certificates: each shelf lists what lies on it, and fetches one of them."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from services.discovery.connectors.aws.account import Account
from services.discovery.connectors.aws.join import Using
from services.discovery.domain.holdings import Gap, Holding
from shared import x509
from shared.errors import Invalid


class Shelf(ABC):
    """One kind of certificate in one region of one account; the region is empty where there is none."""

    service: ClassVar[str]
    resource: ClassVar[str]

    def __init__(self, account: Account, region: str, using: Using) -> None:
        self.account = account
        self.region = region
        self.using = using
        self.gaps: list[Gap] = []
        """What a fetch could not read beside the certificate itself."""

    @property
    def name(self) -> str:
        """Return its name: unique within the account, and the same for ever."""
        return f"{self.service} {self.region}".rstrip()

    @property
    def scope(self) -> str:
        """Return what the paths of all that lies on it begin with."""
        return self.account.arn(self.service, self.region, self.resource)

    @abstractmethod
    def listed(self) -> AsyncIterator[tuple[str, Any] | Gap]:
        """Yield the path of each, and what the listing says of it. Raises `Declined`."""

    @abstractmethod
    async def fetch(self, path: str, listed: Any) -> Holding | Gap:
        """Return one. Raises `Declined` and `NotFound`."""


def chain_of(*texts: str | None) -> tuple[bytes, ...]:
    """Return the certificates of PEM texts, leaf first. Raises `Invalid`."""
    chain = [der for text in texts if text for der in x509.from_pem(text)]
    if not chain:
        raise Invalid("There is no certificate.", next_step="Look at it in the console of AWS.")
    return tuple(chain)


def unreadable(path: str, reason: str) -> Gap:
    """Return the gap for one certificate."""
    return Gap(scope=path, reason=reason, next_step="Look at it in the console of AWS.")
