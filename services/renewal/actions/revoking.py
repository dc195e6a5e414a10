"""The work on revocations: asked of the authority, then looked for in its CRL or at its OCSP responder."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.renewal import store
from services.renewal.actions.authorities import roots_of
from services.renewal.actions.means import Means
from services.renewal.actions.outcomes import issuer_of
from services.renewal.actions.revocations import add_step, confirm
from services.renewal.connectors import NotNow, Revokes
from services.renewal.connectors.revocation import Lookout
from services.renewal.domain.revocations import GIVE_UP_LOOKING, RevocationState, next_look
from shared.clock import Clock
from shared.errors import EverleafError, Refused, Unavailable
from shared.events.renewal import CertificateRevoked, RevocationFailed, RevocationReason
from shared.ids import new_id
from shared.revocation.words import Revocation, Word
from shared.sealing import CannotOpen
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A revocation that this process works on, as long as it keeps the lease."""

    revocation_id: str
    lease: str


class Revoking:
    """Takes up due revocations, each by one process at a time."""

    def __init__(
        self, database: Database, *, means: Means, lookout: Lookout, lease: timedelta, clock: Clock
    ) -> None:
        self._database = database
        self._means = means
        self._lookout = lookout
        self._lease = lease
        self._clock = clock

    async def forget_leases(self) -> None:
        """Let go of what a killed process held: only where there can be no other process."""
        if self._database.is_sqlite:
            async with self._database.transaction() as tx:
                await store.end_all_revocation_leases(tx)

    async def claim(self, *, now: datetime) -> Claim | None:
        """Take a due revocation that nobody works on; None where there is none."""
        async with self._database.read() as session:
            if not await store.is_any_revocation_due(session, now):
                return None
        async with self._database.transaction() as tx:
            lease = new_id()
            row = await store.claim_revocation(tx, lease=lease, until=now + self._lease, now=now)
            return Claim(revocation_id=row.id, lease=lease) if row is not None else None

    async def run(self, claim: Claim) -> None:
        """Do one step of it; whatever fails ends as the row's state, and is tried again."""
        try:
            await self._step(claim)
        except Exception as error:
            # The lease is left to run out: that is the pause before it is taken up again.
            log.warning("revocation.broken_off", revocation=claim.revocation_id, exc_info=error)

    async def _step(self, claim: Claim) -> None:
        async with self._database.read() as session:
            row = await session.get_one(store.Revocation, claim.revocation_id)
            order = await session.get_one(store.Order, row.order_id)
            authority = await session.get_one(store.Authority, row.authority_id)
        chain = [base64.b64decode(text) for text in order.chain or ()]
        issuer = issuer_of(chain, roots_of(authority))
        if row.state == RevocationState.PENDING:
            error = await self._revoke(row, authority, certificate=chain[0], issuer=issuer)
            await self._asked(claim, error)
        else:
            word = await self._lookout.look(chain[0], issuer=issuer, now=self._clock())
            await self._looked(claim, word)

    async def _revoke(
        self, row: store.Revocation, authority: store.Authority, *, certificate: bytes, issuer: bytes | None
    ) -> EverleafError | None:
        """Ask the authority; return why it has not taken it."""
        try:
            async with self._means.authorities.open(authority) as opened:
                if not isinstance(opened, Revokes):
                    return _cannot(authority)
                reason = RevocationReason(row.reason)
                await opened.revoke(certificate, issuer=issuer, reason=reason, now=self._clock())
        except EverleafError as error:
            return error
        except Exception as error:
            log.exception("authority.broken", revocation_id=row.id)
            return NotNow(f"The revocation itself failed ({type(error).__name__}).")
        return None

    async def _asked(self, claim: Claim, error: EverleafError | None) -> None:
        async with self._database.transaction() as tx:
            now = self._clock()
            row = await _held(tx, claim)
            if row is None:
                return
            if error is not None:
                self._failed(tx, row, error, now=now)
                return
            row.state, row.revoked_at, row.attempts = RevocationState.REVOKED, now, 0
            row.last_error = row.next_step = None
            row.next_attempt_at = now
            add_step(tx, row, "revoked", f"{row.authority} has revoked it ({row.reason}).", now=now)
            tx.emit(_revoked(row, now=now), now=now)

    def _failed(self, tx: Transaction, row: store.Revocation, error: EverleafError, *, now: datetime) -> None:
        row.attempts += 1
        row.last_error, row.next_step = error.detail, error.next_step
        if isinstance(error, Unavailable | CannotOpen):
            asked = error.retry_after if isinstance(error, NotNow) else None
            row.next_attempt_at = self._means.schedule.next_attempt(failed=row.attempts, asked=asked, now=now)
        else:
            row.state, row.next_attempt_at = RevocationState.FAILED, None
        add_step(tx, row, "failed", error.detail, now=now)
        tx.emit(_told_failed(row), now=now)

    async def _looked(self, claim: Claim, word: Word) -> None:
        async with self._database.transaction() as tx:
            now = self._clock()
            row = await _held(tx, claim)
            if row is None or row.revoked_at is None:
                return
            if word.state is Revocation.REVOKED:
                confirm(tx, row, by=word.means or "", evidence=word.evidence, now=now)
                return
            row.attempts += 1
            row.last_error = word.evidence
            is_askable = word.url is not None
            if is_askable and now < row.revoked_at + GIVE_UP_LOOKING:
                row.next_attempt_at = next_look(looks=row.attempts, now=now)
                return
            row.state, row.next_attempt_at = RevocationState.UNCONFIRMED, None
            row.next_step = "Ask the authority what it says of the certificate; then look here again."
            add_step(tx, row, "unconfirmed", word.evidence, now=now)
            if is_askable:
                tx.emit(_told_failed(row), now=now)


async def _held(tx: Transaction, claim: Claim) -> store.Revocation | None:
    """Return the revocation with its lease ended: one step is done; None where it is not ours any more."""
    row = await store.held_revocation(tx, claim.revocation_id, lease=claim.lease)
    if row is not None:
        row.lease = row.lease_until = None
    return row


def _cannot(authority: store.Authority) -> Refused:
    return Refused(
        f"{authority.name} ({authority.kind}) cannot be asked to revoke.",
        next_step="Revoke it at the authority itself.",
    )


def _revoked(row: store.Revocation, *, now: datetime) -> CertificateRevoked:
    return CertificateRevoked(
        lineage_id=row.lineage_id,
        order_id=row.order_id,
        revocation_id=row.id,
        fingerprint=row.fingerprint,
        names=row.names,
        authority=row.authority,
        reason=RevocationReason(row.reason),
        explanation=row.explanation,
        requested_by=row.created_by,
        revoked_at=now,
    )


def _told_failed(row: store.Revocation) -> RevocationFailed:
    return RevocationFailed(
        lineage_id=row.lineage_id,
        revocation_id=row.id,
        fingerprint=row.fingerprint,
        names=row.names,
        reason=row.last_error or "",
        next_step=row.next_step or "",
        attempt=row.attempts,
        next_attempt_at=row.next_attempt_at,
    )
