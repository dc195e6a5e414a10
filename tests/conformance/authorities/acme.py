"""The bench of the ACME authorities: Pebble, with http-01 and with dns-01."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from services.renewal.connectors import Challenge
from services.renewal.connectors.acme import Acme
from services.renewal.connectors.http01 import Listener
from shared.x509 import load
from tests.conformance.authorities.bench import Bench, Fixtures, Power, Row, on_loopback
from tests.servers.bind import Bind
from tests.servers.pebble import Pebble, StartPebble
from tests.servers.processes import free_port

BLOCKED = "blocked.example.test"


@dataclass
class AcmeBench(Bench):
    """One with a Pebble of its own, which tests may stop and start."""

    pebble: Pebble | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.count = self._placed
        self.refused = (BLOCKED,)
        if self.pebble is not None:
            self.stop = self.pebble.stop
            self.is_revoked = self._is_revoked

    async def _is_revoked(self, certificate: bytes) -> bool:
        assert self.pebble is not None
        serial = load(certificate).serial_number
        return await asyncio.to_thread(self.pebble.certificate_status, serial) == "Revoked"

    async def _placed(self, name: str) -> int:
        return len(await placed_orders(self, name))


class Answers:
    """The answers of the http-01 listener, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def put(self, token: str, text: str) -> None:
        self.kept[token] = text

    async def remove(self, token: str) -> None:
        self.kept.pop(token, None)

    async def find(self, token: str) -> str | None:
        return self.kept.get(token)


@asynccontextmanager
async def http_bench(start: StartPebble, bind: Bind, **options: Any) -> AsyncIterator[AcmeBench]:
    answers, port = Answers(), free_port()
    pebble = start(**{"http01_port": port, "blocklist": (BLOCKED,), "noncereject": 20, **options})
    network = on_loopback(http01=answers)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Listener("127.0.0.1", port, find=answers.find).run)
        yield AcmeBench(
            kind=Acme,
            options=directory(pebble),
            secrets={},
            challenge=Challenge.HTTP_01,
            network=network,
            pebble=pebble,
            left_over=lambda _name: list(answers.kept),
        )
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def dns_bench(start: StartPebble, bind: Bind, **options: Any) -> AsyncIterator[AcmeBench]:
    pebble = start(dns_server=bind.address, blocklist=(BLOCKED,), **options)
    zone = {"server": bind.host, "port": bind.port, "zone": bind.zone, "key_name": bind.key_name}
    yield AcmeBench(
        kind=Acme,
        options={**directory(pebble), "dns": {**zone, "algorithm": bind.algorithm}},
        secrets={"dns_secret": bind.secret},
        challenge=Challenge.DNS_01,
        network=on_loopback(),
        pebble=pebble,
        left_over=lambda name: bind.txt(f"_acme-challenge.{name}"),
    )


def directory(pebble: Pebble) -> dict[str, Any]:
    return {
        "directory_url": pebble.dir_url,
        "ca_pem": pebble.ca_pem.read_text(),
        "contacts": ["mailto:pki@example.test"],
    }


async def placed_orders(bench: Bench, name: str | None = None) -> list[str]:
    """Return the states of the account's orders for a name, or all, as the ACME server has them."""
    async with bench.opened() as authority:
        session = authority._steps._session
        page = json.loads((await session.get(session.kid)).content)["orders"]
        orders = []
        while page is not None:
            listed = await session.get(page)
            orders += [
                json.loads((await session.get(url)).content) for url in json.loads(listed.content)["orders"]
            ]
            page = listed.next_page
    return [each["status"] for each in orders if name in (None, each["identifiers"][0]["value"])]


@asynccontextmanager
async def _http(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with http_bench(fixtures("start_pebble"), fixtures("bind")) as opened:
        yield opened


@asynccontextmanager
async def _dns(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with dns_bench(fixtures("start_pebble"), fixtures("bind")) as opened:
        yield opened


_POWERS = frozenset({Power.COUNT, Power.REFUSED, Power.STOP, Power.TLS})
ROWS = {
    "acme http-01": Row(kind=Acme, open=_http, powers=_POWERS),
    "acme dns-01": Row(kind=Acme, open=_dns, powers=_POWERS - {Power.REFUSED, Power.STOP, Power.TLS}),
}
