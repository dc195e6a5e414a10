"""Answers what belongs together: a key's certificates and places, a host's, an issuer's, and what there is too much of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.inventory.domain.associations import Kind, Spread
from services.inventory.domain.certificates import covered_range, is_covered
from services.inventory.domain.oddities import Code
from services.inventory.domain.servings import Serving
from services.inventory.store import authorities, certificates, flaws, oddities, relations, spreads
from services.inventory.store.association_tables import AuthorityRow
from services.inventory.store.authorities import Leaves, RuleCount
from services.inventory.store.relations import Device, Period, Placed
from services.inventory.store.tables import Certificate, PlaceRow
from services.inventory.store.visibility import Scope
from shared.access import known
from shared.events.inventory import Flaw
from shared.lint import Severity
from shared.store import Database

SHOWN = 100
PLACES_SHOWN = 1000
MOST_RULES = 500
_NAMES_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class KeyReport:
    """A public key, the certificates on it, and where they and the private key are."""

    fingerprint: str
    spread: Spread
    certificates: Sequence[Certificate]
    places: Sequence[Placed]
    hosts: Sequence[str]
    """That hold the private key."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Something that is spread, how far, and the weight by which it is listed."""

    id: str
    weight: int
    spread: Spread


@dataclass(frozen=True, kw_only=True)
class Wildcard:
    """A certificate for all names below one, and the names under which it is served."""

    counted: Counted
    certificate: Certificate
    served_names: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class WildcardReport:
    """A wildcard certificate, where it is, and which names it would do for."""

    certificate: Certificate
    spread: Spread
    places: Sequence[Placed]
    served_names: Sequence[str]
    covered_names: Sequence[str]
    """Names of other certificates."""


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Certificates in use for the same names, by the same issuer, at the same time."""

    counted: Counted
    certificates: Sequence[Certificate]


@dataclass(frozen=True, kw_only=True)
class DeviceReport:
    """A host: all its addresses and names, and all that is there."""

    device: Device
    same_device: Sequence[str]
    places: Sequence[Placed]
    flaws: Mapping[str, tuple[Flaw, ...]]
    certificates: Sequence[Certificate]
    keys: Sequence[str]
    """Of the certificates there, and the private keys that stores hold there."""


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """An authority, and how many certificates are under it."""

    row: AuthorityRow
    leaves: Leaves
    valid: int | None = None
    """Certificates that have not ended; counted where one authority is asked for."""


class Relations:
    """The questions; none of them changes anything, and each shows what the caller may see."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def key(self, fingerprint: str, *, scope: Scope) -> KeyReport:
        """Return all about a key. Raises `NotFound`."""
        async with self._database.read() as session:
            rows = await relations.certificates_of_key(session, fingerprint, limit=SHOWN, scope=scope)
            found = await relations.places_of_key(session, fingerprint, after=None, limit=SHOWN, scope=scope)
            known(rows or found or None, what="key", name=fingerprint)
            return KeyReport(
                fingerprint=fingerprint,
                spread=(await spreads.of_keys(session, [fingerprint], scope=scope))[fingerprint],
                certificates=rows,
                places=found[:SHOWN],
                hosts=await relations.holders_of_key(session, fingerprint, limit=SHOWN, scope=scope),
            )

    async def places_of_key(
        self, fingerprint: str, *, after: str | None, limit: int, scope: Scope
    ) -> Sequence[Placed]:
        """Return `limit + 1` places of a key. Raises `NotFound`."""
        async with self._database.read() as session:
            found = await relations.places_of_key(session, fingerprint, after=after, limit=limit, scope=scope)
            is_known = found or await relations.certificates_of_key(
                session, fingerprint, limit=1, scope=scope
            )
        known(is_known or None, what="key", name=fingerprint)
        return found

    async def shared_keys(self, *, after: tuple[int, str] | None, limit: int, scope: Scope) -> list[Counted]:
        """Return `limit + 1` keys of several certificates or in several places, the worst first."""
        async with self._database.read() as session:
            rows = await spreads.page(session, Kind.KEY, after=after, limit=limit, scope=scope)
            counts = await spreads.of_keys(session, [row.id for row in rows], scope=scope) if scope else {}
        return [Counted(id=row.id, weight=row.weight, spread=counts.get(row.id, row.spread)) for row in rows]

    async def wildcards(self, *, after: tuple[int, str] | None, limit: int, scope: Scope) -> list[Wildcard]:
        """Return `limit + 1` wildcard certificates, those in most places first."""
        async with self._database.read() as session:
            rows = await spreads.page(session, Kind.WILDCARD, after=after, limit=limit, scope=scope)
            ids = [row.id for row in rows]
            by_id = {row.fingerprint: row for row in await certificates.certificates(session, ids)}
            names = {each: await _served_names(session, each, limit=_NAMES_SHOWN) for each in ids}
        return [
            Wildcard(
                counted=Counted(id=row.id, weight=row.weight, spread=row.spread),
                certificate=by_id[row.id],
                served_names=names[row.id],
            )
            for row in rows
        ]

    async def wildcard(self, fingerprint: str, *, scope: Scope) -> WildcardReport:
        """Return where a wildcard certificate is, and what it covers. Raises `NotFound`."""
        async with self._database.read() as session:
            row = known(
                await certificates.visible(session, fingerprint, scope=scope),
                what="certificate",
                name=fingerprint,
            )
            counted = await spreads.of_certificates(session, [fingerprint])
            placed = await relations.places_with(session, fingerprint, limit=SHOWN, scope=scope)
            return WildcardReport(
                certificate=row,
                spread=counted.get(fingerprint, Spread(certificates=1)),
                places=placed,
                served_names=await _served_names(session, fingerprint, limit=SHOWN),
                covered_names=await _covered(session, row.names, scope=scope),
            )

    async def duplicates(
        self, *, after: tuple[int, str] | None, limit: int, scope: Scope
    ) -> list[Duplicates]:
        """Return `limit + 1` sets of duplicates, those in most places first."""
        async with self._database.read() as session:
            rows = await spreads.page(session, Kind.DUPLICATE, after=after, limit=limit, scope=scope)
            members: dict[str, list[Certificate]] = {}
            for digest, row in await spreads.members(session, [row.id for row in rows], scope=scope):
                members.setdefault(digest, []).append(row)
        return [
            Duplicates(
                counted=Counted(id=row.id, weight=row.weight, spread=row.spread),
                certificates=members.get(row.id, []),
            )
            for row in rows
        ]

    async def oddities(self, *, scope: Scope) -> Mapping[Code, int]:
        """Return of how many certificates what is odd."""
        async with self._database.read() as session:
            return await oddities.counts(session, scope=scope)

    async def devices(
        self, *, after: str | None, limit: int, scope: Scope
    ) -> list[tuple[Device, Sequence[str]]]:
        """Return `limit + 1` addresses and hosts, each with the others that are the same device."""
        async with self._database.read() as session:
            found = await relations.addresses(session, after=after, limit=limit, scope=scope)
            counted = await relations.devices(session, found, scope=scope)
            same = await relations.same_device(session, found) if scope is None else {}
        return [(counted[each], sorted(same.get(each, ()))) for each in found if each in counted]

    async def device(self, address: str, *, scope: Scope) -> DeviceReport:
        """Return all that is at a host, under all its addresses. Raises `NotFound`."""
        async with self._database.read() as session:
            same = (await relations.same_device(session, [address]))[address]
            every = sorted({address, *same})
            counted = await relations.devices(session, every, scope=scope)
            known(counted or None, what="device", name=address)
            placed = await relations.places_at(session, every, limit=PLACES_SHOWN, scope=scope)
            there = sorted({seen.fingerprint for _, seen in placed if seen.fingerprint})
            rows = await certificates.certificates(session, there)
            held = await relations.keys_held_at(session, every, limit=PLACES_SHOWN, scope=scope)
            return DeviceReport(
                device=_whole(address, list(counted.values())),
                same_device=[each for each in sorted(same) if scope is None or each in counted],
                places=placed,
                flaws=await flaws.open_flaws(session, [place.id for place, _ in placed]),
                certificates=rows,
                keys=sorted({*held, *(row.key_fingerprint for row in rows if row.key_fingerprint)}),
            )

    async def issuers(
        self,
        *,
        after: tuple[datetime, str] | None,
        limit: int,
        ends_before: datetime | None = None,
        is_outlived: bool | None = None,
        rule: str | None = None,
        severity: Severity | None = None,
        scope: Scope,
    ) -> list[Issuer]:
        """Return `limit + 1` authorities, those that end first first."""
        async with self._database.read() as session:
            rows = await authorities.page(
                session,
                after=after,
                limit=limit,
                ends_before=ends_before,
                is_outlived=is_outlived,
                rule=rule,
                severity=severity,
                scope=scope,
            )
            counts = await authorities.count_leaves(session, rows, scope=scope)
        return [Issuer(row=row, leaves=counts.get(row.fingerprint, Leaves())) for row in rows]

    async def issuer(self, fingerprint: str, *, now: datetime, scope: Scope) -> Issuer:
        """Return an authority. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await authorities.one(session, fingerprint, scope=scope)
            row = known(row, what="issuer", name=fingerprint)
            counts = await authorities.count_leaves(session, [row], scope=scope)
            valid = await authorities.count_valid(session, fingerprint, now=now, scope=scope)
        return Issuer(row=row, leaves=counts.get(fingerprint, Leaves()), valid=valid)

    async def issuer_rules(self, *, scope: Scope) -> Sequence[RuleCount]:
        """Return which rules are broken, and by how many authorities."""
        async with self._database.read() as session:
            return await authorities.rules_broken(session, scope=scope, limit=MOST_RULES)

    async def certificates_under(
        self,
        fingerprint: str,
        *,
        is_outliving: bool,
        after: tuple[datetime, str] | None,
        limit: int,
        scope: Scope,
    ) -> Sequence[Certificate]:
        """Return `limit + 1` certificates under an authority, those that end first first. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await authorities.one(session, fingerprint, scope=scope)
            row = known(row, what="issuer", name=fingerprint)
            return await authorities.leaves(
                session, row, is_outliving=is_outliving, after=after, limit=limit, scope=scope
            )

    async def history(
        self,
        fingerprint: str,
        *,
        during: Period | None,
        after: tuple[str, datetime] | None,
        limit: int,
        scope: Scope,
    ) -> Sequence[tuple[PlaceRow, Serving]]:
        """Return `limit + 1` stretches of time in which places had a certificate. Raises `NotFound`."""
        async with self._database.read() as session:
            row = await certificates.visible(session, fingerprint, scope=scope)
            known(row, what="certificate", name=fingerprint)
            return await relations.servings_of(
                session, fingerprint, during=during, after=after, limit=limit, scope=scope
            )


def _whole(address: str, parts: Sequence[Device]) -> Device:
    """Add up what is at the addresses of one device."""
    wrong: dict[Flaw, int] = {}
    for part in parts:
        for flaw, count in part.flaws.items():
            wrong[flaw] = wrong.get(flaw, 0) + count
    return Device(
        address=address,
        places=sum(part.places for part in parts),
        lost=sum(part.lost for part in parts),
        certificates=sum(part.certificates for part in parts),
        last_seen=max(part.last_seen for part in parts),
        flaws=wrong,
    )


async def _served_names(session: AsyncSession, fingerprint: str, *, limit: int) -> Sequence[str]:
    return (await relations.server_names(session, [fingerprint], limit=limit)).get(fingerprint, ())


async def _covered(session: AsyncSession, names: Sequence[str], *, scope: Scope) -> Sequence[str]:
    """Return names of other certificates for which a wildcard would do."""
    found: set[str] = set()
    for name in names:
        if (between := covered_range(name)) is not None:
            listed = await relations.names_between(session, *between, limit=10 * SHOWN, scope=scope)
            found |= {each for each in listed if is_covered(each, by=name)}
    return sorted(found - set(names))[:SHOWN]
