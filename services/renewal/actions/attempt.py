"""One attempt to obtain a certificate: step by step, each one kept before the next begins."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio
import anyio.to_thread
import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.authorities import roots_of
from services.renewal.actions.budgets import place
from services.renewal.actions.making import Making
from services.renewal.actions.means import Hold, Means
from services.renewal.actions.outcomes import (
    Obtained,
    add_step,
    conclude,
    count_failure,
    fall_back,
    forget_request,
    give_up,
    hand_back,
    issuer_of,
    tell_failed,
)
from services.renewal.actions.placing import ANOTHER_AUTHORITY
from services.renewal.actions.profiles import terms_of
from services.renewal.connectors import (
    CertificateAuthority,
    Issued,
    NotNow,
    Pending,
    Progress,
    Request,
)
from services.renewal.domain.checks import LONGEST_CHAIN, Expected, check_chain
from services.renewal.domain.orders import State
from services.renewal.domain.policy import Trust
from shared import x509
from shared.clock import Clock
from shared.errors import EverleafError, Invalid, Refused, Unavailable
from shared.sealing import CannotOpen
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=5)
"""A wait up to this long is waited for; for a longer one the order is let go of meanwhile."""


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What there is to do: the request, and where the authority's steps go on."""

    authority: store.Authority
    request: Request
    progress: bytes | None
    is_resumed: bool


class Attempt:
    """Works on one order as long as its lease is ours."""

    def __init__(self, database: Database, order_id: str, *, lease: str, means: Means, clock: Clock) -> None:
        self._hold = Hold(database=database, order_id=order_id, lease=lease, clock=clock)
        self._means = means
        self._clock = clock
        self._making = Making(self._hold, means=means)
        self._opened_private = b""

    async def run(self) -> None:
        """Go on until the certificate is there, the attempt has failed, or there is a long wait.

        Raises `LeaseLost`, and what the database raises; all else ends as the order's state.
        """
        try:
            task = await self._prepare()
            if task is not None and await self._may_go_out() and await self._may_place(task):
                await self._obtain(task)
        except (store.LeaseLost, sa.exc.SQLAlchemyError):
            raise
        except EverleafError as error:
            await self._failed(error)
        except Exception as error:
            log.exception("authority.broken", order_id=self._hold.order_id)
            await self._failed(NotNow(f"The work on the order itself failed ({type(error).__name__})."))

    async def _prepare(self) -> _Task | None:
        """Make key and request at first, and keep them before anything goes outside; None where the target makes them."""
        async with self._hold.database.read() as session:
            order = await session.get_one(store.Order, self._hold.order_id)
            profile = await session.get_one(store.Profile, order.profile_id)
            authority = await session.get_one(store.Authority, order.authority_id)
            replaces = await _predecessor(session, order)
        is_resumed = order.csr is not None
        made = await self._making.request_of(order, profile)
        if made is None:
            return None
        csr, sealed = made
        names = tuple(order.names)
        row = _progress_row(order.id)
        return _Task(
            authority=authority,
            request=Request(
                csr=csr,
                names=names,
                terms=terms_of(profile, trust=Trust(authority.trust), now=self._clock()),
                key=order.id,
                anew=self._making.anew(sealed, names) if sealed is not None else None,
                replaces=replaces,
            ),
            progress=self._means.sealer.open(order.progress, row=row) if order.progress else None,
            is_resumed=is_resumed,
        )

    async def _may_place(self, task: _Task) -> bool:
        """Spend an order of the authority's budget; where it does not allow one now, let the order wait, unfailed."""
        async with self._hold.order() as (tx, order, now):
            if order.placed_at is not None or order.progress is not None:
                return True
            if order.authority_id in await store.distrusted_authorities(tx.session):
                raise Refused(
                    f"The authority {order.authority} is not trusted any more.", next_step=ANOTHER_AUTHORITY
                )
            authority, replaces = task.authority, task.request.replaces is not None
            wait = await place(tx, order, authority, replaces=replaces, now=now)
            if wait is None:
                order.held_by, order.placed_at = None, now
                return True
            order.state, order.next_attempt_at, order.held_by = State.WAITING, wait.until, "budget"
            order.last_error = f"The budget of {authority.name} is spent: {wait.reason}"
            order.next_step = "Nothing is to be done; or raise it with PUT /v1/authorities/{id}/budget."
            add_step(tx, order, "budget", order.last_error, now=now)
            return False

    async def _may_go_out(self) -> bool:
        """Return whether what is made here may be sent to the authority; where not, the order waits for an approval."""
        async with self._hold.order() as (tx, order, now):
            return await self._means.gate.lets_pass(tx, order, now=now)

    async def _obtain(self, task: _Task) -> None:
        progress, resumed = task.progress, task.is_resumed
        self._opened_private = task.authority.private
        async with self._means.authorities.open(task.authority) as authority:
            while True:
                told = await self._advance(authority, task, progress=progress, resumed=resumed)
                if isinstance(told, Issued):
                    await self._issued(task, told, by=authority)
                    return
                await self._keep(told)
                if told.retry_after > PATIENCE:
                    return
                await anyio.sleep(told.retry_after.total_seconds())
                progress, resumed = told.state, False

    async def _advance(
        self,
        authority: CertificateAuthority[Any, Any],
        task: _Task,
        *,
        progress: bytes | None,
        resumed: bool,
    ) -> Progress:
        return await authority.advance(task.request, state=progress, resumed=resumed, now=self._clock())

    async def _keep(self, told: Pending) -> None:
        async with self._hold.order() as (tx, order, now):
            order.progress = self._means.sealer.seal(told.state, row=_progress_row(order.id))
            if told.text is not None:
                add_step(tx, order, told.step, told.text, now=now)
            if told.retry_after > PATIENCE:
                order.next_attempt_at = now + told.retry_after
            if told.private is not None:
                await self._keep_private(tx, order.authority_id, told.private)

    async def _keep_private(self, tx: Transaction, authority_id: str, private: bytes) -> None:
        authority = await tx.session.get_one(store.Authority, authority_id, with_for_update=True)
        if authority.private != self._opened_private:
            return  # another order has learned it first, or its key is another since: that is newer than ours
        self._opened_private = self._means.authorities.seal_private(private, authority_id=authority_id)
        authority.private = self._opened_private

    async def _issued(self, task: _Task, told: Issued, *, by: CertificateAuthority[Any, Any]) -> None:
        """Check what came back, and tell only then."""
        request = task.request
        expected = Expected(
            csr=request.csr,
            names=request.names,
            lifetime=None if by.decides_lifetime else request.terms.lifetime,
            roots=roots_of(task.authority),
        )
        try:
            chain = check_chain(told.chain, expected=expected, now=self._clock())
            passed = await self._means.validator.inspect(
                chain,
                issuer=issuer_of(told.chain, expected.roots),
                trust=Trust(task.authority.trust),
                now=self._clock(),
            )
        except Refused:
            await self._keep_rejected(told.chain)
            raise
        async with self._hold.order() as (tx, order, now):
            done = Obtained(order=order, chain=chain, passed=passed)
            await conclude(tx, [done], task.authority, roots=expected.roots, now=now)

    async def _keep_rejected(self, chain: Sequence[bytes]) -> None:
        """Keep a certificate that is not used, where it is one: somebody should have it revoked."""
        try:
            facts = x509.read(chain[0])
            pem = x509.to_pem(chain[:1])
        except (Invalid, IndexError):
            return
        async with self._hold.order() as (tx, order, now):
            order.fingerprint, order.not_before = facts.fingerprint, facts.not_before
            order.not_after = facts.not_after
            order.chain = [base64.b64encode(der).decode() for der in chain[:LONGEST_CHAIN]]
            text = f"The certificate {facts.fingerprint} is not used; it can be revoked.\n{pem}"
            add_step(tx, order, "rejected", text, now=now)

    async def _failed(self, error: EverleafError) -> None:
        async with self._hold.order() as (tx, order, now):
            # With another key-encryption key it opens: that is no reason to give the order up.
            is_final = not isinstance(error, Unavailable | CannotOpen)
            await count_failure(tx, order, error, now=now)
            if await fall_back(tx, order, error, is_final=is_final, now=now):
                return
            if is_final:
                give_up(tx, order, reason=error.detail, what_to_do=error.next_step, now=now)
                await hand_back(tx, order)
                return
            if isinstance(error, NotNow) and error.starts_over:
                forget_request(order)
            asked = error.retry_after if isinstance(error, NotNow) else None
            order.attempts += 1
            order.state = State.WAITING
            left, _ = await store.left_of(tx.session, order, now=now)
            expires = now + left if left is not None else None
            order.next_attempt_at = self._means.schedule.next_attempt(
                failed=order.attempts, asked=asked, expires=expires, now=now
            )
            order.last_error, order.next_step = error.detail, error.next_step
            add_step(tx, order, "failed", error.detail, now=now)
            tell_failed(tx, order, now=now)


async def _predecessor(session: AsyncSession, order: store.Order) -> bytes | None:
    """Return the certificate, in DER, that an order replaces, where the same authority issued it for us.

    Another one would not know it (RFC 9773 §5).
    """
    old = await store.certificate_of(session, lineage_id=order.lineage_id, fingerprint=order.old_fingerprint)
    if old is None or not old.chain or old.authority_id != order.authority_id:
        return None
    return base64.b64decode(old.chain[0])


def _progress_row(order_id: str) -> str:
    return f"renewal/orders/{order_id}/progress"
