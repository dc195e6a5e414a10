"""The books of our own authorities: what they issued and revoked, their CRL, and who answers OCSP for them."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, col

from services.renewal.store.tables import Table
from shared.store import Database, Instant, Sealed, Transaction

_PAGE = 500


class BuiltinCertificate(Table, table=True):
    """A certificate that an authority of our own has issued."""

    __tablename__ = "builtin_certificates"
    __table_args__ = (
        sa.UniqueConstraint("authority_id", "request"),
        sa.Index("ix_builtin_certificates_issued", "authority_id", "issued_at", "serial"),
        sa.Index(
            "ix_builtin_certificates_revoked",
            "authority_id",
            "not_after",
            sqlite_where=sa.text("revoked_at IS NOT NULL"),
            postgresql_where=sa.text("revoked_at IS NOT NULL"),
        ),
    )

    serial: str = Field(primary_key=True, max_length=40)
    """Lower-case hexadecimal, 159 random bits: unique among all our authorities."""
    authority_id: str = Field(max_length=36, foreign_key="authorities.id")
    request: str = Field(max_length=64)
    """The hash of the request that it answers."""
    fingerprint: str = Field(max_length=64)
    certificate: bytes
    """DER."""
    issued_at: datetime = Field(sa_type=Instant)
    not_after: datetime = Field(sa_type=Instant)
    revoked_at: datetime | None = Field(default=None, sa_type=Instant)
    reason: str | None = Field(default=None, max_length=30)


class BuiltinPublication(Table, table=True):
    """What an authority of our own publishes."""

    __tablename__ = "builtin_publications"

    authority_id: str = Field(primary_key=True, max_length=36, foreign_key="authorities.id")
    issuer: bytes
    """The certificate (DER) that it signs with."""
    crl: bytes | None = None
    crl_number: int = 0
    crl_at: datetime | None = Field(default=None, sa_type=Instant)
    """When the CRL was signed."""
    is_stale: bool = True
    """Whether something was revoked since then."""
    responder_key: bytes | None = Field(default=None, sa_type=Sealed)
    """Sealed PKCS#8 in DER."""
    responder_certificate: bytes | None = None
    """DER."""
    responder_until: datetime | None = Field(default=None, sa_type=Instant)


async def issued_for(session: AsyncSession, authority_id: str, requests: Sequence[str]) -> dict[str, bytes]:
    """Return the certificates that were issued for these requests."""
    query = sa.select(col(BuiltinCertificate.request), col(BuiltinCertificate.certificate)).where(
        col(BuiltinCertificate.authority_id) == authority_id, col(BuiltinCertificate.request).in_(requests)
    )
    return {row.request: row.certificate for row in await session.execute(query)}


async def issued_with(session: AsyncSession, authority_id: str, serial: int) -> BuiltinCertificate | None:
    """Return the certificate of this number."""
    row = await session.get(BuiltinCertificate, f"{serial:x}")
    return row if row is not None and row.authority_id == authority_id else None


async def mark_revoked(tx: Transaction, authority_id: str, serial: int, *, reason: str, at: datetime) -> bool:
    """Remember that a certificate is revoked, from when it first was; return False where it is not of this authority."""
    row = await tx.session.get(BuiltinCertificate, f"{serial:x}", with_for_update=True)
    if row is None or row.authority_id != authority_id:
        return False
    if row.revoked_at is None:
        row.revoked_at, row.reason = at, reason
        stale = sa.update(BuiltinPublication).where(col(BuiltinPublication.authority_id) == authority_id)
        await tx.session.execute(stale.values(is_stale=True))
    return True


async def revoked_of(
    session: AsyncSession, authority_id: str, *, not_ended_before: datetime
) -> Sequence[BuiltinCertificate]:
    """Return what is revoked, but for what had ended by then."""
    query = sa.select(BuiltinCertificate).where(
        col(BuiltinCertificate.authority_id) == authority_id,
        col(BuiltinCertificate.revoked_at).is_not(None),
        col(BuiltinCertificate.not_after) >= not_ended_before,
    )
    return (await session.scalars(query.order_by(col(BuiltinCertificate.serial)))).all()


async def issued_since(
    database: Database, authority_id: str, since: datetime
) -> AsyncIterator[tuple[bytes, datetime]]:
    """Yield certificates and when they were issued, oldest first, without holding a transaction between pages."""
    after = (since - timedelta(microseconds=1), "g")  # no hexadecimal digit comes after it
    place = sa.tuple_(col(BuiltinCertificate.issued_at), col(BuiltinCertificate.serial))
    columns = (BuiltinCertificate.certificate, BuiltinCertificate.issued_at, BuiltinCertificate.serial)
    while True:
        query = (
            sa.select(*map(col, columns))
            .where(col(BuiltinCertificate.authority_id) == authority_id, place > _literal(after))
            .order_by(col(BuiltinCertificate.issued_at), col(BuiltinCertificate.serial))
            .limit(_PAGE)
        )
        async with database.read() as session:
            rows = (await session.execute(query)).all()
        for row in rows:
            yield row.certificate, row.issued_at
        if len(rows) < _PAGE:
            return
        after = (rows[-1].issued_at, rows[-1].serial)


def _literal(after: tuple[datetime, str]) -> sa.Tuple:
    return sa.tuple_(sa.literal(after[0], Instant), sa.literal(after[1], sa.String))
