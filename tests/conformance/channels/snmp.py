"""SNMP informs, by a real snmptrapd."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from services.notifier.connectors.snmp import Options, Snmp, wire
from tests.conformance.channels.bench import Arrived, Fixtures, Receiver, Row
from tests.servers.snmptrapd import AUTHENTICATION, PRIVACY, USER, Notification, Snmptrapd


@dataclass
class Manager:
    """A manager as a receiver. UDP has no words for later: it is just away."""

    server: Snmptrapd
    kind: str = "snmp"

    def options(self, *, ca_pem: str | None = None) -> dict[str, object]:
        return {"host": "127.0.0.1", "port": self.server.port, "username": USER, "per_minute": None}

    def secrets(self) -> dict[str, str]:
        return {"authentication_password": AUTHENTICATION, "privacy_password": PRIVACY}

    def arrived(self) -> list[Arrived]:
        return [
            Arrived(id=each.values["everleafNoticeId"], text="\n".join(_ours(each)))
            for each in self.server.arrived()
        ]

    def postpone(self) -> None:
        self.server.stop()

    def refuse(self) -> None:
        raise NotImplementedError

    def accept(self) -> None:
        self.server.start()

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()


def _ours(arrived: Notification) -> list[str]:
    """Return what is said, without the time at which it was sent."""
    return [value for name, value in arrived.values.items() if name.startswith("everleaf")]


@contextmanager
def _opened(_fixtures: Fixtures, directory: Path) -> Iterator[Receiver]:
    place = directory / "snmptrapd"
    place.mkdir()
    engine_id = str(Options.model_fields["engine_id"].default)
    receiver = Manager(Snmptrapd(place, engine_id=engine_id))
    receiver.start()
    # Nobody is at home: that is clear on loopback after less than the network is given.
    with patch.object(wire, "TIMEOUT", 0.5), patch.object(wire, "RETRIES", 0):
        yield receiver
    receiver.stop()


ROWS = {"snmp": Row(kind=Snmp, open=_opened, powers=frozenset())}
