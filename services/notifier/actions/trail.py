"""The audit trail: entries are appended as services tell them, checkpoints are signed, old segments are let go."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from services.notifier.actions.trail_keys import TrailKeys
from services.notifier.domain.subscriptions import Log
from services.notifier.store import trail as store
from services.notifier.store.subscriptions import wake_subscriptions
from services.notifier.store.trail import TrailCheckpoint, TrailCosignature, TrailEntry, Wanted
from shared.access import Principal, SigningKey, public_keys
from shared.audit import Change
from shared.audit.chain import BEGINNING, digest_of, line_of
from shared.audit.signed import Kind, digest, opened, signed
from shared.errors import Conflict
from shared.events import Event
from shared.events.audit import ChangeRecorded, CheckpointCosigned, TrailCheckpointed
from shared.evidence import Writer
from shared.store import Database, Transaction

log = structlog.get_logger(__name__)
_PAGE = 500
VERSION = 1
"""Of the form of exports."""


class Trail:
    """The verbs on the trail."""

    def __init__(
        self, database: Database, keys: TrailKeys, *, kept_for: timedelta, ring: Callable[[], None]
    ) -> None:
        """`ring` says that something was appended."""
        self._ring = ring
        self._database = database
        self._keys = keys
        self._kept_for = kept_for

    async def append(self, tx: Transaction, events: Sequence[Event[ChangeRecorded]]) -> None:
        """Link entries to the trail, in the order in which they have come."""
        head = await store.hold_head(tx)
        rows = []
        for event in events:
            row = _row(event, number=head.number + 1, previous=head.digest)
            head.number, head.digest = row["number"], row["digest"]
            rows.append(row)
        await tx.session.flush()
        await store.add_entries(tx, rows)
        await wake_subscriptions(tx, Log.AUDIT, now=max(event.data.at for event in events))
        tx.after_commit(self._ring)

    async def cosigned(self, tx: Transaction, event: Event[CheckpointCosigned], *, now: datetime) -> None:
        """Keep what a service has signed. Raises `Invalid` or `Conflict` where it is not by the key it had first."""
        source, told = _source(event), event.data
        key = await store.pin_key(tx, source, told.signer)
        if key.get("kid") != told.signer.get("kid"):
            raise Conflict(
                f"{source} co-signs the audit trail with another key than before.",
                next_step="Find out why its store has another key; see docs/audit.md.",
            )
        opened(Kind.COSIGNATURE, told.signature, public_keys({"keys": [key]}))
        row = TrailCosignature(checkpoint=told.number, source=source, token=told.signature, at=now)
        await store.keep_cosignature(tx, row)

    async def checkpoint(self, now: datetime) -> bool:
        """Sign what was appended since the last checkpoint; nothing where that is nothing."""
        async with self._database.transaction() as tx:
            head = await store.hold_head(tx)
            last = await store.last_checkpoint(tx.session)
            if head.number == (last.last if last is not None else 0):
                return False
            key, heir = await self._keys.signing_key_in(tx), await self._keys.heir_in(tx)
            row = _checkpoint(head, last, key=key, heir=heir, now=now)
            tx.session.add(row)
            if heir is not None:
                await self._keys.hand_over(tx, key, heir, now=now)
            told = TrailCheckpointed(number=row.number, checkpoint=row.token, signer=key.jwk())
            tx.emit(told, now=now)
        log.info("audit.checkpoint", number=row.number, last=row.last)
        return False

    async def let_go(self, now: datetime) -> bool:
        """Replace the oldest segment by a tombstone, where it is old enough; return whether there may be more."""
        key = await self._keys.signing_key()
        async with self._database.transaction() as tx:
            row = await store.oldest_segment(tx, ended_before=now - self._kept_for)
            if row is None:
                return False
            [first] = await store.entries_after(tx.session, row.first - 1, limit=1)
            row.tombstone = signed(
                Kind.TOMBSTONE,
                {
                    "number": row.number,
                    "first": row.first,
                    "last": row.last,
                    "before": json.loads(first.line)["previous"],
                    "head": row.head,
                    "checkpoint": digest(row.token),
                    "kept_for_days": self._kept_for.days,
                },
                key,
                now=now,
            )
            await store.forget_entries(tx, first=row.first, last=row.last)
            tx.record(_let_go(row, self._kept_for))
        log.info("audit.let_go", checkpoint=row.number, first=row.first, last=row.last)
        return True

    async def page(
        self, wanted: Wanted, *, before: int | None, limit: int, caller: Principal
    ) -> Sequence[TrailEntry]:
        """Return up to `limit + 1` entries that the caller may see, newest first."""
        async with self._database.read() as session:
            return await store.trail_page(session, wanted, before=before, limit=limit, scope=caller.scope)

    async def checkpoints(
        self, *, after: int, limit: int
    ) -> tuple[Sequence[TrailCheckpoint], dict[int, list[TrailCosignature]]]:
        """Return up to `limit + 1` checkpoints, oldest first, and who has co-signed them."""
        async with self._database.read() as session:
            rows = await store.checkpoints_after(session, after, limit=limit + 1)
            return rows, await store.cosignatures_of(session, [row.number for row in rows])

    async def rotate_key(self, *, caller: Principal, now: datetime) -> store.TrailKey:
        """Have the trail signed with a new key from the checkpoint after next on. Raises `Conflict` where one waits."""
        return await self._keys.rotate(caller=caller, now=now)

    async def sources(self) -> Sequence[store.TrailSource]:
        """Return how many changes each service has told, and whether one is missing."""
        async with self._database.read() as session:
            return await store.trail_sources(session)

    async def keys(self) -> list[dict[str, str]]:
        """Return our key, and those that the others co-sign with, as JWKs."""
        others = [{**row.key, "service": row.source} for row in await self.sources() if row.key]
        return [*await self._keys.published(), *others]

    async def export(self, *, now: datetime) -> AsyncIterator[bytes]:
        """Yield the whole trail as lines that `everleaf audit verify` checks, the last of which is signed."""
        key, writer = await self._keys.signing_key(), Writer()
        async with self._database.read() as session:
            last, head = await store.head(session)
            yield writer.line({"audit": VERSION, "exported_at": now.isoformat(), "keys": await self.keys()})
            exported, after = 0, 0
            while rows := await store.checkpoints_after(session, after, limit=_PAGE):
                cosignatures = await store.cosignatures_of(session, [row.number for row in rows])
                for row in rows:
                    async for line in _segment(session, row, writer):
                        yield line
                    signatures = [each.token for each in cosignatures[row.number]]
                    yield writer.line({"checkpoint": row.token, "cosignatures": signatures})
                    exported = row.last
                after = rows[-1].number
            async for text in store.lines_of(session, first=exported + 1, last=last):
                yield writer.text(text)
        yield writer.signature(
            key, subject="audit trail", now=now, more={"last": max(last, exported), "head": head}
        )


async def _segment(session: Any, row: TrailCheckpoint, writer: Writer) -> AsyncIterator[bytes]:
    if row.tombstone is not None:
        yield writer.line({"tombstone": row.tombstone})
        return
    async for text in store.lines_of(session, first=row.first, last=row.last):
        yield writer.text(text)


def _source(event: Event[Any]) -> str:
    return event.source.removeprefix("/everleaf/")


def _row(event: Event[ChangeRecorded], *, number: int, previous: str) -> dict[str, Any]:
    told, source = event.data, _source(event)
    document = {"id": event.id, "source": source, **told.model_dump(mode="json")}
    line = line_of(document, number=number, previous=previous)
    return {
        "number": number,
        "event_id": event.id,
        "source": source,
        "sequence": told.sequence,
        "at": told.at,
        "actor_id": told.actor_id[:100],
        "action": told.action[:100],
        "object_kind": told.object_kind[:50],
        "object_id": told.object_id[:300],
        "lineage_id": told.lineage_id,
        "groups": told.groups,
        "trace_id": told.trace_id,
        "line": line,
        "digest": digest_of(line),
    }


def _checkpoint(
    head: store.TrailHead,
    last: TrailCheckpoint | None,
    *,
    key: SigningKey,
    heir: SigningKey | None,
    now: datetime,
) -> TrailCheckpoint:
    number, first = (last.number + 1, last.last + 1) if last is not None else (1, 1)
    claims = {
        "number": number,
        "first": first,
        "last": head.number,
        "head": head.digest,
        "previous": digest(last.token) if last is not None else BEGINNING,
        **({"next_key": heir.jwk()} if heir is not None else {}),
    }
    token = signed(Kind.CHECKPOINT, claims, key, now=now)
    return TrailCheckpoint(
        number=number, first=first, last=head.number, head=head.digest, token=token, at=now
    )


def _let_go(row: TrailCheckpoint, kept_for: timedelta) -> Change:
    return Change(
        kind="audit_segment",
        verb="let_go",
        id=str(row.number),
        before={"first": row.first, "last": row.last, "head": row.head},
        reason=f"Older than {kept_for.days} days.",
    )
