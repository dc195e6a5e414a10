"""Rules: which alerts are told through which channels, as people want it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.exc import IntegrityError

from services.notifier import store
from shared.access import Principal
from shared.errors import Conflict, Fault, Invalid, NotFound, Stale
from shared.ids import new_id
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class RuleText:
    """What a rule says. No problems: all of them. Channels None: every enabled one."""

    name: str
    min_severity: str
    problems: Sequence[str]
    channels: Sequence[str] | None


class Rules:
    """The verbs on rules."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, text: RuleText, *, caller: Principal, now: datetime) -> store.Rule:
        """Make a rule. Raises `Invalid` for unknown channels, `Conflict` where the name is taken."""
        row = store.Rule(
            id=new_id(),
            name=text.name,
            min_severity=text.min_severity,
            problems=list(text.problems),
            channels=_listed(text.channels),
            created_at=now,
            created_by=caller.id,
            updated_at=now,
        )
        async with self._database.transaction() as tx:
            await _refuse_unknown(tx, text.channels)
            tx.session.add(row)
            await _flush(tx, name=text.name)
        return row

    async def replace(
        self, rule_id: str, *, text: RuleText, expected: int | None, caller: Principal, now: datetime
    ) -> store.Rule:
        """Let a rule say something else. Raises `NotFound`, `Stale`, `Invalid` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = _found(await store.held_rule(tx, rule_id))
            if expected is not None and expected != row.version:
                raise Stale("The rule was changed since you read it.", next_step="Read it again.")
            await _refuse_unknown(tx, text.channels)
            row.name, row.min_severity = text.name, text.min_severity
            row.problems, row.channels = list(text.problems), _listed(text.channels)
            row.version += 1
            row.updated_at = now
            await _flush(tx, name=text.name)
        log.info("rule.changed", rule=rule_id, by=caller.id)
        return row

    async def delete(self, rule_id: str, *, caller: Principal) -> None:
        """Take a rule away. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            await tx.session.delete(_found(await store.held_rule(tx, rule_id)))
        log.info("rule.removed", rule=rule_id, by=caller.id)

    async def page(self, *, after: str | None, limit: int) -> Sequence[store.Rule]:
        """Return up to `limit + 1` rules, newest first."""
        async with self._database.read() as session:
            return await store.rules_page(session, after=after, limit=limit)

    async def get(self, rule_id: str) -> store.Rule:
        """Return a rule. Raises `NotFound`."""
        async with self._database.read() as session:
            return _found(await session.get(store.Rule, rule_id))


def _listed(channels: Sequence[str] | None) -> list[str] | None:
    return None if channels is None else list(channels)


async def _refuse_unknown(tx: Transaction, channels: Sequence[str] | None) -> None:
    unknown = await store.unknown_channels(tx.session, channels or [])
    if unknown:
        raise Invalid(
            f"These are no channels: {', '.join(unknown)}.",
            next_step="Name channels by their ids, as GET /v1/channels lists them.",
            faults=[Fault(pointer="/body/channels", message="not a channel's id")],
        )


async def _flush(tx: Transaction, *, name: str) -> None:
    try:
        await tx.session.flush()
    except IntegrityError as error:
        raise Conflict(f"There is a rule named {name} already.", next_step="Choose another name.") from error


def _found(row: store.Rule | None) -> store.Rule:
    if row is None:
        raise NotFound("There is no such rule.", next_step="List them at GET /v1/rules.")
    return row
