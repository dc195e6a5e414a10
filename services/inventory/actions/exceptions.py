"""Exceptions: asked for by one, approved or refused by another, and over at their end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.inventory.domain.assessment.exceptions import (
    ExceptionState,
    ScopeKind,
    check_decision,
    check_end,
)
from services.inventory.store import assessments, lifting, policies
from services.inventory.store.assessment_tables import ExceptionRow
from services.inventory.store.visibility import Scope
from shared.access import Principal, known
from shared.errors import Conflict, Fault, Invalid, Stale
from shared.ids import new_id
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class NewException:
    """What is asked for."""

    policy_id: str
    rule_id: str
    scope: ScopeKind
    value: str
    reason: str
    ends_at: datetime


class Exceptions:
    """The verbs on exceptions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def request(self, new: NewException, *, caller: Principal, now: datetime) -> ExceptionRow:
        """Ask for an exception, which holds for nobody yet. Raises `Invalid`."""
        check_end(new.ends_at, now=now)
        row = ExceptionRow(
            id=new_id(),
            policy_id=new.policy_id,
            rule_id=new.rule_id,
            scope=new.scope,
            scope_value=new.value,
            reason=new.reason,
            ends_at=new.ends_at,
            state=ExceptionState.REQUESTED,
            requested_by=caller.id,
            requested_by_name=caller.name,
            requested_at=now,
        )
        async with self._database.transaction() as tx:
            await _check_rule(tx, new)
            await lifting.check_scope(tx.session, new.scope, new.value, scope=caller.scope, now=now)
            tx.session.add(row)
        log.info(
            "exception.requested", exception=row.id, policy=new.policy_id, rule=new.rule_id, by=caller.id
        )
        return row

    async def decide(
        self, exception_id: str, *, is_approved: bool, expected: int, caller: Principal, now: datetime
    ) -> ExceptionRow:
        """Approve or refuse. Raises `NotFound`, `Forbidden` for who has asked, `Conflict` and `Invalid`."""
        async with self._database.transaction() as tx:
            row = await _held(tx, exception_id, scope=caller.scope, expected=expected)
            check_decision(row.state, requested_by=row.requested_by, decided_by=caller.id)
            if is_approved and row.ends_at <= now:
                raise Invalid("The exception would have ended already.", next_step="Ask for a new one.")
            row.state = ExceptionState.APPROVED if is_approved else ExceptionState.REFUSED
            await _decided(tx, row, caller=caller, now=now)
        log.info("exception.decided", exception=row.id, state=row.state, by=caller.id)
        return row

    async def withdraw(
        self, exception_id: str, *, expected: int, caller: Principal, now: datetime
    ) -> ExceptionRow:
        """End an exception, or the wish for it, before its time. Raises `NotFound` and `Conflict`."""
        async with self._database.transaction() as tx:
            row = await _held(tx, exception_id, scope=caller.scope, expected=expected)
            if row.state not in (ExceptionState.REQUESTED, ExceptionState.APPROVED):
                raise Conflict(
                    f"The exception is {row.state} already.", next_step="There is nothing to withdraw."
                )
            row.state = ExceptionState.WITHDRAWN
            await _decided(tx, row, caller=caller, now=now)
        log.info("exception.withdrawn", exception=row.id, by=caller.id)
        return row

    async def get(self, exception_id: str, *, scope: Scope) -> ExceptionRow:
        """Return an exception. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await policies.exception(session, exception_id, scope=scope)
        return known(row, what="exception", name=exception_id)

    async def page(
        self, *, scope: Scope, policy: str | None, state: str | None, after: str | None, limit: int
    ) -> Sequence[ExceptionRow]:
        """Return `limit + 1` exceptions, newest first."""
        async with self._database.read() as session:
            return await policies.exceptions_page(
                session, scope=scope, policy=policy, state=state, after=after, limit=limit
            )


async def _check_rule(tx: Transaction, new: NewException) -> None:
    row = await policies.one(tx.session, new.policy_id)
    if row is None:
        raise Invalid(
            f"There is no policy {new.policy_id}.",
            next_step="Name one of GET /v1/policies.",
            faults=[Fault(pointer="/body/policy_id", message="no policy")],
        )
    document = policies.as_policy(row).document
    if document.rule(new.rule_id) is None:
        raise Invalid(
            f"The policy {new.policy_id} has no rule {new.rule_id}.",
            next_step=f"Name one of its rules: {', '.join(rule.id for rule in document.rules)}.",
            faults=[Fault(pointer="/body/rule_id", message="no rule of this policy")],
        )


async def _held(tx: Transaction, exception_id: str, *, scope: Scope, expected: int) -> ExceptionRow:
    row = known(
        await policies.held_exception(tx, exception_id, scope=scope), what="exception", name=exception_id
    )
    if row.version != expected:
        raise Stale("The exception was changed since you read it.", next_step="Read it again.")
    return row


async def _decided(tx: Transaction, row: ExceptionRow, *, caller: Principal, now: datetime) -> None:
    row.decided_by, row.decided_by_name, row.decided_at = caller.id, caller.name, now
    row.version += 1
    await tx.session.flush()
    await assessments.make_failing_due(tx, row.policy_id, at=now)
