"""How bad it is that something is wrong with a place, and what is to be done about it."""

from dataclasses import dataclass
from hashlib import sha256

from services.notifier.domain.alerts import Details, Evidence, Problem
from services.notifier.domain.evidence import place_text
from services.notifier.domain.text import clean, clean_all
from shared.events.discovery import Place
from shared.events.inventory import Flaw, PlaceFlawed
from shared.events.notifier import Severity

_LONGEST_TITLE = 250


@dataclass(frozen=True, kw_only=True)
class _Rule:
    problem: Problem
    severity: Severity
    next_step: str


_RULES = {
    Flaw.KEY_EXPOSED: _Rule(
        problem=Problem.KEY_EXPOSED,
        severity=Severity.ERROR,
        next_step="Let only the server's account read the key (chmod 640 or stricter). Who could read it may have a copy: "
        "renew the certificate with a new key and revoke this one.",
    ),
    Flaw.KEY_MISMATCH: _Rule(
        problem=Problem.KEY_MISMATCH,
        severity=Severity.ERROR,
        next_step="Put the key that belongs to the certificate beside it before the server is started again.",
    ),
    Flaw.KEY_REPLACEABLE: _Rule(
        problem=Problem.KEY_REPLACEABLE,
        severity=Severity.ERROR,
        next_step="Let only the server's account write to the key and its folder (chmod o-w). Compare the key with the one "
        "that was put there.",
    ),
    Flaw.KEY_SHARED: _Rule(
        problem=Problem.KEY_SHARED,
        severity=Severity.INFO,
        next_step="Give each host a key of its own, or see that it is meant: lost on one host, it is lost on all.",
    ),
    Flaw.NOT_CONFIGURED: _Rule(
        problem=Problem.NOT_CONFIGURED,
        severity=Severity.WARNING,
        next_step="Find out which program serves it: no configuration that is read there names this certificate, so nothing "
        "will renew it there.",
    ),
    Flaw.NOT_SERVED: _Rule(
        problem=Problem.NOT_SERVED,
        severity=Severity.WARNING,
        next_step="Make the server read its files again: another certificate is served than the one that is configured.",
    ),
}
"""Not `unused`: most of what nothing uses is harmless, and there is much of it. Inventory lists it."""


def of_flaw(event: PlaceFlawed) -> Evidence | None:
    """Return the evidence that something is wrong with a place; none where nobody needs to be told."""
    rule = _RULES.get(event.flaw)
    if rule is None:
        return None
    places = (event.place, *event.beside)
    return Evidence(
        subject=flaw_subject(event.place, event.flaw),
        lineage_id=event.lineage_id,
        problem=rule.problem,
        key=event.flaw,
        name=clean(place_text(event.place), most=_LONGEST_TITLE),
        fingerprint=event.fingerprint,
        outgoing=None,
        severity=rule.severity,
        told_at=event.began_at,
        details=Details(
            names=clean_all(event.names),
            places=clean_all(map(place_text, places)),
            place_count=len(places),
            next_step=rule.next_step,
        ),
    )


def flaw_subject(place: Place, flaw: Flaw) -> str:
    """Return the subject of alerts about a flaw of a place: a key may be longer than a subject."""
    return f"place/{flaw}/{sha256(place.key.encode()).hexdigest()[:32]}"
