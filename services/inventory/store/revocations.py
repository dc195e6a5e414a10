"""Where the revocation of certificates is asked for, what was answered, and the CRLs that are kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.store.tables import Certificate, CrlBody, CrlRow, RevocationRow
from shared.store import Transaction, insert


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """A certificate whose revocation can be asked for."""

    fingerprint: str
    issuer_fingerprint: str | None
    ocsp_url: str | None
    crl_url: str | None


@dataclass(frozen=True, kw_only=True)
class Due:
    """A certificate whose revocation is to be asked for now."""

    row: RevocationRow
    is_current: bool
    not_after: datetime | None


def crl_id(url: str) -> str:
    """Return the id of a CRL: addresses are of any length, ids are not."""
    return sha256(url.encode()).hexdigest()[:32]


async def enrol(tx: Transaction, found: Sequence[Enrolled], *, now: datetime) -> None:
    """Have the revocation of certificates asked for; those known before are asked for again where the issuer is news."""
    if not found:
        return
    urls = sorted({each.crl_url for each in found if each.crl_url is not None})
    if urls:
        rows = [{"id": crl_id(url), "url": url} for url in urls]
        await tx.session.execute(insert(tx, CrlRow).values(rows).on_conflict_do_nothing())
    values = [
        {
            "fingerprint": each.fingerprint,
            "issuer_fingerprint": each.issuer_fingerprint,
            "ocsp_url": each.ocsp_url,
            "crl_id": crl_id(each.crl_url) if each.crl_url is not None else None,
            "due_at": now,
            "failures": 0,
        }
        for each in found
    ]
    new = insert(tx, RevocationRow).values(values)
    is_news = sa.and_(
        new.excluded.issuer_fingerprint.is_not(None),
        col(RevocationRow.issuer_fingerprint).is_distinct_from(new.excluded.issuer_fingerprint),
    )
    update = new.on_conflict_do_update(
        index_elements=["fingerprint"],
        set_={"issuer_fingerprint": new.excluded.issuer_fingerprint, "due_at": now, "failures": 0},
        where=is_news,
    )
    await tx.session.execute(update)


async def claim(tx: Transaction, *, now: datetime, until: datetime, limit: int) -> list[Due]:
    """Return certificates that are due; nobody else gets them until then."""
    return await _claim(tx, col(RevocationRow.due_at) <= now, until=until, limit=limit)


async def claim_of_crl(tx: Transaction, crl: str, *, now: datetime, until: datetime, limit: int) -> list[Due]:
    """Return more that are due and are in the scope of one CRL: it is read once for them all."""
    mine = sa.and_(
        col(RevocationRow.crl_id) == crl,
        col(RevocationRow.due_at) <= now,
        col(RevocationRow.ocsp_url).is_(None),
    )
    return await _claim(tx, mine, until=until, limit=limit)


async def _claim(
    tx: Transaction, condition: sa.ColumnElement[bool], *, until: datetime, limit: int
) -> list[Due]:
    query = (
        sa.select(RevocationRow, col(Certificate.is_current), col(Certificate.not_after))
        .join(Certificate, col(Certificate.fingerprint) == col(RevocationRow.fingerprint))
        .where(condition)
        .order_by(col(RevocationRow.due_at))
        .limit(limit)
        .with_for_update(skip_locked=True, of=RevocationRow)
    )
    found = [
        Due(row=row, is_current=is_current, not_after=not_after)
        for row, is_current, not_after in (await tx.session.execute(query)).all()
    ]
    for each in found:
        each.row.due_at = until
    return found


async def rows_of(tx: Transaction, fingerprints: Collection[str]) -> Mapping[str, RevocationRow]:
    """Return what is known of certificates, to be changed."""
    query = sa.select(RevocationRow).where(col(RevocationRow.fingerprint).in_(fingerprints)).with_for_update()
    return {row.fingerprint: row for row in (await tx.session.scalars(query)).all()}


async def ask_again(tx: Transaction, fingerprint: str, *, at: datetime) -> None:
    """Have the revocation of a certificate asked for at this moment, where it can be: in a CRL fetched anew."""
    mine = col(RevocationRow.fingerprint) == fingerprint
    due = sa.update(RevocationRow).where(mine, col(RevocationRow.due_at).is_not(None)).values(due_at=at)
    await tx.session.execute(due.execution_options(synchronize_session=False))
    its_crl = sa.select(col(RevocationRow.crl_id)).where(mine).scalar_subquery()
    stale = sa.update(CrlRow).where(col(CrlRow.id) == its_crl).values(fetched_at=None)
    await tx.session.execute(stale.execution_options(synchronize_session=False))


async def revocation(session: AsyncSession, fingerprint: str) -> RevocationRow | None:
    """Return what is known of a certificate."""
    query = sa.select(RevocationRow).where(col(RevocationRow.fingerprint) == fingerprint)
    found: RevocationRow | None = await session.scalar(query)
    return found


async def kept_crl(session: AsyncSession, crl: str) -> tuple[CrlRow | None, bytes | None]:
    """Return a CRL, and its bytes where they were fetched."""
    row: CrlRow | None = await session.scalar(sa.select(CrlRow).where(col(CrlRow.id) == crl))
    body = await session.scalar(sa.select(col(CrlBody.body)).where(col(CrlBody.id) == crl))
    return row, body


async def keep_crl(tx: Transaction, crl: str, body: bytes, *, now: datetime) -> None:
    """Keep the bytes of a CRL."""
    new = insert(tx, CrlBody).values(id=crl, body=body)
    await tx.session.execute(
        new.on_conflict_do_update(index_elements=["id"], set_={"body": new.excluded.body})
    )
    fetched = sa.update(CrlRow).where(col(CrlRow.id) == crl).values(fetched_at=now)
    await tx.session.execute(fetched.execution_options(synchronize_session=False))
