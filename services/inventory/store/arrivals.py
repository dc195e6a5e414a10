"""Writes many certificates and places at once that nobody knew: a statement a table, however many there are."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from services.inventory.domain.certificates import chain_digest, indexed_names, reversed_name
from services.inventory.domain.oddities import Oddity
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
from shared.store import Transaction, insert, write_rows


@dataclass(frozen=True, kw_only=True)
class Look:
    """An endpoint that was seen for the first time."""

    place_id: str
    seen: CertificateFound
    chain: tuple[str, ...]
    """Fingerprints of what it serves, leaf first."""
    negotiated: int | None
    """A number for how TLS was spoken."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known already of that which has arrived."""

    places: frozenset[str]
    fingerprints: frozenset[str]
    """Certificates that are known, or that a replacement names."""
    addresses: frozenset[str]
    """Those at which something is configured."""


async def known(
    tx: Transaction, *, places: Collection[str], fingerprints: Collection[str], addresses: Collection[str]
) -> Known:
    """Return which of these are known."""
    seen = sa.select(col(Sighting.place_id)).where(col(Sighting.place_id).in_(places))
    certificates = sa.select(col(Certificate.fingerprint)).where(
        col(Certificate.fingerprint).in_(fingerprints)
    )
    old, new = col(Replacement.old_fingerprint), col(Replacement.fingerprint)
    replaced = sa.union(
        sa.select(old).where(old.in_(fingerprints)), sa.select(new).where(new.in_(fingerprints))
    )
    return Known(
        places=frozenset((await tx.session.scalars(seen)).all()),
        fingerprints=frozenset(
            [*(await tx.session.scalars(certificates)).all(), *(await tx.session.scalars(replaced)).all()]
        ),
        addresses=frozenset(await joins.fronts_at(tx.session, addresses)),
    )


async def keep_certificates(
    tx: Transaction,
    lineages: Sequence[Lineage],
    rows: Sequence[Certificate],
    found: Mapping[str, Sequence[Oddity]],
) -> None:
    """Add certificates, each in the lineage that it begins, with what is odd about them by fingerprint."""
    tx.session.add_all(lineages)
    await tx.session.flush()
    tx.session.add_all(rows)
    await tx.session.flush()
    names = [
        {"fingerprint": row.fingerprint, "name": name, "backwards": reversed_name(name)}
        for row in rows
        for name in indexed_names(row.names)
    ]
    await write_rows(tx, sa.insert(CertificateName), names)
    odd = [
        {"fingerprint": fingerprint, "code": each.code, "detail": each.detail}
        for fingerprint, oddities in found.items()
        for each in oddities
    ]
    await write_rows(tx, sa.insert(OddityRow), odd)


async def keep_places(tx: Transaction, looks: Sequence[Look]) -> None:
    """Add endpoints with what they were seen to serve."""
    ordered = sorted(looks, key=lambda look: look.place_id)
    await write_rows(tx, insert(tx, PlaceRow).on_conflict_do_nothing(), [_place(look) for look in ordered])
    await write_rows(tx, sa.insert(ServingRow), [_serving(look) for look in ordered])
    await write_rows(tx, sa.insert(Sighting), [_sighting(look) for look in ordered])
    told = [_negotiated(look) for look in ordered if look.negotiated is not None]
    await write_rows(tx, insert(tx, PlaceTlsRow).on_conflict_do_nothing(), told)


def _place(look: Look) -> dict[str, Any]:
    return {"id": look.place_id, "key": look.seen.place.key, **look.seen.place.model_dump()}


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
        "chain_digest": chain_digest(list(look.chain)),
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
