"""Deliveries: claimed, sent, and their outcome remembered; what fails is tried again by schedule.

An attempt is counted, and the delivery leased, before anything is sent: after a `kill -9` the lease
runs out and the same notice, with the same id, goes out again.
"""

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from services.notifier import store
from services.notifier.actions import turns
from services.notifier.actions.channels import Channels
from services.notifier.connectors import Audience, Delivered, Later, LooksUp, Never, Progress, Sent
from services.notifier.connectors.registry import channel_kind
from services.notifier.domain.alerts import Details
from services.notifier.domain.deliveries import LONGEST_WAIT, DeliveryState, next_attempt, rested
from services.notifier.domain.digests import Digest
from services.notifier.domain.evidence import channel_subject, of_dead_channel
from services.notifier.domain.notices import Notice, Turn
from shared.access import Principal
from shared.audit import Change
from shared.errors import Conflict, NotFound
from shared.events.notifier import Severity
from shared.store import Database, Transaction
from shared.telemetry import ALERTS_TOLD

log = structlog.get_logger(__name__)
TOLD_AS_THEY_ARE = (Turn.OPENED, Turn.RAISED, Turn.ACKNOWLEDGED, Turn.RESOLVED)
"""Channels know these; whatever else is told of an alert is one of them to whom it is told."""

MOST = 100
"""Deliveries that are claimed in one transaction."""


def _one(_channel_id: str) -> int:
    return 1


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When failed deliveries are tried again, and from when on their channel is reported."""

    waits: tuple[timedelta, ...]
    report_after: int
    lease: timedelta


@dataclass(frozen=True, kw_only=True)
class Job:
    """A claimed delivery, with all that sending it takes."""

    delivery_id: str
    attempts: int
    claimed_at: datetime
    channel: store.Channel
    notice: Notice
    progress: Progress
    audience: Audience
    is_digest: bool = False


class Deliveries:
    """The verbs on deliveries."""

    def __init__(
        self, database: Database, *, channels: Channels, schedule: Schedule, portal_url: str | None
    ) -> None:
        self._database = database
        self._channels = channels
        self._schedule = schedule
        self._portal_url = portal_url
        self._was_any_due = False

    async def recover(self) -> None:
        """Take up at once what a process that has died was sending. Only SQLite has just one process."""
        if self._database.is_sqlite:
            async with self._database.transaction() as tx:
                await store.end_all_leases(tx)

    async def claim(
        self, *, busy: Collection[str], now: datetime, room: Callable[[str], int] = _one
    ) -> Sequence[Job]:
        """Take due deliveries through channels that are not busy, up to `room` through each; none where none is due.

        Through a channel with a pace it is one at a time.
        """
        # Where one was due there are often more: who looks first, so as to hold no lock for nothing, asks twice then.
        if not self._was_any_due and not await self._is_any_due(now, busy=busy):
            return ()
        async with self._database.transaction() as tx:
            due = await store.due_by_channel(tx, busy=busy, most=MOST, now=now)
            self._was_any_due = bool(due)
            channels = await store.channels_of(tx.session, due)
            mine = [
                delivery_id
                for channel in channels.values()
                for delivery_id in await _share(tx, channel, due[channel.id], room=room, now=now)
            ]
            claimed = await store.claim(tx, mine, until=now + self._schedule.lease) if mine else ()
            return await self._jobs(tx, claimed, channels=channels, now=now)

    async def _is_any_due(self, now: datetime, *, busy: Collection[str]) -> bool:
        async with self._database.read() as session:
            return await store.is_any_due(session, now, busy=busy)

    async def _jobs(
        self,
        tx: Transaction,
        claimed: Sequence[store.Delivery],
        *,
        channels: Mapping[str, store.Channel],
        now: datetime,
    ) -> list[Job]:
        alerts = {each.alert_id for each in claimed if each.alert_id is not None}
        told = await store.turns_of(tx.session, claimed)
        tickets = await store.tickets_of(tx.session, alerts)
        return [
            Job(
                delivery_id=delivery.id,
                attempts=delivery.attempts,
                claimed_at=now,
                channel=channels[delivery.channel_id],
                notice=await self._notice(tx, delivery, told),
                progress=Progress(
                    told=tuple(delivery.told),
                    refused=delivery.refused,
                    ticket=tickets.get((delivery.alert_id or "", delivery.channel_id)),
                ),
                audience=Audience(is_own=delivery.is_own, addressed=tuple(delivery.addressed)),
                is_digest=delivery.digest is not None,
            )
            for delivery in claimed
        ]

    async def _notice(
        self,
        tx: Transaction,
        delivery: store.Delivery,
        told: Mapping[tuple[str, int], tuple[store.Alert, store.Entry]],
    ) -> Notice:
        if delivery.alert_id is None:
            return Digest.model_validate(delivery.digest).notice(
                delivery.id, link=_link(self._portal_url, "alerts?state=open")
            )
        alert, entry = told[delivery.alert_id, delivery.number]
        turn = Turn(entry.turn)
        if turn not in TOLD_AS_THEY_ARE:
            # To a channel that has heard nothing of it, it is opened now.
            is_known = await store.was_told_before(tx.session, delivery)
            turn = Turn.RAISED if is_known else Turn.OPENED
        link = _link(self._portal_url, f"alerts/{alert.id}")
        return _notice(delivery.id, alert=alert, entry=entry, turn=turn, link=link)

    def is_late(self, job: Job, *, now: datetime) -> bool:
        """Return whether so much of a lease is gone that sending now could take longer than what is left of it."""
        return now > job.claimed_at + self._schedule.lease / 4

    async def send(self, job: Job, *, now: datetime) -> Sent:
        """Send it once."""
        return await self._channels.send(
            job.channel, job.notice, progress=job.progress, audience=job.audience, now=now
        )

    async def record(
        self, channel: store.Channel, outcomes: Sequence[tuple[Job, Sent | None]], *, now: datetime
    ) -> None:
        """Remember what became of deliveries through one channel; nothing where another process has taken one up meanwhile.

        None: it was not tried, and is due again.
        """
        async with self._database.transaction() as tx:
            # First of all locks, in every transaction that takes several.
            await store.lock_subject(tx, channel_subject(channel.id), name=channel.name, now=now)
            ours = await store.still_ours(tx, {job.delivery_id: job.attempts for job, _ in outcomes})
            is_alive: bool | None = None  # as the alert about the channel says it, once this transaction has
            for job, sent in outcomes:
                delivery = ours.get(job.delivery_id)
                if delivery is None:
                    log.warning("delivery.overtaken", delivery=job.delivery_id)
                    continue
                delivery.lease_until = None
                if sent is None:
                    delivery.attempts -= 1
                    continue
                if isinstance(sent, Delivered) and is_alive is not True:
                    await turns.clear_channel(tx, channel, answer=sent.answer, now=now)
                    is_alive = True
                await self._settle(tx, delivery, job=job, sent=sent, now=now)
                if not isinstance(sent, Delivered) and is_alive is not False and self._tells(delivery):
                    await _report(tx, job, reason=sent.reason, now=now)
                    is_alive = False

    def _tells(self, delivery: store.Delivery) -> bool:
        """Return whether what became of a delivery that was not taken is reason to report its channel."""
        has_failed = delivery.state == DeliveryState.FAILED
        return has_failed or delivery.attempts >= self._schedule.report_after

    async def _settle(
        self, tx: Transaction, delivery: store.Delivery, *, job: Job, sent: Sent, now: datetime
    ) -> None:
        delivery.told = list(sent.progress.told)
        delivery.refused = dict(sent.progress.refused)
        await _keep_ticket(tx, job, sent=sent, now=now)
        match sent:
            case Delivered():
                await self._delivered(tx, delivery, job=job, sent=sent, now=now)
            case Later():
                await self._postponed(tx, delivery, job=job, sent=sent, now=now)
            case Never():
                await self._refused(tx, delivery, job=job, sent=sent, now=now)

    async def _delivered(
        self, tx: Transaction, delivery: store.Delivery, *, job: Job, sent: Delivered, now: datetime
    ) -> None:
        delivery.state = DeliveryState.DELIVERED
        delivery.answer = sent.answer
        delivery.delivered_at = now
        took = (now - delivery.created_at).total_seconds()
        tx.after_commit(partial(ALERTS_TOLD.labels(job.channel.kind).observe, took))
        delivery.next_attempt_at = None
        await _settle_gathered(tx, job, DeliveryState.DELIVERED, text=sent.answer, now=now)

    async def _postponed(
        self, tx: Transaction, delivery: store.Delivery, *, job: Job, sent: Later, now: datetime
    ) -> None:
        delivery.last_error = sent.reason
        if sent.retry_after is not None:
            # The other side asks for it of us, and not of this one delivery.
            await store.rest(tx, job.channel.id, until=now + min(sent.retry_after, LONGEST_WAIT))
        delivery.next_attempt_at = next_attempt(
            delivery.attempts,
            waits=self._schedule.waits,
            retry_after=sent.retry_after,
            jitter=random.random(),  # noqa: S311 - it spreads load and protects nothing
            now=now,
        )
        if delivery.next_attempt_at is None:
            delivery.state = DeliveryState.FAILED
            await _settle_gathered(tx, job, DeliveryState.FAILED, text=sent.reason, now=now)

    async def _refused(
        self, tx: Transaction, delivery: store.Delivery, *, job: Job, sent: Never, now: datetime
    ) -> None:
        delivery.state = DeliveryState.FAILED
        delivery.last_error = sent.reason
        delivery.next_attempt_at = None
        await _settle_gathered(tx, job, DeliveryState.FAILED, text=sent.reason, now=now)
        if sent.is_gone:
            channel = await tx.session.get_one(store.Channel, job.channel.id)
            channel.enabled, channel.disabled_because = False, sent.reason
            channel.version += 1
            channel.updated_at = now
            await tx.session.flush()
            await store.give_up_pending(tx, channel_id=channel.id, reason=sent.reason)

    async def page(
        self, *, only: Mapping[str, str], after: str | None, limit: int, caller: Principal
    ) -> Sequence[store.Delivery]:
        """Return up to `limit + 1` deliveries that the caller sees, newest first."""
        async with self._database.read() as session:
            return await store.deliveries_page(
                session, only=only, after=after, limit=limit, scope=caller.scope
            )

    async def retry(self, delivery_id: str, *, caller: Principal, now: datetime) -> store.Delivery:
        """Let a delivery be tried at once, and again by the whole schedule. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = await store.held_delivery(tx, delivery_id)
            is_seen = await store.is_delivery_within(tx.session, delivery_id, scope=caller.scope)
            if row is None or not is_seen:
                raise NotFound("There is no such delivery.", next_step="List them at GET /v1/deliveries.")
            if row.state == DeliveryState.DELIVERED:
                raise Conflict("It was delivered.", next_step="Nothing: the receiver has it.")
            if row.state in (DeliveryState.GATHERED, DeliveryState.WITHDRAWN):
                raise Conflict(
                    "It is not sent by itself.",
                    next_step="Look at the delivery of its `digest_id`, if it has one.",
                )
            if await tx.session.get(store.Channel, row.channel_id) is None:
                raise Conflict("Its channel was removed.", next_step="Nothing: there is no way to send it.")
            if row.state == DeliveryState.FAILED:
                row.state, row.attempts, row.refused = DeliveryState.PENDING, 0, {}
                row.digest_every = row.digest_id = None  # from now on it goes alone
            row.next_attempt_at = now
            await store.wake(tx, row.channel_id)
            tx.record(Change(kind="delivery", verb="retried", id=row.id, after={"channel": row.channel_id}))
        log.info("delivery.retried", delivery=delivery_id, by=caller.id)
        return row

    async def replay(
        self, channel_id: str, *, since: datetime, include_delivered: bool, caller: Principal, now: datetime
    ) -> int:
        """Let what a channel has missed since then be sent again; return how much. Raises `NotFound`.

        It goes out with the identity it had, so that a receiver that has it after all can tell.
        """
        await self._channels.get(channel_id, caller=caller)
        states = [DeliveryState.FAILED, *([DeliveryState.DELIVERED] if include_delivered else [])]
        async with self._database.transaction() as tx:
            count = await store.replay(tx, channel_id=channel_id, since=since, states=states, now=now)
            await store.wake(tx, channel_id)
            after = {"since": since.isoformat(), "include_delivered": include_delivered, "count": count}
            tx.record(Change(kind="channel", verb="replayed", id=channel_id, after=after))
        log.info("channel.replayed", channel=channel_id, by=caller.id, count=count)
        return count


async def _share(
    tx: Transaction, channel: store.Channel, due: Sequence[str], *, room: Callable[[str], int], now: datetime
) -> Sequence[str]:
    """Return those of due deliveries that may go through a channel now, and let it rest for as long as its pace asks."""
    per_minute = channel.options.get("per_minute")
    if per_minute is None:
        return due[: room(channel.id)]
    until = rested(channel.rests_until, per_minute=per_minute, now=now)
    # None where another process of ours has sent something through it meanwhile.
    return due[:1] if await store.keep_pace(tx, channel.id, until=until, now=now) else ()


async def _keep_ticket(tx: Transaction, job: Job, *, sent: Sent, now: datetime) -> None:
    ticket = sent.progress.ticket
    if ticket is not None and isinstance(sent, Delivered):
        await store.keep_ticket(
            tx,
            ticket,
            alert_id=job.notice.alert_id,
            channel_id=job.channel.id,
            digest=job.notice.details.digest,
            is_looked_at=issubclass(channel_kind(job.channel.kind), LooksUp),
            now=now,
        )


async def _report(tx: Transaction, job: Job, *, reason: str, now: datetime) -> None:
    channel = job.channel
    await turns.report_channel(
        tx, of_dead_channel(channel.id, name=channel.name, reason=reason, told_at=now), now=now
    )


async def _settle_gathered(
    tx: Transaction, job: Job, state: DeliveryState, *, text: str, now: datetime
) -> None:
    if job.is_digest:
        await store.settle_gathered(tx, job.delivery_id, state=state, text=text, now=now)


def _link(portal_url: str | None, page: str) -> str | None:
    return f"{portal_url.rstrip('/')}/{page}" if portal_url else None


def _notice(
    delivery_id: str, *, alert: store.Alert, entry: store.Entry, turn: Turn, link: str | None
) -> Notice:
    return Notice(
        id=delivery_id,
        alert_id=alert.id,
        number=entry.number,
        turn=turn,
        problem=alert.problem,
        severity=Severity(entry.severity),
        headline=entry.text,
        details=Details.model_validate(entry.details),
        lineage_id=alert.lineage_id,
        fingerprint=alert.fingerprint,
        opened_at=alert.opened_at,
        at=entry.at,
        link=link,
    )
