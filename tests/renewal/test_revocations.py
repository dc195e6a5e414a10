from datetime import timedelta
from typing import Any

import pytest

from services.renewal import store
from services.renewal.actions.revocations import NewRevocation, Revocations
from services.renewal.connectors import NotNow
from services.renewal.domain.revocations import RevocationState, Start
from shared.access import Principal
from shared.approvals import ApprovalState, Verdict
from shared.approvals.actions import Word
from shared.errors import Conflict, Invalid, NotFound, Refused
from shared.events.inventory import CertificateRevocationSeen
from shared.events.renewal import (
    CertificateRevoked,
    RevocationConfirmed,
    RevocationFailed,
    RevocationReason,
)
from tests.renewal.workshop import CALLER, REPLACED_AFTER, Scripted, Workshop

NEW = "f" * 64
ANN = Principal(id="ann", name="Ann", roles=frozenset({"approver"}))


async def obtained(shop: Workshop, *, profile: str = "web") -> str:
    """Return the fingerprint of a certificate of the lineage."""
    order = await shop.order(profile=profile)
    await shop.work_off()
    found, _ = await shop.orders.get(order.id, caller=CALLER)
    assert found.fingerprint is not None
    return found.fingerprint


async def revoke(
    shop: Workshop,
    fingerprint: str | None,
    start: Start = Start.NOW,
    *,
    by: Revocations | None = None,
    **given: Any,
) -> store.Revocation:
    values: dict[str, Any] = {
        "fingerprint": fingerprint,
        "order_id": None,
        "reason": RevocationReason.KEY_COMPROMISE,
        "start": start,
        "explanation": "The host was broken into.",
    }
    new = NewRevocation(**{**values, **given})
    return await (by or shop.revocations).create(new, caller=CALLER, now=shop.time())


async def only(shop: Workshop) -> store.Revocation:
    [row] = await shop.revocations.page(after=None, limit=10, caller=CALLER)
    return row


async def test_a_certificate_is_revoked_now_and_told(shop: Workshop) -> None:
    fingerprint = await obtained(shop)
    await revoke(shop, fingerprint)
    await shop.work_off()
    assert Scripted.revoked == [(fingerprint, "keyCompromise")]
    [told] = await shop.events(CertificateRevoked)
    assert (told.fingerprint, told.reason, told.requested_by) == (
        fingerprint,
        RevocationReason.KEY_COMPROMISE,
        "tester",
    )
    row = await only(shop)
    # This authority's certificates say nothing of where that could be seen.
    assert row.state == RevocationState.UNCONFIRMED
    assert "neither an OCSP responder nor a CRL" in (row.last_error or "")
    _, steps = await shop.revocations.get(row.id, caller=CALLER)
    assert [step.step for step in steps] == ["requested", "revoked", "unconfirmed"]


async def test_that_it_holds_is_taken_from_who_has_seen_it(shop: Workshop) -> None:
    fingerprint = await obtained(shop)
    await revoke(shop, fingerprint)
    await shop.work_off()
    told = CertificateRevocationSeen(
        lineage_id="lineage",
        fingerprint=fingerprint,
        revoked_at=shop.time(),
        reason="keyCompromise",
        means="crl",
        seen_at=shop.time(),
        subject_name="",
        issuer_name="",
        names=[],
        places=[],
        place_count=0,
    )
    async with shop.database.transaction() as tx:
        await shop.revocations.seen(tx, told, now=shop.time())
    row = await only(shop)
    assert (row.state, row.confirmed_by) == (RevocationState.CONFIRMED, "crl")
    [confirmed] = await shop.events(RevocationConfirmed)
    assert confirmed.fingerprint == fingerprint


async def test_the_revocation_of_one_certificate_is_asked_for_by_its_fingerprint(shop: Workshop) -> None:
    fingerprint = await obtained(shop)
    other = await obtained(shop)
    await revoke(shop, fingerprint)
    await revoke(shop, other)

    async def of(wanted: str) -> list[str]:
        rows = await shop.revocations.page(after=None, limit=10, caller=CALLER, fingerprint=wanted)
        return [row.fingerprint for row in rows]

    assert await of(other) == [other]
    assert await of("0" * 64) == []


async def test_after_its_replacement_means_not_before_it_is_seen(shop: Workshop) -> None:
    fingerprint = await obtained(shop)
    await revoke(shop, fingerprint, Start.AFTER_REPLACEMENT)
    await shop.work_off()
    assert (await only(shop)).state == RevocationState.AWAITING_REPLACEMENT
    assert Scripted.revoked == []
    await shop.replaced(NEW, old=fingerprint)
    await shop.work_off()
    assert Scripted.revoked == [(fingerprint, "keyCompromise")]


async def test_what_waits_for_its_replacement_can_be_brought_forward(small_shop: Workshop) -> None:
    shop = small_shop
    fingerprint = await obtained(shop)
    await revoke(shop, fingerprint, Start.AFTER_REPLACEMENT)
    with pytest.raises(Conflict, match="awaiting_replacement"):
        await revoke(shop, fingerprint, Start.AFTER_REPLACEMENT)
    await revoke(shop, fingerprint, reason=RevocationReason.SUPERSEDED)
    await shop.work_off()
    assert Scripted.revoked == [(fingerprint, "superseded")]
    with pytest.raises(Conflict, match="unconfirmed"):
        await revoke(shop, fingerprint)


async def test_what_was_replaced_already_is_revoked_at_once(small_shop: Workshop) -> None:
    shop = small_shop
    first = await obtained(shop)
    second = await obtained(shop)
    await shop.replaced(second, old=first)
    await revoke(shop, first, Start.AFTER_REPLACEMENT)
    await shop.work_off()
    assert Scripted.revoked == [(first, "keyCompromise")]


async def test_an_authority_that_is_away_is_asked_again_and_one_that_refuses_is_not(shop: Workshop) -> None:
    fingerprint = await obtained(shop)
    await revoke(shop, fingerprint)
    Scripted.refusals = [
        NotNow("The authority is away."),
        Refused("It is not ours.", next_step="Ask who has issued it."),
    ]
    await shop.work_off()
    row = await only(shop)
    assert (row.state, row.attempts, row.last_error) == (RevocationState.PENDING, 1, "The authority is away.")
    shop.time.passes(timedelta(minutes=2))
    await shop.work_off()
    row = await only(shop)
    assert (row.state, row.next_attempt_at) == (RevocationState.FAILED, None)
    assert row.next_step == "Ask who has issued it."
    failed = await shop.events(RevocationFailed)
    assert [each.next_attempt_at is None for each in failed] == [False, True]
    await shop.revocations.retry(row.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert Scripted.revoked == [(fingerprint, "keyCompromise")]


async def test_a_process_that_dies_at_it_is_followed_by_one_that_asks_again(shop: Workshop) -> None:
    """The authority may have taken it: revoking twice is one revocation."""
    fingerprint = await obtained(shop)
    await revoke(shop, fingerprint)
    assert await shop.revoking.claim(now=shop.time()) is not None
    assert await shop.revoking.claim(now=shop.time()) is None
    shop.time.passes(shop.lease + timedelta(seconds=1))
    await shop.work_off()
    assert Scripted.revoked == [(fingerprint, "keyCompromise")]


async def test_a_revocation_waits_for_approval_where_that_is_wanted(shop: Workshop) -> None:
    fingerprint = await obtained(shop)
    guarded = shop.revocations_with(approvals_needed=1)
    await revoke(shop, fingerprint, by=guarded)
    await shop.work_off()
    assert Scripted.revoked == []
    [asked] = await shop.approvals.page(after=None, limit=10, caller=ANN, is_inbox=True)
    assert (asked.kind, asked.document["fingerprint"]) == ("revocation", fingerprint)
    assert asked.document["reason"] == "keyCompromise"
    word = Word(verdict=Verdict.GRANT, digest=asked.digest, reason="Yes, it was.")
    await shop.approvals.decide(asked.id, word, caller=ANN, now=shop.time())
    await shop.work_off()
    assert Scripted.revoked == [(fingerprint, "keyCompromise")]


async def test_a_refused_revocation_is_not_done_and_can_be_asked_for_again(small_shop: Workshop) -> None:
    shop = small_shop
    fingerprint = await obtained(shop)
    guarded = shop.revocations_with(approvals_needed=1)
    row = await revoke(shop, fingerprint, by=guarded)
    [asked] = await shop.approvals.page(after=None, limit=10, caller=ANN, is_inbox=True)
    word = Word(verdict=Verdict.REFUSE, digest=asked.digest, reason="It was another host.")
    await shop.approvals.decide(asked.id, word, caller=ANN, now=shop.time())
    assert (await only(shop)).state == RevocationState.FAILED
    await guarded.retry(row.id, caller=CALLER, now=shop.time())
    [again] = await shop.approvals.page(after=None, limit=10, caller=ANN, is_inbox=True)
    assert (again.id != asked.id, again.state) == (True, ApprovalState.OPEN)
    assert Scripted.revoked == []


async def test_a_profile_has_what_was_replaced_revoked_some_days_later(shop: Workshop) -> None:
    await shop.profile("tidy", authority="house-ca", revoke_replaced=True)
    first = await obtained(shop, profile="tidy")
    second = await obtained(shop, profile="tidy")
    await shop.replaced(second, old=first)
    await shop.replaced(second, old=first)
    await shop.work_off()
    assert Scripted.revoked == []
    shop.time.passes(REPLACED_AFTER + timedelta(seconds=1))
    await shop.work_off()
    assert Scripted.revoked == [(first, "superseded")]
    assert (await only(shop)).created_by == "renewal"


async def test_what_has_ended_or_is_not_ours_or_is_hidden_is_not_revoked(small_shop: Workshop) -> None:
    shop = small_shop
    fingerprint = await obtained(shop)
    with pytest.raises(NotFound, match="was obtained here"):
        await revoke(shop, NEW)
    stranger = Principal(id="m", name="M", roles=frozenset({"operator"}), groups=frozenset({"mail"}))
    new = NewRevocation(
        fingerprint=fingerprint,
        order_id=None,
        reason=RevocationReason.SUPERSEDED,
        start=Start.NOW,
        explanation="No.",
    )
    with pytest.raises(NotFound, match="was obtained here"):
        await shop.revocations.create(new, caller=stranger, now=shop.time())
    waiting = await shop.order()
    with pytest.raises(Conflict, match="has no certificate"):
        await revoke(shop, None, order_id=waiting.id)
    shop.time.passes(timedelta(days=91))
    with pytest.raises(Invalid, match="has ended"):
        await revoke(shop, fingerprint)
