"""What the suite asks of the other end of a channel, and how it is made to misbehave."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any, Protocol

from services.notifier.connectors.registry import Kind
from tests.servers.api import Api, Told

Fixtures = Callable[[str], Any]
"""Gives a fixture by its name."""


class Power(Enum):
    """What some receivers can do and others cannot."""

    TLS = auto()
    """It shows a certificate."""
    REFUSE = auto()
    """It can say never."""
    SAY_WHY = auto()
    """It can say later in words of its own; the others are just away."""


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What a receiver has got of one notice."""

    id: str
    text: str


class Receiver(Protocol):
    """The other end of a channel."""

    kind: str

    def options(self, *, ca_pem: str | None = None) -> dict[str, object]:
        """Return the options of a channel to it."""

    def secrets(self) -> dict[str, str]:
        """Return the secrets of a channel to it."""

    def arrived(self) -> list[Arrived]:
        """Return what it has taken, in order."""

    def postpone(self) -> None:
        """Say `later` from now on."""

    def refuse(self) -> None:
        """Say `never` from now on."""

    def accept(self) -> None:
        """Take everything again."""

    def start(self) -> None:
        """Be there."""

    def stop(self) -> None:
        """Be away."""


Open = Callable[[Fixtures, Path], AbstractContextManager[Receiver]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A kind, and how its receiver is opened."""

    kind: Kind
    open: Open
    powers: frozenset[Power] = field(default_factory=lambda: frozenset(Power))


@dataclass
class OverHttp:
    """A simulator of an HTTP API as a receiver."""

    kind: str
    api: Api
    ca_pem: str
    taken: Callable[[], list[Arrived]]
    given: dict[str, Any] = field(default_factory=dict)
    """Options, beside the CA."""
    shared: dict[str, str] = field(default_factory=dict)
    """Secrets."""

    def options(self, *, ca_pem: str | None = None) -> dict[str, object]:
        return {**self.given, "ca_pem": ca_pem or self.ca_pem}

    def secrets(self) -> dict[str, str]:
        return dict(self.shared)

    def arrived(self) -> list[Arrived]:
        return self.taken()

    def postpone(self) -> None:
        self.api.instead = Told(status=503, document={"message": "under maintenance"})

    def refuse(self) -> None:
        self.api.instead = Told(status=400, document={"message": "we do not like it"})

    def accept(self) -> None:
        self.api.instead = None

    def start(self) -> None:
        self.api.start()

    def stop(self) -> None:
        self.api.stop()
