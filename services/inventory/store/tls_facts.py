"""What is known of how places speak TLS, and of certificates beside what is kept anyway."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from services.inventory.store.assessment_tables import PlaceTlsRow, TraitsRow
from services.inventory.store.tables import Sighting
from shared.events.discovery import CertificateFound, TlsFacts
from shared.store import Transaction, insert


async def keep_looked(tx: Transaction, place: str, facts: TlsFacts, *, digest: int, at: datetime) -> None:
    """Keep what a look at depth `full` has found, unless a later one has found something else."""
    values = {"facts": facts.model_dump(mode="json"), "facts_digest": digest, "facts_at": at}
    await _keep(tx, place, values, than=col(PlaceTlsRow.facts_at), at=at)
    await _mark(tx, place, tls_digest=digest)


async def keep_negotiated(tx: Transaction, seen: CertificateFound, *, place: str, digest: int) -> None:
    """Keep what was negotiated, unless something else was later."""
    at = seen.observed_at
    values = {
        "version": seen.tls_version,
        "suite": seen.cipher_suite,
        "group": seen.group,
        "negotiated_at": at,
    }
    await _keep(tx, place, values, than=col(PlaceTlsRow.negotiated_at), at=at)
    await _mark(tx, place, negotiated_digest=digest)


async def _keep(tx: Transaction, place: str, values: Mapping[str, Any], *, than: Any, at: datetime) -> None:
    row = insert(tx, PlaceTlsRow).values(place_id=place, **values)
    row = row.on_conflict_do_update(
        index_elements=["place_id"], set_=dict(values), where=than.is_(None) | (than <= at)
    )
    await tx.session.execute(row)


async def _mark(tx: Transaction, place: str, **digests: int) -> None:
    query = sa.update(Sighting).where(col(Sighting.place_id) == place).values(**digests)
    await tx.session.execute(query.execution_options(synchronize_session=False))


async def keep_traits(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what the bytes of certificates say; each row has `fingerprint`, `is_public` and `rsa_exponent`."""
    if not rows:
        return
    values = [{**row, "is_read": True} for row in rows]
    new = insert(tx, TraitsRow).values(values)
    # Whether a root is public is known better than by the bytes of what it has issued.
    is_public = sa.func.coalesce(col(TraitsRow.is_public), new.excluded.is_public)
    told = {"is_read": True, "rsa_exponent": new.excluded.rsa_exponent, "is_public": is_public}
    await tx.session.execute(new.on_conflict_do_update(index_elements=["fingerprint"], set_=told))


async def tell_traits(tx: Transaction, fingerprint: str, **said: bool | None) -> bool:
    """Keep what others have found out of a certificate; return whether it is news."""
    query = sa.select(TraitsRow).where(col(TraitsRow.fingerprint) == fingerprint)
    known = await tx.session.scalar(query.execution_options(populate_existing=True))
    if known is not None and all(getattr(known, name) == value for name, value in said.items()):
        return False
    row = insert(tx, TraitsRow).values(fingerprint=fingerprint, is_read=False, **said)
    await tx.session.execute(row.on_conflict_do_update(index_elements=["fingerprint"], set_=said))
    return True
