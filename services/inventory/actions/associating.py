"""Works out what belongs together, a little after it has changed: so that taking in what is seen stays cheap."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.inventory.domain import thresholds
from services.inventory.domain.associations import (
    AUTHORITY_LIMITS,
    Kind,
    Spread,
    is_overlapping,
    is_wildcard,
    twin_digest,
)
from services.inventory.domain.certificates import read
from services.inventory.store import associations, authorities, certificates, spreads
from services.inventory.store.association_tables import AuthorityRow
from services.inventory.store.locks import hold
from services.inventory.store.tables import Certificate
from shared.events.inventory import AuthorityCleared, AuthorityExpiring, Urgency
from shared.store import Database, Transaction

BATCH = 500
LONGEST_CHAIN = 20
"""Authorities above one certificate that are looked at."""
LEAVES_TOLD = 50


class Associating:
    """Links certificates to the authorities above them, and counts what is in several places."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def associate_due(self, now: datetime) -> bool:
        """Look at what has changed; return whether there may be more."""
        async with self._database.read() as session:
            if not await associations.is_any_due(session):
                return False
        async with self._database.transaction() as tx:
            # One replica at a time: of two that count the same, the one that saw less could write last.
            await hold(tx, "associations")
            due = await associations.take_due(tx, limit=BATCH)
            rows = await certificates.certificates(
                tx.session, sorted({each.fingerprint or "" for each in due})
            )
            await _link(tx, rows, now=now)
            keys = {each.key_fingerprint for each in due} | {row.key_fingerprint for row in rows}
            await _count_keys(tx, {key for key in keys if key is not None}, now=now)
            await _count_wildcards(tx, rows, now=now)
            await _count_duplicates(tx, rows, now=now)
        return len(due) == BATCH

    async def cross_due(self, now: datetime) -> bool:
        """Look at authorities that have come to a threshold; return whether there may be more."""
        async with self._database.read() as session:
            due = await authorities.due(session, now=now, limit=BATCH)
        if due:
            async with self._database.transaction() as tx:
                await hold(tx, *due)
                for row in await authorities.known(tx.session, due):
                    await _assess(tx, row, now=now)
        return len(due) == BATCH


async def _link(tx: Transaction, rows: Sequence[Certificate], *, now: datetime) -> None:
    """Make the authorities above these certificates known, and keep who is under whom."""
    linked = await authorities.links_of(tx.session, [row.fingerprint for row in rows])
    wanted = [pair for pair in _pairs(rows) if (pair[0], pair[1].fingerprint) not in linked]
    known = await _known(tx, wanted, now=now) if wanted else {}
    fresh = [(known[above], row) for above, row in wanted if above in known]
    await authorities.link(tx, [_under(above, row) for above, row in fresh])
    for authority in sorted({above.fingerprint for above, _ in fresh}):
        under = [pair for pair in fresh if pair[0].fingerprint == authority]
        await authorities.count(
            tx, authority, leaves=len(under), outliving=sum(_is_outliving(*pair) for pair in under)
        )
    above = {authority for authority, _ in linked} | {authority.fingerprint for authority, _ in fresh}
    await authorities.look_again(tx, above, now=now)


def _pairs(rows: Sequence[Certificate]) -> Iterator[tuple[str, Certificate]]:
    for row in sorted(rows, key=lambda row: row.fingerprint):
        for above in sorted(set(row.chain[:LONGEST_CHAIN]) - {row.fingerprint}):
            yield above, row


def _under(above: AuthorityRow, row: Certificate) -> Mapping[str, Any]:
    return {
        "authority": above.fingerprint,
        "fingerprint": row.fingerprint,
        "ends": row.not_after,
        "is_direct": row.issuer is not None and row.issuer == above.subject,
    }


def _is_outliving(above: AuthorityRow, row: Certificate) -> bool:
    return above.not_after is not None and row.not_after is not None and row.not_after > above.not_after


async def _known(
    tx: Transaction, wanted: Sequence[tuple[str, Certificate]], *, now: datetime
) -> Mapping[str, AuthorityRow]:
    """Return the authorities that are wanted, read where they are new; what is none is not among them."""
    above = {fingerprint for fingerprint, _ in wanted}
    known = {row.fingerprint: row for row in await authorities.known(tx.session, above)}
    issuers = {row.issuer for _, row in wanted if row.issuer}
    ders = await certificates.ders(tx.session, sorted(above - set(known)))
    new = [row for each in sorted(ders) if (row := _authority(each, ders[each], issuers=issuers, now=now))]
    await authorities.keep(tx, [row.model_dump() for row in new])
    return known | {row.fingerprint: row for row in new}


def _authority(
    fingerprint: str, der: bytes, *, issuers: Collection[str], now: datetime
) -> AuthorityRow | None:
    """Return an authority; None where neither it nor a certificate under it says that it is one."""
    said = read(fingerprint, der).fields
    if not said.is_ca and said.subject not in issuers:
        return None
    return AuthorityRow(
        fingerprint=fingerprint,
        subject=said.subject,
        issuer=said.issuer,
        serial=said.serial,
        not_before=said.not_before,
        not_after=said.not_after,
        key_type=said.key_type,
        key_bits=said.key_bits,
        key_fingerprint=said.key_fingerprint,
        signature_algorithm=said.signature_algorithm,
        is_self_issued=said.is_self_issued,
        first_known_at=now,
        leaves=0,
        outliving=0,
        next_crossing_at=now,
    )


async def _assess(tx: Transaction, row: AuthorityRow, *, now: datetime) -> None:
    """Bring the urgency of an authority up to date; tell it where certificates whose end matters are under it."""
    if row.not_before is None or row.not_after is None:
        row.next_crossing_at = None
        return
    ahead = thresholds.crossings(not_before=row.not_before, not_after=row.not_after, limits=AUTHORITY_LIMITS)
    row.next_crossing_at = min((each.at for each in ahead if each.at > now), default=None)
    row.urgency = thresholds.most_urgent([each.urgency for each in ahead if each.at <= now])
    if row.urgency is None:
        return
    is_in_use = bool(await authorities.current_leaves(tx.session, row.fingerprint, limit=1))
    if is_in_use and row.urgency != row.told:
        await _tell(tx, row, Urgency(row.urgency), now=now)
    elif row.told is not None and not is_in_use:
        row.told = None
        tx.emit(AuthorityCleared(fingerprint=row.fingerprint, cleared_at=now), now=now)


async def _tell(tx: Transaction, row: AuthorityRow, urgency: Urgency, *, now: datetime) -> None:
    if row.not_before is None or row.not_after is None:
        return
    row.told = urgency
    told = AuthorityExpiring(
        fingerprint=row.fingerprint,
        urgency=urgency,
        not_before=row.not_before,
        not_after=row.not_after,
        subject_name=row.subject or "",
        issuer_name=row.issuer or "",
        is_self_issued=row.is_self_issued,
        certificate_count=await authorities.count_current(tx.session, row.fingerprint),
        certificates=list(await authorities.current_leaves(tx.session, row.fingerprint, limit=LEAVES_TOLD)),
    )
    tx.emit(told, now=now)


async def _count_keys(tx: Transaction, keys: Collection[str], *, now: datetime) -> None:
    counted = await spreads.of_keys(tx.session, keys, scope=None) if keys else {}
    shared = {key: spread if spread.is_shared else None for key, spread in counted.items()}
    await spreads.keep(tx, Kind.KEY, shared, now=now)


async def _count_wildcards(tx: Transaction, rows: Sequence[Certificate], *, now: datetime) -> None:
    wild = [row.fingerprint for row in rows if is_wildcard(row.names)]
    counted = await spreads.of_certificates(tx.session, wild) if wild else {}
    await spreads.keep(
        tx, Kind.WILDCARD, {each: counted.get(each, Spread(certificates=1)) for each in wild}, now=now
    )


async def _count_duplicates(tx: Transaction, rows: Sequence[Certificate], *, now: datetime) -> None:
    digests = {row.fingerprint: digest for row in rows if (digest := _digest(row)) is not None}
    if not digests:
        return
    await spreads.keep_twins(tx, digests)
    periods: dict[str, list[tuple[datetime | None, datetime | None]]] = {}
    for digest, begins, ends in await spreads.twins_in_use(tx.session, set(digests.values())):
        periods.setdefault(digest, []).append((begins, ends))
    double = {digest for digest, each in periods.items() if is_overlapping(each)}
    counted = await spreads.of_duplicates(tx.session, double) if double else {}
    await spreads.keep(
        tx, Kind.DUPLICATE, {digest: counted.get(digest) for digest in set(digests.values())}, now=now
    )


def _digest(row: Certificate) -> str | None:
    return twin_digest(names=row.names, issuer=row.issuer, key_type=row.key_type)
