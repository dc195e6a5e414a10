"""Five hundred hosts deployed to and verified, beside a bare script; and hundreds of deployments in chaos."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench.deploy.fleet import TOLD
from bench.measure import NotMeasured, Usage, measure
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from services.provisioner.connectors import TargetCredential
from services.provisioner.connectors.wire import Endpoint, Handshakes
from shared.ids import new_id
from shared.store import Database
from tests.conformance.targets.bench import EVERY_CUT
from tests.provisioner.chaos.run import Chaos
from tests.provisioner.workshop import CALLER, Workshop, workshop
from tests.servers.postgres import Postgres
from tests.servers.processes import MissingServer
from tests.servers.tls import CertificateAuthority, Issued

HOSTS = 500
DEPLOYMENTS = 400
SITES = 4
SEED = 20_261_127
LIMIT = timedelta(minutes=20)
BARE = "bare asyncssh"
SLOWEST, SLOWEST_KIND = 10.0, 60.0


def _cpu(sample: Sample) -> float:
    return sample.cpu_per_thousand


def _each(sample: Sample) -> float:
    return sample.usage.wall / sample.asked


ROWS = (
    Row(name="deploy.ssh", scenario="ssh", unit="CPU s/1,000", figure=_cpu, goal=2.0, baseline=BARE),
    Row(
        name="deploy.chaos",
        scenario="chaos",
        unit="s",
        figure=_each,
        goal=1.0,
        baseline=f"{SLOWEST:g} s each, none left wrong",
        fixed=SLOWEST,
    ),
    Row(
        name="deploy.cuts",
        scenario="cuts",
        unit="s",
        figure=_each,
        goal=1.0,
        baseline=f"{SLOWEST_KIND:g} s each, none left wrong",
        fixed=SLOWEST_KIND,
    ),
)


@dataclass(frozen=True, kw_only=True)
class DeploySuite:
    """Rows `deploy.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:
        """Start what the scenario needs; raises NotMeasured where a real server is missing."""
        with _folder() as own:
            try:
                if name == "chaos":
                    yield _chaos(own, deployments=max(SITES, round(DEPLOYMENTS * scale)))
                elif name == "cuts":
                    yield _cuts(folder)
                else:
                    yield from _fan_out(own, folder=folder, count=max(20, round(HOSTS * scale)))
            except MissingServer as error:
                raise NotMeasured(str(error)) from error


def _chaos(folder: Path, *, deployments: int) -> Scenario:
    def run() -> Sample:
        began = time.monotonic()
        tally = asyncio.run(_survive(folder, deployments))
        print(tally)
        usage = Usage(wall=time.monotonic() - began, cpu=0, peak_mib=0, exit_code=0, said=str(tally))
        return Sample(
            usage=usage, asked=tally.deployments, found=tally.deployments, faults=tuple(tally.wrong[:5])
        )

    title = f"{deployments:,} deployments while provisioner, sshd and network are killed (seed {SEED})"
    return Scenario(name="chaos", title=title, contestants=(Contestant(name=SUBJECT, run=run, at_most=1),))


async def _survive(folder: Path, deployments: int) -> Any:
    async with Chaos(folder=folder, ca=CertificateAuthority(), sites=SITES, seed=SEED).staged() as chaos:
        return await chaos.run(deployments=deployments)


def _cuts(folder: Path) -> Scenario:
    def run() -> Sample:
        suite = "tests/conformance/targets"
        command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:xdist", "-k", "cut", suite]
        usage = measure(["env", f"{EVERY_CUT}=1", *command], folder=folder, limit=3 * LIMIT)
        ended = {what: int(count) for count, what in re.findall(r"(\d+) (passed|failed|error)", usage.said)}
        passed = ended.get("passed", 0)
        if not passed:
            raise NotMeasured(f"the suite ended with {usage.exit_code}: {usage.said[-500:]}")
        faults = tuple(line for line in usage.said.splitlines() if line.startswith("FAILED"))
        return Sample(usage=usage, asked=sum(ended.values()), found=passed, faults=faults[:5])

    title = "every kind of target, with the connection cut after each number of packets"
    return Scenario(name="cuts", title=title, contestants=(Contestant(name=SUBJECT, run=run, at_most=1),))


def _fan_out(own: Path, *, folder: Path, count: int) -> Iterator[Scenario]:
    with _cluster(own) as postgres, _fleet(own, count) as fleet:
        bout = Bout(postgres=postgres, folder=folder, own=own, fleet=fleet)
        contestants = (
            Contestant(name=SUBJECT, run=lambda: asyncio.run(bout.platform())),
            Contestant(name=BARE, run=bout.bare),
        )
        title = f"{count:,} hosts deployed to over SSH, and verified by handshakes"
        yield Scenario(name="ssh", title=title, contestants=contestants)


@dataclass(kw_only=True)
class Bout:
    """The contestants of one fleet."""

    postgres: Postgres
    folder: Path
    own: Path
    fleet: Sequence[Mapping[str, Any]]

    def bare(self) -> Sample:
        """Let the script upload a certificate to each host."""
        files = CertificateAuthority().issue("shop.test").write(self.own / "bare")
        command = [sys.executable, "-m", "bench.deploy.bare", str(self.own / TOLD), *map(str, files)]
        usage = measure(command, folder=self.folder, limit=LIMIT)
        if usage.exit_code or int(usage.said or 0) != len(self.fleet):
            raise NotMeasured(f"the script ended with {usage.exit_code}: {usage.said[-200:]}")
        return Sample(usage=usage, asked=len(self.fleet), found=len(self.fleet))

    async def platform(self) -> Sample:
        """Let the provisioner deploy a new certificate to each host."""
        url = self.postgres.database("deploy").url
        ca, keys = CertificateAuthority(), Path(tempfile.mkdtemp(dir=self.own))
        new = [ca.issue("shop.test") for _ in self.fleet]
        database = Database(url, source="provisioner")
        try:
            async with workshop(database) as shop:
                await self._ask_for(shop, new, keys)
                command = [sys.executable, "-m", "bench.deploy", url, str(keys)]
                usage = await asyncio.to_thread(measure, command, folder=self.folder, limit=LIMIT)
                ended = Counter([row.state async for row in _rows(shop)])
        finally:
            await database.close()
        if usage.exit_code:
            raise NotMeasured(f"the provisioner ended with {usage.exit_code}: {usage.said[-500:]}")
        served = await self._served(new)
        faults = () if served == ended["deployed"] == len(new) else (f"{served:,} served, {dict(ended)}",)
        return Sample(usage=usage, asked=len(new), found=served, faults=faults)

    async def _ask_for(self, shop: Workshop, new: Sequence[Issued], keys: Path) -> None:
        for host, issued in zip(self.fleet, new, strict=True):
            target = await shop.target(
                f"web-{host['host']}",
                **{name: host[name] for name in ("host", "port", "username", "host_key")},
                credential=TargetCredential(private_key=host["private_key"]),
                options={"test_command": "true", "reload_command": "reload"},
            )
            slot = {name: host[name] for name in ("certificate_path", "key_path")}
            await shop.bind(target, slot=slot, endpoints=[_endpoint(host)], lineage=f"lineage-{host['host']}")
            order = new_id()
            (keys / order).write_bytes(issued.key_pem)
            await shop.renew(issued, lineage=f"lineage-{host['host']}", order=order)

    async def _served(self, new: Sequence[Issued]) -> int:
        seen = [await Handshakes().served(_endpoint(host)) for host in self.fleet]
        return sum(one == issued.fingerprint for one, issued in zip(seen, new, strict=True))


def _endpoint(host: Mapping[str, Any]) -> Endpoint:
    return Endpoint(address=host["host"], port=host["tls_port"], server_name="shop.test")


async def _rows(shop: Workshop) -> Any:
    after = None
    while page := await shop.deployments.page(after=after, limit=200, caller=CALLER):
        for row in page[:200]:
            yield row
        after = page[min(len(page), 200) - 1].id


@contextmanager
def _folder() -> Iterator[Path]:
    # Not below the bench's folder: PostgreSQL runs as an account of its own, which could not get there.
    folder = Path(tempfile.mkdtemp(prefix="everleaf-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _cluster(folder: Path) -> Iterator[Postgres]:
    postgres = Postgres(folder / "cluster")
    postgres.create()
    postgres.start()
    try:
        yield postgres
    finally:
        postgres.stop()


@contextmanager
def _fleet(folder: Path, count: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    fleet = subprocess.Popen([sys.executable, "-m", "bench.deploy.fleet", str(count), str(folder)])
    try:
        deadline = time.monotonic() + LIMIT.total_seconds()
        while not (folder / TOLD).exists():
            if fleet.poll() is not None or time.monotonic() > deadline:
                raise NotMeasured("the hosts did not start")
            time.sleep(0.05)
        yield json.loads((folder / TOLD).read_text())
    finally:
        fleet.terminate()
        fleet.wait()
