"""The verbs on the approvals that targets want: say so, look at it, change it, take it back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.provisioner import store
from services.provisioner.actions.scopes import Scope, require_scope, sees_scope
from shared.access import Principal
from shared.approvals.actions import Approvals
from shared.errors import NotFound
from shared.http import check_if_match
from shared.ids import new_id
from shared.store import Database, Transaction


@dataclass(frozen=True, kw_only=True)
class NewRule:
    """So many people have to agree to what is put in place on these targets."""

    name: str
    scope: Scope
    approvals_needed: int
    approver_groups: Sequence[str] = ()
    approver_roles: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class RuleChange:
    """What is to be changed; None leaves it as it is. For which targets it is stays."""

    name: str | None = None
    approvals_needed: int | None = None
    approver_groups: Sequence[str] | None = None
    approver_roles: Sequence[str] | None = None


class ApprovalRules:
    """Which targets are changed only when people have agreed."""

    def __init__(self, database: Database, *, approvals: Approvals, ring: Callable[[], None]) -> None:
        self._database = database
        self._approvals = approvals
        self._ring = ring

    async def create(self, new: NewRule, *, caller: Principal, now: datetime) -> store.ApprovalRule:
        """Have what is put in place there approved, from now on. Raises `Invalid`, `NotFound` or `Forbidden`."""
        row = store.ApprovalRule(
            id=new_id(),
            name=new.name,
            target_id=new.scope.target_id,
            group=new.scope.group,
            approvals_needed=new.approvals_needed,
            approver_groups=list(new.approver_groups),
            approver_roles=list(new.approver_roles),
            created_at=now,
            updated_at=now,
            updated_by=caller.id,
        )
        async with self._database.transaction() as tx:
            await require_scope(tx.session, new.scope, caller=caller)
            tx.session.add(row)
        return row

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[store.ApprovalRule]:
        """Return rules that the caller sees, newest first, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.approval_rules(session, after=after, limit=limit, scope=caller.scope)

    async def get(self, rule_id: str, *, caller: Principal) -> store.ApprovalRule:
        """Return a rule. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.get(store.ApprovalRule, rule_id)
            return await _seen(session, row, rule_id, caller=caller)

    async def change(
        self, rule_id: str, change: RuleChange, *, if_match: str | None, caller: Principal, now: datetime
    ) -> store.ApprovalRule:
        """Change a rule: what waits for it is asked for anew, on its new terms. Raises `NotFound`, `Forbidden` or `Stale`."""
        async with self._database.transaction() as tx:
            row = await self._to_change(tx, rule_id, caller=caller)
            check_if_match(if_match, version=row.version)
            row.name = change.name or row.name
            row.approvals_needed = change.approvals_needed or row.approvals_needed
            if change.approver_groups is not None:
                row.approver_groups = list(change.approver_groups)
            if change.approver_roles is not None:
                row.approver_roles = list(change.approver_roles)
            row.version += 1
            row.updated_at, row.updated_by = now, caller.id
            await self._let_go(tx, rule_id, reason=f"{caller.name} has changed the rule.", now=now)
        return row

    async def delete(self, rule_id: str, *, caller: Principal, now: datetime) -> None:
        """Take a rule back: what has waited for it goes on. Raises `NotFound` or `Forbidden`."""
        async with self._database.transaction() as tx:
            row = await self._to_change(tx, rule_id, caller=caller)
            await tx.session.delete(row)
            await self._let_go(tx, rule_id, reason=f"{caller.name} has taken the rule back.", now=now)

    async def _to_change(self, tx: Transaction, rule_id: str, *, caller: Principal) -> store.ApprovalRule:
        held = await tx.session.get(store.ApprovalRule, rule_id, with_for_update=True)
        row = await _seen(tx.session, held, rule_id, caller=caller)
        await require_scope(tx.session, _scope(row), caller=caller)
        return row

    async def _let_go(self, tx: Transaction, rule_id: str, *, reason: str, now: datetime) -> None:
        for asked in await store.open_approvals_of_rules(tx.session):
            if asked.document["rule_id"] == rule_id:
                await self._approvals.void(tx, asked, reason=reason, now=now)
        await store.wake_those_unapproved(tx, now=now)
        tx.after_commit(self._ring)


def _scope(row: store.ApprovalRule) -> Scope:
    return Scope(target_id=row.target_id, group=row.group)


async def _seen(
    session: AsyncSession, row: store.ApprovalRule | None, rule_id: str, *, caller: Principal
) -> store.ApprovalRule:
    if row is None or not await sees_scope(session, _scope(row), caller=caller):
        raise NotFound(
            f"There is no approval rule {rule_id}.", next_step="List them with GET /v1/approval-rules."
        )
    return row
