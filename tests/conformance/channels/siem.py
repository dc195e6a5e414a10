"""What SIEMs collect, by a real rsyslog and the simulator of a collector."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.notifier.connectors.siem.collector import Collector as CollectorChannel
from services.notifier.connectors.siem.syslog import Syslog
from tests.conformance.channels.bench import Arrived, Fixtures, OverHttp, Power, Receiver, Row
from tests.servers.collector import CREDENTIAL, PATH, Collector
from tests.servers.rsyslog import Rsyslog
from tests.servers.tls import LOOPBACK

_NOTICE = re.compile(r'notice="([^"]+)"|externalId=(\S+)|"uid": ?"([^"]+)","product"')


@dataclass
class Log:
    """A log server as a receiver. Syslog has no words for later: it is just away."""

    server: Rsyslog
    ca_pem: str
    format: str
    kind: str = "syslog"

    def options(self, *, ca_pem: str | None = None) -> dict[str, object]:
        return {
            "host": "localhost",
            "port": self.server.port,
            "format": self.format,
            "ca_pem": ca_pem or self.ca_pem,
        }

    def secrets(self) -> dict[str, str]:
        return {}

    def arrived(self) -> list[Arrived]:
        found = []
        for each in self.server.arrived():
            text = f"{each.severity} {each.data} {each.text}"
            identity = _NOTICE.search(text)
            assert identity is not None, text
            found.append(Arrived(id=next(filter(None, identity.groups())), text=text))
        return found

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


@contextmanager
def _syslog(format_: str, fixtures: Fixtures, directory: Path) -> Iterator[Receiver]:
    server = Rsyslog(directory / "rsyslog", ca=fixtures("lab_ca"))
    receiver = Log(server, fixtures("lab_ca_pem").read_text(), format_)
    receiver.start()
    yield receiver
    receiver.stop()


@contextmanager
def _collector(fixtures: Fixtures, directory: Path) -> Iterator[Receiver]:
    server = Collector(fixtures("lab_ca").issue(*LOOPBACK).server_context(directory / "collector"))

    def arrived() -> list[Arrived]:
        return [Arrived(id=each["metadata"]["uid"], text=json.dumps(each)) for each in server.events]

    receiver = OverHttp(
        "siem",
        server.api,
        fixtures("lab_ca_pem").read_text(),
        arrived,
        given={"url": server.api.url + PATH},
        shared={"credential": CREDENTIAL},
    )
    receiver.start()
    yield receiver
    receiver.stop()


_AWAY = frozenset({Power.TLS})
ROWS = {
    "syslog": Row(kind=Syslog, open=partial(_syslog, "syslog"), powers=_AWAY),
    "syslog-cef": Row(kind=Syslog, open=partial(_syslog, "cef"), powers=_AWAY),
    "siem": Row(kind=CollectorChannel, open=_collector),
}
