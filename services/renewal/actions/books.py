"""The books of our own authorities, as their connector keeps them: what was issued, and what was revoked."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import sqlalchemy as sa

from services.renewal import store
from services.renewal.connectors import Entry, Ledger, Listed
from shared.events.renewal import RevocationReason
from shared.store import Database
from shared.x509 import fingerprint, load


class Books:
    """Opens the books of an authority; `public_url` is where this service is reached by everybody."""

    def __init__(self, database: Database, *, public_url: str | None) -> None:
        self._database = database
        self._public_url = public_url.rstrip("/") if public_url else None

    def of(self, authority_id: str) -> Ledger:
        """Return the books of one authority."""
        url = f"{self._public_url}/v1/authorities/{authority_id}" if self._public_url else None
        return Book(self._database, authority_id, url=url)


class Book:
    """The books of one authority."""

    def __init__(self, database: Database, authority_id: str, *, url: str | None) -> None:
        self._database = database
        self._authority_id = authority_id
        self._url = url

    @property
    def url(self) -> str | None:
        """Where it publishes."""
        return self._url

    async def find(self, requests: Sequence[str]) -> dict[str, bytes]:
        """Return the certificates that were issued for these requests already."""
        async with self._database.read() as session:
            return await store.issued_for(session, self._authority_id, requests)

    async def add(self, entries: Sequence[Entry], *, now: datetime) -> None:
        """Write down what was signed; where another process was first with a request, nothing is, and it raises."""
        rows = [self._row(entry, now=now) for entry in entries]
        async with self._database.transaction() as tx:
            await tx.session.execute(sa.insert(store.BuiltinCertificate), rows)

    def _row(self, entry: Entry, *, now: datetime) -> dict[str, object]:
        certificate = load(entry.certificate)
        return {
            "serial": f"{certificate.serial_number:x}",
            "authority_id": self._authority_id,
            "request": entry.request,
            "fingerprint": fingerprint(entry.certificate),
            "certificate": entry.certificate,
            "issued_at": now,
            "not_after": certificate.not_valid_after_utc,
        }

    async def revoke(self, serial: int, *, reason: RevocationReason, now: datetime) -> bool:
        """Write down that it is revoked; return False where it is none of this authority's."""
        async with self._database.transaction() as tx:
            return await store.mark_revoked(tx, self._authority_id, serial, reason=reason.value, at=now)

    async def since(self, since: datetime) -> AsyncIterator[Listed]:
        """Yield what was issued at or after this moment, oldest first."""
        async for certificate, at in store.issued_since(self._database, self._authority_id, since):
            yield Listed(certificate=certificate, issued_at=at)
