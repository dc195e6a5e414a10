"""Strikes, and looks at what is left: every end point, every file, every word of the provisioner."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.provisioner import store
from services.provisioner.connectors.wire import Endpoint, Handshakes
from services.provisioner.domain import Phase, State
from shared.ssh import Credential
from shared.store import Database
from tests.provisioner.chaos.plan import Blow, Round, rounds
from tests.provisioner.chaos.settings import BRISK, CHAOS_SCHEDULE
from tests.provisioner.workshop import CALLER, Workshop, workshop
from tests.servers.fault_proxy import FaultProxy
from tests.servers.nginx import Nginx, Site
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority, Issued, fingerprint

PATIENCE = 300
"""Seconds in which a round must come to its end, on a machine that has much else to do."""
AWAY = 0.5
"""Seconds without a network, or without an sshd."""


@dataclass(kw_only=True)
class Tally:
    """What was struck, and how each deployment has ended."""

    blows: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    """verified, restored (the server did not take it), or waiting with its reason (then it was verified later)."""
    wrong: list[str] = field(default_factory=list)
    """What must never be."""

    @property
    def deployments(self) -> int:
        """How many there were."""
        return self.ends["verified"] + self.ends["restored"]

    def __str__(self) -> str:
        struck = ", ".join(f"{count} times {what}" for what, count in sorted(self.blows.items()))
        ended = ", ".join(f"{count} {how}" for how, count in sorted(self.ends.items()))
        return f"{self.deployments} deployments ({ended}); {struck}; {len(self.wrong)} left wrong"


@dataclass(kw_only=True)
class Chaos:
    """A host with a real sshd behind a proxy, a real nginx with some sites, and a provisioner that dies a lot."""

    folder: Path
    ca: CertificateAuthority
    sites: int
    seed: int
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._nginx = Nginx(self.folder / "nginx", ca=self.ca)
        (self.folder / "sshd").mkdir()
        self._sshd = Sshd(self.folder / "sshd")
        self._keys = self.folder / "keys"
        self._keys.mkdir()
        self._expected: list[str] = []
        """What each site serves."""

    @asynccontextmanager
    async def staged(self) -> AsyncIterator["Chaos"]:
        """Start everything."""
        async with AsyncExitStack() as opened:
            for server in (self._sshd, self._nginx):
                opened.callback(server.stop)
            self._sshd.start()
            for number in range(self.sites):
                self._expected.append(self._nginx.add_site(f"site{number}.test").issued.fingerprint)
            self._nginx.start()
            self._proxy = FaultProxy((self._sshd.host, self._sshd.port))
            await self._proxy.start()
            opened.push_async_callback(self._proxy.stop)
            database = Database(f"sqlite:///{self.folder}/provisioner.db", source="provisioner")
            opened.push_async_callback(database.close)
            self._shop = await opened.enter_async_context(workshop(database, schedule=CHAOS_SCHEDULE))
            await self._bind(self._shop)
            self._nursery = await opened.enter_async_context(_nursery(self.folder, self._keys))
            yield self

    async def run(self, *, deployments: int) -> Tally:
        """Go on until there were so many deployments."""
        for number, each in enumerate(rounds(self.seed, sites=self.sites)):
            if self.tally.deployments >= deployments:
                break
            await self._play(number, each)
        return self.tally

    async def _bind(self, shop: Workshop) -> None:
        for number, site in enumerate(self._nginx.sites):
            target = await shop.target(
                f"web-{number}",
                kind="nginx",
                host=self._proxy.host,
                port=self._proxy.port,
                username=self._sshd.username,
                host_key=self._sshd.host_key,
                credential=Credential(private_key=self._sshd.client_key),
                options={
                    "test_command": f"{_takes(self._gate(number), site)} && {self._nginx.test_command}",
                    "reload_command": self._nginx.reload_command,
                },
            )
            slot = {"certificate_path": str(site.certificate), "key_path": str(site.key)}
            await shop.bind(target, slot=slot, endpoints=[_endpoint(site)], lineage=f"lineage-{number}")

    def _gate(self, number: int) -> Path:
        """Where it exists, nothing but the certificate in it is taken by the test."""
        return self.folder / f"gate-{number}"

    async def _play(self, number: int, each: Round) -> None:
        new = [self.ca.intermediate().issue(site.server_name) for site in self._nginx.sites]
        orders = [await self._renew(number, at, issued) for at, issued in enumerate(new)]
        for at, site in enumerate(self._nginx.sites):
            # What was refused last is superseded by now: no provisioner runs between two rounds.
            self._gate(at).unlink(missing_ok=True)
            if at in each.refused:
                self._gate(at).write_bytes(site.certificate.read_bytes())
        self._strike(each)
        await self._work(each, orders=orders, new=new)
        await self._look(each, number=number, orders=orders, new=new)

    async def _renew(self, number: int, at: int, issued: Issued) -> str:
        order = f"order-{number}-{at}"
        partial = self._keys / f"{order}.part"
        partial.write_bytes(issued.key_pem)
        partial.rename(self._keys / order)
        return await self._shop.renew(issued, lineage=f"lineage-{at}", order=order)

    def _strike(self, each: Round) -> None:
        blows = {
            Blow.NETWORK: self._proxy.cut,
            Blow.SESSIONS: self._sshd.drop_sessions,
            Blow.SSHD: self._stop_sshd,
            Blow.SILENCE: self._take_network,
        }
        if each.blow is None:
            return
        strike, name = blows[each.blow], each.blow.value

        def struck() -> None:
            self.tally.blows[name] += 1
            strike()

        self._proxy.call_after = (each.packets, struck)

    def _stop_sshd(self) -> None:
        self._sshd.stop()
        asyncio.get_running_loop().call_later(AWAY, self._sshd.start)

    def _take_network(self) -> None:
        self._proxy.refuse = True
        self._proxy.cut()
        asyncio.get_running_loop().call_later(AWAY, setattr, self._proxy, "refuse", False)

    async def _work(self, each: Round, *, orders: list[str], new: list[Issued]) -> None:
        """Let provisioners work, one after the other as each is killed, until all has ended."""
        waited: set[str] = set()
        for kill_at in (*each.kill_at, 0):
            async with self._nursery.provisioner(kill_at) as provisioner, asyncio.timeout(PATIENCE):
                while not provisioner.has_ended and not await self._all_ended(each, orders, waited):
                    await asyncio.sleep(BRISK)
            if not provisioner.was_killed:
                break
            self.tally.blows[Blow.PROVISIONER.value] += 1
            await self._served_is_one_of_the_two(new)
        self._proxy.call_after = None
        self.tally.ends["waiting meanwhile"] += len(waited)

    async def _all_ended(self, each: Round, orders: list[str], waited: set[str]) -> bool:
        rows = await self._rows(orders)
        for row in rows:
            if row.state == State.WAITING and row.reason:
                waited.add(row.id)
        return all(_has_ended(row, refused=at in each.refused) for at, row in enumerate(rows))

    async def _rows(self, orders: list[str]) -> list[store.Deployment]:
        newest = await self._shop.deployments.page(after=None, limit=2 * self.sites, caller=CALLER)
        by_order = {row.order_id: row for row in newest}
        return [by_order[order] for order in orders]

    async def _served_is_one_of_the_two(self, new: list[Issued]) -> None:
        for at, site in enumerate(self._nginx.sites):
            served = await Handshakes().served(_endpoint(site))
            if served not in (self._expected[at], new[at].fingerprint):
                self.tally.wrong.append(f"{site.server_name} serves {served} after a kill")

    async def _look(self, each: Round, *, number: int, orders: list[str], new: list[Issued]) -> None:
        rows = await self._rows(orders)
        for at, (site, row) in enumerate(zip(self._nginx.sites, rows, strict=True)):
            if row.state == State.DEPLOYED:
                self._expected[at] = new[at].fingerprint
            end = "verified" if row.state == State.DEPLOYED else "restored"
            self.tally.ends[end] += 1
            self.tally.wrong += [
                f"seed {self.seed}, round {number}, {site.server_name} ({row.state}, {row.reason}): {fault}"
                for fault in (*_files(site, self._expected[at]), *await _wire(site, self._expected[at]))
            ]
        if self._nginx.test().returncode:
            self.tally.wrong.append(f"seed {self.seed}, round {number}: nginx -t refuses the configuration")


def _takes(gate: Path, site: Site) -> str:
    return f"{{ test ! -e {gate} || cmp {gate} {site.certificate}; }}"


def _endpoint(site: Site) -> Endpoint:
    return Endpoint(address=site.address, port=site.port, server_name=site.server_name)


def _has_ended(row: store.Deployment, *, refused: bool) -> bool:
    if refused:
        return row.state == State.RESTORED
    return (row.state, row.phase) == (State.DEPLOYED, Phase.OVER)


def _files(site: Site, expected: str) -> Iterator[str]:
    certificate = x509.load_pem_x509_certificate(site.certificate.read_bytes())
    if certificate.public_key() != load_pem_private_key(site.key.read_bytes(), None).public_key():
        yield "certificate and key do not match"
    if fingerprint(certificate) != expected:
        yield f"its file holds {fingerprint(certificate)}"
    litter = sorted(path.name for path in site.certificate.parent.iterdir() if ".everleaf" in path.name)
    if litter:
        yield f"left over: {', '.join(litter)}"


async def _wire(site: Site, expected: str) -> list[str]:
    served = await Handshakes().served(_endpoint(site))
    return [] if served == expected else [f"it serves {served}"]


@dataclass
class _Provisioner:
    pid: int
    ended: asyncio.Future[int]

    @property
    def has_ended(self) -> bool:
        return self.ended.done()

    @property
    def was_killed(self) -> bool:
        return self.ended.done() and self.ended.result() == -signal.SIGKILL


class _Nursery:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @asynccontextmanager
    async def provisioner(self, kill_at: int) -> AsyncIterator[_Provisioner]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kill_at}\n".encode())
        pid = await asyncio.wait_for(self._said(), PATIENCE)
        started = _Provisioner(pid, asyncio.ensure_future(self._said()))
        try:
            yield started
        finally:
            # It ends what it is at, and may still be killed at that.
            with contextlib.suppress(ProcessLookupError):
                os.kill(started.pid, signal.SIGTERM)
            status = await asyncio.wait_for(started.ended, PATIENCE)
        assert status in (0, -signal.SIGKILL), status

    async def _said(self) -> int:
        assert self._process.stdout is not None
        return int(await self._process.stdout.readline())


@asynccontextmanager
async def _nursery(folder: Path, keys: Path) -> AsyncIterator[_Nursery]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.provisioner.chaos.nursery",
        str(folder / "provisioner.db"),
        str(keys),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    try:
        yield _Nursery(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
