"""Channels: made, changed, tried out and taken away by people; their secrets are sealed in their rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from pydantic import BaseModel, SecretStr, ValidationError
from sqlalchemy.exc import IntegrityError

from services.notifier import store
from services.notifier.actions import turns
from services.notifier.connectors import (
    Audience,
    Carrier,
    Channel,
    Delivered,
    Later,
    Letter,
    Network,
    Never,
    Progress,
    Sent,
)
from services.notifier.connectors.registry import Kind, channel_kind, readdressed
from services.notifier.domain.evidence import channel_subject
from services.notifier.domain.notices import Notice, trial_notice
from services.notifier.domain.plans import Plan
from shared.access import Principal
from shared.audit import Change
from shared.errors import Conflict, EverleafError, Fault, Invalid, NotFound, Stale
from shared.groups import listed
from shared.ids import new_id
from shared.sealing import Sealer
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)

Secrets = Mapping[str, SecretStr]
MOST_READY = 200
"""Channels that are kept ready to be used."""
EVERYBODY = Audience()
"""Whomever a channel's options name."""


@dataclass(frozen=True, kw_only=True)
class NewChannel:
    """What a channel is made of."""

    name: str
    kind: str
    options: Mapping[str, Any]
    secrets: Secrets
    enabled: bool
    groups: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ChannelChange:
    """What is to be another; None stays as it is. Options and secrets are replaced whole."""

    name: str | None = None
    options: Mapping[str, Any] | None = None
    secrets: Secrets | None = None
    enabled: bool | None = None
    groups: Sequence[str] | None = None
    expected: int | None = None
    """The version the caller has read, where it said so."""


class Channels:
    """The verbs on channels."""

    def __init__(
        self, database: Database, *, sealer: Sealer, network: Network, portal_url: str | None
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._network = network
        self._portal_url = portal_url
        self._ready: dict[tuple[str, int, bytes, Audience], Channel[Any, Any]] = {}

    async def create(self, new: NewChannel, *, caller: Principal, now: datetime) -> store.Channel:
        """Make a channel. Raises `Forbidden`, `Invalid` where it cannot work so, `Conflict` where the name is taken."""
        kind = channel_kind(new.kind)
        options = _parse(kind.options_type, new.options, part="options")
        self._open(kind, options, secrets=_plain(new.secrets))
        row = store.Channel(
            id=new_id(),
            name=new.name,
            kind=kind.kind,
            options=_document(options),
            secrets=b"",
            enabled=new.enabled,
            groups=listed(caller.grouped(new.groups)),
            created_at=now,
            created_by=caller.id,
            updated_at=now,
        )
        row.secrets = self._seal(_plain(new.secrets), channel_id=row.id)
        async with self._database.transaction() as tx:
            tx.session.add(row)
            await _flush(tx, name=row.name)
            await store.SUBJECTS.replace(tx, channel_subject(row.id), row.groups, at=now)
        return row

    async def change(
        self, channel_id: str, *, change: ChannelChange, caller: Principal, now: datetime
    ) -> store.Channel:
        """Change a channel. Raises `NotFound`, `Stale`, `Invalid`, `Forbidden` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = _seen(await store.held_channel(tx, channel_id), caller=caller)
            if change.expected is not None and change.expected != row.version:
                raise Stale("The channel was changed since you read it.", next_step="Read it again.")
            self._replace_parts(row, change)
            row.name = change.name or row.name
            if change.groups is not None:
                row.groups = listed(caller.grouped(change.groups, before=row.groups))
                await store.SUBJECTS.replace(tx, channel_subject(row.id), row.groups, at=now)
            if change.enabled is not None:
                row.enabled, row.disabled_because = change.enabled, None
            row.version += 1
            row.updated_at = now
            await _flush(tx, name=row.name)
        log.info("channel.changed", channel=channel_id, by=caller.id)
        return row

    def _replace_parts(self, row: store.Channel, change: ChannelChange) -> None:
        kind = channel_kind(row.kind)
        options = _parse(kind.options_type, change.options or row.options, part="options")
        _refuse_redirected_secrets(kind, before=row.options, after=_document(options), change=change)
        secrets = _plain(change.secrets) if change.secrets is not None else self._unseal(row)
        self._open(kind, options, secrets=secrets)
        row.options = _document(options)
        if change.secrets is not None:
            row.secrets = self._seal(secrets, channel_id=row.id)

    async def delete(self, channel_id: str, *, caller: Principal) -> None:
        """Take a channel away; what was to go through it fails. Raises `NotFound` or `Conflict`."""
        async with self._database.transaction() as tx:
            row = _seen(await store.held_channel(tx, channel_id), caller=caller)
            users = [rule for rule in await store.all_rules(tx.session) if channel_id in channels_of(rule)]
            if users:
                shown = [rule.name for rule in users if caller.sees(rule.groups)]
                names = [*shown, *(["some that you do not see"] if len(shown) < len(users) else [])]
                raise Conflict(
                    f"These rules name the channel: {', '.join(names)}.", next_step="Change them first."
                )
            await store.give_up_pending(tx, channel_id=channel_id, reason="The channel was removed.")
            await tx.session.delete(row)
        log.info("channel.removed", channel=channel_id, by=caller.id)

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[store.Channel]:
        """Return up to `limit + 1` channels that the caller sees, newest first."""
        async with self._database.read() as session:
            return await store.channels_page(session, after=after, limit=limit, scope=caller.scope)

    async def get(self, channel_id: str, *, caller: Principal) -> store.Channel:
        """Return a channel. Raises `NotFound`."""
        async with self._database.read() as session:
            return _seen(await session.get(store.Channel, channel_id), caller=caller)

    async def test(self, channel_id: str, *, caller: Principal, now: datetime) -> Sent:
        """Send a test through a channel, now and once, and return what became of it. Raises `NotFound`."""
        row = await self.get(channel_id, caller=caller)
        async with self._database.transaction() as tx:
            tx.record(
                Change(kind="channel", verb="tested", id=row.id, name=row.name, groups=tuple(row.groups))
            )
        notice = trial_notice(new_id(), channel=row.name, caller=caller.name, link=self._portal_url, now=now)
        sent = await self.send(row, notice, progress=Progress(), now=now)
        if isinstance(sent, Delivered):
            async with self._database.transaction() as tx:
                await store.lock_subject(tx, channel_subject(row.id), name=row.name, now=now)
                await turns.clear_channel(tx, row, answer=sent.answer, now=now)
        return sent

    async def send(
        self,
        row: store.Channel,
        notice: Notice,
        *,
        progress: Progress,
        audience: Audience = EVERYBODY,
        now: datetime,
    ) -> Sent:
        """Send a notice through a channel. Whatever goes wrong is an answer, never an error."""
        try:
            channel = self.opened(row, audience=audience)
            return await channel.send(notice, progress=progress, now=now)
        except EverleafError as error:  # a secret that does not open, options of an older version
            return Later(reason=error.detail, progress=progress)
        except Exception as error:
            log.exception("channel.broken", channel=row.id, kind=row.kind)
            return Later(reason=f"The channel itself failed ({type(error).__name__}).", progress=progress)

    async def carry(
        self, row: store.Channel, letter: Letter, *, progress: Progress, audience: Audience
    ) -> Sent:
        """Send a file through a channel that can carry one. Whatever goes wrong is an answer, never an error."""
        try:
            channel = self.opened(row, audience=audience)
        except EverleafError as error:
            return Later(reason=error.detail, progress=progress)
        if not isinstance(channel, Carrier):
            return Never(reason=f"A channel of the kind {row.kind} carries no files.", progress=progress)
        return await channel.carry(letter, progress=progress)

    def opened(self, row: store.Channel, *, audience: Audience = EVERYBODY) -> Channel[Any, Any]:
        """Return what a row says, ready to be used for an audience. Raises `Invalid`, or what opening its secrets raises.

        It is kept as long as the row is as it is: to open its secrets for each notice costs as much as to send it.
        """
        key = (row.id, row.version, row.secrets, audience)
        channel = self._ready.pop(key, None)
        if channel is None:
            kind = channel_kind(row.kind)
            options = _parse(kind.options_type, readdressed(kind, row.options, audience), part="options")
            channel = self._open(kind, options, secrets=self._unseal(row))
        self._ready[key] = channel  # the last that was used is the last to go
        if len(self._ready) > MOST_READY:
            del self._ready[next(iter(self._ready))]
        return channel

    def _open(self, kind: Kind, options: BaseModel, *, secrets: Mapping[str, str]) -> Channel[Any, Any]:
        return kind.open(
            options, secrets=_parse(kind.secrets_type, secrets, part="secrets"), network=self._network
        )

    def _seal(self, secrets: Mapping[str, str], *, channel_id: str) -> bytes:
        return self._sealer.seal(json.dumps(dict(secrets)).encode(), row=_row(channel_id))

    def _unseal(self, row: store.Channel) -> dict[str, str]:
        opened: dict[str, str] = json.loads(self._sealer.open(row.secrets, row=_row(row.id)))
        return opened


def channels_of(rule: store.Rule) -> set[str]:
    """Return the channels that a rule names, at any level of its escalation."""
    levels = Plan.model_validate(rule.plan).escalation
    return {*(rule.channels or ()), *(each for level in levels for each in level.channels or ())}


def _row(channel_id: str) -> str:
    return f"notifier/channels/{channel_id}/secrets"


def _plain(secrets: Secrets) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in secrets.items()}


def _document(options: BaseModel) -> dict[str, Any]:
    return options.model_dump(mode="json", by_alias=True)


def _parse(model: type[BaseModel], values: Mapping[str, Any], *, part: str) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [
            # Only where and what: the value itself may be a secret.
            Fault(pointer="/".join(["/body", part, *map(str, each["loc"])]), message=each["msg"])
            for each in error.errors(include_input=False)
        ]
    raise Invalid(
        "; ".join(f"{fault.pointer}: {fault.message}" for fault in faults[:5]),
        next_step="Correct the fields listed in `errors` and send it again.",
        faults=faults,
    )


def _refuse_redirected_secrets(
    kind: Kind, *, before: Mapping[str, Any], after: Mapping[str, Any], change: ChannelChange
) -> None:
    # Else whoever may change a channel could have its password sent to a server of their own.
    moved = sorted(name for name in kind.secrets_go_by if before.get(name) != after.get(name))
    if moved and change.secrets is None:
        raise Invalid(
            f"{', '.join(moved)} decide who gets to see the secrets.",
            next_step="Send the secrets again with this change.",
            faults=[Fault(pointer="/body/secrets", message="needed with this change")],
        )


async def _flush(tx: Transaction, *, name: str) -> None:
    try:
        await tx.session.flush()
    except IntegrityError as error:
        raise Conflict(
            f"There is a channel named {name} already.", next_step="Choose another name."
        ) from error


def _seen(row: store.Channel | None, *, caller: Principal) -> store.Channel:
    if row is None or not caller.sees(row.groups):
        raise NotFound("There is no such channel.", next_step="List them at GET /v1/channels.")
    return row
