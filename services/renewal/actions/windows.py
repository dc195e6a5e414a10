"""Asks authorities when they would have their certificates renewed (RFC 9773), and goes by what they say."""

import base64
from datetime import datetime, timedelta
from functools import partial

import anyio
import structlog

from services.renewal import store
from services.renewal.actions.authorities import Authorities
from services.renewal.actions.schedules import Schedules
from services.renewal.actions.timing import retime, window_of
from services.renewal.connectors import NotNow, TellsWhen, Window
from services.renewal.domain.policy import Trust
from services.renewal.domain.schedule import LATEST_LOOK, Span, look_after_failure, next_look
from shared.errors import EverleafError, Refused
from shared.store import Database

log = structlog.get_logger(__name__)
BATCH = 20
LEASE = timedelta(minutes=10)
"""So long nobody else asks for the same; where we are killed meanwhile it is asked again after it."""


class Windows:
    """The windows of what authorities have issued for us."""

    def __init__(self, database: Database, *, authorities: Authorities, schedules: Schedules) -> None:
        self._database = database
        self._authorities = authorities
        self._schedules = schedules

    async def look(self, now: datetime) -> bool:
        """Ask for some certificates; return whether there may be more."""
        async with self._database.transaction() as tx:
            rows = await store.unlooked_schedules(tx, now=now, limit=BATCH)
            asked = [(row.lineage_id, row.fingerprint) for row in rows if _is_to_be_asked(row, now=now)]
            for row in rows:
                row.look_at = now + LEASE if _is_to_be_asked(row, now=now) else None
        # Side by side: one that does not answer keeps nobody waiting.
        async with anyio.create_task_group() as tasks:
            for lineage_id, fingerprint in asked:
                tasks.start_soon(partial(self._ask, lineage_id, fingerprint or "", now=now))
        return len(rows) == BATCH

    async def _ask(self, lineage_id: str, fingerprint: str, *, now: datetime) -> None:
        async with self._database.read() as session:
            order = await store.certificate_of(session, lineage_id=lineage_id, fingerprint=fingerprint)
            if order is None or not order.chain:
                return
            authority = await session.get_one(store.Authority, order.authority_id)
        try:
            window = await self._window(authority, base64.b64decode(order.chain[0]), now=now)
        except EverleafError as error:
            log.info("authority.no_window", authority=authority.name, reason=error.detail)
            await self._failed(lineage_id, fingerprint, error, now=now)
            return
        except Exception as error:
            log.exception("authority.broken", authority=authority.name)
            broken = Refused(f"It failed ({type(error).__name__}).", next_step="Look at the log.")
            await self._failed(lineage_id, fingerprint, broken, now=now)
            return
        await self._take(lineage_id, fingerprint, window, Trust(authority.trust), now=now)

    async def _window(
        self, authority: store.Authority, certificate: bytes, *, now: datetime
    ) -> Window | None:
        async with self._authorities.open(authority) as opened:
            if not isinstance(opened, TellsWhen):
                return None
            return await opened.renewal_window(certificate, now=now)

    async def _take(
        self, lineage_id: str, fingerprint: str, window: Window | None, trust: Trust, *, now: datetime
    ) -> None:
        async with self._database.transaction() as tx:
            await store.lock_lineage(tx, lineage_id)
            row = await tx.session.get(store.Schedule, lineage_id, with_for_update=True)
            enrolment = await tx.session.get(store.Enrolment, lineage_id)
            if (
                row is None
                or enrolment is None
                or row.fingerprint != fingerprint
                or row.ordered_at is not None
            ):
                return
            asked = window.ask_again_after if window is not None else LATEST_LOOK
            row.ari_failures = 0
            row.look_at = next_look(asked=asked, is_public=trust is Trust.PUBLIC, now=now)
            told = Span(start=window.start, end=window.end) if window is not None else None
            if told is not None and told.end <= told.start:
                told = window_of(row)  # as if there were no answer (RFC 9773 §4.2)
            elif window is not None:
                row.ari_explanation = window.explanation_url
            row.ari_start, row.ari_end = (told.start, told.end) if told is not None else (None, None)
            retime(row, await tx.session.get_one(store.Profile, enrolment.profile_id), now=now)
            await self._schedules.order(tx, row, now=now)

    async def _failed(
        self, lineage_id: str, fingerprint: str, error: EverleafError, *, now: datetime
    ) -> None:
        async with self._database.transaction() as tx:
            row = await tx.session.get(store.Schedule, lineage_id, with_for_update=True)
            if row is None or row.fingerprint != fingerprint or row.ordered_at is not None:
                return
            row.ari_failures += 1
            row.look_at = look_after_failure(
                failed=row.ari_failures,
                passes=isinstance(error, NotNow),
                asked=error.retry_after if isinstance(error, NotNow) else None,
                now=now,
            )


def _is_to_be_asked(row: store.Schedule, *, now: datetime) -> bool:
    """Return whether its window matters: not when it has expired, or is being replaced (RFC 9773 §4.3)."""
    return row.ordered_at is None and row.not_after is not None and now < row.not_after
