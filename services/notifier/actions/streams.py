"""Streams of the audit trail: every entry, as it is appended, to a SIEM by syslog or to a receiver of signed messages."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from services.notifier.actions.subscriptions import Made, secret_row
from services.notifier.connectors import Network
from services.notifier.connectors.consumers.syslog import SyslogConsumer
from services.notifier.connectors.consumers.webhook import WebhookConsumer
from services.notifier.domain.subscriptions import Log, State, Way
from services.notifier.store import subscriptions as store
from services.notifier.store import trail
from services.notifier.store.subscriptions import Subscription
from shared.access import Principal
from shared.errors import Conflict, NotFound
from shared.ids import new_id
from shared.sealing import Sealer
from shared.store import Database
from shared.webhooks import key_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class NewStream:
    """Where the trail is to go; from its beginning, or from now on."""

    name: str
    way: Way
    options: Mapping[str, Any]
    from_beginning: bool


class Streams:
    """The verbs on streams; callers see everything, as the trail is about everything."""

    def __init__(self, database: Database, *, sealer: Sealer, network: Network) -> None:
        self._database = database
        self._sealer = sealer
        self._network = network

    async def create(self, new: NewStream, *, caller: Principal, now: datetime) -> Made:
        """Send the trail somewhere. Raises `Invalid`, or `Conflict` where the name is taken."""
        stream_id = new_id()
        secret = self._checked(new)
        async with self._database.transaction() as tx:
            last, _ = await trail.head(tx.session)
            row = Subscription(
                id=stream_id,
                name=new.name,
                log=Log.AUDIT,
                way=new.way,
                types=[],
                names=[],
                groups=[],
                options=dict(new.options),
                secrets=self._sealer.seal(secret.encode(), row=secret_row(stream_id)) if secret else b"",
                state=State.ACTIVE,
                position=0 if new.from_beginning else last,
                next_attempt_at=now,
                created_at=now,
                created_by=caller.id,
            )
            tx.session.add(row)
            try:
                await tx.session.flush()
            except IntegrityError as error:
                raise Conflict(
                    f"There is a stream or a subscription named {new.name} already.",
                    next_step="Choose another name.",
                ) from error
        log.info("audit_stream.made", stream=row.id, way=row.way, by=caller.id)
        return Made(row=row, credential={"signing_secret": secret} if secret else {})

    def _checked(self, new: NewStream) -> str:
        """Return what messages are signed with. Raises `Invalid` where the options cannot work so."""
        if new.way is Way.SYSLOG:
            SyslogConsumer.of(new.options, network=self._network)
            return ""
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        key = key_of(SecretStr(secret))
        ca_pem = new.options.get("ca_pem")
        WebhookConsumer(str(new.options["url"]), ca_pem=ca_pem, key=key, network=self._network)
        return secret

    async def page(self, *, after: str | None, limit: int) -> Sequence[Subscription]:
        """Return up to `limit + 1` streams, newest first."""
        async with self._database.read() as session:
            return await store.subscriptions_page(session, Log.AUDIT, after=after, limit=limit, scope=None)

    async def delete(self, stream_id: str, *, caller: Principal) -> None:
        """Send the trail there no more. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            row = await tx.session.get(Subscription, stream_id, with_for_update=True)
            if row is None or row.log != Log.AUDIT:
                raise NotFound("There is no such stream.", next_step="List them at GET /v1/audit-streams.")
            await tx.session.delete(row)
        log.info("audit_stream.removed", stream=stream_id, by=caller.id)
