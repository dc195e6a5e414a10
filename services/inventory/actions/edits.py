"""Edits certificates: one at once, many in batches, each batch a transaction of its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.actions import rules
from services.inventory.actions.holding import hold_certificates
from services.inventory.actions.labels import Labels, labels_of
from services.inventory.actions.organising import EVALUATION
from services.inventory.actions.outcomes import (
    BATCH,
    RULES,
    Counts,
    Trial,
    Which,
    edited,
    following_of,
    foresee,
    matches,
    write,
)
from services.inventory.actions.wanted import Wanted, as_json, changes, refuse_scoped
from services.inventory.domain.edits import person
from services.inventory.store import certificates, edits, labels
from services.inventory.store.locks import share
from services.inventory.store.matching import count, visible
from services.inventory.store.organised import EditRow
from services.inventory.store.tables import Certificate
from shared.access import Principal
from shared.errors import Conflict, NotFound, Stale
from shared.ids import new_id
from shared.store import Database
from shared.store.reader import reader_in

log = structlog.get_logger(__name__)

AT_ONCE = 10
"""Batches that are worked off before the asker gets an answer; a worker goes on with the rest."""
MOST_TRIED = 10_000
"""Certificates that a dry run goes through."""
LEFT_ALONE = timedelta(seconds=30)
"""After this long without a batch a worker goes on with an edit."""


class Edits:
    """The verbs on how certificates are organised."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def one(
        self, fingerprint: str, wanted: Wanted, *, version: int | None, caller: Principal, now: datetime
    ) -> tuple[Certificate, Labels]:
        """Change one certificate. Raises `NotFound`, `Stale`, `Invalid`, `Forbidden` or `Conflict`."""
        async with self._database.transaction() as tx:
            # In this order everywhere: certificates, then the evaluation of groups, then groups.
            await hold_certificates(tx, [fingerprint])
            await share(tx, EVALUATION)
            await _one_of(tx.session, fingerprint, caller)
            asked = await changes(tx, wanted, caller=caller)
            if version is not None and version != (await _labels(tx.session, fingerprint, caller)).version:
                raise Stale("It was changed since you read it.", next_step="Read it again.")
            before = await labels.standings(tx.session, [fingerprint])
            batch = edited([fingerprint], before, asked, by=person(caller.name))
            if reason := batch.outcomes[fingerprint].reason:
                raise Conflict(f"It was not changed: {reason}.", next_step="Ask for less.")
            await write(tx, batch, now=now)
            row = await _one_of(tx.session, fingerprint, caller)
            shown = await _labels(tx.session, fingerprint, caller)
        log.info("certificate.edited", fingerprint=fingerprint, by=caller.id)
        return row, shown

    async def start(self, which: Which, wanted: Wanted, *, caller: Principal, now: datetime) -> EditRow:
        """Change many certificates; a large edit goes on when this returns. Raises `Invalid` or `Forbidden`."""
        if which.query is not None:
            rules.check(which.query, pointer="/body/query")
        async with self._database.transaction() as tx:
            kept = as_json(await changes(tx, wanted, caller=caller))
            row = _begun(which, kept, caller=caller, now=now)
            tx.session.add(row)
        return await self._first_batches(row, now=now)

    async def apply_rules(self, *, caller: Principal, now: datetime) -> EditRow:
        """Let the assignment rules say again of every certificate what they say. Raises `Forbidden`."""
        refuse_scoped(caller, what="assignment rules")
        async with self._database.transaction() as tx:
            row = _begun(Which(), RULES, caller=caller, now=now)
            tx.session.add(row)
        return await self._first_batches(row, now=now)

    async def _first_batches(self, row: EditRow, *, now: datetime) -> EditRow:
        log.info("edit.began", edit=row.id, by=row.created_by)
        for _ in range(AT_ONCE):
            if not await self._batch(row.id, now=now, rests=LEFT_ALONE):
                break
        return await self.get(row.id, caller=None)

    async def go_on(self, now: datetime) -> bool:
        """Go on with an edit that nobody works on; return whether there may be more to do."""
        async with self._database.read() as session:
            due = await edits.due_edit(session, now=now)
        if due is not None:
            await self._batch(due, now=now, rests=timedelta())
        return due is not None

    async def _batch(self, edit_id: str, *, now: datetime, rests: timedelta) -> bool:
        """Work off one batch; return whether the edit goes on."""
        async with self._database.transaction() as tx:
            row = await edits.held_edit(tx, edit_id)
            if row is None:
                return False
            fingerprints = await following_of(tx.session, row)
            await hold_certificates(tx, fingerprints)
            batch = await foresee(tx.session, row, fingerprints, now=now)
            counts = Counts()
            by = (row.created_by, str(row.changes["by"])) if "by" in row.changes else None
            counts.add(await write(tx, batch, by=by, now=now))
            _note(row, counts)
            if len(fingerprints) < BATCH:
                row.state, row.due_at, row.ended_at = "done", None, now
            else:
                row.cursor, row.due_at = fingerprints[-1], now + rests
        return row.due_at is not None

    async def try_out(self, which: Which, wanted: Wanted, *, caller: Principal, now: datetime) -> Trial:
        """Return what an edit would do. Raises `Invalid` or `Forbidden`."""
        if which.query is not None:
            rules.check(which.query, pointer="/body/query")
        async with self._database.transaction() as tx:
            kept = as_json(await changes(tx, wanted, caller=caller))
        return await self._tried(_begun(which, kept, caller=caller, now=now), now=now)

    async def try_rules(self, *, caller: Principal, now: datetime) -> Trial:
        """Return what the assignment rules would do. Raises `Forbidden`."""
        refuse_scoped(caller, what="assignment rules")
        return await self._tried(_begun(Which(), RULES, caller=caller, now=now), now=now)

    async def _tried(self, row: EditRow, *, now: datetime) -> Trial:
        counts = Counts()
        while counts.matched < MOST_TRIED:
            async with self._database.read() as session:
                fingerprints = await following_of(session, row)
                counts.add((await foresee(session, row, fingerprints, now=now)).outcomes)
            if len(fingerprints) < BATCH:
                return Trial(total=counts.matched, counts=counts)
            row.cursor = fingerprints[-1]
        async with self._database.read() as session:
            total = (
                len(row.fingerprints) if row.fingerprints is not None else await count(session, matches(row))
            )
        return Trial(total=total, counts=counts)

    async def page(self, *, after: str | None, limit: int, caller: Principal) -> Sequence[EditRow]:
        """Return `limit + 1` edits, newest first; who is limited to groups sees their own."""
        by = caller.id if caller.scope is not None else None
        async with self._database.read() as session:
            return await edits.page(session, after=after, limit=limit, by=by)

    async def get(self, edit_id: str, *, caller: Principal | None) -> EditRow:
        """Return an edit. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await edits.edit(session, edit_id)
        if row is None or (caller is not None and caller.scope is not None and row.created_by != caller.id):
            raise NotFound(f"There is no edit {edit_id}.", next_step="List them with GET /v1/edits.")
        return row


def _begun(which: Which, kept: Mapping[str, object], *, caller: Principal, now: datetime) -> EditRow:
    return EditRow(
        id=new_id(),
        query=which.query,
        fingerprints=sorted(set(which.fingerprints)) if which.fingerprints is not None else None,
        changes={**kept, "by": caller.name},
        scope=sorted(caller.scope) if caller.scope is not None else None,
        state="running",
        due_at=now + LEFT_ALONE,
        reasons={},
        created_at=now,
        created_by=caller.id,
    )


async def _one_of(session: AsyncSession, fingerprint: str, caller: Principal) -> Certificate:
    row = await certificates.certificate(session, fingerprint)
    if row is None or not await visible(session, [fingerprint], scope=caller.scope):
        raise NotFound(
            f"There is no certificate {fingerprint}.",
            next_step="List what there is with GET /v1/certificates.",
        )
    return row


async def _labels(session: AsyncSession, fingerprint: str, caller: Principal) -> Labels:
    row = await certificates.certificate(session, fingerprint)
    if row is None:
        return Labels()
    return (await labels_of(reader_in(session), [row], scope=caller.scope))[fingerprint]


def _note(row: EditRow, counts: Counts) -> None:
    row.matched += counts.matched
    row.changed += counts.changed
    row.unchanged += counts.unchanged
    row.refused += counts.refused
    row.reasons = dict(Counter(row.reasons) + counts.reasons)
