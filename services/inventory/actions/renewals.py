"""Takes in what renewal and provisioner say: a certificate has a successor, and that one was put in place."""

from collections.abc import Sequence
from datetime import datetime

from services.inventory.actions.certificates import begin_lineage, chain_of, know
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.orders import Orders, entry, renewed_entry, succession
from services.inventory.actions.organising import inherit, settle
from services.inventory.actions.replacements import Replacements
from services.inventory.actions.timeline import Entry, note
from services.inventory.domain.timeline import Happening
from services.inventory.store import assessments, certificates, lineages, regrouped, revocations
from shared.events import Event
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed, CertificateRevoked
from shared.store import Transaction
from shared.x509 import fingerprint


class Renewals:
    """Renewals and deployments, worked into the inventory. What the events bear upon is held (`actions/holding.py`)."""

    def __init__(self, *, replacements: Replacements, crossings: Crossings) -> None:
        self._replacements = replacements
        self._crossings = crossings
        self._orders = Orders(replacements=replacements, crossings=crossings)

    async def usually_renewed(
        self, tx: Transaction, events: Sequence[Event[CertificateRenewed]], *, now: datetime
    ) -> list[Event[CertificateRenewed]]:
        """Take in sets new certificates in the lineages of those before them; return the rest."""
        taken = await self._orders.take_in(tx, events, now=now)
        return [event for event in events if event.id not in taken]

    async def renewed(self, tx: Transaction, event: Event[CertificateRenewed], *, now: datetime) -> None:
        """Keep the new certificate in the lineage it is for, also where it was seen somewhere before."""
        said = event.data
        both = [print_ for print_ in (said.old_fingerprint, said.fingerprint) if print_ is not None]
        root = chain_of(fingerprint(said.root), [said.root]) if said.root else None
        if root is not None:
            # What it has issued is known by these events, served or not; and so is when it ends itself.
            await know(tx, root, lineage_id=None, beside=(), now=now)
        title = said.names[0] if said.names else "unnamed"
        await begin_lineage(tx, said.lineage_id, title=title, now=now)
        chain = chain_of(said.fingerprint, said.chain)
        row = await know(tx, chain, lineage_id=said.lineage_id, beside=(), now=now)
        row.is_from_renewal = True
        await regrouped.begin(tx, said.fingerprint, said.groups)
        await _gather(tx, both, lineage_id=said.lineage_id, now=now)
        note(tx, said.lineage_id, renewed_entry(event))
        if said.old_fingerprint is not None:
            await self._replacements.open(tx, succession(event))
        await self._replacements.settle(tx, both, now=now)
        await self._crossings.assess(tx, both, now=now)

    async def deployed(self, tx: Transaction, event: Event[CertificateDeployed], *, now: datetime) -> None:
        """Note that a target serves the new certificate; with the last one, none may serve the old any more."""
        said = event.data
        both = [print_ for print_ in (said.old_fingerprint, said.fingerprint) if print_ is not None]
        await begin_lineage(tx, said.lineage_id, title="", now=now)
        text = f"{said.target} serves the new certificate."
        note(tx, said.lineage_id, entry(event, Happening.DEPLOYED, text, at=said.deployed_at))
        if said.old_fingerprint is None:
            return
        await _gather(tx, both, lineage_id=said.lineage_id, now=now)
        row = await self._replacements.open(tx, succession(event))
        if said.is_last:
            row.deployed_at = max(said.deployed_at, row.deployed_at or said.deployed_at)
        await self._replacements.settle(tx, both, now=now)
        await self._crossings.assess(tx, both, now=now)

    async def revoked(self, tx: Transaction, event: Event[CertificateRevoked], *, now: datetime) -> None:
        """Note that an authority has taken a certificate back, and ask at once whether that is to be seen."""
        said = event.data
        await begin_lineage(tx, said.lineage_id, title="", now=now)
        await revocations.ask_again(tx, said.fingerprint, at=now)
        text = f"{said.authority} has revoked it on the word of {said.requested_by} ({said.reason})."
        happened = Entry(
            kind=Happening.REVOKED,
            text=text,
            at=said.revoked_at,
            fingerprint=said.fingerprint,
            event_id=event.id,
        )
        note(tx, said.lineage_id, happened)

    async def managed(
        self, tx: Transaction, lineage_id: str, *, is_managed: bool, at: datetime, now: datetime
    ) -> None:
        """Keep whether renewal renews a lineage by itself, as it was told last."""
        await begin_lineage(tx, lineage_id, title="", now=now)
        if await lineages.keep_managed(tx, lineage_id, is_managed=is_managed, at=at):
            members = await lineages.members(tx.session, lineage_id, scope=None)
            await settle(tx, [row.fingerprint for row in members], now=now)


async def _gather(tx: Transaction, fingerprints: list[str], *, lineage_id: str, now: datetime) -> None:
    """Put certificates that are elsewhere into this lineage, and have them judged anew; the last is the heir of the first."""
    rows = await certificates.certificates(tx.session, fingerprints)
    elsewhere = [row for row in rows if row.lineage_id != lineage_id]
    for row in elsewhere:
        await lineages.move_certificate(tx, row, to=lineage_id)
        await assessments.make_certificates_due(tx, [row.fingerprint], at=now)
    heir = next((row for row in rows if row.fingerprint == fingerprints[-1]), None)
    if elsewhere and heir is not None:
        await inherit(tx, heir, of=fingerprints[0])
