"""What gets people out of bed, by its simulators."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.notifier.connectors.opsgenie import Opsgenie as OpsgenieChannel
from services.notifier.connectors.pagerduty import PagerDuty as PagerDutyChannel
from tests.conformance.channels.bench import Arrived, Fixtures, OverHttp, Receiver, Row
from tests.servers.pagers import API_KEY, ROUTING_KEY, Opsgenie, PagerDuty
from tests.servers.tls import LOOPBACK


@contextmanager
def _pagerduty(fixtures: Fixtures, directory: Path) -> Iterator[Receiver]:
    server = PagerDuty(fixtures("lab_ca").issue(*LOOPBACK).server_context(directory / "pagerduty"))

    def arrived() -> list[Arrived]:
        return [
            Arrived(
                id=f"{each['dedup_key']} {each['event_action']}",
                # A resolution is told by the key alone.
                text=json.dumps(each.get("payload", "was seen at every place")),
            )
            for each in server.events
        ]

    receiver = OverHttp(
        "pagerduty",
        server.api,
        fixtures("lab_ca_pem").read_text(),
        arrived,
        given={"url": server.api.url},
        shared={"routing_key": ROUTING_KEY},
    )
    receiver.start()
    yield receiver
    receiver.stop()


@contextmanager
def _opsgenie(fixtures: Fixtures, directory: Path) -> Iterator[Receiver]:
    server = Opsgenie(fixtures("lab_ca").issue(*LOOPBACK).server_context(directory / "opsgenie"))

    def arrived() -> list[Arrived]:
        return [Arrived(id=f"{alias} {what}", text=words) for what, alias, words in server.requests]

    receiver = OverHttp(
        "opsgenie",
        server.api,
        fixtures("lab_ca_pem").read_text(),
        arrived,
        given={"url": server.api.url},
        shared={"api_key": API_KEY},
    )
    receiver.start()
    yield receiver
    receiver.stop()


ROWS = {
    "pagerduty": Row(kind=PagerDutyChannel, open=_pagerduty),
    "opsgenie": Row(kind=OpsgenieChannel, open=_opsgenie),
}
