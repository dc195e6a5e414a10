"""Policies: those that come with the program and the organisation's own, switched on and off."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog

from services.inventory.domain.assessment.assess import RULES
from services.inventory.domain.assessment.policies import Document
from services.inventory.store import assessments, policies
from services.inventory.store.assessment_tables import PolicyRow
from services.inventory.store.locks import hold
from shared.access import Principal
from shared.errors import Conflict, Invalid, NotFound, Stale
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)
_SYSTEM = "everleaf"


class Policies:
    """The verbs on policies."""

    def __init__(self, database: Database, *, builtin: Mapping[str, Document]) -> None:
        self._database = database
        self._builtin = builtin

    async def prepare(self, *, now: datetime) -> None:
        """Bring the policies that come with the program up to date, and judge anew what was judged by other rules."""
        async with self._database.transaction() as tx:
            await hold(tx, "policies")
            known = await policies.builtin(tx.session)
            for policy_id, document in self._builtin.items():
                await _bring_up(tx, known.get(policy_id), policy_id, document, now=now)
            await assessments.make_all_due(tx, at=now, but_rules=RULES)

    async def create(
        self, policy_id: str, document: Document, *, caller: Principal, now: datetime
    ) -> PolicyRow:
        """Make a policy, which is off. Raises `Conflict` where the id is taken."""
        async with self._database.transaction() as tx:
            await hold(tx, "policies")
            if await policies.one(tx.session, policy_id) is not None:
                raise Conflict(f"There is a policy {policy_id} already.", next_step="Choose another id.")
            row = _new(policy_id, document, by=caller.id, now=now)
            tx.session.add(row)
        log.info("policy.made", policy=policy_id, by=caller.id)
        return row

    async def replace(
        self, policy_id: str, document: Document, *, expected: int, caller: Principal, now: datetime
    ) -> PolicyRow:
        """Let an own policy say something else. Raises `NotFound`, `Invalid` or `Stale`."""
        async with self._database.transaction() as tx:
            row = _found(await policies.held(tx, policy_id), policy_id)
            if row.is_builtin:
                raise Invalid(
                    "This policy comes with Everleaf and is changed by nobody else.",
                    next_step="Make one of your own from its rules, and switch that on instead.",
                )
            if row.version != expected:
                raise Stale("The policy was changed since you read it.", next_step="Read it again.")
            await _rewrite(tx, row, document, by=caller.id, now=now)
        log.info("policy.changed", policy=policy_id, version=row.version, by=caller.id)
        return row

    async def switch(self, policy_id: str, *, is_on: bool, caller: Principal, now: datetime) -> PolicyRow:
        """Switch a policy on or off: every place is then judged anew. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            row = _found(await policies.held(tx, policy_id), policy_id)
            if row.is_enabled != is_on:
                row.is_enabled = is_on
                row.updated_at, row.updated_by = now, caller.id
                await tx.session.flush()
                if is_on:
                    await assessments.make_all_due(tx, at=now)
                log.info("policy.switched", policy=policy_id, is_on=is_on, by=caller.id)
        return row

    async def page(self, *, after: str | None, limit: int) -> Sequence[PolicyRow]:
        """Return `limit + 1` policies, by their ids."""
        async with self._database.read() as session:
            return await policies.page(session, after=after, limit=limit)

    async def get(self, policy_id: str) -> PolicyRow:
        """Return a policy. Raises `NotFound`."""
        async with self._database.read() as session:
            return _found(await policies.one(session, policy_id), policy_id)


async def _bring_up(
    tx: Transaction, row: PolicyRow | None, policy_id: str, document: Document, *, now: datetime
) -> None:
    if row is None:
        row = _new(policy_id, document, by=_SYSTEM, now=now)
        row.is_builtin = True
        tx.session.add(row)
    elif Document.model_validate(row.document) != document:
        await _rewrite(tx, row, document, by=_SYSTEM, now=now)


def _new(policy_id: str, document: Document, *, by: str, now: datetime) -> PolicyRow:
    return PolicyRow(
        id=policy_id,
        title=document.title,
        document=document.model_dump(mode="json"),
        created_at=now,
        created_by=by,
        updated_at=now,
        updated_by=by,
    )


async def _rewrite(tx: Transaction, row: PolicyRow, document: Document, *, by: str, now: datetime) -> None:
    row.title, row.document = document.title, document.model_dump(mode="json")
    row.version += 1
    row.updated_at, row.updated_by = now, by
    await tx.session.flush()
    if row.is_enabled:
        await assessments.make_all_due(tx, at=now)


def _found(row: PolicyRow | None, policy_id: str) -> PolicyRow:
    if row is None:
        raise NotFound(f"There is no policy {policy_id}.", next_step="List them with GET /v1/policies.")
    return row
