"""Certificates in use, counted by what a forecast needs: when they end, how long they last, and who renews them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.forecast import Cohort
from services.inventory.domain.query import Asked
from services.inventory.store.organised import GroupMember
from services.inventory.store.queries import condition
from services.inventory.store.tables import Certificate, LintRow
from services.inventory.store.visibility import Scope, visible_certificates


class By(StrEnum):
    """What a forecast is divided by."""

    ISSUER = "issuer"
    OWNER = "owner"
    GROUP = "group"
    AUTOMATION = "automation"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Whose certificates are counted, and by what."""

    by: By
    asked: Asked | None
    scope: Scope


AUTOMATED, BY_HAND = "automated", "by hand"


async def cohorts(session: AsyncSession, wanted: Wanted) -> list[Cohort]:
    """Return certificates in use as cohorts. With `By.GROUP` one counts in each of its groups, and in "" without any."""
    dialect = session.get_bind().dialect.name
    key = _key(wanted.by)
    ends_on, days = _ends_on(dialect), _lifetime_days(dialect)
    is_public = sa.func.coalesce(col(LintRow.is_public), sa.false())
    automated = col(Certificate.is_from_renewal)
    query = (
        sa.select(key, ends_on, days, is_public, automated, sa.func.count())
        .select_from(Certificate)
        .outerjoin(LintRow, col(LintRow.fingerprint) == col(Certificate.fingerprint))
        .where(*_asked(wanted))
        .group_by(key, ends_on, days, is_public, automated)
    )
    if wanted.by is By.GROUP:
        query = query.outerjoin(GroupMember, col(GroupMember.fingerprint) == col(Certificate.fingerprint))
    return [
        Cohort(
            key=key if key is not None else "",
            ends_on=date.fromisoformat(str(ends)[:10]),
            lifetime=timedelta(days=float(days)),
            is_public=bool(public),
            is_automated=bool(automated),
            count=count,
        )
        for key, ends, days, public, automated, count in (await session.execute(query)).all()
    ]


def _asked(wanted: Wanted) -> Sequence[sa.ColumnElement[bool]]:
    asked = [] if wanted.asked is None else [condition(wanted.asked.query, now=wanted.asked.now)]
    return [
        col(Certificate.is_current).is_(True),
        col(Certificate.not_before).is_not(None),
        col(Certificate.not_after).is_not(None),
        *asked,
        *visible_certificates(wanted.scope),
    ]


def _key(by: By) -> Any:
    return {
        By.ISSUER: col(Certificate.issuer),
        By.OWNER: col(Certificate.owner_id),
        By.GROUP: col(GroupMember.group_id),
        By.AUTOMATION: sa.case((col(Certificate.is_from_renewal), AUTOMATED), else_=BY_HAND),
    }[by]


def _ends_on(dialect: str) -> Any:
    if dialect == "sqlite":
        return sa.func.date(col(Certificate.not_after))
    return sa.cast(sa.func.timezone("UTC", col(Certificate.not_after)), sa.Date)


def _lifetime_days(dialect: str) -> Any:
    """Return the lifetime in days; to the hour, so that few different ones are left."""
    begins, ends = col(Certificate.not_before), col(Certificate.not_after)
    if dialect == "sqlite":
        hours = (sa.func.julianday(ends) - sa.func.julianday(begins)) * 24
    else:
        hours = sa.extract("epoch", ends) / 3600 - sa.extract("epoch", begins) / 3600
    return sa.func.round(hours) / 24
