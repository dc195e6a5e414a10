"""Subscriptions: declared, shown, read, played again and taken away by the consumers they are for."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import anyio
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from services.notifier.actions.logs import Logs
from services.notifier.connectors import Network
from services.notifier.connectors.consumers import Item
from services.notifier.connectors.consumers.queue import Broker
from services.notifier.connectors.consumers.webhook import WebhookConsumer
from services.notifier.domain.subscriptions import CONSUMABLE, Log, State, Way
from services.notifier.store import subscriptions as store
from services.notifier.store.subscriptions import Subscription
from shared.access import Principal
from shared.audit import Change
from shared.errors import Conflict, Fault, Invalid, NotFound
from shared.groups import listed
from shared.ids import new_id
from shared.sealing import Sealer
from shared.store import Database
from shared.webhooks import signer_of

log = structlog.get_logger(__name__)
_AT_ONCE = 100
_SETTLED = timedelta(seconds=3)
"""After this long a quorum queue survives a crash of the broker with all it holds (seen on 3.10.8)."""
_KNOWN = frozenset(payload.type for payload in CONSUMABLE)


@dataclass(frozen=True, kw_only=True)
class NewSubscription:
    """What somebody wants, and how."""

    name: str
    way: Way
    types: Sequence[str]
    names: Sequence[str]
    groups: Sequence[str]
    options: Mapping[str, Any]
    """Of a webhook: `url`, `ca_pem` and `signature`."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A subscription, and what its consumer needs and is shown this once."""

    row: Subscription
    credential: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some events, in their order, and the number to ask for what comes after them."""

    items: Sequence[Item]
    after: int


class Subscriptions:
    """The verbs on subscriptions."""

    def __init__(
        self,
        database: Database,
        logs: Logs,
        *,
        sealer: Sealer,
        network: Network,
        broker: Broker | None,
        broker_url: str | None,
    ) -> None:
        """`broker` makes queues, and `broker_url` is where consumers reach them."""
        self._database = database
        self._logs = logs
        self._sealer = sealer
        self._network = network
        self._broker = broker
        self._broker_url = broker_url

    async def create(self, new: NewSubscription, *, caller: Principal, now: datetime) -> Made:
        """Subscribe to what comes from now on. Raises `Invalid`, `Forbidden`, `Conflict`, `Refused` or `Unavailable`."""
        _check_types(new.types)
        subscription_id = new_id()
        secret, credential = self._credential(new, subscription_id)
        async with self._database.transaction() as tx:
            row = Subscription(
                id=subscription_id,
                name=new.name,
                log=Log.EVENTS,
                way=new.way,
                types=sorted(set(new.types)),
                names=sorted(set(new.names)),
                groups=listed(caller.grouped(new.groups)),
                options=dict(new.options),
                secrets=self._sealer.seal(secret.encode(), row=secret_row(subscription_id))
                if secret
                else b"",
                state=State.ACTIVE,
                position=await store.kept_until(tx.session),
                next_attempt_at=now + (_SETTLED if new.way is Way.QUEUE else timedelta()),
                created_at=now,
                created_by=caller.id,
            )
            tx.session.add(row)
            try:
                await tx.session.flush()
            except IntegrityError as error:
                raise Conflict(
                    f"There is a subscription named {new.name} already.", next_step="Choose another name."
                ) from error
            if new.way is Way.QUEUE:
                # Before the commit: what the broker refuses is no subscription.
                await self._of_broker().make(queue_of(row.id), password=credential["password"])
        log.info("subscription.made", subscription=row.id, way=row.way, by=caller.id)
        return Made(row=row, credential=credential)

    def _credential(self, new: NewSubscription, subscription_id: str) -> tuple[str, dict[str, str]]:
        """Return what is kept sealed, and what the consumer is shown."""
        if new.way is Way.QUEUE:
            self._of_broker()
            queue = queue_of(subscription_id)
            password = secrets.token_urlsafe(32)
            told = {"queue": queue, "user": queue, "password": password, "url": self._broker_url or ""}
            return "", told
        if new.way is Way.WEBHOOK:
            secret, told = _signing_key(str(new.options.get("signature", "hmac")))
            # Tried now: who names a CA that is none hears of it at once.
            key = signer_of(SecretStr(secret))
            WebhookConsumer(
                str(new.options["url"]), ca_pem=new.options.get("ca_pem"), key=key, network=self._network
            )
            return secret, told
        return "", {}

    def _of_broker(self) -> Broker:
        if self._broker is None or self._broker_url is None:
            raise Invalid(
                "There are no queues for consumers here.",
                next_step="Subscribe with `webhook` or `poll`; or set EVERLEAF_NOTIFIER_BROKER_API_URL and its fellows.",
                faults=[Fault(pointer="/body/way", message="no broker is set")],
            )
        return self._broker

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[Subscription]:
        """Return up to `limit + 1` subscriptions that the caller sees, newest first."""
        async with self._database.read() as session:
            return await store.subscriptions_page(
                session, Log.EVENTS, after=after, limit=limit, scope=caller.scope
            )

    async def get(self, subscription_id: str, *, caller: Principal) -> Subscription:
        """Return a subscription. Raises `NotFound`."""
        async with self._database.read() as session:
            return _seen(await session.get(Subscription, subscription_id), caller=caller)

    async def delete(self, subscription_id: str, *, caller: Principal) -> None:
        """Take a subscription away, and its queue with it. Raises `NotFound`, `Refused` or `Unavailable`."""
        async with self._database.transaction() as tx:
            row = _seen(
                await tx.session.get(Subscription, subscription_id, with_for_update=True), caller=caller
            )
            if row.way == Way.QUEUE:
                await self._of_broker().take_away(queue_of(row.id))
            await tx.session.delete(row)
        log.info("subscription.removed", subscription=subscription_id, by=caller.id)

    async def replay(
        self, subscription_id: str, *, since: datetime, caller: Principal, now: datetime
    ) -> Subscription:
        """Hand over again what was kept since an instant, as far as it is kept. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            row = _seen(
                await tx.session.get(Subscription, subscription_id, with_for_update=True), caller=caller
            )
            row.position = await store.kept_before(tx.session, since)
            row.state, row.failures, row.last_error, row.next_attempt_at = State.ACTIVE, 0, None, now
            # Who is at it now must not write over this.
            row.lease_until = None
            tx.record(_replayed(row, since))
        log.info("subscription.replayed", subscription=row.id, since=since.isoformat(), by=caller.id)
        return row

    async def events(
        self,
        subscription_id: str,
        *,
        after: int | None,
        limit: int,
        wait: timedelta,
        caller: Principal,
        now: datetime,
    ) -> Batch:
        """Return what comes after a number, the subscription's own where none is said; waits for the first. Raises `NotFound`."""
        row = await self.get(subscription_id, caller=caller)
        start = row.position if after is None else after
        with anyio.move_on_after(wait.total_seconds()):
            while not (found := await self._logs.read(row, after=start, limit=min(limit, _AT_ONCE), now=now))[
                0
            ]:
                start = max(start, found[1])
                await self._logs.news()
            return Batch(items=found[0], after=found[1])
        return Batch(items=[], after=start)


def queue_of(subscription_id: str) -> str:
    """Return what a consumer's queue, and its user, is called."""
    return f"everleaf.consumer.{subscription_id}"


def secret_row(subscription_id: str) -> str:
    """Return the row that a subscription's secret is sealed for."""
    return f"notifier/subscriptions/{subscription_id}/secrets"


def _signing_key(signature: str) -> tuple[str, dict[str, str]]:
    """Return a fresh secret as Standard Webhooks writes it, and what the receiver checks with."""
    if signature == "ed25519":
        private = Ed25519PrivateKey.generate()
        secret = f"whsk_{base64.b64encode(private.private_bytes_raw()).decode()}"
        public = base64.b64encode(private.public_key().public_bytes_raw()).decode()
        return secret, {"public_key": f"whpk_{public}"}
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    return secret, {"signing_secret": secret}


def _check_types(types: Sequence[str]) -> None:
    if strangers := sorted(set(types) - _KNOWN):
        message = f"{', '.join(strangers)} cannot be subscribed to."
        raise Invalid(
            message,
            next_step=f"Choose among {', '.join(sorted(_KNOWN))}.",
            faults=[Fault(pointer="/body/types", message=message)],
        )


def _replayed(row: Subscription, since: datetime) -> Change:
    return Change(
        kind="subscription",
        verb="replayed",
        id=row.id,
        name=row.name,
        after={"since": since},
        groups=tuple(row.groups),
    )


def _seen(row: Subscription | None, *, caller: Principal) -> Subscription:
    if row is None or row.log != Log.EVENTS or not caller.sees(row.groups):
        raise NotFound("There is no such subscription.", next_step="List them at GET /v1/subscriptions.")
    return row
