"""Which orders wait for an approval: each is looked at when its key and request are made, before anything goes outside."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from cryptography import x509

from services.renewal import store
from services.renewal.actions.outcomes import add_step, give_up
from services.renewal.actions.schedules import OURSELVES
from services.renewal.domain.approvals import Kind
from services.renewal.domain.campaigns import by_campaign
from services.renewal.domain.orders import State
from shared.acting import also
from shared.approvals import PASSED, ApprovalState, Rule, digest
from shared.approvals.actions import Approvals, Ask
from shared.store import Transaction
from shared.x509 import key_fingerprint

CHANGED = "What is to be ordered is not what was to be approved: it is asked for anew."


class WaitingOrders:
    """The orders that wait for an approval."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring

    async def is_waiting(self, tx: Transaction, subject_id: str) -> bool:
        """Return whether an order still waits."""
        return await self._waiting(tx, subject_id) is not None

    async def passed(self, tx: Transaction, subject_id: str, *, text: str, now: datetime) -> None:
        """Let the order be worked on."""
        order = await self._waiting(tx, subject_id)
        if order is not None:
            order.state, order.next_attempt_at = State.PENDING, now
            order.next_step = None
            add_step(tx, order, "approval", text, now=now)
            tx.after_commit(self._ring)

    async def stopped(self, tx: Transaction, subject_id: str, *, reason: str, now: datetime) -> None:
        """Let the order fail, and tell."""
        order = await self._waiting(tx, subject_id)
        if order is not None:
            what_to_do = "Settle it with who decides; then try the order again, and it is asked for anew."
            give_up(tx, order, reason=reason, what_to_do=what_to_do, now=now)

    @staticmethod
    async def _waiting(tx: Transaction, order_id: str) -> store.Order | None:
        order = await tx.session.get(store.Order, order_id, with_for_update=True)
        return order if order is not None and order.state == State.AWAITING_APPROVAL else None


class OrderGate:
    """Lets an order pass that needs no approval, or has it for the very bytes that would go out."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    async def lets_pass(self, tx: Transaction, order: store.Order, *, now: datetime) -> bool:
        """Return whether the order may go on; where not, it waits and its approvers are told."""
        if order.progress is not None:  # it has passed, with the key that it has, and is at the authority
            return True
        profile = await tx.session.get_one(store.Profile, order.profile_id)
        terms = await _terms(tx, order, profile)
        if profile.approvals_needed and not await self._is_approved(tx, order, profile, terms, now=now):
            return False
        order.terms = digest(terms)
        return True

    async def _is_approved(
        self,
        tx: Transaction,
        order: store.Order,
        profile: store.Profile,
        terms: dict[str, Any],
        *,
        now: datetime,
    ) -> bool:
        enrolment = await tx.session.get(store.Enrolment, order.lineage_id)
        if _is_automated(order) and await _is_unchanged(tx, order, terms):
            text = "Approved before: it is ordered by itself, on the terms of the certificate that it renews."
            add_step(tx, order, "approval", text, now=now)
            return True
        if as_planned := await _with_its_campaign(tx, order, profile):
            add_step(tx, order, "approval", as_planned, now=now)
            return True
        document = _document(order, terms)
        asked = await store.APPROVALS.latest(tx.session, Kind.ORDER, order.id)
        if asked is not None and asked.digest == digest(document):
            if asked.state in PASSED:
                also(approval_id=asked.id)
                return True
        elif asked is not None and asked.state in (*PASSED, ApprovalState.OPEN):
            await self._approvals.void(tx, asked, reason=CHANGED, now=now)
            add_step(tx, order, "approval", CHANGED, now=now)
        _wait(order)
        if asked is None or asked.state != ApprovalState.OPEN:
            ask = Ask(
                kind=Kind.ORDER,
                subject_id=order.id,
                lineage_id=order.lineage_id,
                document=document,
                rule=Rule(
                    needed=profile.approvals_needed,
                    groups=profile.approver_groups,
                    roles=profile.approver_roles,
                ),
                requesters=_requesters(order, enrolment),
            )
            await self._approvals.ask(tx, ask, now=now)
            text = f"It waits for {profile.approvals_needed} to approve it."
            add_step(tx, order, "approval", text, now=now)
        return False


async def _with_its_campaign(tx: Transaction, order: store.Order, profile: store.Profile) -> str | None:
    """Say so where the order is a part of a campaign that was approved, as it was planned."""
    found = await store.campaign_of_order(tx.session, order.id)
    if found is None:
        return None
    campaign, item = found
    if order.created_by != by_campaign(campaign.id) or item.profile_version != profile.version:
        return None
    approval = await store.APPROVALS.latest(tx.session, Kind.CAMPAIGN, campaign.id)
    if approval is None or approval.state not in PASSED:
        return None
    return f"Approved as a part of the campaign {campaign.name}."


def _wait(order: store.Order) -> None:
    order.state, order.next_attempt_at = State.AWAITING_APPROVAL, None
    order.next_step = "Have it approved: GET /v1/approvals shows what waits for whom."


def _is_automated(order: store.Order) -> bool:
    return order.created_by == OURSELVES


async def _is_unchanged(tx: Transaction, order: store.Order, terms: dict[str, Any]) -> bool:
    """Return whether the certificate that is renewed was ordered on the same terms."""
    before = await store.latest_order(tx.session, lineage_id=order.lineage_id, state=State.RENEWED)
    return before is not None and before.terms == digest(terms)


def _requesters(order: store.Order, enrolment: store.Enrolment | None) -> list[str]:
    """Return who has a part in it: for what is ordered by itself, who has said that and how it is to be."""
    if enrolment is None or not _is_automated(order):
        return [order.created_by]
    return [enrolment.created_by, *([enrolment.updated_by] if enrolment.updated_by else [])]


async def _terms(tx: Transaction, order: store.Order, profile: store.Profile) -> dict[str, Any]:
    """Return what stays the same from one automated renewal to the next; who is asked may fall back as the profile says."""
    return _terms_named(order, profile, authorities=await named_authorities(tx, profile))


async def named_authorities(tx: Transaction, profile: store.Profile) -> Mapping[str, str]:
    """Return the names of who may be asked for a profile, by their ids."""
    ids = {each for each in (profile.authority_id, profile.fallback_authority_id) if each is not None}
    return await store.names_of(tx.session, store.Authority, ids)


def terms_digest(order: store.Order, profile: store.Profile, *, authorities: Mapping[str, str]) -> str:
    """Return the digest of what stays the same from one automated renewal to the next."""
    return digest(_terms_named(order, profile, authorities=authorities))


def _terms_named(
    order: store.Order, profile: store.Profile, *, authorities: Mapping[str, str]
) -> dict[str, Any]:
    names = authorities
    fallback = profile.fallback_authority_id
    return {
        "lineage_id": order.lineage_id,
        "names": sorted(order.names),
        "authority": {"id": profile.authority_id, "name": names[profile.authority_id]},
        "fallback_authority": {"id": fallback, "name": names[fallback]} if fallback is not None else None,
        "profile": {
            "id": profile.id,
            "name": profile.name,
            "version": profile.version,
            "key_type": profile.key_type,
            "lifetime": profile.lifetime,
            "challenge": profile.challenge,
            "authority_profile": profile.authority_profile,
            "key_custody": profile.key_custody,
            "reuse_key": profile.reuse_key,
        },
    }


def _document(order: store.Order, terms: dict[str, Any]) -> dict[str, Any]:
    """Return exactly what would be done: the terms, this key, and whose place the certificate takes."""
    if order.csr is None:
        msg = "the request is made before anything is approved"
        raise ValueError(msg)
    key = x509.load_der_x509_csr(order.csr).public_key()
    names = ", ".join(sorted(order.names))
    return {
        **terms,
        "kind": Kind.ORDER,
        "order_id": order.id,
        "key_fingerprint": key_fingerprint(key),
        "replaces": order.old_fingerprint,
        "summary": f"Order a certificate for {names} from {order.authority}.",
    }
