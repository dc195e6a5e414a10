"""All about one certificate: what is asked most, in two statements that never change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import col

from services.inventory.domain.certificates import chain_digest
from services.inventory.store.association_tables import OddityRow
from services.inventory.store.certificates import LISTED
from services.inventory.store.judgements import Judged
from services.inventory.store.labelled import EMPTY, Empty, Labelled, as_number, label_parts, owners, part
from services.inventory.store.organised import GroupMember
from services.inventory.store.tables import (
    Certificate,
    Crossed,
    FindingRow,
    PlaceRow,
    RevocationRow,
    ServedChainRow,
    Sighting,
)
from services.inventory.store.visibility import Scope
from shared.store import Instant
from shared.store.reader import Fixed, Found, Reader, among

_THIS = sa.bindparam("fingerprint", type_=sa.String())
_PLACE_TEXTS = ("key", "address", "server_name", "starttls", "key_type", "path", "chain_digest")
_EMPTY: Empty = {
    **EMPTY,
    "at": sa.cast(sa.null(), Instant()),
    "until": sa.cast(sa.null(), Instant()),
    **{name: sa.cast(sa.null(), sa.String()) for name in _PLACE_TEXTS},
}


def _parameter(name: str) -> Any:
    return sa.bindparam(name, type_=sa.String())


def _fact(what: str, of: Any, **columns: Any) -> sa.Select[Any]:
    return part(what, of, empty=_EMPTY, **columns)


def _places() -> sa.Select[Any]:
    place: Any = PlaceRow
    first = _fact(
        "place",
        place.id,
        name=place.kind,
        number=sa.cast(place.port, sa.Float()),
        at=col(Sighting.first_seen),
        until=col(Sighting.last_seen),
        chain_digest=col(Sighting.chain_digest),
        **{name: getattr(place, name) for name in _PLACE_TEXTS if name != "chain_digest"},
    )
    first = first.join(Sighting, col(Sighting.place_id) == place.id).where(col(Sighting.fingerprint) == _THIS)
    few = first.order_by(place.id).limit(sa.bindparam("most", type_=sa.Integer()))
    return sa.select(few.subquery())


def _findings() -> sa.Select[Any]:
    fingerprint, severity = col(FindingRow.fingerprint), col(FindingRow.severity)
    counted = _fact("finding", fingerprint, name=severity, number=sa.cast(sa.func.count(), sa.Float()))
    return counted.where(fingerprint == _THIS).group_by(fingerprint, severity)


def _crossed() -> sa.Select[Any]:
    told = as_number(col(Crossed.is_told))
    crossed = _fact(
        "crossed", col(Crossed.fingerprint), name=col(Crossed.urgency), number=told, at=col(Crossed.at)
    )
    return crossed.where(col(Crossed.fingerprint) == _THIS, col(Crossed.lineage_id) == _parameter("lineage"))


def _chain() -> sa.Select[Any]:
    chain = _fact(
        "chain",
        col(ServedChainRow.fingerprint),
        name=col(ServedChainRow.state),
        text=col(ServedChainRow.store),
        at=col(ServedChainRow.judged_at),
        until=col(ServedChainRow.trusted_until),
    )
    return chain.where(
        col(ServedChainRow.fingerprint) == _THIS,
        col(ServedChainRow.chain_digest) == _parameter("chain"),
        col(ServedChainRow.judged_at).is_not(None),
    )


def _certificate(*conditions: Any) -> Fixed:
    query = sa.select(*LISTED, col(Certificate.chain)).where(col(Certificate.fingerprint) == _THIS)
    return Fixed(query.where(*conditions))


_ANY = _certificate()
_SCOPED = _certificate(
    sa.exists().where(
        col(GroupMember.fingerprint) == col(Certificate.fingerprint),
        among(col(GroupMember.group_id), "scope"),
    )
)
_FACTS = Fixed(
    sa.union_all(
        *label_parts(lambda fingerprint: fingerprint == _THIS, empty=_EMPTY),
        _crossed(),
        _chain(),
        _findings(),
        _places(),
        _fact("odd", col(OddityRow.fingerprint), name=col(OddityRow.code), text=col(OddityRow.detail)).where(
            col(OddityRow.fingerprint) == _THIS
        ),
        _fact("revocation", col(RevocationRow.fingerprint), name=col(RevocationRow.state)).where(
            col(RevocationRow.fingerprint) == _THIS
        ),
    )
)
_PLACE_COUNT = Fixed(
    sa.select(sa.func.count().label("number")).select_from(Sighting).where(col(Sighting.fingerprint) == _THIS)
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a certificate beside what it says itself."""

    places: Sequence[Found]
    """Columns of `PlaceRow` and of `Sighting`, by the ids of places."""
    place_count: int
    crossed: Sequence[Found]
    """`urgency`, `at`, `is_told`; the first crossed first."""
    oddities: Sequence[Found]
    """`code`, `detail`."""
    judged: Judged
    labelled: Labelled


async def certificate(reader: Reader, fingerprint: str, *, scope: Scope) -> Found | None:
    """Return a certificate that may be seen, with what lists show of it and its `chain`."""
    if scope is None:
        rows = await reader.rows(_ANY, fingerprint=fingerprint)
    else:
        rows = await reader.rows(_SCOPED, fingerprint=fingerprint, scope=sorted(scope))
    return rows[0] if rows else None


async def facts(reader: Reader, row: Found, *, places: int) -> Facts:
    """Return what is known of a certificate, with the chain that it was last seen with and at most `places` places."""
    rows = await reader.rows(
        _FACTS,
        fingerprint=row.fingerprint,
        lineage=row.lineage_id,
        chain=chain_digest([row.fingerprint, *row.chain]),
        teams=owners([row]),
        most=places,
    )
    found: dict[str, list[Found]] = {}
    for each in rows:
        found.setdefault(each.what, []).append(each)
    placed = sorted(found.get("place", ()), key=lambda each: each.of)
    return Facts(
        places=[_place(each, fingerprint=row.fingerprint) for each in placed],
        place_count=len(placed) if len(placed) < places else await _place_count(reader, row.fingerprint),
        crossed=[
            Found(urgency=each.name, at=each.at, is_told=bool(each.number))
            for each in sorted(found.get("crossed", ()), key=lambda each: each.at)
        ],
        oddities=[
            Found(code=each.name, detail=each.text)
            for each in sorted(found.get("odd", ()), key=lambda each: each.name)
        ],
        judged=_judged(found),
        labelled=Labelled.of(rows),
    )


async def _place_count(reader: Reader, fingerprint: str) -> int:
    [counted] = await reader.rows(_PLACE_COUNT, fingerprint=fingerprint)
    return int(counted.number)


def _place(row: Found, *, fingerprint: str) -> Found:
    return Found(
        id=row.of,
        kind=row.name,
        port=None if row.number is None else int(row.number),
        fingerprint=fingerprint,
        first_seen=row.at,
        last_seen=row.until,
        **{name: getattr(row, name) for name in _PLACE_TEXTS},
    )


def _judged(found: Mapping[str, Sequence[Found]]) -> Judged:
    [chain] = found.get("chain") or [Found(name=None, text=None, at=None, until=None)]
    [revocation] = found.get("revocation") or [Found(name=None)]
    return Judged(
        chain_state=chain.name,
        trusted_until=chain.until,
        is_trusted=None if chain.at is None else chain.until is not None and chain.until >= chain.at,
        trust_store=chain.text,
        revocation=revocation.name,
        findings={each.name: int(each.number) for each in found.get("finding", ())},
    )
