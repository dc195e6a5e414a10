"""Approvals that targets want: one for each certificate and rule, of exactly what would be done on the rule's targets."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.actions.implementation import is_place_in, place_of, slots
from services.provisioner.domain import Hold, State
from services.provisioner.store.approvals import APPROVALS, Approval, Kind
from shared.approvals import ApprovalState, Rule
from shared.approvals.actions import Approvals, Ask
from shared.store import Transaction

_SUBJECTS = UUID("5d0a4f0e-3c55-4c0b-9c55-5f3a2b7c9e61")
_NEWER = "A newer certificate goes out instead."
_CHANGED = "What would be done has changed since it was asked for."


def subject_of(order_id: str, rule_id: str) -> str:
    """Return what is approved, as one id: the certificate of an order, on the targets of a rule."""
    return str(uuid5(_SUBJECTS, f"{order_id} {rule_id}"))


async def missing_rules(session: AsyncSession, row: store.Deployment) -> Sequence[store.ApprovalRule]:
    """Return the rules of a deployment's target by which it is not approved, as it would be done now."""
    target = await session.get_one(store.Target, row.target_id)
    rules = await store.rules_for(session, target)
    return [rule for rule in rules if not await _is_approved(session, row, rule)]


async def _is_approved(session: AsyncSession, row: store.Deployment, rule: store.ApprovalRule) -> bool:
    place = await place_of(session, row)
    passed = await store.passed_approvals(session, subject_of(row.order_id, rule.id))
    return any(is_place_in(approval.document, place) for approval in passed)


class Permits:
    """Asks for what targets want approved."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    async def ask(
        self, tx: Transaction, row: store.Deployment, rules: Sequence[store.ApprovalRule], *, now: datetime
    ) -> None:
        """Ask for what a deployment lacks, and in the same question for the others of its certificate that a rule is for."""
        for rule in rules:
            asked = await APPROVALS.latest(tx.session, Kind.DEPLOYMENTS, subject_of(row.order_id, rule.id))
            if asked is not None and asked.state == ApprovalState.OPEN:
                if is_place_in(asked.document, await place_of(tx.session, row)):
                    continue
                await self._approvals.void(tx, asked, reason=_CHANGED, now=now)
            await self._end_older(tx, row, rule, now=now)
            await self._ask(tx, row, rule, now=now)

    async def _end_older(
        self, tx: Transaction, row: store.Deployment, rule: store.ApprovalRule, *, now: datetime
    ) -> None:
        for asked in await store.open_approvals_of_rules(tx.session, lineage_id=row.lineage_id):
            if asked.document["rule_id"] == rule.id and asked.document["order_id"] != row.order_id:
                await self._approvals.void(tx, asked, reason=_NEWER, now=now)

    async def _ask(
        self, tx: Transaction, row: store.Deployment, rule: store.ApprovalRule, *, now: datetime
    ) -> None:
        renewal = await tx.session.get_one(store.Renewal, row.order_id)
        rows = [
            each
            for each, target in await store.not_begun_of_order(tx.session, row.order_id)
            if rule.is_for(target) and not await _is_approved(tx.session, each, rule)
        ]
        binders = [await tx.session.get(store.Binding, each.binding_id) for each in rows]
        requesters = [
            renewal.requested_by,
            rule.updated_by,
            *(binding.created_by for binding in binders if binding is not None),
        ]
        ask = Ask(
            kind=Kind.DEPLOYMENTS,
            subject_id=subject_of(row.order_id, rule.id),
            lineage_id=row.lineage_id,
            document=await _document(tx.session, rows, rule, renewal),
            rule=Rule(needed=rule.approvals_needed, groups=rule.approver_groups, roles=rule.approver_roles),
            requesters=[each for each in requesters if each],
        )
        await self._approvals.ask(tx, ask, now=now)


async def _document(
    session: AsyncSession,
    rows: Sequence[store.Deployment],
    rule: store.ApprovalRule,
    renewal: store.Renewal,
) -> dict[str, Any]:
    places = [place for row in rows if (place := await place_of(session, row)) is not None]
    names = ", ".join(renewal.names)
    return {
        "kind": Kind.DEPLOYMENTS,
        "rule_id": rule.id,
        "rule": rule.name,
        "order_id": renewal.order_id,
        "lineage_id": renewal.lineage_id,
        "names": renewal.names,
        "fingerprint": renewal.fingerprint,
        "replaces": renewal.old_fingerprint,
        "places": places,
        "summary": f"Put the certificate for {names} in place in {slots(places)}, as {rule.name} wants approved.",
    }


class WaitingDeployments:
    """The deployments that wait for what a rule wants approved."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring

    async def is_waiting(self, tx: Transaction, subject_id: str) -> bool:
        """Return whether any of them has not begun."""
        return bool(await self._waiting(tx, subject_id))

    async def passed(self, tx: Transaction, subject_id: str, *, text: str, now: datetime) -> None:
        """Let them begin."""
        for row in await self._waiting(tx, subject_id):
            if row.hold == Hold.APPROVAL:
                row.hold_reason, row.next_attempt_at = text, now
        tx.after_commit(self._ring)

    async def stopped(self, tx: Transaction, subject_id: str, *, reason: str, now: datetime) -> None:
        """Let them never begin; others of the same certificate go on."""
        for row in await self._waiting(tx, subject_id):
            store.finish(row, state=State.CANCELLED, now=now)
            row.reason = reason
            await tx.session.flush()
            await store.wake_those_after(tx, order_id=row.order_id, binding_id=row.binding_id, now=now)
        tx.after_commit(self._ring)

    @staticmethod
    async def _waiting(tx: Transaction, subject_id: str) -> list[store.Deployment]:
        asked = await APPROVALS.latest(tx.session, Kind.DEPLOYMENTS, subject_id)
        if not isinstance(asked, Approval):
            return []
        bindings = {place["binding_id"] for place in asked.document["places"]}
        found = await store.not_begun_of_order(tx.session, asked.document["order_id"])
        return [row for row, _ in found if row.binding_id in bindings]
