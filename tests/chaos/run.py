"""Strikes, waits until every lifecycle has come to its end, and counts what is left."""

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import httpx

from services.cli.audit import verify_trail
from tests.chaos.plan import BACK, JUMP, Blow, Struck, rounds
from tests.chaos.stage import Stage
from tests.chaos.wires import Wire
from tests.journeys.platforms import SERVICES, accepted
from tests.servers.fault_proxy import Slowness
from tests.servers.rabbitmq import SETTLED
from tests.servers.rabbitmq_cluster import Cluster
from tests.servers.tls import fingerprint

PATIENCE = 900
"""Seconds in which a round must come to its end, and everything to rest."""
_TOKEN_LASTS = timedelta(days=320)
"""After that it is made anew, by a worker that looks every hour."""
_ENDED = ("deployed", "superseded")
"""A deployment that a newer one has taken the place of has ended with a reason."""
_AWAY = 2.0
"""Seconds without a network, or without room on the disk."""
_BAD_LINE = Slowness(latency=0.05, rate=20_000)
_SLOW = 8.0
"""Seconds with a bad line."""


@dataclass(kw_only=True)
class Tally:
    """What was struck and felt it, what was done, and what must never be."""

    blows: Counter[str] = field(default_factory=Counter)
    lifecycles: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        struck = ", ".join(f"{count} times {what}" for what, count in sorted(self.blows.items()))
        faults = f"{len(self.wrong)} wrong" + "".join(f"\n  {each}" for each in self.wrong[:10])
        return f"{self.lifecycles} lifecycles; {struck}; {faults}"


class Storm:
    """Lifecycles of all sites, one round after the other, each with blows of its own."""

    def __init__(self, stage: Stage, *, seed: int) -> None:
        self.stage = stage
        self.tally = Tally()
        self._seed = seed
        self._rounds = 0
        self._lineages: dict[str, str] = {}

    def run(self, *, lifecycles: int) -> Tally:
        """Go on until there were so many lifecycles, then look at everything."""
        if lifecycles / len(self.stage.sites) * JUMP > _TOKEN_LASTS:
            raise ValueError("the first token would end before that: take more sites")
        count = -(-lifecycles // len(self.stage.sites)) - 1  # the first of each site is its making known
        with self.stage.platform.client() as client:
            self._lineages = self.stage.prepare(client)
            self._end_round(client)
            time.sleep(SETTLED)  # 3.10's quorum queues lose what they hold when they are killed younger
            for strikes in rounds(self._seed, count=count):
                self.stage.jump(JUMP)
                self._strike(strikes)
                self._end_round(client)
            self._look(client)
        for each in set(Blow) - set(self.tally.blows):
            self.tally.wrong.append(f"seed {self._seed}: never felt: {each}")
        return self.tally

    def _strike(self, strikes: tuple[Struck, ...]) -> None:
        began = time.monotonic()
        for each in strikes:
            time.sleep(max(0.0, began + each.after - time.monotonic()))
            if self._blows()[each.blow](each.upon):
                self.tally.blows[each.blow] += 1

    def _blows(self) -> dict[Blow, Callable[[int], bool]]:
        """Return how each kind is struck; each says whether it was felt."""
        wires = self.stage.wires
        return {
            Blow.REPLICA: self.stage.platform.kill_replica,
            Blow.BROKER: self._kill_broker,
            Blow.DATABASE: lambda _: self._crash_database(),
            Blow.CUT: lambda upon: _cut(wires[upon % len(wires)]),
            Blow.SILENCE: lambda upon: _hinder(wires[upon % len(wires)], lambda wire: wire.silence(_AWAY)),
            Blow.SLOW: lambda upon: _hinder(
                wires[upon % len(wires)], lambda wire: wire.slow(_SLOW, _BAD_LINE)
            ),
            Blow.DISK: lambda _: self._fill_disk(),
            Blow.CLOCK: lambda _: self._set_back(),
        }

    def _kill_broker(self, upon: int) -> bool:
        broker = self.stage.broker
        nodes = broker.nodes if isinstance(broker, Cluster) else [broker]
        node, other = nodes[upon % len(nodes)], nodes[(upon + 1) % len(nodes)]
        was_alive = _is_alive(node.pid)
        node.kill()
        # What stands before a cluster sees that a node is away.
        self.stage.wires[0].lead_to(other.port)
        node.start()
        return was_alive

    def _crash_database(self) -> bool:
        was_alive = _is_alive(self.stage.postgres.pid)
        self.stage.postgres.crash()
        self.stage.postgres.start()
        return was_alive

    def _set_back(self) -> bool:
        was_told = self.stage.is_told(exactness=BACK / 2)
        self.stage.jump(-BACK)
        return was_told and self.stage.is_told(exactness=BACK / 2)

    def _fill_disk(self) -> bool:
        if self.stage.disk is None:
            return False
        ballast, was_full = self.stage.disk / "ballast", False
        until = time.monotonic() + _AWAY
        with ballast.open("ab") as file:
            while time.monotonic() < until:  # what the database gives back meanwhile is taken too
                was_full |= _fill(file, self.stage.disk)
                time.sleep(0.02)
        ballast.unlink()
        if not _is_alive(self.stage.postgres.pid):
            # It gives up where it cannot write its log; whoever supervises it starts it again.
            self._crash_database()
        return was_full

    def _end_round(self, client: httpx.Client) -> None:
        """Wait until every site serves what its newest order has brought, and inventory has seen the old ones gone."""
        self._rounds += 1
        unfinished = ["nothing was asked yet"]
        deadline = time.monotonic() + PATIENCE
        while unfinished:
            if time.monotonic() > deadline:
                self.tally.wrong.append(
                    f"seed {self._seed}, round {self._rounds}: {len(unfinished)} stuck: {unfinished[:5]}"
                )
                break
            time.sleep(0.5)
            self.stage.platform.restart_ended()
            with suppress(httpx.HTTPError, AssertionError, OSError):
                unfinished = list(self._unfinished(client))
        self.tally.lifecycles += len(self._lineages)

    def _unfinished(self, client: httpx.Client) -> Iterator[str]:
        for site in self.stage.sites:
            lineage_id = self._lineages[site.server_name]
            orders = _all(client, "/renewal/v1/orders", lineage_id=lineage_id)
            newest = max(orders, key=lambda each: each["created_at"])
            if len(orders) < self._rounds or newest["state"] != "renewed":
                yield f"{site.server_name}: {len(orders)} orders, {newest['state']}: {newest['last_error']}"
            elif fingerprint(site.served()) != newest["fingerprint"]:
                yield f"{site.server_name} does not serve its newest certificate"
            elif not all(each["state"] in _ENDED for each in self._deployments(client, lineage_id)):
                yield f"{site.server_name}: a deployment is not at its end"

    def _deployments(self, client: httpx.Client, lineage_id: str) -> list[dict[str, Any]]:
        return _all(client, "/provisioner/v1/deployments", lineage_id=lineage_id)

    def _look(self, client: httpx.Client) -> None:
        """Count: nothing lost, nothing doubled, nothing left over."""
        self._until_at_rest(client)
        for site in self.stage.sites:
            lineage_id = self._lineages[site.server_name]
            orders = _all(client, "/renewal/v1/orders", lineage_id=lineage_id)
            deployments = self._deployments(client, lineage_id)
            self._expect(
                len(orders) == self._rounds,
                f"{site.server_name}: {len(orders)} orders in {self._rounds} rounds",
            )
            placed = Counter(each["order_id"] for each in deployments)
            self._expect(
                placed == Counter(each["id"] for each in orders),
                f"{site.server_name}: {len(deployments)} deployments of {len(orders)} orders",
            )
            known = _all(client, "/inventory/v1/certificates", lineage_id=lineage_id)
            ordered = {each["fingerprint"] for each in orders}
            self._expect(
                ordered <= {each["fingerprint"] for each in known} if known else False,
                f"{site.server_name}: inventory does not know all that was issued",
            )
        self._look_at_the_trail(client)

    def _until_at_rest(self, client: httpx.Client) -> None:
        deadline = time.monotonic() + PATIENCE
        left: list[str] = ["nothing was asked yet"]
        while left and time.monotonic() < deadline:
            time.sleep(0.5)
            self.stage.platform.restart_ended()
            with suppress(httpx.HTTPError, AssertionError):
                left = list(self._left(client))
        self.tally.wrong += left

    def _left(self, client: httpx.Client) -> Iterator[str]:
        for name in SERVICES:
            waiting = self.stage.postgres.sql(
                "SELECT count(*) FROM outbox", database=self.stage.databases[name].name
            )
            if int(waiting):
                yield f"{name}: {waiting} events in the outbox"
            dead = accepted(client.get(f"/{name}/v1/dead-letters"))
            if dead["total"]:
                yield f"{name}: {dead['total']} dead letters: {[each['reason'] for each in dead['items']][:3]}"
        for each in accepted(client.get("/notifier/v1/audit/sources"))["items"]:
            if each["missing"]:
                yield f"audit: {each['missing']} entries of {each['source']} are missing"

    def _look_at_the_trail(self, client: httpx.Client) -> None:
        keys: list[Path] = []
        for name in SERVICES:
            keys.append(self.stage.folder / f"{name}-keys.json")
            keys[-1].write_text(client.get(f"/{name}/v1/audit-keys").text)
        trail = self.stage.folder / "trail.jsonl"
        trail.write_bytes(client.get("/notifier/v1/audit/export").content)
        try:
            said = verify_trail(trail, keys)
        except Exception as error:
            self.tally.wrong.append(f"audit trail: {error}")
        else:
            self._expect("whole and unchanged" in said, said)

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.tally.wrong.append(f"seed {self._seed}: {otherwise}")


def _all(client: httpx.Client, path: str, **asked: str) -> list[dict[str, Any]]:
    return list(accepted(client.get(path, params={"limit": 1000, **asked}))["items"])


def _cut(wire: Wire) -> bool:
    open_before = wire.connections
    wire.cut()
    return open_before > 0


def _hinder(wire: Wire, hinder: Callable[[Wire], None]) -> bool:
    before = wire.hindered
    hinder(wire)
    time.sleep(_AWAY)
    return wire.hindered > before


def _fill(file: IO[bytes], disk: Path) -> bool:
    """Let a file, open for appending, take what is free; return whether more was refused."""
    status = os.statvfs(disk)
    with suppress(OSError):  # a file system keeps some for its own notes, or somebody else was faster
        os.posix_fallocate(
            file.fileno(), file.seek(0, os.SEEK_END), max(status.f_bavail, 1) * status.f_frsize
        )
    try:
        while True:
            os.write(file.fileno(), bytes(status.f_frsize))
    except OSError as error:
        return error.errno == errno.ENOSPC


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
