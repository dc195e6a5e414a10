"""Takes in, many at a time, that renewal has renewed certificates: as after a revocation of all that an authority has issued.

A certificate without one before it, or one that was seen already, is left to be taken in alone: the outcome is the same.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from services.inventory.actions.arrivals import in_order, keep_bytes
from services.inventory.actions.certificates import chain_of
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.organising import inherit_all
from services.inventory.actions.replacements import Replacements, Succession
from services.inventory.actions.timeline import Entry, note_all
from services.inventory.domain.certificates import read
from services.inventory.domain.timeline import Happening
from services.inventory.store import (
    arrivals,
    associations,
    chains,
    changes,
    labels,
    regrouped,
    replacements,
)
from services.inventory.store.arrivals import NewCertificate
from shared.errors import Invalid
from shared.events import Event
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed
from shared.ids import new_id
from shared.store import Transaction
from shared.x509 import fingerprint

Renewed = Event[CertificateRenewed]
Chains = Mapping[str, tuple[str, ...]]
"""Fingerprints, leaf first, by that of the leaf."""


class Orders:
    """Renewals, worked into the inventory in sets."""

    def __init__(self, *, replacements: Replacements, crossings: Crossings) -> None:
        self._replacements = replacements
        self._crossings = crossings

    async def take_in(self, tx: Transaction, events: Sequence[Renewed], *, now: datetime) -> set[str]:
        """Take in new certificates in the lineages of those before them; return the ids of those events. What they name is held."""
        found, served = _plain(events)
        if not found:
            return set()
        roots = {fingerprint(event.data.root) for event in found if event.data.root}
        found = await self._unknown(tx, found, roots)
        if found:
            await self._keep(tx, found, served, now=now)
        return {event.id for event in found}

    async def _unknown(self, tx: Transaction, found: Sequence[Renewed], roots: set[str]) -> list[Renewed]:
        """Return those of which nobody knew the new certificate, and everybody the one before and the root."""
        both = [print_ for event in found for print_ in _both(event)]
        known = await changes.certificates(tx, [*both, *roots])
        named = await replacements.touched(tx, [event.data.fingerprint for event in found])
        replaced = {print_ for print_, _ in await replacements.are_replaced(tx, both)}
        return [
            event
            for event in found
            if event.data.fingerprint not in known
            and event.data.fingerprint not in named
            and event.data.old_fingerprint not in replaced
            and (old := known.get(event.data.old_fingerprint or "")) is not None
            and old.lineage_id == event.data.lineage_id
            and (event.data.root is None or fingerprint(event.data.root) in known)
        ]

    async def _keep(
        self, tx: Transaction, found: Sequence[Renewed], served: Chains, *, now: datetime
    ) -> None:
        new = {
            event.data.fingerprint: NewCertificate(
                id=new_id(),
                lineage_id=event.data.lineage_id,
                reading=read(event.data.fingerprint, event.data.chain[0]),
                chain=served[event.data.fingerprint][1:],
                first_known_at=now,
                is_from_renewal=True,
            )
            for event in found
        }
        in_order(new.values())
        for each in new.values():
            self._crossings.begin(each, now=now)
        heirs = await inherit_all(tx, list(new.values()))
        kept = {served[event.data.fingerprint]: event.data.chain for event in found}
        await keep_bytes(tx, kept, now=now)
        roots = {(fingerprint(event.data.root),) for event in found if event.data.root}
        await chains.keep_chains(tx, roots, now=now)
        await arrivals.keep_certificates(tx, list(new.values()), begins=())
        await labels.inherit(tx, heirs)
        groups = {(group, event.data.fingerprint) for event in found for group in event.data.groups}
        await regrouped.begin_all(tx, sorted(groups))
        await note_all(tx, [(event.data.lineage_id, renewed_entry(event)) for event in found])
        await self._replacements.begin(tx, [succession(event) for event in found])
        both = [print_ for event in found for print_ in _both(event)]
        await associations.mark(tx, fingerprints=new)
        await self._replacements.settle(tx, both, now=now)
        await self._crossings.assess(tx, both, now=now)


def _both(event: Renewed) -> tuple[str, str]:
    return event.data.old_fingerprint or "", event.data.fingerprint


def _plain(events: Sequence[Renewed]) -> tuple[list[Renewed], Chains]:
    """Return the events whose certificates and lineages no other is about, and the chains that can be kept."""
    said = Counter(name for event in events for name in (*_both(event), f"lineage {event.data.lineage_id}"))
    served = {event.data.fingerprint: names for event in events if (names := _chain(event.data))}
    found = [
        event
        for event in events
        if event.data.old_fingerprint
        and event.data.fingerprint in served
        and said[event.data.fingerprint] == said[event.data.old_fingerprint] == 1
        and said[f"lineage {event.data.lineage_id}"] == 1
    ]
    return found, served


def _chain(said: CertificateRenewed) -> tuple[str, ...]:
    if not said.chain:
        return ()
    try:
        return tuple(chain_of(said.fingerprint, said.chain).fingerprints)
    except Invalid:  # said of it where it is taken in alone
        return ()


def renewed_entry(event: Renewed) -> Entry:
    """Return what a lineage's timeline says of a certificate that was issued."""
    text = f"{event.data.authority} issued a new certificate."
    return entry(event, Happening.RENEWED, text, at=event.time)


def succession(event: Event[CertificateRenewed] | Event[CertificateDeployed]) -> Succession:
    """Return what an event says of a replacement."""
    said = event.data
    return Succession(
        lineage_id=said.lineage_id,
        old_fingerprint=said.old_fingerprint or "",
        fingerprint=said.fingerprint,
        order_id=said.order_id,
        at=event.time,
    )


def entry(
    event: Event[CertificateRenewed] | Event[CertificateDeployed],
    kind: Happening,
    text: str,
    *,
    at: datetime,
) -> Entry:
    """Return an entry about a certificate that comes from renewal."""
    return Entry(kind=kind, text=text, at=at, fingerprint=event.data.fingerprint, event_id=event.id)
