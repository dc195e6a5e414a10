"""Looks whether the trail is whole: by what is missing, by who does not co-sign it, and by reading it again.

Whoever may write to this store may silence this, too. The other services then say it on the bus (`audit.refused`), and
`everleaf audit verify` finds it in any export.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.ext.asyncio import AsyncSession

from services.notifier import store as alerts
from services.notifier.actions import turns
from services.notifier.actions.trail_keys import TrailKeys
from services.notifier.domain.alerts import Evidence, Problem
from services.notifier.domain.trails import (
    CHAIN,
    gap_subject,
    of_broken_segment,
    of_gap,
    of_refusal,
    of_silence,
    over,
    witness_subject,
)
from services.notifier.store import trail as store
from services.notifier.store.trail import TrailCheckpoint
from shared.access import public_keys
from shared.audit.chain import digest_of
from shared.audit.signed import Kind, opened
from shared.errors import Invalid
from shared.events import Event
from shared.events.audit import CheckpointRefused
from shared.store import Database, Transaction

AT_ONCE = 50
"""Segments that one look reads again."""


class TrailWatch:
    """The watch over the trail."""

    def __init__(self, database: Database, keys: TrailKeys) -> None:
        self._database = database
        self._keys = keys
        self._read_up_to = 0

    async def look(self, now: datetime) -> bool:
        """Open, keep or end the alerts about what is missing, and read some segments again; there is no more then."""
        async with self._database.transaction() as tx:
            await store.note_missing(tx, now=now)
        async with self._database.read() as session:
            standings = await store.standings(session)
        for each in standings:
            whole_at = now if not each.missing else None
            await self._judge(gap_subject(each.source), of_gap(each, now=now), whole_at=whole_at, now=now)
            # What it has signed since tells that it refuses no more.
            signed_at = each.signed_at if each.unsigned is None else None
            subject = witness_subject(each.source)
            await self._judge(subject, of_silence(each, now=now), whole_at=signed_at, now=now)
        await self._read_again(now)
        return False

    async def refused(self, tx: Transaction, event: Event[CheckpointRefused], *, now: datetime) -> None:
        """Open the alert about a checkpoint that a service refuses."""
        await turns.tell(tx, of_refusal(event.data, source=event.source.removeprefix("/everleaf/")), now=now)

    async def _judge(
        self, subject: str, evidence: Evidence | None, *, whole_at: datetime | None, now: datetime
    ) -> None:
        if evidence is not None:
            async with self._database.transaction() as tx:
                await turns.tell(tx, evidence, now=now)
        elif whole_at is not None and await self._is_open(subject):
            async with self._database.transaction() as tx:
                end = over(subject, at=whole_at)
                await turns.end(tx, end, reason="It was seen to be whole again.", now=now)

    async def _is_open(self, subject: str) -> bool:
        async with self._database.read() as session:
            return bool(await alerts.open_alerts(session, [subject]))

    async def _read_again(self, now: datetime) -> None:
        """Read the newest segment, and those that come next in turn, from the first to the last and from the first again."""
        keys = public_keys({"keys": await self._keys.published()})
        async with self._database.read() as session:
            newest = await store.last_checkpoint(session)
            rows = await store.checkpoints_after(session, self._read_up_to, limit=AT_ONCE)
            self._read_up_to = rows[-1].number if len(rows) == AT_ONCE else 0
            found = {row.number: await _fault(session, row, keys) for row in _each_once([*rows, newest])}
        async with self._database.transaction() as tx:
            open_alert = await alerts.open_alert(tx.session, subject=CHAIN, problem=Problem.AUDIT_BROKEN)
            for number, fault in found.items():
                if fault is not None:
                    await turns.tell(tx, of_broken_segment(number, fault=fault, now=now), now=now)
                elif open_alert is not None:
                    end = over(CHAIN, what=f"segment/{number}", at=now)
                    await turns.end(
                        tx, end, reason=f"Checkpoint {number} was read again, and holds.", now=now
                    )


def _each_once(rows: Sequence[TrailCheckpoint | None]) -> list[TrailCheckpoint]:
    return list({row.number: row for row in rows if row is not None}.values())


async def _fault(
    session: AsyncSession, row: TrailCheckpoint, keys: Mapping[str, Ed25519PublicKey]
) -> str | None:
    """Return what is wrong with a segment as it is kept; None where it is as it was signed, or was let go."""
    try:
        _, claims = opened(Kind.CHECKPOINT, row.token, keys)
    except Invalid as error:
        return error.detail.removesuffix(".")
    if (claims["first"], claims["last"], claims["head"]) != (row.first, row.last, row.head):
        return "it does not sign what it is kept with"
    if row.tombstone is not None:
        return None
    number, previous = row.first, await store.end_before(session, row)
    async for line in store.lines_of(session, first=row.first, last=row.last):
        entry = json.loads(line)
        if (entry["number"], entry["previous"]) != (number, previous):
            return (
                f"entry {number} does not follow the one before: one of the two was changed, moved or taken"
            )
        number, previous = number + 1, digest_of(line)
    return None if (number - 1, previous) == (row.last, row.head) else "it ends otherwise than it was signed"
