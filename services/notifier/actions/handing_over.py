"""Hands over what subscriptions are about: each in its own order and at its own pace, from where it has got to."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from pydantic import SecretStr

from services.notifier.actions.logs import Logs
from services.notifier.actions.subscriptions import queue_of, secret_row
from services.notifier.connectors import Network
from services.notifier.connectors.consumers import Consumer, Item, NotTaken
from services.notifier.connectors.consumers.queue import HandsOver, QueueConsumer
from services.notifier.connectors.consumers.syslog import SyslogConsumer
from services.notifier.connectors.consumers.webhook import WebhookConsumer
from services.notifier.domain.subscriptions import State, Way
from services.notifier.store import subscriptions as store
from services.notifier.store.subscriptions import Subscription
from shared.clock import Clock
from shared.errors import EverleafError
from shared.sealing import Sealer
from shared.store import Database, is_away
from shared.webhooks import signer_of

log = structlog.get_logger(__name__)
BATCH = 200
SIGNED_BATCH = 20
"""Of what is sent and answered one by one."""
LEASE = timedelta(minutes=10)
"""Longer than a batch takes of which each message is only answered at the last moment."""
QUIET = timedelta(seconds=5)
"""How long a subscription rests of which nothing new was found; news wakes it sooner."""
_LONGEST = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A subscription that is served by this process now."""

    row: Subscription
    position: int
    until: datetime


class HandingOver:
    """What serves subscriptions, piece by piece."""

    def __init__(
        self,
        database: Database,
        logs: Logs,
        *,
        bus: HandsOver,
        sealer: Sealer,
        network: Network,
        clock: Clock,
    ) -> None:
        self._database = database
        self._logs = logs
        self._bus = bus
        self._sealer = sealer
        self._network = network
        self._clock = clock

    async def recover(self) -> None:
        """Take up at once what a process that has died was at. Only SQLite has just one process."""
        if self._database.is_sqlite:
            async with self._database.transaction() as tx:
                await store.end_subscription_leases(tx)

    async def claim(self, *, now: datetime) -> Claimed | None:
        """Return a subscription that is due, leased."""
        async with self._database.read() as session:
            if not await store.is_subscription_due(session, now=now):
                return None
        until = now + LEASE
        async with self._database.transaction() as tx:
            row = await store.claim_subscription(tx, until=until, now=now)
        return Claimed(row=row, position=row.position, until=until) if row is not None else None

    async def run(self, claim: Claimed) -> None:
        """Hand over what comes next."""
        try:
            await self._run(claim)
        except Exception as error:
            if not is_away(error):
                raise
            # The lease runs out, and what was handed over goes out again, under the same ids.
            log.warning("subscription.outcome_lost", subscription=claim.row.id, error=str(error))

    async def _run(self, claim: Claimed) -> None:
        now = self._clock()
        limit = SIGNED_BATCH if claim.row.way == Way.WEBHOOK else BATCH
        items, looked_at = await self._logs.read(claim.row, after=claim.position, limit=limit, now=now)
        failure: NotTaken | None = None
        try:
            if items:
                await self._consumer(claim.row).hand(items, now=now)
        except NotTaken as error:
            failure = error
        except EverleafError as error:  # a secret that does not open, a CA of an older version
            failure = NotTaken(error.detail)
        await self._record(claim, items, looked_at, failure=failure, now=self._clock())

    def _consumer(self, row: Subscription) -> Consumer:
        options = row.options
        match Way(row.way):
            case Way.QUEUE:
                return QueueConsumer(self._bus, queue_of(row.id))
            case Way.SYSLOG:
                return SyslogConsumer.of(options, network=self._network)
            case _:
                secret = SecretStr(self._sealer.open(row.secrets, row=secret_row(row.id)).decode())
                url, ca_pem = str(options["url"]), options.get("ca_pem")
                return WebhookConsumer(url, ca_pem=ca_pem, key=signer_of(secret), network=self._network)

    async def _record(
        self,
        claim: Claimed,
        items: Sequence[Item],
        looked_at: int,
        *,
        failure: NotTaken | None,
        now: datetime,
    ) -> None:
        async with self._database.transaction() as tx:
            row = await tx.session.get(
                Subscription, claim.row.id, with_for_update=True, populate_existing=True
            )
            if row is None or row.lease_until != claim.until:
                return  # taken away, played again, or taken up by another meanwhile
            row.lease_until = None
            if failure is None:
                row.position, row.failures, row.last_error = looked_at, 0, None
                row.next_attempt_at = now if looked_at > claim.position else now + QUIET
            else:
                _note_failure(row, items, failure, now=now)


def _note_failure(row: Subscription, items: Sequence[Item], failure: NotTaken, *, now: datetime) -> None:
    if failure.taken:
        row.position, row.failures = items[failure.taken - 1].number, 0
    row.failures += 1
    row.last_error = failure.reason[:1000]
    if failure.is_gone:
        row.state = State.ENDED
    wait = failure.retry_after or min(timedelta(seconds=2.0 ** min(row.failures, 10)), _LONGEST)
    # So that many that have failed together do not come together.
    row.next_attempt_at = now + wait * (1 + random.random() / 4)  # noqa: S311 - it spreads load and protects nothing
    log.warning("subscription.not_taken", subscription=row.id, failures=row.failures, reason=row.last_error)
