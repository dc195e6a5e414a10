"""What our own authorities tell everybody: their certificate, their CRL, and answers to OCSP.

Strangers ask for it, as often as they like: a CRL is signed once a day or when something was revoked, and OCSP is
answered by an appointed responder, whose key is not the authority's.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.renewal import store
from services.renewal.actions.authorities import Authorities
from services.renewal.actions.scopes import is_for
from services.renewal.connectors import Publishes, Responder, Revoked, SignedByOthers
from services.renewal.connectors.builtin import Builtin
from services.renewal.connectors.builtin.revocation import Problem, answer, no_answer, read_question
from shared.access import Principal
from shared.errors import Conflict, NotFound
from shared.events.renewal import RevocationReason
from shared.sealing import Sealer
from shared.store import Database, Transaction, insert
from shared.x509 import from_pem, load

CRL_LIFETIME = timedelta(days=7)
CRL_EVERY = timedelta(days=1)
"""It is signed anew at least this often (CA/B Baseline Requirements §4.9.7 asks for every 7 days)."""
RESPONDER_AHEAD = timedelta(days=7)
"""A responder is appointed anew this long before its certificate ends."""


@dataclass(frozen=True, kw_only=True)
class Crl:
    """A CRL in DER, and for how long it may be kept."""

    der: bytes
    number: int
    keep_for: timedelta


class Publications:
    """What is public of our own authorities."""

    def __init__(self, database: Database, authorities: Authorities, *, sealer: Sealer) -> None:
        self._database = database
        self._authorities = authorities
        self._sealer = sealer

    async def certificate(self, authority_id: str) -> bytes:
        """Return the certificate (DER) that it signs with. Raises `NotFound`, or `NotNow` where it has none yet."""
        async with self._database.read() as session:
            row = await session.get(store.BuiltinPublication, authority_id)
        return row.issuer if row is not None else (await self._begun(authority_id)).issuer

    async def crl(self, authority_id: str, *, now: datetime) -> Crl:
        """Return its CRL: the one that is there, or a new one where that is old or something was revoked since."""
        async with self._database.read() as session:
            row = await session.get(store.BuiltinPublication, authority_id)
        if row is None or not _is_fresh(row, now=now):
            row = await self._sign_crl(authority_id, now=now)
        signed_at = row.crl_at or now
        return Crl(
            der=row.crl or b"",
            number=row.crl_number,
            keep_for=max(signed_at + CRL_EVERY - now, timedelta(minutes=1)),
        )

    async def ocsp(self, authority_id: str, request: bytes, *, now: datetime) -> bytes:
        """Return the response (DER) to a request, which may also say why there is no answer."""
        try:
            issuer = await self.certificate(authority_id)
        except NotFound:
            return no_answer(Problem.NOT_OURS)
        question = read_question(request, issuer=issuer)
        if isinstance(question, Problem):
            return no_answer(question)
        async with self._database.read() as session:
            known = await store.issued_with(session, authority_id, question.serial)
            row = await session.get_one(store.BuiltinPublication, authority_id)
        by = self._responder(row, now=now) or await self._appoint(authority_id, now=now)
        revoked = _line(known) if known is not None else None
        return answer(question, is_known=known is not None, revoked=revoked, by=by, now=now)

    async def signing_request(self, authority_id: str, *, caller: Principal) -> bytes:
        """Return the request (DER) for its certificate. Raises `NotFound`, or `Conflict` where it needs none."""
        row = await self._authorities.get(authority_id, caller=caller)
        async with self._authorities.open(row) as opened:
            if not isinstance(opened, SignedByOthers):
                raise _not_signed_by_others(row)
            return await opened.signing_request()

    async def certify(self, authority_id: str, pem: str, *, caller: Principal, now: datetime) -> None:
        """Take the certificate that another authority has signed. Raises `NotFound`, `Conflict` or `Invalid`."""
        row = await self._authorities.get(authority_id, caller=caller)
        chain = from_pem(pem)
        async with self._authorities.open(row) as opened:
            if not isinstance(opened, SignedByOthers):
                raise _not_signed_by_others(row)
            identity = opened.certified(chain, now=now)
        async with self._database.transaction() as tx:
            locked = await tx.session.get_one(store.Authority, authority_id, with_for_update=True)
            if not is_for(caller, locked):
                raise NotFound(
                    f"There is no authority {authority_id}.", next_step="List them with GET /v1/authorities."
                )
            self._authorities.keep_identity(locked, identity)
            published = await tx.session.get(store.BuiltinPublication, authority_id, with_for_update=True)
            if (
                published is not None
            ):  # the same key under another certificate: what was signed before is void
                published.issuer, published.is_stale = chain[0], True
                published.responder_key = published.responder_certificate = published.responder_until = None

    async def _begun(self, authority_id: str) -> store.BuiltinPublication:
        """Make the row of what is published, where the authority is one of our own."""
        async with self._publisher(authority_id) as opened:
            issuer = opened.issuer
        async with self._database.transaction() as tx:
            row = {"authority_id": authority_id, "issuer": issuer, "crl_number": 0, "is_stale": True}
            await tx.session.execute(
                insert(tx, store.BuiltinPublication).values(row).on_conflict_do_nothing()
            )
            return await tx.session.get_one(store.BuiltinPublication, authority_id)

    async def _sign_crl(self, authority_id: str, *, now: datetime) -> store.BuiltinPublication:
        await self.certificate(authority_id)
        async with self._publisher(authority_id) as opened, self._database.transaction() as tx:
            row = await self._locked(tx, authority_id)
            if _is_fresh(row, now=now):  # another was first
                return row
            # What has ended stays until a CRL that was signed after its end (RFC 5280 §3.3).
            since = (row.crl_at or now) - CRL_EVERY
            lines = await store.revoked_of(tx.session, authority_id, not_ended_before=since)
            revoked = [line for line in map(_line, lines) if line is not None]
            row.crl_number += 1
            row.crl = await opened.crl(revoked, number=row.crl_number, now=now, until=now + CRL_LIFETIME)
            row.crl_at, row.is_stale = now, False
        return row

    async def _appoint(self, authority_id: str, *, now: datetime) -> Responder:
        async with self._publisher(authority_id) as opened, self._database.transaction() as tx:
            row = await self._locked(tx, authority_id)
            present = self._responder(row, now=now)
            if present is not None:  # another was first
                return present
            fresh = await opened.responder(now=now)
            row.responder_key = self._sealer.seal(fresh.private, row=_responder_row(authority_id))
            row.responder_certificate, row.responder_until = fresh.certificate, fresh.until
        return fresh

    def _responder(self, row: store.BuiltinPublication, *, now: datetime) -> Responder | None:
        if row.responder_key is None or row.responder_certificate is None or row.responder_until is None:
            return None
        # Near the end of the authority's own certificate there is none that lasts longer.
        ends = load(row.issuer).not_valid_after_utc
        if now >= row.responder_until - (RESPONDER_AHEAD if row.responder_until < ends else timedelta()):
            return None
        return Responder(
            private=self._sealer.open(row.responder_key, row=_responder_row(row.authority_id)),
            certificate=row.responder_certificate,
            until=row.responder_until,
        )

    async def _locked(self, tx: Transaction, authority_id: str) -> store.BuiltinPublication:
        return await tx.session.get_one(store.BuiltinPublication, authority_id, with_for_update=True)

    @asynccontextmanager
    async def _publisher(self, authority_id: str) -> AsyncIterator[Publishes]:
        """Open one of our own authorities. Raises `NotFound` where it is not one."""
        async with self._database.read() as session:
            row = await session.get(store.Authority, authority_id)
        if row is None or row.kind != Builtin.kind:  # opening others costs what strangers shall not
            raise NotFound(
                f"No authority of our own is {authority_id}.", next_step="Ask the authority itself."
            )
        async with self._authorities.open(row) as opened:
            if not isinstance(opened, Publishes):
                raise NotFound(f"{row.name} publishes elsewhere.", next_step="Ask the authority itself.")
            yield opened


def _is_fresh(row: store.BuiltinPublication, *, now: datetime) -> bool:
    return not row.is_stale and row.crl_at is not None and now < row.crl_at + CRL_EVERY


def _line(row: store.BuiltinCertificate) -> Revoked | None:
    if row.revoked_at is None:
        return None
    reason = RevocationReason(row.reason or RevocationReason.UNSPECIFIED)
    return Revoked(serial=int(row.serial, 16), at=row.revoked_at, reason=reason)


def _not_signed_by_others(row: store.Authority) -> Conflict:
    return Conflict(
        f"{row.name} has its certificate from elsewhere.",
        next_step="Make an authority of kind `builtin` with the option `signed_by_other`.",
    )


def _responder_row(authority_id: str) -> str:
    return f"renewal/builtin_publications/{authority_id}/responder_key"
