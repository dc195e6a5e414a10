"""What is known of the certificate of an enrolled lineage, and when it is due by that: the rows of schedules."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.renewal import store
from services.renewal.domain.schedule import Facts, Forced, Override, Reason, Span, When, when
from shared import x509
from shared.errors import Invalid
from shared.store import Transaction


@dataclass(frozen=True, kw_only=True)
class Known:
    """A certificate, as far as it is known; `authority_id` where an order of ours obtained it."""

    fingerprint: str
    names: Sequence[str]
    not_before: datetime
    not_after: datetime
    issuer: str | None = None
    issuer_key: str | None = None
    authority_id: str | None = None


async def schedule_for(tx: Transaction, lineage_id: str, *, now: datetime) -> store.Schedule:
    """Return a lineage's schedule for changing: a new one, for which inventory is asked at once, where there is none."""
    row = await tx.session.get(store.Schedule, lineage_id, with_for_update=True)
    if row is None:
        row = store.Schedule(lineage_id=lineage_id, ask_at=now, updated_at=now)
        tx.session.add(row)
        await tx.session.flush()
    return row


async def learn(
    tx: Transaction, row: store.Schedule, known: Known, *, profile: store.Profile, now: datetime
) -> None:
    """Take in which certificate a lineage has now; all that was said of another is forgotten."""
    if row.fingerprint != known.fingerprint:
        row.forced = row.forced_at = row.because = row.ordered_at = None
        _forget_window(row)
    row.fingerprint, row.names = known.fingerprint, list(known.names)
    row.not_before, row.not_after, row.ask_at = known.not_before, known.not_after, None
    for name in ("issuer", "issuer_key", "authority_id"):
        setattr(row, name, getattr(known, name) or getattr(row, name))
    # An authority is asked at once after it has issued (RFC 9773 §4.1), and only for what is its own.
    row.look_at = now if row.authority_id is not None and row.ari_start is None else row.look_at
    await _distrust(tx, row, now=now)
    retime(row, profile, now=now)


def _forget_window(row: store.Schedule) -> None:
    row.issuer = row.issuer_key = row.authority_id = None
    row.ari_start = row.ari_end = row.ari_explanation = row.look_at = None
    row.ari_failures = 0


def forget(row: store.Schedule, *, now: datetime) -> None:
    """Take in that a lineage has another certificate, which inventory is asked for."""
    row.fingerprint = row.names = row.not_before = row.not_after = None
    row.forced = row.forced_at = row.because = row.ordered_at = None
    _forget_window(row)
    row.renew_at, row.reason, row.ask_at, row.updated_at = store.NEVER, Reason.UNKNOWN, now, now


async def _distrust(tx: Transaction, row: store.Schedule, *, now: datetime) -> None:
    if row.forced is not None or row.ordered_at is not None:
        return
    for each in await store.distrusts(tx.session):
        told = (
            (each.authority_id, row.authority_id),
            (each.issuer, row.issuer),
            (each.issuer_key, row.issuer_key),
        )
        if any(one is not None and one == other for one, other in told):
            force(row, Reason.DISTRUSTED, at=now, because=each.reason)
            return


def force(row: store.Schedule, reason: Reason, *, at: datetime, because: str) -> None:
    """Let a certificate be due at an instant, whatever its own time is; the earliest that was said holds."""
    if row.forced_at is None or at < row.forced_at:
        row.forced, row.forced_at, row.because = reason, at, because
        if at < row.renew_at:
            row.renew_at, row.reason = at, reason


def retime(row: store.Schedule, profile: store.Profile, *, now: datetime) -> None:
    """Work out when a schedule is due, by what is known now."""
    row.is_to_be_timed, row.updated_at = False, now
    forced = (
        Forced(reason=Reason(row.forced), at=row.forced_at)
        if row.forced and row.forced_at is not None
        else None
    )
    found = forced and When(at=forced.at, reason=forced.reason)
    if row.fingerprint is not None and row.not_before is not None and row.not_after is not None:
        facts = Facts(fingerprint=row.fingerprint, not_before=row.not_before, not_after=row.not_after)
        found = when(facts, override=override_of(profile), window=window_of(row), forced=forced)
    row.renew_at, row.reason = (
        (found.at, found.reason) if found is not None else (store.NEVER, Reason.UNKNOWN)
    )


def override_of(profile: store.Profile) -> Override:
    """Return what a profile says about when."""
    before = timedelta(seconds=profile.renew_before) if profile.renew_before is not None else None
    return Override(before=before, fraction=profile.renew_fraction)


def window_of(row: store.Schedule) -> Span | None:
    """Return the authority's window, where it has told one."""
    if row.ari_start is None or row.ari_end is None:
        return None
    return Span(start=row.ari_start, end=row.ari_end)


def known_by_order(order: store.Order, authority: store.Authority) -> Known | None:
    """Return the certificate that an order of ours obtained."""
    if order.fingerprint is None or order.not_before is None or order.not_after is None or not order.chain:
        return None
    return Known(
        fingerprint=order.fingerprint,
        names=order.names,
        not_before=order.not_before,
        not_after=order.not_after,
        issuer=x509.read(base64.b64decode(order.chain[0])).issuer,
        issuer_key=_issuer_key(order, authority),
        authority_id=order.authority_id,
    )


def _issuer_key(order: store.Order, authority: store.Authority) -> str | None:
    issuers = [*(order.chain or [])[1:2], *authority.roots[:1]]
    try:
        return x509.read(base64.b64decode(issuers[0])).key_fingerprint if issuers else None
    except Invalid:
        return None


def known_by_notice(notice: store.Notice | None) -> Known | None:
    """Return the certificate that inventory has told runs out."""
    if notice is None or not notice.is_open or notice.not_before is None:
        return None
    return Known(
        fingerprint=notice.fingerprint,
        names=notice.names,
        not_before=notice.not_before,
        not_after=notice.not_after,
        issuer=notice.issuer,
    )


async def present(tx: Transaction, lineage_id: str) -> Known | None:
    """Return the certificate that a lineage has, as far as we know without asking anybody."""
    last = await store.latest_order(tx.session, lineage_id=lineage_id, state="renewed")
    notice = await tx.session.get(store.Notice, lineage_id)
    told = known_by_notice(notice)
    if last is not None and (notice is None or last.old_fingerprint == notice.fingerprint):
        return known_by_order(last, await tx.session.get_one(store.Authority, last.authority_id))
    return told
