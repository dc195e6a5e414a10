"""ACME with servers of another make, by dns-01: step-ca, and Caddy, which has the same one inside."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.renewal.connectors import Challenge, Issued, NotNow, Pending
from services.renewal.connectors.acme import Acme
from shared.errors import Refused
from shared.events.renewal import RevocationReason
from tests.conformance.authorities.acme import AcmeBench
from tests.conformance.authorities.bench import on_loopback
from tests.servers.caddy_acme import CaddyAcme
from tests.servers.name_server import NameServer
from tests.servers.step_ca import StepCa

UPDATE = """#!/bin/sh
case "$1" in
present) touch -- "{here}/$2=$3" ;;
cleanup) rm -f -- "{here}/$2=$3" ;;
esac
"""


@dataclass
class Zone:
    """A zone whose records are files: our `command` puts them there."""

    folder: Path

    def texts(self, name: str) -> list[str]:
        return [each.name.partition("=")[2] for each in self.folder.glob(f"{name}.=*")]


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Zone:
    folder = tmp_path_factory.mktemp("zone")
    program = folder / "update-dns"
    program.write_text(UPDATE.format(here=folder))
    program.chmod(0o700)
    return Zone(folder)


@dataclass
class Server:
    """One that looks for TXT records in the zone."""

    directory_url: str
    root: str
    resolver: str


@pytest.fixture(scope="module", params=["caddy", "step-ca"])
def server(
    request: pytest.FixtureRequest, zone: Zone, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    running = _caddy if request.param == "caddy" else _step_ca
    with running(tmp_path_factory.mktemp("server"), zone) as started:
        yield started


@contextmanager
def _caddy(directory: Path, zone: Zone) -> Iterator[Server]:
    server = CaddyAcme(directory, texts=zone.texts)
    try:
        server.start()
        yield Server(
            directory_url=server.dir_url, root=server.ca_pem.read_text(), resolver=server.names.address
        )
    finally:
        server.stop()


@contextmanager
def _step_ca(directory: Path, zone: Zone) -> Iterator[Server]:
    # A zone's own servers are asked at port 53.
    names = NameServer(
        zone.texts, host=".".join(["127", *(str(random.randint(2, 250)) for _ in range(3))]), port=53
    )
    server = StepCa(directory, dns_server=names.address)
    try:
        names.start()
        server.start()
        yield Server(
            directory_url=server.directory_url, root=server.root.pem.decode(), resolver=names.address
        )
    finally:
        server.stop()
        names.stop()


@pytest.fixture
def bench(server: Server, zone: Zone) -> AcmeBench:
    return AcmeBench(
        kind=Acme,
        options={
            "directory_url": server.directory_url,
            "ca_pem": server.root,
            "root_pem": server.root,
            "dns": {"kind": "command", "program": "update-dns"},
            "dns_lookup": {"resolver": server.resolver},
        },
        secrets={},
        challenge=Challenge.DNS_01,
        network=on_loopback(commands=zone.folder),
        left_over=lambda name: zone.texts(f"_acme-challenge.{name}"),
    )


async def test_names_and_a_wildcard_are_issued_and_nothing_is_left_behind(bench: AcmeBench) -> None:
    request = bench.request("one.example.test", "*.one.example.test")
    chain = bench.check(request, await bench.issue(request))
    assert len(chain) == 2
    assert not bench.left_over("one.example.test")


async def test_an_order_abandoned_after_any_step_is_ended(bench: AcmeBench) -> None:
    request, state = bench.request("crash.example.test"), None
    told: Pending | Issued | None = None
    while not isinstance(told, Issued):
        async with bench.opened() as authority:  # it dies after this: what it did is kept by nobody
            await bench.step(authority, request, state, resumed=False)
        async with bench.opened() as authority:
            told = await bench.step(authority, request, state, resumed=True)
        if isinstance(told, Pending):
            bench.keep(told)
            await bench.wait(told)
            state = told.state
    bench.check(request, told)
    assert not bench.left_over("crash.example.test")


async def test_it_tells_no_window_and_does_not_offer_profiles(bench: AcmeBench) -> None:
    told = await bench.issue(bench.request("window.example.test"))
    async with bench.opened() as authority:
        assert await authority.renewal_window(told.chain[0], now=datetime.now(UTC)) is None
    bench.profile = "short"
    with pytest.raises(Refused, match="does not offer the profile"):
        await bench.issue(bench.request("window.example.test"))


async def test_what_it_issued_is_revoked_and_twice_is_right(bench: AcmeBench) -> None:
    told = await bench.issue(bench.request("revoked.example.test"))
    async with bench.opened() as authority:
        for reason in (RevocationReason.SUPERSEDED, RevocationReason.KEY_COMPROMISE):
            await authority.revoke(told.chain[0], issuer=None, reason=reason, now=datetime.now(UTC))


async def test_a_server_that_cannot_change_keys_says_so_and_the_account_goes_on(bench: AcmeBench) -> None:
    await bench.issue(bench.request("before.example.test"))
    bench.identity = replace(bench.identity, private=Acme.with_next_key(bench.identity.private))
    async with bench.opened() as authority:
        with pytest.raises((Refused, NotNow)):
            await authority.change_key()
    request = bench.request("after.example.test")
    bench.check(request, await bench.issue(request))
