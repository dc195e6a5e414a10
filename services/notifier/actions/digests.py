"""Gathers what many alerts have to say into one notice for each channel and audience."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from services.notifier import store
from services.notifier.domain.alerts import AlertState, Details
from services.notifier.domain.deliveries import DeliveryState
from services.notifier.domain.digests import Member, digest
from services.notifier.domain.evidence import channel_subject
from shared.events.notifier import Severity
from shared.ids import new_id
from shared.store import Database, Transaction


class Digests:
    """What goes out together."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def gather_due(self, now: datetime) -> bool:
        """Make the digests that are due, one channel at a time; there are no more then."""
        async with self._database.read() as session:
            channels = await store.channels_to_gather(session, now=now)
        for channel_id in channels:
            async with self._database.transaction() as tx:
                await store.lock_subject(tx, channel_subject(channel_id), name=None, now=now)
                await _gather(tx, channel_id, now=now)
        return False


async def _gather(tx: Transaction, channel_id: str, *, now: datetime) -> None:
    due = await store.to_gather(tx, channel_id, now=now)
    for _, some in groupby(sorted(due, key=_audience), key=_audience):
        await _make(tx, list(some), now=now)


def _audience(delivery: store.Delivery) -> tuple[bool, list[str]]:
    return delivery.is_own, delivery.addressed


async def _make(tx: Transaction, due: Sequence[store.Delivery], *, now: datetime) -> None:
    if len(due) == 1:
        due[0].digest_every = None  # one is no digest
        return
    alerts = await store.alerts_of(tx, {each.alert_id for each in due if each.alert_id})
    first = due[0]
    made = store.Delivery(
        id=new_id(),
        number=1,
        channel_id=first.channel_id,
        is_own=first.is_own,
        addressed=first.addressed,
        digest=digest([_member(alert) for alert in alerts], now=now).model_dump(mode="json"),
        state=DeliveryState.PENDING,
        next_attempt_at=now,
        told=[],
        refused={},
        created_at=now,
    )
    tx.session.add(made)
    await tx.session.flush()
    await store.put_into(tx, made.id, [each.id for each in due])


def _member(alert: store.Alert) -> Member:
    return Member(
        alert_id=alert.id,
        severity=Severity(alert.severity),
        problem=alert.problem,
        state=AlertState(alert.state),
        summary=alert.summary,
        not_after=Details.model_validate(alert.details).not_after,
    )
