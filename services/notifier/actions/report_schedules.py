"""Reports that are mailed again and again: made and taken away by people, sent by the clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError

from services.notifier import store
from services.notifier.actions.channels import Channels
from services.notifier.actions.reports import Order, Reports, ordered
from services.notifier.connectors import Audience, Delivered, Later, Letter, Never, Progress, Sent
from services.notifier.connectors.papers import Form
from services.notifier.connectors.registry import carries_letters, channel_kind
from services.notifier.domain.beats import next_occurrence
from services.notifier.domain.reports import TITLES, Report
from services.notifier.domain.text import instant
from shared.access import Principal
from shared.errors import Conflict, EverleafError, Fault, Invalid, NotFound, Stale
from shared.groups import listed
from shared.ids import new_id
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)
LEASE = timedelta(minutes=10)
"""Longer than any report takes to be made and sent."""
WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240))
"""Between the tries of one occurrence."""


@dataclass(frozen=True, kw_only=True)
class NewSchedule:
    """What a schedule is made of."""

    name: str
    report: Report
    form: Form
    query: str | None
    days: int
    cron: str
    zone: str
    channel_id: str
    recipients: Sequence[str]
    groups: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class ScheduleChange:
    """What is to be another."""

    values: Mapping[str, Any]
    """By the names that `NewSchedule` has."""
    expected: int | None = None
    """The version the caller has read, where it said so."""


class ReportSchedules:
    """The verbs on schedules."""

    def __init__(self, database: Database, *, reports: Reports, channels: Channels) -> None:
        self._database = database
        self._reports = reports
        self._channels = channels

    async def create(self, new: NewSchedule, *, caller: Principal, now: datetime) -> store.ReportSchedule:
        """Make a schedule. Its reports show what the caller may see, then and later.

        Raises `Invalid` for a channel or a time that are none, `Forbidden`, or `Conflict` where the name is taken.
        """
        order = ordered(new.report, form=new.form, query=new.query, days=new.days, caller=caller)
        await self._check_channel(new.channel_id, caller=caller)
        first = next_occurrence(new.cron, zone=new.zone, after=now)
        row = store.ReportSchedule(
            id=new_id(),
            name=new.name,
            report=new.report,
            form=new.form,
            query=new.query,
            channel_id=new.channel_id,
            recipients=list(new.recipients),
            days=new.days,
            cron=new.cron,
            zone=new.zone,
            groups=listed(caller.grouped(new.groups)),
            scope=sorted(order.scope) if order.scope is not None else None,
            occurs_at=first,
            next_at=first,
            created_at=now,
            created_by=caller.id,
            created_by_name=caller.name,
        )
        async with self._database.transaction() as tx:
            tx.session.add(row)
            await _flush(tx, name=row.name)
        return row

    async def change(
        self, schedule_id: str, *, change: ScheduleChange, caller: Principal, now: datetime
    ) -> store.ReportSchedule:
        """Change a schedule. From then on its reports show what the caller may see: else a change of recipients would leak.

        Raises `NotFound`, `Stale`, `Invalid`, `Forbidden` or `Conflict`.
        """
        new = _changed(await self.get(schedule_id, caller=caller), change.values)
        order = ordered(new.report, form=new.form, query=new.query, days=new.days, caller=caller)
        await self._check_channel(new.channel_id, caller=caller)
        first = next_occurrence(new.cron, zone=new.zone, after=now)
        async with self._database.transaction() as tx:
            row = _seen(await store.held_report(tx, schedule_id), caller=caller)
            if change.expected is not None and change.expected != row.version:
                raise Stale("The schedule was changed since you read it.", next_step="Read it again.")
            for name in change.values.keys() - {"groups"}:
                setattr(row, name, change.values[name])
            if "groups" in change.values:
                row.groups = listed(caller.grouped(new.groups, before=row.groups))
            row.scope = sorted(order.scope) if order.scope is not None else None
            row.created_by, row.created_by_name = caller.id, caller.name
            if change.values.keys() & {"cron", "zone"}:
                _go_on(row, first)
            row.version += 1
            await _flush(tx, name=row.name)
        log.info("report_schedule.changed", schedule=schedule_id, by=caller.id)
        return row

    async def _check_channel(self, channel_id: str, *, caller: Principal) -> None:
        async with self._database.read() as session:
            unknown = await store.unknown_channels(session, [channel_id], scope=caller.scope)
            row = None if unknown else await session.get(store.Channel, channel_id)
        if row is None or not carries_letters(channel_kind(row.kind)):
            raise Invalid(
                f"{channel_id} is no channel that can carry a report.",
                next_step="Name a channel of the kind email by its id, as GET /v1/channels lists them.",
                faults=[
                    Fault(pointer="/body/channel_id", message="not the id of a channel that carries files")
                ],
            )

    async def page(
        self, *, after: str | None, limit: int, caller: Principal
    ) -> Sequence[store.ReportSchedule]:
        """Return up to `limit + 1` schedules that the caller sees, newest first."""
        async with self._database.read() as session:
            return await store.reports_page(session, after=after, limit=limit, scope=caller.scope)

    async def get(self, schedule_id: str, *, caller: Principal) -> store.ReportSchedule:
        """Return a schedule. Raises `NotFound`."""
        async with self._database.read() as session:
            return _seen(await session.get(store.ReportSchedule, schedule_id), caller=caller)

    async def delete(self, schedule_id: str, *, caller: Principal) -> None:
        """Take a schedule away. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            await tx.session.delete(_seen(await store.held_report(tx, schedule_id), caller=caller))
        log.info("report_schedule.removed", schedule=schedule_id, by=caller.id)

    async def send_now(self, schedule_id: str, *, caller: Principal, now: datetime) -> store.ReportSchedule:
        """Let the next report go out at once instead of at its time. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            row = _seen(await store.held_report(tx, schedule_id), caller=caller)
            row.occurs_at = row.next_at = now
            row.attempts, row.told = 0, []
        return row

    async def send_due(self, now: datetime) -> bool:
        """Make and send a report that is due; return whether there may be more."""
        async with self._database.transaction() as tx:
            row = await store.due_report(tx, now=now)
            if row is None:
                return False
            row.lease_until = now + LEASE
            row.attempts += 1
        sent = await self._send(row)
        await self._record(row, sent, now=now)
        return True

    async def _send(self, row: store.ReportSchedule) -> Sent:
        progress = Progress(told=tuple(row.told))
        try:
            channel = await self._enabled(row.channel_id)
            order = Order(
                report=Report(row.report),
                form=Form(row.form),
                query=row.query,
                days=row.days,
                scope=frozenset(row.scope) if row.scope is not None else None,
                made_for=row.created_by_name,
            )
            file = await self._reports.make(order, now=row.occurs_at)
        except (
            EverleafError
        ) as error:  # a service that is away, a channel that was removed, a query of another time
            return Later(reason=error.detail, progress=progress)
        letter = Letter(
            id=f"{row.id}.{row.occurs_at:%Y%m%dT%H%M%S}",
            subject=f"[Everleaf] {TITLES[order.report]}: {row.name}",
            text=f"The report {row.name} as of {instant(row.occurs_at)}, made for {row.created_by_name}.\n",
            name=file.name,
            media_type=file.media_type,
            content=file.content,
            at=row.occurs_at,
        )
        audience = Audience(is_own=not row.recipients, addressed=tuple(row.recipients))
        return await self._channels.carry(channel, letter, progress=progress, audience=audience)

    async def _enabled(self, channel_id: str) -> store.Channel:
        async with self._database.read() as session:
            row = await session.get(store.Channel, channel_id)
        if row is None or not row.enabled:
            raise Invalid("The channel of this report is gone, or off.", next_step="Make the schedule anew.")
        return row

    async def _record(self, sent_row: store.ReportSchedule, sent: Sent, *, now: datetime) -> None:
        async with self._database.transaction() as tx:
            row = await store.held_report(tx, sent_row.id)
            if row is None or row.occurs_at != sent_row.occurs_at or row.attempts != sent_row.attempts:
                return  # it was taken away, or asked for anew
            row.lease_until = None
            row.told = list(sent.progress.told)
            after = next_occurrence(row.cron, zone=row.zone, after=max(now, row.occurs_at))
            match sent:
                case Delivered():
                    row.last_sent_at, row.last_error = now, None
                    _go_on(row, after)
                case Later() if row.attempts <= len(WAITS) and now + WAITS[row.attempts - 1] < after:
                    row.last_error = sent.reason
                    row.next_at = now + WAITS[row.attempts - 1]
                case Later() | Never():
                    row.last_error = sent.reason
                    _go_on(row, after)


def _changed(row: store.ReportSchedule, values: Mapping[str, Any]) -> NewSchedule:
    present = {name: getattr(row, name) for name in NewSchedule.__dataclass_fields__}
    typed = {"report": Report(row.report), "form": Form(row.form)}
    return NewSchedule(**{**present, **typed, **values})


async def _flush(tx: Transaction, *, name: str) -> None:
    try:
        await tx.session.flush()
    except IntegrityError as error:
        raise Conflict(
            f"There is a schedule named {name} already.", next_step="Choose another name."
        ) from error


def _go_on(row: store.ReportSchedule, after: datetime) -> None:
    row.occurs_at = row.next_at = after
    row.attempts, row.told = 0, []


def _seen(row: store.ReportSchedule | None, *, caller: Principal) -> store.ReportSchedule:
    if row is None or not caller.sees(row.groups):
        raise NotFound("There is no such schedule.", next_step="List them at GET /v1/report-schedules.")
    return row
