"""Makes certificates known and puts each into its lineage."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from services.inventory.actions.organising import inherit
from services.inventory.domain.certificates import Reading, have_same_names, read
from services.inventory.store import associations, certificates, chains, lineages, oddities, replacements
from services.inventory.store.tables import Certificate, Lineage
from shared.errors import Invalid
from shared.events.inventory import CertificatesArrived
from shared.fields import as_mapping
from shared.ids import new_id
from shared.store import Transaction
from shared.x509 import fingerprint as fingerprint_of


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A certificate as it came: its fingerprint, and the bytes of it and of those above it."""

    fingerprint: str
    ders: Sequence[bytes]

    @property
    def fingerprints(self) -> list[str]:
        """Return the fingerprints, leaf first."""
        return [self.fingerprint, *map(_above, self.ders[1:])]


_above = lru_cache(maxsize=1_000)(fingerprint_of)
"""Of authorities, of which there are few above many certificates."""


def chain_of(fingerprint: str, ders: Sequence[bytes]) -> Chain:
    """Return a chain. Raises `Invalid` where the bytes are of another certificate than it is said."""
    if ders and fingerprint_of(ders[0]) != fingerprint:
        raise Invalid(
            f"The chain does not begin with the certificate {fingerprint}.",
            next_step="Look at who sent the event: it names one certificate and carries another.",
        )
    return Chain(fingerprint=fingerprint, ders=ders)


async def know(
    tx: Transaction, chain: Chain, *, lineage_id: str | None, beside: Sequence[str], now: datetime
) -> Certificate:
    """Return a certificate, kept where it is new.

    A new one belongs to the lineage given; else to the one that a replacement names; else to that of
    a certificate of the same names beside it; else to a lineage of its own.
    """
    await certificates.keep_ders(tx, dict(zip(chain.fingerprints, chain.ders, strict=False)))
    await chains.keep_chains(tx, [tuple(chain.fingerprints)], now=now)
    row = await certificates.certificate(tx.session, chain.fingerprint)
    if row is None:
        reading = read(chain.fingerprint, chain.ders[0] if chain.ders else None)
        lineage_id = lineage_id or await _lineage_of(tx, reading, beside=beside)
        has_others = lineage_id is not None
        lineage_id = await begin_lineage(tx, lineage_id or new_id(), title=reading.title, now=now)
        row = certificate_row(reading, chain, lineage_id=lineage_id, now=now)
        await certificates.keep_certificate(tx, row)
        if has_others:
            await inherit(tx, row)
        await oddities.keep(tx, row.fingerprint, reading.oddities)
        await associations.mark(tx, fingerprints=[row.fingerprint])
        tx.emit(CertificatesArrived(fingerprints=[row.fingerprint]), now=now)
    return row


async def _lineage_of(tx: Transaction, reading: Reading, *, beside: Sequence[str]) -> str | None:
    replacement = await replacements.involving(tx.session, reading.fingerprint)
    if replacement is not None:
        return replacement.lineage_id
    names = list(reading.fields.names)
    for other in await certificates.certificates(tx.session, beside):
        if have_same_names(other.names, names):
            return other.lineage_id
    return None


async def begin_lineage(tx: Transaction, lineage_id: str, *, title: str, now: datetime) -> str:
    """Make a lineage where there is none of this id, and return the id."""
    await lineages.keep_lineage(tx, Lineage(id=lineage_id, title=title, created_at=now))
    return lineage_id


def certificate_row(reading: Reading, chain: Chain, *, lineage_id: str, now: datetime) -> Certificate:
    """Return the row of a certificate that is new."""
    kept = as_mapping(reading.fields)
    return Certificate(
        **{**kept, "names": list(reading.fields.names)},
        fingerprint=reading.fingerprint,
        id=new_id(),
        lineage_id=lineage_id,
        finding=reading.finding,
        chain=chain.fingerprints[1:],
        first_known_at=now,
    )
