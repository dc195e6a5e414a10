"""Which exceptions are for which of the places that are judged."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.inventory.domain.assessment.exceptions import Lifted, ScopeKind
from services.inventory.domain.query import parse
from services.inventory.store.assessments import Judged
from services.inventory.store.organised import GroupMember, GroupRow
from services.inventory.store.queries import condition
from services.inventory.store.tables import Certificate, PlaceRow, Sighting
from services.inventory.store.visibility import Scope, visible_certificates, visible_places
from shared.errors import Fault, Invalid


async def by_place(
    session: AsyncSession, held: Sequence[Lifted], places: Sequence[Judged], *, now: datetime
) -> Mapping[str, tuple[Lifted, ...]]:
    """Return the exceptions for each of these places, by its id."""
    found: dict[str, tuple[Lifted, ...]] = {}
    for each in held:
        for place in await _concerned(session, each, places, now=now):
            found[place.place_id] = (*found.get(place.place_id, ()), each)
    return found


async def _concerned(
    session: AsyncSession, lifted: Lifted, places: Sequence[Judged], *, now: datetime
) -> Iterable[Judged]:
    if lifted.kind is ScopeKind.PLACE:
        return [place for place in places if place.place_id == lifted.value]
    fingerprints = {place.fingerprint for place in places if place.fingerprint is not None}
    if lifted.kind is ScopeKind.CERTIFICATE:
        meant: Collection[str] = {lifted.value}
    elif lifted.kind is ScopeKind.GROUP:
        meant = await _in_group(session, lifted.value, fingerprints)
    else:
        meant = await _found_by(session, lifted.value, fingerprints, now=now)
    return [place for place in places if place.fingerprint in meant]


async def _in_group(session: AsyncSession, group: str, fingerprints: Collection[str]) -> Collection[str]:
    query = sa.select(col(GroupMember.fingerprint)).where(
        col(GroupMember.group_id) == group, col(GroupMember.fingerprint).in_(fingerprints)
    )
    return set((await session.scalars(query)).all())


async def _found_by(
    session: AsyncSession, text: str, fingerprints: Collection[str], *, now: datetime
) -> Collection[str]:
    try:
        asked = condition(parse(text), now=now)
    except Invalid:  # a field that it names is not there any more: it lets nothing pass
        return ()
    query = sa.select(col(Certificate.fingerprint)).where(
        col(Certificate.fingerprint).in_(fingerprints), asked
    )
    return set((await session.scalars(query)).all())


async def check_scope(
    session: AsyncSession, kind: ScopeKind, value: str, *, scope: Scope, now: datetime
) -> None:
    """Raise `Invalid` where there is nothing that an exception could be for, or nothing that the caller may see."""
    if kind is ScopeKind.QUERY:
        _check_query(value, scope=scope, now=now)
        return
    known = {
        ScopeKind.PLACE: sa.select(col(PlaceRow.id))
        .join(Sighting, col(Sighting.place_id) == col(PlaceRow.id))
        .where(col(PlaceRow.id) == value, *visible_places(scope)),
        ScopeKind.CERTIFICATE: sa.select(col(Certificate.id)).where(
            col(Certificate.fingerprint) == value, *visible_certificates(scope)
        ),
        ScopeKind.GROUP: sa.select(col(GroupRow.id)).where(
            col(GroupRow.id) == value, sa.true() if scope is None else col(GroupRow.id).in_(sorted(scope))
        ),
    }[kind]
    if await session.scalar(known) is None:
        raise Invalid(
            f"There is no {kind} {value}.",
            next_step="Give the id of a place or a group, or the fingerprint of a certificate, as the lists show them.",
            faults=[Fault(pointer="/body/scope/value", message=f"no {kind}")],
        )


def _check_query(text: str, *, scope: Scope, now: datetime) -> None:
    if scope is not None:
        raise Invalid(
            "An exception for a query is for who sees everything.",
            next_step="Ask for it for a group, a certificate or a place.",
            faults=[Fault(pointer="/body/scope/kind", message="not within your groups")],
        )
    condition(parse(text), now=now)
