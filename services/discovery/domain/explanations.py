"""Why a place is known to serve a certificate, or why it is not."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.discovery.domain.answers import Outcome
from services.discovery.domain.limits import Limits


class Verdict(StrEnum):
    """In one word."""

    SEEN = "seen"
    """It was not missed: it served a certificate when it was last looked at."""
    MISSED = "missed"
    """It is known, and did not answer lately."""
    LOST = "lost"
    """It is known, and did not answer so often that it counts as gone."""
    DENIED = "denied"
    """The operator does not let anybody look there."""
    UNRESOLVED = "unresolved"
    """The host name has no address."""
    WAITING = "waiting"
    """A scan that is not done yet will come to it."""
    NEVER_ASKED = "never_asked"
    """No scan whose results are kept has asked there."""
    LOOKED = "looked"
    """A scan has asked there, and found no certificate."""


@dataclass(frozen=True, kw_only=True)
class LastSeen:
    """A known place."""

    key: str
    fingerprint: str
    last_seen: datetime
    misses: int


@dataclass(frozen=True, kw_only=True)
class LastLook:
    """The result of the last scan that asked there."""

    scan_id: str
    outcome: Outcome
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What is known of one place, in a word, in a sentence, and what to do next."""

    address: str | None
    port: int
    server_name: str | None
    verdict: Verdict
    text: str
    next_step: str
    seen: LastSeen | None = None
    looked: LastLook | None = None


def denial(
    address: str, *, port: int, allow: Sequence[str], deny: Sequence[str], own: Collection[tuple[str, int]]
) -> str | None:
    """Return which list keeps everybody from looking at an address and port; None where none does."""
    if not Limits().permits(address):
        return "addresses of this kind (link-local, metadata, multicast, unspecified) are never looked at"
    if not Limits(deny=deny).permits(address):
        return "the operator denies it (EVERLEAF_DISCOVERY_DENY)"
    if not Limits(allow=allow).permits(address):
        return "it is not among the networks that the operator allows (EVERLEAF_DISCOVERY_ALLOW)"
    if Limits(own=own).is_own(address, port):
        return "the platform itself runs on it (EVERLEAF_DISCOVERY_SCAN_OWN)"
    return None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All there is to judge a place by."""

    address: str
    port: int
    server_name: str | None = None
    denied: str | None = None
    seen: LastSeen | None = None
    looked: LastLook | None = None
    waiting_in: str | None = None
    """The scan that has yet to come to it."""
    misses_until_lost: int


def explain(evidence: Evidence) -> Explanation:
    """Judge a place: what was seen weighs more than what was not."""
    verdict, text, next_step = _judged(evidence)
    return Explanation(
        address=evidence.address,
        port=evidence.port,
        server_name=evidence.server_name,
        verdict=verdict,
        text=text,
        next_step=next_step,
        seen=evidence.seen,
        looked=evidence.looked,
    )


def _judged(evidence: Evidence) -> tuple[Verdict, str, str]:
    if evidence.denied is not None:
        return Verdict.DENIED, f"Nobody looks there: {evidence.denied}.", "Ask the operator of the platform."
    if evidence.seen is not None:
        return _known(evidence, evidence.seen)
    if evidence.looked is not None:
        return _looked(evidence.looked)
    if evidence.waiting_in is not None:
        scan = evidence.waiting_in
        return (
            Verdict.WAITING,
            f"Scan {scan} has not come to it yet.",
            f"Look again when scan {scan} is done.",
        )
    host = f"[{evidence.address}]" if ":" in evidence.address else evidence.address
    return (
        Verdict.NEVER_ASKED,
        "No scan has asked there, as far back as results are kept.",
        f'Scan it: POST /discovery/v1/scans with {{"targets": ["{host}:{evidence.port}"]}}.',
    )


def _known(evidence: Evidence, seen: LastSeen) -> tuple[Verdict, str, str]:
    served = f"it served {seen.fingerprint} when it was last seen, at {seen.last_seen:%Y-%m-%d %H:%M:%S} UTC"
    if seen.misses == 0:
        return Verdict.SEEN, f"It is not missed: {served}.", "There is nothing to do."
    looked = evidence.looked
    lately = f" The last scan that asked: {_came_of(looked)}." if looked is not None else ""
    count = f"It was missed {seen.misses} times in a row; {served}.{lately}"
    if seen.misses < evidence.misses_until_lost:
        left = evidence.misses_until_lost - seen.misses
        return Verdict.MISSED, count, f"After {left} more it counts as lost; scan it again to know."
    return Verdict.LOST, count, "If it should be there, look at the server; if not, it is rightly gone."


_NEXT_STEPS = {
    Outcome.TLS: "It showed no certificate: it may know the server by another name; scan it with `server_names`.",
    Outcome.NO_TLS: "If it speaks TLS after STARTTLS, scan it with `starttls`; if not, it has no certificate.",
    Outcome.REFUSED: "Nothing listens there, or a firewall says so; check the port.",
    Outcome.SILENT: "A firewall may drop packets from the platform, or the time-out is too short for the way there.",
    Outcome.EXCLUDED: "Leave it out of the scan's `exclude`.",
    Outcome.FAILED: "The reason says what went wrong on the way.",
}


def _looked(looked: LastLook) -> tuple[Verdict, str, str]:
    return Verdict.LOOKED, f"It was asked: {_came_of(looked)}.", _NEXT_STEPS[looked.outcome]


def _came_of(looked: LastLook) -> str:
    reason = f" ({looked.reason})" if looked.reason else ""
    at = f"{looked.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{looked.outcome.value}{reason}, in scan {looked.scan_id} at {at}"


def unresolved(host: str, *, port: int, reason: str) -> Explanation:
    """Explain a host name without an address."""
    return Explanation(
        address=None,
        port=port,
        server_name=host,
        verdict=Verdict.UNRESOLVED,
        text=f"{host} has no address: {reason}.",
        next_step="Check the name, and that the platform's resolver knows it.",
    )
