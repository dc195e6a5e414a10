"""The verbs on rollout policies: how the certificates of a lineage go out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from services.provisioner import store
from services.provisioner.actions.scopes import require_lineage
from shared.access import Principal
from shared.errors import NotFound
from shared.http import check_if_match
from shared.store import Database


@dataclass(frozen=True, kw_only=True)
class Policy:
    """First to so many, then to a share (in %), then to the rest; times in seconds."""

    canaries: int
    share: int
    soak: int
    stop_after: int
    watch: int
    approvals_needed: int
    approver_groups: list[str]
    approver_roles: list[str]


class Policies:
    """How certificates go out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(
        self, lineage_id: str, policy: Policy, *, if_match: str | None, caller: Principal, now: datetime
    ) -> store.RolloutPolicy:
        """Say how the next certificates of a lineage go out. Raises `NotFound` or `Stale`."""
        async with self._database.transaction() as tx:
            await require_lineage(tx.session, lineage_id, caller=caller)
            row = await tx.session.get(store.RolloutPolicy, lineage_id, with_for_update=True)
            if row is None:
                row = store.RolloutPolicy(
                    lineage_id=lineage_id, **asdict(policy), updated_at=now, updated_by=caller.id
                )
                tx.session.add(row)
                return row
            check_if_match(if_match, version=row.version)
            for name, value in asdict(policy).items():
                setattr(row, name, value)
            row.version += 1
            row.updated_at, row.updated_by = now, caller.id
        return row

    async def page(
        self, *, after: str | None, limit: int, caller: Principal
    ) -> Sequence[store.RolloutPolicy]:
        """Return policies that the caller sees, by lineage, one more than `limit` where there are more."""
        async with self._database.read() as session:
            return await store.rollout_policies(session, after=after, limit=limit, scope=caller.scope)

    async def get(self, lineage_id: str, *, caller: Principal) -> store.RolloutPolicy:
        """Return the policy of a lineage. Raises `NotFound`."""
        async with self._database.read() as session:
            await require_lineage(session, lineage_id, caller=caller)
            row = await session.get(store.RolloutPolicy, lineage_id)
            if row is None:
                raise _none(lineage_id)
            return row

    async def delete(self, lineage_id: str, *, caller: Principal) -> None:
        """Let the next certificates go out at once, everywhere. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            await require_lineage(tx.session, lineage_id, caller=caller)
            row = await tx.session.get(store.RolloutPolicy, lineage_id, with_for_update=True)
            if row is None:
                raise _none(lineage_id)
            await tx.session.delete(row)


def _none(lineage_id: str) -> NotFound:
    return NotFound(
        f"The lineage {lineage_id} has no rollout policy.",
        next_step="Make one with PUT /v1/rollout-policies/{lineage_id}.",
    )
