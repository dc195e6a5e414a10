"""One attempt to obtain a certificate: step by step, each one kept before the next begins."""

import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.to_thread
import sqlalchemy as sa
import structlog
from cryptography.x509 import ObjectIdentifier
from sqlalchemy.ext.asyncio import AsyncSession

from services.renewal import store
from services.renewal.actions.authorities import Authorities, roots_of
from services.renewal.actions.budgets import budget_of, note_failure, place
from services.renewal.actions.keys import key_row
from services.renewal.actions.order_approvals import OrderGate
from services.renewal.actions.orders import (
    ANOTHER_AUTHORITY,
    add_step,
    distrusted_authorities,
    forget_request,
    give_up,
    tell_failed,
)
from services.renewal.actions.profiles import terms_of
from services.renewal.actions.timing import known_by_order, learn, schedule_for
from services.renewal.actions.token_keys import WHERE_TO_SET_IT, new_key_name
from services.renewal.actions.validation import Validator
from services.renewal.connectors import (
    CertificateAuthority,
    Issued,
    NotNow,
    Pending,
    Progress,
    Request,
)
from services.renewal.domain.budgets import falls_back
from services.renewal.domain.checks import LONGEST_CHAIN, Expected, check_chain
from services.renewal.domain.keys import KeyType, PrivateKey, from_pem, new_key, new_request, to_pem
from services.renewal.domain.orders import Schedule, State
from services.renewal.domain.policy import Custody, Trust
from services.renewal.domain.validation import Passed
from shared import x509
from shared.clock import Clock
from shared.errors import EverleafError, Invalid, Refused, Unavailable
from shared.events.renewal import CertificateRenewed, RequestWanted, RequestWithdrawn
from shared.pkcs11 import Token
from shared.sealing import CannotOpen, Sealer
from shared.store import Database, Transaction
from shared.telemetry import ORDERS_FINISHED

log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=5)
"""A wait up to this long is waited for; for a longer one the order is let go of meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What an attempt works with."""

    sealer: Sealer
    authorities: Authorities
    schedule: Schedule
    gate: OrderGate
    validator: Validator
    token: Token | None = None
    """Where keys are made that stay there."""
    request_timeout: timedelta = timedelta(days=1)
    """How long a request may take to come from the target."""


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
        self._database = database
        self._order_id = order_id
        self._lease = lease
        self._means = means
        self._clock = clock
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
            log.exception("authority.broken", order_id=self._order_id)
            await self._failed(NotNow(f"The work on the order itself failed ({type(error).__name__})."))

    async def _prepare(self) -> _Task | None:
        """Make key and request at first, and keep them before anything goes outside; None where the target makes them."""
        async with self._database.read() as session:
            order = await session.get_one(store.Order, self._order_id)
            profile = await session.get_one(store.Profile, order.profile_id)
            authority = await session.get_one(store.Authority, order.authority_id)
            replaces = await _predecessor(session, order)
        if Custody(profile.key_custody) is Custody.TARGET and order.csr is None and order.given_csr is None:
            await self._want_request(profile)
            return None
        is_resumed = order.csr is not None
        csr, sealed = order.csr, order.private_key
        if csr is None:
            csr, sealed = await self._make_request(order, profile)
        names = tuple(order.names)
        row = _progress_row(order.id)
        return _Task(
            authority=authority,
            request=Request(
                csr=csr,
                names=names,
                terms=terms_of(profile, trust=Trust(authority.trust), now=self._clock()),
                key=order.id,
                anew=self._maker(sealed, names) if sealed is not None else None,
                replaces=replaces,
            ),
            progress=self._means.sealer.open(order.progress, row=row) if order.progress else None,
            is_resumed=is_resumed,
        )

    async def _want_request(self, profile: store.Profile) -> None:
        """Have the key made on the target, and wait for its request; where that took too long, give up."""
        async with self._held() as (tx, order, now):
            if order.request_until is not None and order.request_until <= now:
                give_up(tx, order, reason=_no_request(order), what_to_do=_TARGET, now=now)
                return
            if order.request_until is None:
                order.request_until = now + self._means.request_timeout
                add_step(
                    tx, order, "key", "The key is to be made on the target, and its request to come.", now=now
                )
            order.state, order.next_attempt_at, order.held_by = (
                State.AWAITING_REQUEST,
                order.request_until,
                None,
            )
            tx.emit(_wanted(order, profile, until=order.request_until), now=now)

    async def _may_place(self, task: _Task) -> bool:
        """Spend an order of the authority's budget; where it does not allow one now, let the order wait, unfailed."""
        async with self._held() as (tx, order, now):
            if order.placed_at is not None or order.progress is not None:
                return True
            if order.authority_id in await distrusted_authorities(tx.session):
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

    def _maker(
        self, sealed: bytes, names: tuple[str, ...]
    ) -> Callable[[Sequence[tuple[ObjectIdentifier, bytes]]], bytes]:
        """Return what makes the request anew with attributes: the key is opened for that and no longer."""

        def make(attributes: Sequence[tuple[ObjectIdentifier, bytes]]) -> bytes:
            key = from_pem(self._means.sealer.open(sealed, row=key_row(self._order_id)))
            return new_request(key, names, attributes=attributes)

        return make

    async def _make_request(self, order: store.Order, profile: store.Profile) -> tuple[bytes, bytes | None]:
        """Make key and request, keep both, and return the request and the key, sealed; no key where that was not made here."""
        if order.given_csr is not None:
            async with self._held() as (tx, held, now):
                held.csr = order.given_csr
                add_step(tx, held, "key", "The request that was brought is used.", now=now)
            return order.given_csr, None
        key_type = KeyType(profile.key_type)
        if Custody(profile.key_custody) is Custody.PKCS11:
            return await self._made_in_token(order, key_type), None
        kept = await self._kept_key(order) if profile.reuse_key else None
        key = kept if kept is not None else await anyio.to_thread.run_sync(new_key, key_type)
        text = f"A fresh {key_type} key is made."
        if kept is not None:
            text = f"The key of before is used again, as the profile says: {profile.reuse_key_reason}"
        csr = new_request(key, tuple(order.names))
        sealed = self._means.sealer.seal(to_pem(key), row=key_row(order.id))
        async with self._held() as (tx, held, now):
            if held.request_until is not None:  # the profile says something else since
                held.request_until = None
                tx.emit(RequestWithdrawn(order_id=held.id, lineage_id=held.lineage_id), now=now)
            held.private_key, held.csr = sealed, csr
            add_step(tx, held, "key", text, now=now)
        return csr, sealed

    async def _made_in_token(self, order: store.Order, key_type: KeyType) -> bytes:
        """Make a key that stays in the token, and a request that it signs; keep both and return the request."""
        token = self._means.token
        if token is None:
            raise NotNow("There is no PKCS#11 token.", next_step=WHERE_TO_SET_IT)
        name, names = new_key_name(), tuple(order.names)
        key = await anyio.to_thread.run_sync(lambda: token.make_key(key_type, name=name))
        csr = await anyio.to_thread.run_sync(new_request, key, names)
        async with self._held() as (tx, held, now):
            held.token_key, held.csr = name, csr
            text = f"A fresh {key_type} key is made in the token, where it stays."
            add_step(tx, held, "key", text, now=now)
        return csr

    async def _may_go_out(self) -> bool:
        """Return whether what is made here may be sent to the authority; where not, the order waits for an approval."""
        async with self._held() as (tx, order, now):
            return await self._means.gate.lets_pass(tx, order, now=now)

    async def _kept_key(self, order: store.Order) -> PrivateKey | None:
        async with self._database.read() as session:
            last = await store.last_key(session, lineage_id=order.lineage_id)
        if last is None or last.private_key is None:
            return None
        return from_pem(self._means.sealer.open(last.private_key, row=key_row(last.id)))

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
        async with self._held() as (tx, order, now):
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
        async with self._held() as (tx, order, now):
            await conclude(
                tx, order, task.authority, chain=chain, passed=passed, roots=expected.roots, now=now
            )

    async def _keep_rejected(self, chain: Sequence[bytes]) -> None:
        """Keep a certificate that is not used, where it is one: somebody should have it revoked."""
        try:
            facts = x509.read(chain[0])
            pem = x509.to_pem(chain[:1])
        except (Invalid, IndexError):
            return
        async with self._held() as (tx, order, now):
            order.fingerprint, order.not_before = facts.fingerprint, facts.not_before
            order.not_after = facts.not_after
            order.chain = [base64.b64encode(der).decode() for der in chain[:LONGEST_CHAIN]]
            text = f"The certificate {facts.fingerprint} is not used; it can be revoked.\n{pem}"
            add_step(tx, order, "rejected", text, now=now)

    async def _failed(self, error: EverleafError) -> None:
        async with self._held() as (tx, order, now):
            # With another key-encryption key it opens: that is no reason to give the order up.
            is_final = not isinstance(error, Unavailable | CannotOpen)
            await _count_failure(tx, order, error, now=now)
            if await _fall_back(tx, order, error, is_final=is_final, now=now):
                return
            if is_final:
                give_up(tx, order, reason=error.detail, what_to_do=error.next_step, now=now)
                await _hand_back(tx, order)
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

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[tuple[Transaction, store.Order, datetime]]:
        async with self._database.transaction() as tx:
            yield tx, await store.held(tx, self._order_id, lease=self._lease), self._clock()


async def _predecessor(session: AsyncSession, order: store.Order) -> bytes | None:
    """Return the certificate, in DER, that an order replaces, where the same authority issued it for us.

    Another one would not know it (RFC 9773 §5).
    """
    old = await store.certificate_of(session, lineage_id=order.lineage_id, fingerprint=order.old_fingerprint)
    if old is None or not old.chain or old.authority_id != order.authority_id:
        return None
    return base64.b64decode(old.chain[0])


async def conclude(
    tx: Transaction,
    order: store.Order,
    authority: store.Authority,
    *,
    chain: Sequence[bytes],
    passed: Sequence[Passed],
    roots: Sequence[bytes],
    now: datetime,
) -> None:
    """Let an order have the certificate that was looked at (a chain in DER, leaf first), and tell."""
    facts = x509.read(chain[0])
    order.fingerprint, order.renewed_at = facts.fingerprint, now
    order.not_before, order.not_after = facts.not_before, facts.not_after
    order.chain = [base64.b64encode(der).decode() for der in chain]
    order.last_error = order.next_step = None
    store.finish(order, state=State.RENEWED)
    tx.after_commit(ORDERS_FINISHED.labels(order.authority, State.RENEWED).inc)
    # Steps are shown by their time: these were done one after the other.
    for number, each in enumerate(passed):
        done = now + timedelta(microseconds=number)
        add_step(tx, order, f"check {each.check}", f"{each.text} ({each.rule})", now=done)
    done = now + timedelta(microseconds=len(passed))
    add_step(tx, order, "renewed", "What the authority issued is what was asked for.", now=done)
    await _reschedule(tx, order, authority, now=now)
    tx.emit(_renewed(order, chain=chain, roots=roots), now=now)


async def _reschedule(
    tx: Transaction, order: store.Order, authority: store.Authority, *, now: datetime
) -> None:
    """Have it known when the new certificate is due, where the lineage is enrolled."""
    enrolment = await tx.session.get(store.Enrolment, order.lineage_id)
    known = known_by_order(order, authority)
    if enrolment is None or known is None:
        return
    await tx.session.flush()  # orders before schedules, as everybody locks them
    profile = await tx.session.get_one(store.Profile, enrolment.profile_id)
    schedule = await schedule_for(tx, order.lineage_id, now=now)
    await learn(tx, schedule, known, profile=profile, now=now)


async def _hand_back(tx: Transaction, order: store.Order) -> None:
    """Leave a lineage to its schedule again where what somebody ordered as such has failed in its place."""
    if order.reason is None:
        await tx.session.flush()  # orders before schedules, as everybody locks them
        schedule = await tx.session.get(store.Schedule, order.lineage_id, with_for_update=True)
        if schedule is not None:
            schedule.ordered_at = None


async def _count_failure(tx: Transaction, order: store.Order, error: EverleafError, *, now: datetime) -> None:
    """Count what the authority did not accept: not that it could not be reached."""
    if isinstance(error, Refused) or (isinstance(error, NotNow) and error.starts_over):
        authority = await tx.session.get_one(store.Authority, order.authority_id)
        if budget_of(authority).failures is not None:
            note_failure(tx, order, now=now)


async def _fall_back(
    tx: Transaction, order: store.Order, error: EverleafError, *, is_final: bool, now: datetime
) -> bool:
    """Have the order go on at the profile's fallback authority, where the first one fails and time runs out."""
    profile = await tx.session.get_one(store.Profile, order.profile_id)
    other = profile.fallback_authority_id
    if other is None or other == order.authority_id or isinstance(error, CannotOpen):
        return False
    distrusted = await distrusted_authorities(tx.session)
    left, lifetime = await store.left_of(tx.session, order, now=now)
    is_time = falls_back(failed=order.attempts + 1, is_final=is_final, left=left, lifetime=lifetime)
    if other in distrusted or not (is_time or order.authority_id in distrusted):
        return False
    authority = await tx.session.get_one(store.Authority, other)
    text = f"{authority.name} is asked instead of {order.authority}. {error.detail}"
    order.attempts += 1
    order.authority_id, order.authority = authority.id, authority.name
    order.state, order.next_attempt_at = State.PENDING, now
    order.last_error, order.next_step = error.detail, f"{authority.name} is asked instead."
    forget_request(order)
    add_step(tx, order, "fallback", text, now=now)
    tell_failed(tx, order, now=now)
    return True


_TARGET = "Look at the steps of the order, and whether the provisioner runs and reaches the target; then try the order again."


def _no_request(order: store.Order) -> str:
    text = f"No request came from the target until {order.request_until:%Y-%m-%d %H:%M} UTC."
    return f"{text} {order.last_error}" if order.last_error else text


def _wanted(order: store.Order, profile: store.Profile, *, until: datetime) -> RequestWanted:
    return RequestWanted(
        order_id=order.id,
        lineage_id=order.lineage_id,
        names=order.names,
        key_type=profile.key_type,
        expires_at=until,
    )


def _progress_row(order_id: str) -> str:
    return f"renewal/orders/{order_id}/progress"


def issuer_of(chain: Sequence[bytes], roots: Sequence[bytes]) -> bytes | None:
    """Return the certificate of who has issued the first of a chain, where it is known."""
    return chain[1] if len(chain) > 1 else _root_of(chain, roots)


def _root_of(chain: Sequence[bytes], roots: Sequence[bytes]) -> bytes | None:
    """Return the root that the last of a chain was issued by, by its name: that the chain is right was checked."""
    issuer = x509.load(chain[-1]).issuer
    return next((root for root in roots if x509.load(root).subject == issuer), None)


def _renewed(order: store.Order, *, chain: Sequence[bytes], roots: Sequence[bytes]) -> CertificateRenewed:
    if order.fingerprint is None or order.not_before is None or order.not_after is None:
        msg = "the order has no certificate"
        raise ValueError(msg)
    return CertificateRenewed(
        lineage_id=order.lineage_id,
        order_id=order.id,
        old_fingerprint=order.old_fingerprint,
        fingerprint=order.fingerprint,
        chain=list(chain),
        names=order.names,
        not_before=order.not_before,
        not_after=order.not_after,
        authority=order.authority,
        groups=order.groups,
        root=_root_of(chain, roots),
        key_is_on_target=order.request_until is not None,
        requested_by=order.created_by,
    )
