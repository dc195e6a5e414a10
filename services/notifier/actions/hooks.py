"""Hooks: an outside system (a ticket, a chat, a pipeline) passes on what people have decided there."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError

from services.notifier import store
from services.notifier.connectors import LooksUp
from services.notifier.connectors.registry import channel_kind
from services.notifier.domain.alerts import Details, Problem
from services.notifier.domain.approvals import KnownApprover, approval_subject, approver_of, check_waiting
from services.notifier.domain.text import clean
from shared.access import Principal
from shared.audit import Change
from shared.errors import Conflict, EverleafError, Fault, Invalid, NotFound
from shared.events.notifier import ApprovalGranted, ApprovalRefused
from shared.groups import listed
from shared.ids import new_id
from shared.sealing import Sealer
from shared.store import Database, Transaction
from shared.webhooks import TOLERANCE, key_of, verified

log = structlog.get_logger(__name__)

_MOST_WORDS = 2000


@dataclass(frozen=True, kw_only=True)
class NewHook:
    """What a hook is made of."""

    name: str
    approvers: Sequence[KnownApprover]
    signing_secret: SecretStr | None = field(default=None, repr=False)
    """What messages to it are signed with; without it, none is taken."""
    channel_id: str | None = None
    """The channel in whose tickets people decide."""
    groups: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Passed:
    """What is passed on: somebody's decision, on this digest."""

    is_granted: bool
    approval_id: str
    digest: str
    decided_by: str
    """As the outside system knows them."""
    reason: str


class Hooks:
    """The verbs on hooks."""

    def __init__(self, database: Database, *, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._nobodys = secrets.token_bytes(32)
        """Messages to a hook that is not there are held against this: they take as long, and nobody has it."""

    async def create(self, new: NewHook, *, caller: Principal, now: datetime) -> store.ApprovalHook:
        """Make a hook. Raises `Forbidden`, `Invalid`, `NotFound`, or `Conflict` where the name is taken."""
        secret, hook_id = _secret(new.signing_secret), new_id()
        row = store.ApprovalHook(
            id=hook_id,
            name=new.name,
            secrets=self._sealer.seal(secret.encode(), row=_row(hook_id)),
            approvers=[each.model_dump(mode="json") for each in new.approvers],
            groups=listed(caller.grouped(new.groups)),
            created_at=now,
            created_by=caller.id,
            channel_id=new.channel_id,
        )
        async with self._database.transaction() as tx:
            if new.channel_id is not None:
                row.channel_seal = await _sealed_channel(tx, new.channel_id, caller=caller)
            tx.session.add(row)
            try:
                await tx.session.flush()
            except IntegrityError as error:
                raise Conflict(
                    f"There is a hook named {new.name} already.", next_step="Choose another name."
                ) from error
        log.info("hook.made", hook=row.id, by=caller.id)
        return row

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[store.ApprovalHook]:
        """Return up to `limit + 1` hooks that the caller sees, newest first."""
        async with self._database.read() as session:
            return await store.hooks_page(session, after=after, limit=limit, scope=caller.scope)

    async def get(self, hook_id: str, *, caller: Principal) -> store.ApprovalHook:
        """Return a hook. Raises `NotFound`."""
        async with self._database.read() as session:
            return _seen(await session.get(store.ApprovalHook, hook_id), caller=caller)

    async def delete(self, hook_id: str, *, caller: Principal) -> None:
        """Take a hook away: nothing is passed on by it any more. Raises `NotFound`."""
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.ApprovalHook, hook_id, with_for_update=True)
            await tx.session.delete(_seen(row, caller=caller))
        log.info("hook.removed", hook=hook_id, by=caller.id)

    async def authenticate(
        self, hook_id: str, content: bytes, headers: Mapping[str, str], *, now: datetime
    ) -> str:
        """Return the id of a message that is signed with the hook's secret. Raises `Unauthenticated`."""
        async with self._database.read() as session:
            row = await session.get(store.ApprovalHook, hook_id)
        key = self._nobodys
        if row is not None:
            opened = self._sealer.open(row.secrets, row=_row(row.id)).decode()
            key = key_of(SecretStr(opened))
        return verified(content, headers, key=key, now=now)

    async def pass_on(self, hook_id: str, passed: Passed, *, message_id: str, now: datetime) -> bool:
        """Say what was decided; return False where this message has come before.

        Raises `Forbidden` where the hook does not know who has decided, or `Conflict` where that is not what waits.
        """
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.ApprovalHook, hook_id)
            if row is None:
                raise NotFound("There is no such hook.", next_step="List them at GET /v1/approval-hooks.")
            forget = now - 2 * TOLERANCE
            if not await store.is_first(tx, hook_id=row.id, message_id=message_id, forget=forget, now=now):
                return False
            await pass_on(tx, row, passed, now=now)
        return True


async def pass_on(tx: Transaction, row: store.ApprovalHook, passed: Passed, *, now: datetime) -> None:
    """Say what was decided. Raises `Forbidden` or `Conflict`, as the door does."""
    alert = await store.open_alert(
        tx.session,
        subject=approval_subject(passed.approval_id)[:100],
        problem=Problem.AWAITING_APPROVAL,
    )
    try:
        details = Details.model_validate(alert.details) if alert is not None else None
        check_waiting(details, digest=passed.digest)
        approver = approver_of(
            [KnownApprover.model_validate(each) for each in row.approvers], passed.decided_by
        )
    except EverleafError as error:
        log.warning("hook.refused", hook=row.id, approval=passed.approval_id, reason=error.detail)
        raise
    tx.emit(_decision(row, passed, approver, now=now), now=now)
    tx.record(_passed_on(row, passed, approver))
    log.info("hook.passed_on", hook=row.id, approval=passed.approval_id, by=approver.principal)


def channel_seal(channel: store.Channel) -> str:
    """Return what changes with all that decides where a channel leads, and what it takes for a decision."""
    told = {"kind": channel.kind, "options": channel.options}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


async def _sealed_channel(tx: Transaction, channel_id: str, *, caller: Principal) -> str:
    channel = await store.held_channel(tx, channel_id)
    if channel is None or not caller.sees(channel.groups):
        raise NotFound("There is no such channel.", next_step="List them at GET /v1/channels.")
    if not issubclass(channel_kind(channel.kind), LooksUp):
        raise Invalid(
            f"Nobody decides anything in a channel of the kind {channel.kind}.",
            next_step="Name a channel that opens tickets.",
            faults=[Fault(pointer="/body/channel_id", message="not a channel with tickets")],
        )
    return channel_seal(channel)


def _secret(given: SecretStr | None) -> str:
    """Return the secret of a hook: one that nobody has, where no message is to be taken."""
    if given is None:
        return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    try:
        key_of(given)
    except ValueError as error:
        fault = Fault(pointer="/body/signing_secret", message=str(error))
        raise Invalid(
            "The signing secret is not one.", next_step=str(error).capitalize() + ".", faults=[fault]
        ) from None
    return given.get_secret_value()


def _passed_on(row: store.ApprovalHook, passed: Passed, approver: KnownApprover) -> Change:
    return Change(
        kind="approval",
        verb="passed_on",
        id=passed.approval_id,
        after={"is_granted": passed.is_granted, "digest": passed.digest},
        groups=tuple(row.groups),
        reason=passed.reason,
        approval_id=passed.approval_id,
        actor=(row.id, row.name),
        on_behalf_of=approver.principal,
    )


def _decision(
    row: store.ApprovalHook, passed: Passed, approver: KnownApprover, *, now: datetime
) -> ApprovalGranted | ApprovalRefused:
    kind = ApprovalGranted if passed.is_granted else ApprovalRefused
    return kind(
        approval_id=passed.approval_id,
        digest=passed.digest,
        decided_by=approver.principal,
        name=clean(approver.external),
        roles=list(approver.roles),
        groups=row.groups,
        reason=clean(passed.reason, most=_MOST_WORDS),
        passed_on_by=row.name,
        decided_at=now,
    )


def _seen(row: store.ApprovalHook | None, *, caller: Principal) -> store.ApprovalHook:
    if row is None or not caller.sees(row.groups):
        raise NotFound("There is no such hook.", next_step="List them at GET /v1/approval-hooks.")
    return row


def _row(hook_id: str) -> str:
    return f"notifier/approval_hooks/{hook_id}/secrets"
