"""What becomes of an order, and what is told of it: its steps, the certificate, a failure, another authority."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.renewal import store
from services.renewal.actions.budgets import budget_of, note_failure
from services.renewal.actions.timing import known_by_order, learn, schedule_for
from services.renewal.connectors import NotNow
from services.renewal.domain.budgets import falls_back
from services.renewal.domain.orders import State
from services.renewal.domain.validation import Passed
from shared import x509
from shared.errors import EverleafError, Refused
from shared.events.renewal import CertificateRenewed, RenewalFailed
from shared.ids import new_id
from shared.sealing import CannotOpen
from shared.store import Transaction, write_rows
from shared.telemetry import ORDERS_FINISHED


def add_step(tx: Transaction, order: store.Order, step: str, text: str, *, now: datetime) -> None:
    """Remember one thing that was done for an order."""
    tx.session.add(store.Step(id=new_id(), order_id=order.id, at=now, step=step, text=text))


def step_row(order: store.Order, step: str, text: str, *, now: datetime) -> dict[str, object]:
    """Return the row of one thing that was done for an order, where many are written at once."""
    return {"id": new_id(), "order_id": order.id, "at": now, "step": step, "text": text}


def tell_failed(tx: Transaction, order: store.Order, *, now: datetime) -> None:
    """Say that an attempt has failed."""
    event = RenewalFailed(
        lineage_id=order.lineage_id,
        order_id=order.id,
        fingerprint=order.old_fingerprint,
        names=order.names,
        reason=order.last_error or "",
        next_step=order.next_step or "",
        attempt=order.attempts,
        next_attempt_at=order.next_attempt_at,
        groups=order.groups,
    )
    tx.emit(event, now=now)


def give_up(tx: Transaction, order: store.Order, *, reason: str, what_to_do: str, now: datetime) -> None:
    """Let an order fail for good, and tell."""
    order.attempts += 1
    order.last_error, order.next_step = reason, what_to_do
    end_without(order)
    tx.after_commit(ORDERS_FINISHED.labels(order.authority, State.FAILED).inc)
    add_step(tx, order, "failed", reason, now=now)
    tell_failed(tx, order, now=now)


def end_without(order: store.Order) -> None:
    """Let an order end without a certificate: if it is tried again, the target is asked for a new request too."""
    store.finish(order, state=State.FAILED)
    forget_request(order)
    if order.request_until is not None:
        order.given_csr = order.request_until = None


def forget_request(order: store.Order) -> None:
    """Forget key, request and progress: what is tried next is a new request, with a key of its own."""
    order.private_key = order.token_key = order.csr = order.progress = order.placed_at = None


@dataclass(frozen=True, kw_only=True)
class Obtained:
    """An order, the chain (DER, leaf first) that its authority sent, and the checks that passed."""

    order: store.Order
    chain: Sequence[bytes]
    passed: Sequence[Passed]


async def conclude(
    tx: Transaction,
    obtained: Sequence[Obtained],
    authority: store.Authority,
    *,
    roots: Sequence[bytes],
    now: datetime,
) -> None:
    """Let orders of an authority have the certificates that were looked at, and tell."""
    steps: list[dict[str, object]] = []
    for each in obtained:
        _take(each.order, each.chain, now=now)
        steps += _steps_of(each, now=now)
        tx.after_commit(ORDERS_FINISHED.labels(each.order.authority, State.RENEWED).inc)
        tx.emit(_renewed(each.order, chain=each.chain, roots=roots), now=now)
    await write_rows(tx, sa.insert(store.Step), steps)
    await _reschedule(tx, [each.order for each in obtained], authority, now=now)


def _take(order: store.Order, chain: Sequence[bytes], *, now: datetime) -> None:
    certificate = x509.load(chain[0])
    order.fingerprint, order.renewed_at = x509.fingerprint(chain[0]), now
    order.not_before, order.not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    order.chain = [base64.b64encode(der).decode() for der in chain]
    order.last_error = order.next_step = None
    store.finish(order, state=State.RENEWED)


def _steps_of(obtained: Obtained, *, now: datetime) -> Iterator[dict[str, object]]:
    """Yield the rows of what was done; steps are shown by their time, and these were done one after the other."""
    checks = [(f"check {each.check}", f"{each.text} ({each.rule})") for each in obtained.passed]
    done = [*checks, ("renewed", "What the authority issued is what was asked for.")]
    for number, (step, text) in enumerate(done):
        yield step_row(obtained.order, step, text, now=now + timedelta(microseconds=number))


async def _reschedule(
    tx: Transaction, orders: Sequence[store.Order], authority: store.Authority, *, now: datetime
) -> None:
    """Have it known when the new certificates are due, where their lineages are enrolled."""
    enrolled = await store.enrolments_of(tx.session, [order.lineage_id for order in orders])
    if not enrolled:
        return
    await tx.session.flush()  # orders before schedules, as everybody locks them
    for order in orders:
        enrolment = enrolled.get(order.lineage_id)
        known = known_by_order(order, authority) if enrolment is not None else None
        if enrolment is None or known is None:
            continue
        profile = await tx.session.get_one(store.Profile, enrolment.profile_id)
        schedule = await schedule_for(tx, order.lineage_id, now=now)
        await learn(tx, schedule, known, profile=profile, now=now)


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


async def hand_back(tx: Transaction, order: store.Order) -> None:
    """Leave a lineage to its schedule again where what somebody ordered as such has failed in its place."""
    if order.reason is None:
        await tx.session.flush()  # orders before schedules, as everybody locks them
        schedule = await tx.session.get(store.Schedule, order.lineage_id, with_for_update=True)
        if schedule is not None:
            schedule.ordered_at = None


async def count_failure(tx: Transaction, order: store.Order, error: EverleafError, *, now: datetime) -> None:
    """Count what the authority did not accept: not that it could not be reached."""
    if isinstance(error, Refused) or (isinstance(error, NotNow) and error.starts_over):
        authority = await tx.session.get_one(store.Authority, order.authority_id)
        if budget_of(authority).failures is not None:
            note_failure(tx, order, now=now)


async def fall_back(
    tx: Transaction, order: store.Order, error: EverleafError, *, is_final: bool, now: datetime
) -> bool:
    """Have the order go on at the profile's fallback authority, where the first one fails and time runs out."""
    profile = await tx.session.get_one(store.Profile, order.profile_id)
    other = profile.fallback_authority_id
    if other is None or other == order.authority_id or isinstance(error, CannotOpen):
        return False
    distrusted = await store.distrusted_authorities(tx.session)
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
