"""Tickets: what people do with them in outside systems is looked at, noted, and passed on where it is a decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from services.notifier import store
from services.notifier.actions import turns
from services.notifier.actions.channels import Channels
from services.notifier.actions.hooks import Passed, channel_seal, pass_on
from services.notifier.connectors import LooksUp
from services.notifier.domain.alerts import AlertState, Details
from services.notifier.domain.notices import Turn
from services.notifier.domain.text import clean
from services.notifier.domain.tickets import Decision, Seen, Ticket, TicketState, news, undecided
from shared.access import Principal
from shared.errors import EverleafError
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)

_MOST_WORDS = 2000


@dataclass(frozen=True, kw_only=True)
class Look:
    """A ticket that is to be looked at."""

    alert_id: str
    ticket: Ticket
    channel: store.Channel


class Tickets:
    """The verbs on tickets."""

    def __init__(self, database: Database, *, channels: Channels, every: timedelta) -> None:
        self._database = database
        self._channels = channels
        self._every = every

    async def page(
        self, *, only: Mapping[str, str], after: Sequence[str], limit: int, caller: Principal
    ) -> Sequence[store.KeptTicket]:
        """Return up to `limit + 1` tickets that the caller sees, the newest alert's first."""
        async with self._database.read() as session:
            return await store.tickets_page(session, only=only, after=after, limit=limit, scope=caller.scope)

    async def claim(self, *, now: datetime) -> Look | None:
        """Take a ticket that is due to be looked at, or return None."""
        async with self._database.read() as session:
            if not await store.is_any_ticket_due(session, now):
                return None
        async with self._database.transaction() as tx:
            row = await store.claim_ticket(tx, every=self._every, now=now)
            if row is None:
                return None
            channel = await tx.session.get_one(store.Channel, row.channel_id)
            return Look(alert_id=row.alert_id, ticket=row.told(), channel=channel)

    async def look(self, look: Look, *, now: datetime) -> Seen | None:
        """Look at it; None where it is not to be seen now, or ever. Whatever goes wrong is no error of ours."""
        try:
            channel = self._channels.opened(look.channel)
            return await channel.look(look.ticket, now=now) if isinstance(channel, LooksUp) else None
        except EverleafError as error:
            log.warning("ticket.unseen", ticket=look.ticket.key, channel=look.channel.id, reason=error.detail)
        except Exception:
            log.exception("ticket.broken", ticket=look.ticket.key, channel=look.channel.id)
        return None

    async def take(self, look: Look, seen: Seen, *, now: datetime) -> None:
        """Take in what became of it: closed by hand is a note, a decision is passed on. Only observation ends an alert."""
        async with self._database.transaction() as tx:
            alert = await tx.session.get(store.Alert, look.alert_id)
            if alert is None:
                return
            await store.lock_subject(tx, alert.subject, name=None, now=now)
            await tx.session.refresh(alert)
            row = await tx.session.get_one(
                store.KeptTicket, (look.alert_id, look.channel.id), populate_existing=True
            )
            if alert.state != AlertState.OPEN:
                return
            if (text := news(TicketState(row.state), seen, key=row.key)) is not None:
                await _note(tx, alert, text, now=now)
            row.state, row.words = seen.state, clean(seen.words)
            row.updated_at = now
            await self._pass_on(tx, alert, row, seen, channel=look.channel, now=now)

    async def _pass_on(
        self,
        tx: Transaction,
        alert: store.Alert,
        row: store.KeptTicket,
        seen: Seen,
        *,
        channel: store.Channel,
        now: datetime,
    ) -> None:
        details = Details.model_validate(alert.details)
        hooks = await store.hooks_of_channel(tx.session, channel.id)
        if details.approval_id is None or row.digest is None or not hooks:
            return
        for decision in undecided(seen, passed=tuple(row.passed)):
            passed = _passed(decision, approval_id=details.approval_id, digest=row.digest)
            refused = await _by_one_of(tx, hooks, passed, seal=channel_seal(channel), now=now)
            if refused is not None:
                text = f"What {clean(decision.decided_by)} has decided in {row.key} does not count: {refused}"
                await _note(tx, alert, text, now=now)
            row.passed = [*row.passed, decision.id]


async def _by_one_of(
    tx: Transaction, hooks: Sequence[store.ApprovalHook], passed: Passed, *, seal: str, now: datetime
) -> str | None:
    """Pass a decision on by the first hook that takes it; return why none does."""
    refused = "the channel was changed since the hook was made. Make the hook again."
    for hook in hooks:
        if hook.channel_seal != seal:
            continue
        try:
            await pass_on(tx, hook, passed, now=now)
        except EverleafError as error:
            refused = error.detail
        else:
            return None
    return refused


def _passed(decision: Decision, *, approval_id: str, digest: str) -> Passed:
    return Passed(
        is_granted=decision.is_granted,
        approval_id=approval_id,
        digest=digest,
        decided_by=decision.decided_by,
        reason=decision.reason,
    )


async def _note(tx: Transaction, alert: store.Alert, text: str, *, now: datetime) -> None:
    await turns.take_turn(tx, alert, turn=Turn.NOTED, text=clean(text, most=_MOST_WORDS), now=now)
