"""Chains as they are served, what was found out about them, and the authorities that may complete them."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.certificates import chain_digest
from services.inventory.store.tables import CertificateDer, IssuerRow, LintRow, ServedChainRow, Sighting
from shared.store import Transaction, insert, write_rows
from shared.store.bulk import copy_rows

MOST_ISSUERS = 500
"""Of some names at once: nobody honest has as many certificates of one name."""


async def keep_chains(tx: Transaction, chains: Collection[tuple[str, ...]], *, now: datetime) -> None:
    """Have chains judged, each as fingerprints, leaf first, where they were not seen before."""
    rows = [_row(chain, now=now) for chain in sorted(chains)]
    await write_rows(tx, insert(tx, ServedChainRow).on_conflict_do_nothing(), rows)


async def keep_new_chains(tx: Transaction, chains: Collection[tuple[str, ...]], *, now: datetime) -> None:
    """Have chains judged that begin with certificates which nobody knew."""
    await copy_rows(tx, ServedChainRow, [_row(chain, now=now) for chain in sorted(chains)])


def _row(chain: tuple[str, ...], *, now: datetime) -> dict[str, object]:
    return {
        "fingerprint": chain[0],
        "chain_digest": chain_digest(list(chain)),
        "chain": list(chain[1:]),
        "due_at": now,
        "details": {},
    }


async def claim(tx: Transaction, *, now: datetime, until: datetime, limit: int) -> Sequence[ServedChainRow]:
    """Return chains that are due; nobody else gets them until then."""
    query = (
        sa.select(ServedChainRow)
        .where(col(ServedChainRow.due_at) <= now)
        .order_by(col(ServedChainRow.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = (await tx.session.scalars(query)).all()
    for row in rows:
        row.due_at = until
    return rows


async def keep_verdicts(tx: Transaction, rows: Sequence[dict[str, object]]) -> None:
    """Keep what was found out; each row has the key and all columns of a verdict."""
    table = cast(sa.Table, sa.inspect(ServedChainRow).local_table)
    statement = (
        sa.update(table)
        .where(
            table.c.fingerprint == sa.bindparam("of_fingerprint"),
            table.c.chain_digest == sa.bindparam("of_digest"),
        )
        .values(
            {
                name: sa.bindparam(name)
                for name in ("due_at", "judged_at", "state", "store", "trusted_until", "details")
            }
        )
    )
    await write_rows(tx, statement, rows)


async def keep_issuers(tx: Transaction, subjects: Iterable[tuple[str, str]]) -> None:
    """Make authorities known: fingerprint, and digest of the subject."""
    rows = [{"fingerprint": fingerprint, "subject_digest": subject} for fingerprint, subject in subjects]
    if rows:
        await tx.session.execute(insert(tx, IssuerRow).values(rows).on_conflict_do_nothing())


async def issuers(session: AsyncSession, subjects: Collection[str]) -> dict[str, bytes]:
    """Return the DER of the authorities that have one of these names, by fingerprint."""
    query = (
        sa.select(col(CertificateDer.fingerprint), col(CertificateDer.der))
        .join(IssuerRow, col(IssuerRow.fingerprint) == col(CertificateDer.fingerprint))
        .where(col(IssuerRow.subject_digest).in_(subjects))
        .order_by(col(IssuerRow.fingerprint))
        .limit(MOST_ISSUERS)
    )
    return {row.fingerprint: row.der for row in (await session.execute(query)).all()}


async def of_certificate(session: AsyncSession, fingerprint: str, *, limit: int) -> Sequence[ServedChainRow]:
    """Return the chains that are or were served with a certificate, the latest judged first."""
    query = (
        sa.select(ServedChainRow)
        .where(col(ServedChainRow.fingerprint) == fingerprint)
        .order_by(col(ServedChainRow.judged_at).desc(), col(ServedChainRow.chain_digest))
        .limit(limit)
    )
    return (await session.scalars(query)).all()


async def places_by_digest(session: AsyncSession, fingerprint: str) -> dict[str | None, int]:
    """Return how many places serve a certificate with which chain now."""
    query = (
        sa.select(col(Sighting.chain_digest), sa.func.count().label("places"))
        .where(col(Sighting.fingerprint) == fingerprint)
        .group_by(col(Sighting.chain_digest))
    )
    return {row.chain_digest: row.places for row in (await session.execute(query)).all()}


async def enrol_lints(tx: Transaction, rows: Sequence[tuple[str, bool]]) -> None:
    """Have certificates linted that were not yet, and those again that turn out to be public, or not to be."""
    if not rows:
        return
    values = [{"fingerprint": name, "is_public": public, "linted_with": ""} for name, public in rows]
    new = insert(tx, LintRow).values(values)
    changed = {"is_public": new.excluded.is_public, "linted_with": ""}
    update = new.on_conflict_do_update(
        index_elements=["fingerprint"], set_=changed, where=col(LintRow.is_public) != new.excluded.is_public
    )
    await tx.session.execute(update)
