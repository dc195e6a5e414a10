"""Which places a scan goes to: those it was asked for, and then the names that are known where somebody answers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from services.discovery import store
from services.discovery.actions.leases import while_held
from services.discovery.actions.plans import MOST_REASON, Bounds, end, go_on, lay_out, read_wishes
from services.discovery.connectors.resolve import resolve, resolve_back
from services.discovery.domain.targets import Segment, Wish, parse_server_name
from shared.clock import Clock
from shared.errors import Invalid, TooLarge
from shared.ids import new_id
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)

AT_ONCE = 500
"""Addresses whose names are looked up together."""
MOST_UNDER = 10_000
"""Known names that `*.example.com` stands for."""


@dataclass(frozen=True, kw_only=True)
class PlanClaim:
    """A scan whose way this process lays out, as long as it keeps the lease."""

    scan_id: str
    lease: str


class Planning:
    """Lays out the ways of scans: once for what was asked, and once more for what was found."""

    def __init__(
        self, database: Database, *, bounds: Bounds, clock: Clock, ring: Callable[[], None] = lambda: None
    ) -> None:
        """`ring` says that there is a way to go."""
        self._database = database
        self._bounds = bounds
        self._clock = clock
        self._ring = ring

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        async with self._database.transaction() as tx:
            await store.end_lease(tx)

    async def claim(self, *, now: datetime) -> PlanClaim | None:
        """Take a scan whose way is to be laid out; None where there is none."""
        async with self._database.read() as session:
            if not await store.is_scan_waiting(session, now=now):
                return None
        lease = new_id()
        async with self._database.transaction() as tx:
            scan = await store.claim_scan(tx, lease=lease, until=now + self._bounds.lease, now=now)
            return PlanClaim(scan_id=scan.id, lease=lease) if scan is not None else None

    async def run(self, claim: PlanClaim) -> None:
        """Lay out the next round of a scan."""

        async def keep() -> bool:
            async with self._database.transaction() as tx:
                until = self._clock() + self._bounds.lease
                return await store.keep_lease(tx, claim.scan_id, lease=claim.lease, until=until)

        async def let_go() -> None:
            async with self._database.transaction() as tx:
                await store.end_lease(tx, claim.lease)

        async def work() -> None:
            async with self._database.read() as session:
                scan = await session.get_one(store.Scan, claim.scan_id)
            await (self._first_round(claim, scan) if scan.rounds == 0 else self._second_round(claim, scan))

        every = min(1.0, self._bounds.lease.total_seconds() / 4)
        await while_held(work, keep=keep, let_go=let_go, every=every)

    async def _first_round(self, claim: PlanClaim, scan: store.Scan) -> None:
        wishes, nowhere = await self._named(read_wishes(scan.targets), is_public=bool(scan.groups))
        resolved, unresolved = await resolve({wish.host for wish in wishes if wish.host})
        async with self._database.transaction() as tx:
            held = await _held(tx, claim)
            if held is None:
                return
            try:
                await lay_out(
                    tx,
                    held,
                    wishes=wishes,
                    resolved=resolved,
                    unresolved={**nowhere, **unresolved},
                    most=self._bounds.max_targets,
                )
            except TooLarge as error:
                held.error = str(error)[:MOST_REASON]
                await end(tx, held, state="failed", now=self._clock())
            tx.after_commit(self._ring)

    async def _named(self, wishes: Sequence[Wish], *, is_public: bool) -> tuple[list[Wish], dict[str, str]]:
        """Put the names known under a suffix in its place; return also the suffixes that nothing is known of.

        Who has logged in where has told the others are nobody's business: scans of groups ask for public names only.
        """
        named, nowhere = [], {}
        async with self._database.read() as session:
            for wish in wishes:
                if wish.under is None:
                    named.append(wish)
                    continue
                names = await store.names_under(session, wish.under, most=MOST_UNDER, is_public=is_public)
                named += [replace(wish, under=None, host=name) for name in names]
                if not names:
                    nowhere[f"*.{wish.under}"] = "no name under it is known yet"
        return named, nowhere

    async def _second_round(self, claim: PlanClaim, scan: store.Scan) -> None:
        segments = await self._names_to_ask(scan) if scan.does_fan_out else []
        now = self._clock()
        async with self._database.transaction() as tx:
            held = await _held(tx, claim)
            if held is None:
                return
            if segments:
                await go_on(tx, held, segments)
                tx.after_commit(self._ring)
            else:
                await end(tx, held, state="finished", now=now)

    async def _names_to_ask(self, scan: store.Scan) -> list[Segment]:
        """Return the names known for the addresses that answer, but for those that the scan has asked for."""
        segments: list[Segment] = []
        left, after, is_answered = self._bounds.max_targets - scan.total, "", True
        while left > 0:
            async with self._database.read() as session:
                ports = await store.answering_without_a_name(session, scan.id, after=after, limit=AT_ONCE)
            if not ports:
                return segments
            if is_answered:
                is_answered = await self._learn_back(list(ports))
            async with self._database.read() as session:
                known = await store.names_at(session, list(ports), is_public=bool(scan.groups))
                asked = await store.names_asked(session, scan.id, list(ports))
            for address, names in known.items():
                fresh = [name for name in names if (address, name) not in asked]
                segment = _segment(address, ports[address], fresh[: self._bounds.names_per_address])
                if 0 < segment.size <= left:
                    segments.append(segment)
                    left -= segment.size
            after = max(ports)
        log.warning("scan.names_left_out", scan_id=scan.id, max_targets=self._bounds.max_targets)
        return segments

    async def _learn_back(self, addresses: Sequence[str]) -> bool:
        """Learn the names that reverse DNS has for addresses; return whether anybody answered."""
        found, is_answered = await resolve_back(addresses)
        pairs = [(name, address) for address, text in found.items() if (name := _server_name(text))]
        async with self._database.transaction() as tx:
            await store.remember_names(tx, pairs, origin="reverse", now=self._clock())
        return is_answered


def _server_name(text: str) -> str | None:
    try:
        return parse_server_name(text, pointer="")
    except Invalid:
        return None


def _segment(address: str, ports: Sequence[int], names: Sequence[str]) -> Segment:
    ranges = tuple((port, port) for port in sorted(set(ports)))
    return Segment(first=address, count=1, ports=ranges, server_names=tuple(names))


async def _held(tx: Transaction, claim: PlanClaim) -> store.Scan | None:
    scan = await store.scan_to_update(tx, claim.scan_id)
    is_ours = scan is not None and scan.lease == claim.lease and scan.state == "running"
    return scan if is_ours else None
