"""One attempt to obtain a certificate: step by step, each one kept before the next begins."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.to_thread
import sqlalchemy as sa
import structlog

from services.renewal import store
from services.renewal.actions.authorities import Authorities, roots_of
from services.renewal.actions.keys import key_row
from services.renewal.actions.orders import add_step, forget_request, give_up, tell_failed
from services.renewal.actions.profiles import terms_of
from services.renewal.connectors import (
    CertificateAuthority,
    Issued,
    NotNow,
    Pending,
    Progress,
    Request,
)
from services.renewal.domain.checks import Expected, check_chain
from services.renewal.domain.keys import KeyType, new_key, new_request, to_pem
from services.renewal.domain.orders import Schedule, State
from shared import x509
from shared.clock import Clock
from shared.errors import EverleafError, Unavailable
from shared.events.renewal import CertificateRenewed
from shared.sealing import CannotOpen, Sealer
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=5)
"""A wait up to this long is waited for; for a longer one the order is let go of meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What an attempt works with."""

    sealer: Sealer
    authorities: Authorities
    schedule: Schedule


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

    async def run(self) -> None:
        """Go on until the certificate is there, the attempt has failed, or there is a long wait.

        Raises `LeaseLost`, and what the database raises; all else ends as the order's state.
        """
        try:
            task = await self._prepare()
            await self._obtain(task)
        except (store.LeaseLost, sa.exc.SQLAlchemyError):
            raise
        except EverleafError as error:
            await self._failed(error)
        except Exception as error:
            log.exception("authority.broken", order_id=self._order_id)
            await self._failed(NotNow(f"The work on the order itself failed ({type(error).__name__})."))

    async def _prepare(self) -> _Task:
        """Make key and request at first, and keep them before anything goes outside."""
        async with self._database.read() as session:
            order = await session.get_one(store.Order, self._order_id)
            profile = await session.get_one(store.Profile, order.profile_id)
            authority = await session.get_one(store.Authority, order.authority_id)
        is_resumed = order.csr is not None
        csr = order.csr or await self._make_request(KeyType(profile.key_type), tuple(order.names))
        row = _progress_row(order.id)
        return _Task(
            authority=authority,
            request=Request(csr=csr, names=tuple(order.names), terms=terms_of(profile), key=order.id),
            progress=self._means.sealer.open(order.progress, row=row) if order.progress else None,
            is_resumed=is_resumed,
        )

    async def _make_request(self, key_type: KeyType, names: tuple[str, ...]) -> bytes:
        key = await anyio.to_thread.run_sync(new_key, key_type)
        csr = new_request(key, names)
        async with self._held() as (tx, order, now):
            order.private_key = self._means.sealer.seal(to_pem(key), row=key_row(order.id))
            order.csr = csr
            add_step(tx, order, "key", f"A fresh {key_type} key is made.", now=now)
        return csr

    async def _obtain(self, task: _Task) -> None:
        progress, resumed = task.progress, task.is_resumed
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
                authority = await tx.session.get_one(
                    store.Authority, order.authority_id, with_for_update=True
                )
                authority.private = self._means.authorities.seal_private(
                    told.private, authority_id=authority.id
                )

    async def _issued(self, task: _Task, told: Issued, *, by: CertificateAuthority[Any, Any]) -> None:
        """Check what came back, and tell only then."""
        request = task.request
        expected = Expected(
            csr=request.csr,
            names=request.names,
            lifetime=None if by.decides_lifetime else request.terms.lifetime,
            roots=roots_of(task.authority),
        )
        chain = check_chain(told.chain, expected=expected, now=self._clock())
        facts = x509.read(chain[0])
        async with self._held() as (tx, order, now):
            order.fingerprint, order.renewed_at = facts.fingerprint, now
            order.not_before, order.not_after = facts.not_before, facts.not_after
            order.chain = [base64.b64encode(der).decode() for der in chain]
            order.last_error = order.next_step = None
            store.finish(order, state=State.RENEWED)
            add_step(tx, order, "renewed", "What the authority issued is what was asked for.", now=now)
            tx.emit(_renewed(order, chain=chain, roots=expected.roots), now=now)

    async def _failed(self, error: EverleafError) -> None:
        async with self._held() as (tx, order, now):
            # With another key-encryption key it opens: that is no reason to give the order up.
            if not isinstance(error, Unavailable | CannotOpen):
                give_up(tx, order, reason=error.detail, what_to_do=error.next_step, now=now)
                return
            if isinstance(error, NotNow) and error.starts_over:
                forget_request(order)
            asked = error.retry_after if isinstance(error, NotNow) else None
            order.attempts += 1
            order.state = State.WAITING
            expires = await store.expiry_of(
                tx.session, lineage_id=order.lineage_id, fingerprint=order.old_fingerprint
            )
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


def _progress_row(order_id: str) -> str:
    return f"renewal/orders/{order_id}/progress"


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
    )
