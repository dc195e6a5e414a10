"""Judges places anew when something that bears upon them has changed, or when a date makes a difference.

What changes marks the places that it concerns as due, in its own transaction; a worker judges those that are due, some
hundreds at a time. So an event costs no more than the mark, whatever policies are on, and a policy that is switched on
is one statement.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.inventory.actions import organising
from services.inventory.actions.compliance import Compliance
from services.inventory.actions.holding import hold_certificates
from services.inventory.domain.assessment import digests
from services.inventory.domain.assessment.assess import Assessment, assess
from services.inventory.domain.assessment.quantum import Timeline
from services.inventory.domain.assessment.traits import traits
from services.inventory.store import assessments, certificates, lifting, policies, tls_facts, verdicts
from services.inventory.store.assessments import Due, Judged
from services.inventory.store.locks import hold
from services.inventory.store.places import Touched, place_id
from shared.events.discovery import CertificateFound
from shared.store import Database, Transaction

BATCH = 200
"""Places that are judged in one transaction: a fraction of a second."""


@dataclass(frozen=True, kw_only=True)
class _News:
    """What a look tells of TLS, as digests, and whether that was known."""

    negotiated: int | None
    looked: int | None
    is_other: bool
    is_found: bool

    @property
    def is_any(self) -> bool:
        return self.is_other or self.is_found


def _news(seen: CertificateFound, touched: Touched | None) -> _News:
    negotiated = digests.negotiated(seen)
    looked = digests.looked(seen.tls) if seen.tls is not None else None
    return _News(
        negotiated=negotiated,
        looked=looked,
        is_other=touched is None or (negotiated or touched.negotiated_digest) != touched.negotiated_digest,
        is_found=looked is not None and (touched is None or looked != touched.tls_digest),
    )


class Assessing:
    """What makes places due, and what is done with those that are."""

    def __init__(self, database: Database, *, timelines: Sequence[Timeline]) -> None:
        self._database = database
        self._timelines = timelines

    async def seen(
        self, tx: Transaction, seen: CertificateFound, *, touched: Touched | None, now: datetime
    ) -> None:
        """Take in what a look tells of TLS; where it tells nothing new, nothing is asked of the database."""
        news = _news(seen, touched)
        if not news.is_any:
            return
        place = place_id(seen.place.key)
        if news.is_other and news.negotiated is not None:
            await tls_facts.keep_negotiated(tx, seen, place=place, digest=news.negotiated)
        if news.is_found and seen.tls is not None and news.looked is not None:
            await tls_facts.keep_looked(tx, place, seen.tls, digest=news.looked, at=seen.observed_at)
        await assessments.make_due(tx, [place], at=now)

    async def changed(self, tx: Transaction, places: Sequence[str], *, now: datetime) -> None:
        """Have places judged anew."""
        await assessments.make_due(tx, places, at=now)

    async def begun(self, tx: Transaction, places: Sequence[str], *, now: datetime) -> None:
        """Have places judged that nobody knew."""
        await assessments.begin_due(tx, places, at=now)

    async def certificates_changed(
        self, tx: Transaction, fingerprints: Sequence[str], *, now: datetime
    ) -> None:
        """Have the places of certificates judged anew."""
        await assessments.make_certificates_due(tx, fingerprints, at=now)

    async def told(self, tx: Transaction, fingerprint: str, *, now: datetime, **said: bool | None) -> None:
        """Take in what was found out of a certificate; None for what is not known any more.

        `is_trusted`, `is_revoked`, `is_chain_complete` and `is_public`: what is left out stays as it was.
        """
        if await tls_facts.tell_traits(tx, fingerprint, **said):
            await self.certificates_changed(tx, [fingerprint], now=now)

    async def judge_due(self, now: datetime) -> bool:
        """Judge places that are due; return whether there may be more."""
        async with self._database.read() as session:
            if not await assessments.is_any_due(session, now=now):
                return False
        async with self._database.transaction() as tx:
            await hold(tx, "assessing")
            await hold_certificates(tx, await assessments.due_certificates(tx, now=now, limit=BATCH))
            due = await assessments.due(tx, now=now, limit=BATCH)
            await self._judge(tx, due, now=now)
        return len(due) == BATCH

    async def lapse(self, now: datetime) -> bool:
        """Tell that what was told of policies that are off is over, and drop their verdicts."""
        async with self._database.read() as session:
            if not await verdicts.is_any_of_policies_off(session):
                return False
        async with self._database.transaction() as tx:
            await hold(tx, "assessing")
            return await Compliance(tx, now=now).lapse(limit=BATCH)

    async def _judge(self, tx: Transaction, due: Sequence[Due], *, now: datetime) -> None:
        places = [each.place_id for each in due]
        found = await _read(tx, await assessments.judged(tx.session, places))
        there = [each for each in found if each.subject is not None]
        on = await policies.enabled(tx.session)
        held = await policies.lifted(tx.session, [policy.id for policy in on], now=now)
        lifted = await lifting.by_place(tx.session, held, there, now=now)
        results = {
            each.place_id: assess(
                each.subject,
                policies=on,
                timelines=self._timelines,
                lifted=lifted.get(each.place_id, ()),
                now=now,
            )
            for each in there
            if each.subject is not None
        }
        await assessments.keep(tx, [_row(each, results[each.place_id], now=now) for each in there])
        await assessments.forget(tx, [each.place_id for each in found if each.subject is None])
        changed = await self._tell(tx, places, there, results, now=now)
        changed |= {each.place_id for each in due if _is_other(each, results.get(each.place_id))}
        fingerprints = {each.fingerprint for each in there if each.place_id in changed and each.fingerprint}
        if fingerprints:
            # Groups and owners may go by what a query says of grades, policies and readiness.
            await organising.settle(tx, sorted(fingerprints), now=now)

    async def _tell(
        self,
        tx: Transaction,
        places: Sequence[str],
        there: Sequence[Judged],
        results: Mapping[str, Assessment],
        *,
        now: datetime,
    ) -> set[str]:
        """Keep the verdicts that have changed, and tell what that means for their lineages; return their places."""
        before = await verdicts.of_places(tx.session, places)
        rows = {
            (row["policy_id"], row["place_id"]): row
            for each in there
            for row in _verdicts(each, results[each.place_id], before=before, now=now)
        }
        changed = {key: row for key, row in rows.items() if _differs(row, before.get(key))}
        gone = before.keys() - rows.keys()
        await verdicts.keep(tx, list(changed.values()))
        await verdicts.drop(tx, gone)
        pairs = {(row["policy_id"], row["lineage_id"]) for row in changed.values()}
        pairs |= {
            (before[key].policy_id, before[key].lineage_id) for key in {*changed, *gone} if key in before
        }
        if pairs:
            await Compliance(tx, now=now).settle(pairs)
        return {place for _, place in {*changed, *gone}}


async def _read(tx: Transaction, found: Sequence[Judged]) -> Sequence[Judged]:
    """Look at the bytes of certificates that are judged for the first time."""
    new = sorted({each.fingerprint for each in found if each.fingerprint and not each.is_read})
    if not new:
        return found
    ders = await certificates.ders(tx.session, new)
    rows = []
    for fingerprint in new:
        said = traits(ders.get(fingerprint))
        rows.append(
            {"fingerprint": fingerprint, "is_public": said.is_public, "rsa_exponent": said.rsa_exponent}
        )
    await tls_facts.keep_traits(tx, rows)
    return await assessments.judged(tx.session, [each.place_id for each in found])


def _is_other(before: Due, result: Assessment | None) -> bool:
    if result is None:
        return False
    return (before.grade, before.pq_key_exchange) != (result.grade.letter, result.readiness.key_exchange)


def _row(each: Judged, result: Assessment, *, now: datetime) -> dict[str, Any]:
    return {
        "place_id": each.place_id,
        "due_at": result.changes_at,
        "fingerprint": each.fingerprint,
        "grade": result.grade.letter,
        "score": result.grade.total,
        "details": result.details(),
        "pq_key_exchange": result.readiness.key_exchange,
        "pq_signature": result.readiness.signature,
        "pq_after": first.after if (first := result.readiness.disallowed_after) else None,
        "rules": result.rules,
        "assessed_at": now,
    }


def _verdicts(
    each: Judged, result: Assessment, *, before: Mapping[verdicts.Pair, verdicts.Known], now: datetime
) -> Iterable[dict[str, Any]]:
    for policy, verdict in result.verdicts:
        known = before.get((policy.id, each.place_id))
        is_same = known is not None and known.verdict == verdict.result
        yield {
            "policy_id": policy.id,
            "place_id": each.place_id,
            "fingerprint": each.fingerprint,
            "lineage_id": each.lineage_id,
            "policy_version": policy.version,
            "verdict": verdict.result.value,
            "is_by_exception": verdict.is_by_exception,
            "standing": ",".join(verdict.standing(known.standing.split(",") if known is not None else ())),
            "details": verdict.details(),
            "since": known.since if known is not None and is_same else now,
        }


def _differs(row: Mapping[str, Any], known: verdicts.Known | None) -> bool:
    return known is None or any(getattr(known, name) != value for name, value in row.items())
