"""Approvals, of whatever needs one: asked for, decided by people here or elsewhere, reminded of, and at an end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from shared.access import Principal
from shared.acting import also
from shared.approvals import (
    ApprovalState,
    Approver,
    Question,
    Rule,
    Verdict,
    check_decision,
    check_open,
    digest,
    outcome,
)
from shared.approvals.store import ApprovalColumns, ApprovalStore, DecisionColumns
from shared.errors import EverleafError, NotFound
from shared.events.approvals import ApprovalOutcome, Asked, Settled
from shared.events.notifier import ApprovalGranted, ApprovalRefused
from shared.ids import new_id
from shared.store import Database, Transaction
from shared.trace import trace_id

log = structlog.get_logger(__name__)

BY_API = "api"
NOT_NEEDED = "What was to be approved is not needed any more."
_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is to be approved: `document` is exactly what would be done, `requesters` have a part in it."""

    kind: str
    subject_id: str
    lineage_id: str
    document: Mapping[str, Any]
    rule: Rule
    requesters: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Word:
    """What somebody says on an approval."""

    verdict: Verdict
    digest: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long is waited for a decision, and between two reminders."""

    timeout: timedelta
    reminder: timedelta


class Subject(Protocol):
    """What waits for approvals of one kind."""

    async def is_waiting(self, tx: Transaction, subject_id: str) -> bool:
        """Return whether it still waits."""

    async def passed(self, tx: Transaction, subject_id: str, *, text: str, now: datetime) -> None:
        """Go on: enough people have agreed, or it is done without."""

    async def stopped(self, tx: Transaction, subject_id: str, *, reason: str, now: datetime) -> None:
        """Come to an end: it is not to be done."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """An approval and what was said."""

    row: ApprovalColumns
    decisions: Sequence[DecisionColumns]


@dataclass(frozen=True, kw_only=True)
class Words:
    """The events in which a service tells of what waits with it, and that it does not any more."""

    asked: type[Asked]
    settled: type[Settled]


class Approvals:
    """The verbs on approvals."""

    def __init__(
        self,
        database: Database,
        *,
        store: ApprovalStore,
        words: Words,
        subjects: Mapping[str, Subject],
        patience: Patience,
    ) -> None:
        self._database = database
        self._store = store
        self._words = words
        self._subjects = subjects
        self._patience = patience

    async def ask(self, tx: Transaction, ask: Ask, *, now: datetime) -> ApprovalColumns:
        """Ask for an approval, and tell who may give it."""
        row = self._store.approval(
            id=new_id(),
            kind=ask.kind,
            subject_id=ask.subject_id,
            lineage_id=ask.lineage_id,
            document=dict(ask.document),
            digest=digest(ask.document),
            needed=ask.rule.needed,
            approver_groups=list(ask.rule.groups),
            approver_roles=list(ask.rule.roles),
            requesters=list(dict.fromkeys(ask.requesters)),
            state=ApprovalState.OPEN,
            created_at=now,
            expires_at=now + self._patience.timeout,
            look_at=now + min(self._patience.reminder, self._patience.timeout),
        )
        tx.session.add(row)
        tx.emit(self._asked(row, granted=0), now=now)
        return row

    async def page(
        self,
        *,
        after: str | None,
        limit: int,
        caller: Principal,
        state: ApprovalState | None = None,
        is_inbox: bool = False,
    ) -> Sequence[ApprovalColumns]:
        """Return approvals that the caller sees, newest first, one more than `limit` where there are more.

        The inbox is what waits for the caller's own decision.
        """
        async with self._database.read() as session:
            return await self._store.page(
                session,
                after=after,
                limit=limit,
                scope=caller.scope,
                state=state,
                undecided_by=caller.id if is_inbox else None,
                roles=caller.roles,
            )

    async def get(self, approval_id: str, *, caller: Principal) -> Report:
        """Return an approval and what was said. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await session.get(self._store.approval, approval_id)
            if row is None or not (
                caller.sees(row.approver_groups) or await self._sees(session, row, caller=caller)
            ):
                raise _unknown(approval_id)
            return Report(row=row, decisions=await self._store.decisions_of(session, approval_id))

    async def decide(self, approval_id: str, word: Word, *, caller: Principal, now: datetime) -> Report:
        """Grant or refuse. Raises `NotFound`, and `Conflict` or `Forbidden` where the caller's word does not count.

        That it did not count is kept as well.
        """
        await self.get(approval_id, caller=caller)
        approver = Approver(id=caller.id, roles=caller.roles, scope=caller.scope)
        async with self._database.transaction() as tx:
            row = await self._held(tx, approval_id)
            error = await self._take(tx, row, word, by=approver, name=caller.name, means=BY_API, now=now)
        if error is not None:
            raise error
        return await self.get(approval_id, caller=caller)

    async def heard(
        self, tx: Transaction, told: ApprovalGranted | ApprovalRefused, *, verdict: Verdict, now: datetime
    ) -> None:
        """Take in what somebody has decided elsewhere; a word that does not count is kept, and changes nothing."""
        row = await self._store.held(tx, told.approval_id)
        if row is None:
            log.info("approval.not_ours", approval=told.approval_id, passed_on_by=told.passed_on_by)
            return
        approver = await self._outsider(tx, row, told)
        word = Word(verdict=verdict, digest=told.digest, reason=told.reason)
        means = f"event: {told.passed_on_by}"[:300]
        error = await self._take(tx, row, word, by=approver, name=told.name, means=means, now=now)
        if error is not None:
            log.warning("approval.not_counted", approval=row.id, by=told.decided_by, reason=error.detail)

    async def _outsider(
        self, tx: Transaction, row: ApprovalColumns, told: ApprovalGranted | ApprovalRefused
    ) -> Approver:
        """Return who has decided, with the limits of the one who has passed it on."""
        limits = Principal(id=told.decided_by, name=told.name, groups=frozenset(told.groups))
        is_seen = limits.sees(row.approver_groups) or await self._sees(tx.session, row, caller=limits)
        return Approver(id=told.decided_by, roles=told.roles, scope=limits.scope, is_outside=not is_seen)

    async def _take(
        self,
        tx: Transaction,
        row: ApprovalColumns,
        word: Word,
        *,
        by: Approver,
        name: str,
        means: str,
        now: datetime,
    ) -> EverleafError | None:
        """Keep what somebody says, and act on it where it counts; return why it does not."""
        also(approval_id=row.id, reason=word.reason, on_behalf_of=None if means == BY_API else by.id)
        said = await self._store.decisions_of(tx.session, row.id)
        question = Question(
            state=ApprovalState(row.state),
            digest=row.digest,
            requesters=row.requesters,
            rule=Rule(needed=row.needed, groups=row.approver_groups, roles=row.approver_roles),
            decided=[each.principal for each in said if each.is_counted],
        )
        error = None
        try:
            check_decision(by, question, digest=word.digest)
        except EverleafError as objection:
            error = objection
        decision = self._decision(row, word, principal=by.id, name=name, means=means, now=now)
        if error is not None:
            decision.is_counted, decision.objection = False, error.detail
        tx.session.add(decision)
        await tx.session.flush()
        if error is None:
            await self._weigh(tx, row, [*said, decision], now=now)
        return error

    async def override(self, approval_id: str, word: Word, *, caller: Principal, now: datetime) -> Report:
        """Do it without approval, in an emergency; on record as a decision, and with what was waiting.

        Whoever has asked for it may do so: that is what makes it an emergency measure. Raises `NotFound` or `Conflict`.
        """
        await self.get(approval_id, caller=caller)
        async with self._database.transaction() as tx:
            row = await self._held(tx, approval_id)
            also(approval_id=row.id)
            check_open(ApprovalState(row.state))
            said = [each for each in await self._store.decisions_of(tx.session, row.id) if each.is_counted]
            for each in said:
                each.is_counted = each.principal != caller.id  # the later word of the same person holds
            await tx.session.flush()
            decision = self._decision(row, word, principal=caller.id, name=caller.name, means=BY_API, now=now)
            decision.digest = row.digest
            tx.session.add(decision)
            await tx.session.flush()
            await self._weigh(tx, row, [*said, decision], now=now)
        log.warning("approval.overridden", approval=approval_id, by=caller.id, reason=word.reason)
        return await self.get(approval_id, caller=caller)

    async def _weigh(
        self, tx: Transaction, row: ApprovalColumns, said: Sequence[DecisionColumns], *, now: datetime
    ) -> None:
        counted = [each for each in said if each.is_counted]
        state = outcome([Verdict(each.verdict) for each in counted], needed=row.needed)
        if state is ApprovalState.OPEN:
            return
        last = counted[-1]
        texts = {
            ApprovalState.GRANTED: f"Approved by {', '.join(each.name for each in counted)}.",
            ApprovalState.REFUSED: f"{last.name} has refused it: {last.reason}",
            ApprovalState.OVERRIDDEN: f"Done without approval, on the word of {last.name}: {last.reason}",
        }
        await self._settle(tx, row, state, reason=texts[state], now=now)

    async def _settle(
        self, tx: Transaction, row: ApprovalColumns, state: ApprovalState, *, reason: str, now: datetime
    ) -> None:
        """End an approval, and let what has waited go on or come to its end."""
        subject = self._subjects[row.kind]
        if state is not ApprovalState.VOID and not await subject.is_waiting(tx, row.subject_id):
            state, reason = ApprovalState.VOID, NOT_NEEDED
        row.state, row.reason, row.decided_at, row.look_at = state, reason, now, None
        said = await self._store.decisions_of(tx.session, row.id)
        tx.emit(self._settled(row, [each.principal for each in said if each.is_counted], now=now), now=now)
        if state in (ApprovalState.GRANTED, ApprovalState.OVERRIDDEN):
            await subject.passed(tx, row.subject_id, text=reason, now=now)
        elif state in (ApprovalState.REFUSED, ApprovalState.EXPIRED):
            await subject.stopped(tx, row.subject_id, reason=reason, now=now)

    async def void(self, tx: Transaction, row: ApprovalColumns, *, reason: str, now: datetime) -> None:
        """Let an approval hold no more: what it was for is another thing now."""
        if row.state == ApprovalState.OPEN:
            await self._settle(tx, row, ApprovalState.VOID, reason=reason, now=now)
        else:
            row.state, row.reason = ApprovalState.VOID, reason

    async def sweep(self, tx: Transaction, lineage_id: str, *, now: datetime) -> None:
        """Void what waits for a decision on a lineage though nothing waits for it."""
        for row in await self._store.open_of(tx.session, lineage_id):
            if not await self._subjects[row.kind].is_waiting(tx, row.subject_id):
                await self.void(tx, row, reason=NOT_NEEDED, now=now)

    async def look_at_due(self, now: datetime) -> bool:
        """Remind of what waits, end what has waited for too long; return whether there may be more."""
        async with self._database.read() as session:
            if not await self._store.is_any_due(session, now):
                return False
        async with self._database.transaction() as tx:
            due = await self._store.due(tx, now=now, limit=_AT_ONCE)
            for row in due:
                await self._look_at(tx, row, now=now)
        return len(due) == _AT_ONCE

    async def _look_at(self, tx: Transaction, row: ApprovalColumns, *, now: datetime) -> None:
        if row.expires_at <= now:
            reason = f"Nobody has decided by {row.expires_at:%Y-%m-%d %H:%M} UTC."
            await self._settle(tx, row, ApprovalState.EXPIRED, reason=reason, now=now)
            return
        if not await self._subjects[row.kind].is_waiting(tx, row.subject_id):
            await self.void(tx, row, reason=NOT_NEEDED, now=now)
            return
        row.reminders += 1
        row.look_at = min(now + self._patience.reminder, row.expires_at)
        said = await self._store.decisions_of(tx.session, row.id)
        tx.emit(self._asked(row, granted=sum(each.is_counted for each in said)), now=now)

    async def _sees(self, session: AsyncSession, row: ApprovalColumns, *, caller: Principal) -> bool:
        return caller.scope is None or caller.sees(await self._store.lineages.of(session, row.lineage_id))

    async def _held(self, tx: Transaction, approval_id: str) -> ApprovalColumns:
        row = await self._store.held(tx, approval_id)
        if row is None:
            raise _unknown(approval_id)
        return row

    def _decision(
        self, row: ApprovalColumns, word: Word, *, principal: str, name: str, means: str, now: datetime
    ) -> DecisionColumns:
        return self._store.decision(
            id=new_id(),
            approval_id=row.id,
            principal=principal,
            name=name,
            verdict=word.verdict,
            reason=word.reason,
            digest=word.digest,
            means=means,
            is_counted=True,
            at=now,
            trace_id=trace_id(),
        )

    def _asked(self, row: ApprovalColumns, *, granted: int) -> Asked:
        return self._words.asked(
            approval_id=row.id,
            kind=row.kind,
            subject_id=row.subject_id,
            lineage_id=row.lineage_id,
            digest=row.digest,
            names=row.document["names"],
            summary=row.document["summary"],
            requested_by=", ".join(row.requesters),
            needed=row.needed,
            granted=granted,
            approver_groups=row.approver_groups,
            asked_at=row.created_at,
            expires_at=row.expires_at,
            reminder=row.reminders,
        )

    def _settled(self, row: ApprovalColumns, by: Sequence[str], *, now: datetime) -> Settled:
        return self._words.settled(
            approval_id=row.id,
            kind=row.kind,
            subject_id=row.subject_id,
            lineage_id=row.lineage_id,
            digest=row.digest,
            outcome=ApprovalOutcome(row.state),
            reason=row.reason or "",
            decided_by=list(by),
            settled_at=now,
        )


def _unknown(approval_id: str) -> NotFound:
    return NotFound(f"There is no approval {approval_id}.", next_step="List them with GET /v1/approvals.")
