"""Writes many certificates and places at once that nobody knew: a statement a table, however many there are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from services.inventory.domain.certificates import Reading, indexed_names, read, reversed_name
from services.inventory.store import joins
from services.inventory.store.assessment_tables import PlaceTlsRow
from services.inventory.store.association_tables import OddityRow
from services.inventory.store.tables import (
    Certificate,
    CertificateName,
    Lineage,
    PlaceRow,
    Replacement,
    ServingRow,
    Sighting,
)
from shared.events.discovery import CertificateFound
from shared.fields import as_mapping
from shared.store import Transaction
from shared.store.bulk import copy_rows
from shared.store.parameters import among


@dataclass(slots=True, kw_only=True)
class Look:
    """An endpoint that was seen."""

    place_id: str
    key: str
    """Of the place."""
    seen: CertificateFound
    chain: tuple[str, ...]
    """Fingerprints of what it serves, leaf first."""
    digest: str
    """Of those."""
    has_bytes: bool
    """Whether the certificate itself came with the event."""
    negotiated: int | None
    """A number for how TLS was spoken."""
    looked: int | None
    """A number for what a look at depth `full` has found."""
    _reading: Reading | None = None

    def reading(self) -> Reading:
        """Return what can be read of the certificate that came with it; it is read once."""
        if self._reading is None:
            self._reading = read(self.seen.fingerprint, self.seen.chain[0])
        return self._reading


@dataclass(slots=True, kw_only=True)
class NewCertificate:
    """A certificate that nobody knew, in use from the start."""

    id: str
    lineage_id: str
    reading: Reading
    chain: Sequence[str]
    """Fingerprints of what is served after it."""
    first_known_at: datetime
    urgency: str | None = None
    next_crossing_at: datetime | None = None
    is_aging: bool = False
    """Half of its life is over, and nothing is urgent."""
    owner_id: str | None = None
    owner_set_by: str | None = None
    is_from_renewal: bool = False

    @property
    def fingerprint(self) -> str:
        """Return its own."""
        return self.reading.fingerprint


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known already of that which has arrived."""

    places: frozenset[str]
    fingerprints: frozenset[str]
    """Certificates that are known, or that a replacement names."""
    addresses: frozenset[str]
    """Those at which something is configured."""


async def known(tx: Transaction, looks: Collection[Look]) -> Known:
    """Return what is known of that which these looks have found."""
    places = {look.place_id for look in looks}
    seen = sa.select(col(Sighting.place_id)).where(among(tx.session, col(Sighting.place_id), places))
    return Known(
        places=frozenset((await tx.session.scalars(seen)).all()),
        fingerprints=frozenset(await _known_certificates(tx, {look.seen.fingerprint for look in looks})),
        addresses=frozenset(await joins.fronts_at(tx.session, {look.seen.place.address for look in looks})),
    )


async def _known_certificates(tx: Transaction, fingerprints: Collection[str]) -> Sequence[str]:
    columns = (
        col(Certificate.fingerprint),
        col(Replacement.old_fingerprint),
        col(Replacement.fingerprint),
    )
    found = [sa.select(column).where(among(tx.session, column, fingerprints)) for column in columns]
    return (await tx.session.scalars(sa.union_all(*found))).all()


async def keep_certificates(
    tx: Transaction, new: Sequence[NewCertificate], *, begins: Collection[str]
) -> None:
    """Add certificates that nobody knew, their names and what is odd about them; `begins` are the lineages that begin with one."""
    begun = [
        {"id": each.lineage_id, "title": each.reading.title, "created_at": each.first_known_at}
        for each in new
        if each.lineage_id in begins
    ]
    await copy_rows(tx, Lineage, begun)
    await copy_rows(tx, Certificate, [_certificate(each) for each in new])
    names = [
        {"fingerprint": each.fingerprint, "name": name, "backwards": reversed_name(name)}
        for each in new
        for name in indexed_names(each.reading.fields.names)
    ]
    await copy_rows(tx, CertificateName, names)
    odd = [
        {"fingerprint": each.fingerprint, "code": oddity.code, "detail": oddity.detail}
        for each in new
        for oddity in each.reading.oddities
    ]
    await copy_rows(tx, OddityRow, odd)


def _certificate(new: NewCertificate) -> dict[str, Any]:
    return {
        **as_mapping(new.reading.fields),
        "fingerprint": new.fingerprint,
        "id": new.id,
        "lineage_id": new.lineage_id,
        "finding": new.reading.finding,
        "chain": new.chain,
        "is_from_renewal": new.is_from_renewal,
        "is_current": True,
        "urgency": new.urgency,
        "next_crossing_at": new.next_crossing_at,
        "first_known_at": new.first_known_at,
        "owner_id": new.owner_id,
        "owner_set_by": new.owner_set_by,
    }


async def keep_places(tx: Transaction, looks: Sequence[Look]) -> None:
    """Add endpoints that nobody knew, with what they were seen to serve."""
    await copy_rows(tx, PlaceRow, [_place(look) for look in looks])
    await copy_rows(tx, ServingRow, [_serving(look) for look in looks])
    await copy_rows(tx, Sighting, [_sighting(look) for look in looks])
    told = [_negotiated(look) for look in looks if look.negotiated is not None]
    await copy_rows(tx, PlaceTlsRow, told)


def _place(look: Look) -> dict[str, Any]:
    return {"id": look.place_id, "key": look.key, **look.seen.place.model_dump()}


def _serving(look: Look) -> dict[str, Any]:
    at = look.seen.observed_at
    return {
        "place_id": look.place_id,
        "since": at,
        "fingerprint": look.seen.fingerprint,
        "last_seen": at,
        "until": None,
    }


def _sighting(look: Look) -> dict[str, Any]:
    at = look.seen.observed_at
    return {
        "place_id": look.place_id,
        "fingerprint": look.seen.fingerprint,
        "chain_digest": look.digest,
        "first_seen": at,
        "last_seen": at,
        "is_watched": False,
        "is_awaited": False,
        "is_proof": True,
        "negotiated_digest": look.negotiated,
    }


def _negotiated(look: Look) -> dict[str, Any]:
    return {
        "place_id": look.place_id,
        "version": look.seen.tls_version,
        "suite": look.seen.cipher_suite,
        "group": look.seen.group,
        "negotiated_at": look.seen.observed_at,
    }
