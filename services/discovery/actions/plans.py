"""How a scan begins and ends: its walk is laid out once its host names are resolved, and its end is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.discovery import store
from services.discovery.domain.answers import Outcome
from services.discovery.domain.counts import count
from services.discovery.domain.targets import Wish, parse_ports, parse_target, plan
from shared.events.discovery import ScanFinished
from shared.store import Transaction

MOST_REASON = 500


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the operator allows, and how patient we are."""

    allow: Sequence[str]
    deny: Sequence[str]
    max_targets: int
    misses_until_lost: int
    lease: timedelta
    keep_results: timedelta


def read_wishes(targets: Sequence[str]) -> list[Wish]:
    """Read a scan's targets. Raises `Invalid` with a pointer to the first that is none."""
    return [parse_target(text, pointer=f"/body/targets/{number}") for number, text in enumerate(targets)]


async def planned(
    tx: Transaction,
    scan: store.Scan,
    *,
    resolved: Mapping[str, Sequence[str]],
    unresolved: Mapping[str, str],
    most: int,
) -> None:
    """Lay out a scan's walk; names without an address are results already. Raises `TooLarge`."""
    wishes = read_wishes(scan.targets)
    segments = plan(
        wishes,
        resolved=resolved,
        ports=parse_ports(scan.ports, pointer="/body/ports"),
        server_names=scan.server_names,
        most=most,
    )
    scan.segments = [segment.row() for segment in segments]
    scan.total = sum(segment.size for segment in segments)
    scan.unresolved = dict(unresolved)
    scan.counts = count([Outcome.FAILED] * len(unresolved)).model_dump()
    ports = {wish.host: wish.port for wish in wishes}
    rows = [
        _unresolved_row(scan, number, host=host, port=ports[host], reason=reason)
        for number, (host, reason) in enumerate(unresolved.items(), start=scan.total)
    ]
    for start in range(0, len(rows), 1000):
        await store.write_results(tx, rows[start : start + 1000])


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


def end(tx: Transaction, scan: store.Scan, *, state: str, now: datetime) -> None:
    """End a scan, and tell it."""
    scan.state = state
    scan.finished_at = now
    scan.lease = scan.lease_until = None
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
