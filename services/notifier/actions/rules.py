"""Rules: which alerts are told through which channels, as people want it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.exc import IntegrityError

from services.notifier import store
from services.notifier.actions.channels import channels_of
from services.notifier.domain.plans import Plan
from shared.access import Principal
from shared.errors import Conflict, Fault, Invalid, NotFound, Stale
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class RuleText:
    """What a rule says. No problems: all of them. Channels None: every enabled one. No groups: alerts in any."""

    name: str
    min_severity: str
    problems: Sequence[str]
    channels: Sequence[str] | None
    groups: Sequence[str] = ()
    plan: Plan = field(default_factory=Plan)

    @property
    def named(self) -> list[str]:
        """Return every channel that it names, at any level."""
        levels = [each for level in self.plan.escalation for each in level.channels or ()]
        return list(dict.fromkeys([*(self.channels or ()), *levels]))


class Rules:
    """The verbs on rules."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, text: RuleText, *, caller: Principal, now: datetime) -> store.Rule:
        """Make a rule. Raises `Invalid` for unknown channels, `Forbidden`, `Conflict` where the name is taken."""
        row = store.Rule(
            id=new_id(),
            name=text.name,
            min_severity=text.min_severity,
            problems=list(text.problems),
            channels=_listed(text.channels),
            plan=text.plan.model_dump(mode="json"),
            groups=listed(caller.grouped(text.groups)),
            created_at=now,
            created_by=caller.id,
            updated_at=now,
        )
        async with self._database.transaction() as tx:
            await _refuse_unknown(tx, text.named, caller=caller)
            tx.session.add(row)
            await _flush(tx, name=text.name)
            if text.plan.thresholds:
                await store.look_at_all_again(tx, now=now)
        return row

    async def replace(
        self, rule_id: str, *, text: RuleText, expected: int | None, caller: Principal, now: datetime
    ) -> store.Rule:
        """Let a rule say something else. Raises `NotFound`, `Stale`, `Invalid`, `Forbidden` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = _seen(await store.held_rule(tx, rule_id), caller=caller)
            if expected is not None and expected != row.version:
                raise Stale("The rule was changed since you read it.", next_step="Read it again.")
            # Another's channel that was named before may stay.
            named_anew = [each for each in text.named if each not in channels_of(row)]
            await _refuse_unknown(tx, named_anew, caller=caller)
            row.groups = listed(caller.grouped(text.groups, before=row.groups))
            row.name, row.min_severity = text.name, text.min_severity
            row.problems, row.channels = list(text.problems), _listed(text.channels)
            row.plan = text.plan.model_dump(mode="json")
            row.version += 1
            row.updated_at = now
            await _flush(tx, name=text.name)
            await store.look_at_all_again(tx, now=now)
        log.info("rule.changed", rule=rule_id, by=caller.id)
        return row

    async def delete(self, rule_id: str, *, caller: Principal) -> None:
        """Take a rule away. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            await tx.session.delete(_seen(await store.held_rule(tx, rule_id), caller=caller))
            await store.end_pursuits(tx, rule_ids=[rule_id])
            await store.forget_rule(tx, rule_id)
        log.info("rule.removed", rule=rule_id, by=caller.id)

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[store.Rule]:
        """Return up to `limit + 1` rules that the caller sees, newest first."""
        async with self._database.read() as session:
            return await store.rules_page(session, after=after, limit=limit, scope=caller.scope)

    async def get(self, rule_id: str, *, caller: Principal) -> store.Rule:
        """Return a rule. Raises `NotFound`."""
        async with self._database.read() as session:
            return _seen(await session.get(store.Rule, rule_id), caller=caller)


def _listed(channels: Sequence[str] | None) -> list[str] | None:
    return None if channels is None else list(channels)


async def _refuse_unknown(tx: Transaction, channels: Sequence[str], *, caller: Principal) -> None:
    unknown = await store.unknown_channels(tx.session, channels, scope=caller.scope)
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


def _seen(row: store.Rule | None, *, caller: Principal) -> store.Rule:
    if row is None or not caller.sees(row.groups):
        raise NotFound("There is no such rule.", next_step="List them at GET /v1/rules.")
    return row
