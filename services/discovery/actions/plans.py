"""How a scan's way is laid out and shared in pieces, and how it ends."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.discovery import store
from services.discovery.domain.answers import Outcome
from services.discovery.domain.counts import count
from services.discovery.domain.limits import Limits
from services.discovery.domain.routes import Route, pieces
from services.discovery.domain.targets import Segment, Wish, parse_ports, parse_target, plan
from shared.events.discovery import ScanFinished
from shared.store import Transaction

MOST_REASON = 500
MOST_PIECES = 1_000_000
"""In a round; pieces of different rounds never have the same number."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the operator allows, and how patient we are."""

    allow: Sequence[str]
    deny: Sequence[str]
    own: frozenset[tuple[str, int]] = frozenset()
    """Addresses and ports that the platform itself runs on: nobody looks there."""
    max_targets: int
    names_per_address: int
    misses_until_lost: int
    lease: timedelta
    keep_results: timedelta

    def limits(self, *, exclude: Sequence[str] = ()) -> Limits:
        """Return what may be looked at; `exclude` is what one scan leaves out beside."""
        return Limits(allow=self.allow, deny=self.deny, own=self.own, exclude=exclude)


def read_wishes(targets: Sequence[str]) -> list[Wish]:
    """Read a scan's targets. Raises `Invalid` with a pointer to the first that is none."""
    return [parse_target(text, pointer=f"/body/targets/{number}") for number, text in enumerate(targets)]


def route_of(scan: store.Scan) -> Route:
    """Return the way of a scan as it is laid out."""
    return Route(
        [Segment.read(segment) for segment in scan.segments or ()],
        first_round=scan.first_round,
        unresolved=len(scan.unresolved),
        starttls=scan.starttls,
        key=uuid.UUID(scan.id).int,
    )


async def lay_out(
    tx: Transaction,
    scan: store.Scan,
    *,
    wishes: Sequence[Wish],
    resolved: Mapping[str, Sequence[str]],
    unresolved: Mapping[str, str],
    most: int,
) -> None:
    """Lay out the way to what was asked for; names without an address are results already. Raises `TooLarge`."""
    segments = plan(
        wishes,
        resolved=resolved,
        ports=parse_ports(scan.ports, pointer="/body/ports"),
        server_names=scan.server_names,
        most=most,
    )
    scan.segments = []
    scan.unresolved = dict(unresolved)
    scan.counts = count([Outcome.FAILED] * len(unresolved)).model_dump()
    scan.total = 0
    await go_on(tx, scan, segments)
    scan.first_round = scan.total
    ports = {wish.host: wish.port for wish in wishes}
    rows = [
        _unresolved_row(scan, number, host=host, port=ports.get(host), reason=reason)
        for number, (host, reason) in enumerate(unresolved.items(), start=scan.total)
    ]
    await store.write_results(tx, rows)


async def go_on(tx: Transaction, scan: store.Scan, segments: Sequence[Segment]) -> None:
    """Make these segments the next round of a scan's way."""
    first = scan.total
    scan.rounds += 1
    scan.segments = [*(scan.segments or ()), *(segment.row() for segment in segments)]
    scan.total += sum(segment.size for segment in segments)
    await store.add_shards(
        tx,
        [
            {"scan_id": scan.id, "number": number, "position": start, "end": end}
            for number, (start, end) in enumerate(pieces(first, scan.total), start=scan.rounds * MOST_PIECES)
        ],
    )


def _unresolved_row(
    scan: store.Scan, number: int, *, host: str, port: int | None, reason: str
) -> dict[str, object]:
    return {
        "scan_id": scan.id,
        "number": number,
        "address": host,
        "port": port,
        "server_name": host,
        "outcome": Outcome.FAILED.value,
        "reason": f"the name is not resolved: {reason}"[:MOST_REASON],
        "fingerprint": None,
        "tls_version": None,
        "cipher_suite": None,
        "group": None,
        "starttls": None,
        "protocol": None,
        "wants_client_certificate": False,
        "depth": None,
        "others": {},
    }


async def end(tx: Transaction, scan: store.Scan, *, state: str, now: datetime) -> None:
    """End a scan, and tell it."""
    halt(scan, now=now)
    scan.state = state
    scan.finished_at = now
    await store.drop_shards(tx, scan.id)
    finished = ScanFinished.model_validate(
        {
            "scan_id": scan.id,
            "state": state,
            "counts": scan.counts,
            "started_at": scan.started_at or now,
            "finished_at": now,
        }
    )
    tx.emit(finished, now=now)


def halt(scan: store.Scan, *, now: datetime) -> None:
    """Stop the clock of a scan."""
    if scan.active_since is not None:
        scan.active += (now - scan.active_since).total_seconds()
    scan.active_since = None
    scan.lease = scan.lease_until = None
