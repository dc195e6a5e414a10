"""Tells when a lineage begins to break a policy that is on, when it breaks other rules of it, and when that is over."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from services.inventory.actions.timeline import Entry, note
from services.inventory.domain.assessment.policies import Policy
from services.inventory.domain.timeline import Happening
from services.inventory.store import places, policies, verdicts
from services.inventory.store.verdicts import Broken, Pair
from shared.events.inventory import BrokenRule, CertificateCompliant, CertificateNoncompliant, RuleSeverity
from shared.store import Transaction

PLACES_TOLD = 50
NAMES_TOLD = 50
_SEVERITIES = tuple(RuleSeverity)
_DROPPED = 2000
"""Verdicts of policies that are off, dropped at a time."""


class Compliance:
    """What lineages break, in one transaction that holds `assessing`."""

    def __init__(self, tx: Transaction, *, now: datetime) -> None:
        self._tx = tx
        self._now = now

    async def settle(self, pairs: Collection[Pair]) -> None:
        """Tell what has changed of these policies and lineages."""
        for policy, lineages in await self._by_policy(pairs):
            session = self._tx.session
            broken = {
                lineage: ",".join(sorted(rules))
                for lineage, rules in (await verdicts.standing(session, policy.id, lineages)).items()
            }
            told = await verdicts.told(session, policy.id, lineages)
            news = {lineage: rules for lineage, rules in broken.items() if rules != told.get(lineage)}
            await self._break(policy, news)
            await self._mend(policy, sorted(told.keys() - broken.keys()))

    async def lapse(self, *, limit: int) -> bool:
        """Tell that what was told of policies that are off is over; return whether there may be more."""
        pairs = await verdicts.told_of_policies_off(self._tx, limit=limit)
        for policy, lineages in await self._by_policy(pairs):
            await self._mend(policy, lineages, reason="The policy was switched off.")
        dropped = await verdicts.drop_of_policies_off(self._tx, limit=_DROPPED)
        return len(pairs) == limit or dropped == _DROPPED

    async def _by_policy(self, pairs: Collection[Pair]) -> list[tuple[Policy, list[str]]]:
        rows = await policies.some(self._tx.session, {policy for policy, _ in pairs})
        return [
            (policies.as_policy(row), sorted(lineage for each, lineage in pairs if each == policy_id))
            for policy_id, row in sorted(rows.items())
        ]

    async def _break(self, policy: Policy, news: Mapping[str, str]) -> None:
        if not news:
            return
        where = await verdicts.broken(self._tx.session, policy.id, news, limit=PLACES_TOLD)
        await verdicts.keep_told(self._tx, policy.id, news, now=self._now)
        for lineage, rules in news.items():
            if lineage in where:
                self._breaks(policy, lineage, rules=rules.split(","), where=where[lineage])

    def _breaks(self, policy: Policy, lineage: str, *, rules: Sequence[str], where: Sequence[Broken]) -> None:
        broken, first = _broken(policy, rules, where=where), where[0]
        told = CertificateNoncompliant(
            lineage_id=lineage,
            fingerprint=first.fingerprint,
            policy=policy.id,
            policy_title=policy.document.title,
            policy_version=policy.version,
            severity=max((each.severity for each in broken), key=_SEVERITIES.index),
            rules=broken,
            names=list(first.names[:NAMES_TOLD]),
            places=[places.as_place(each.place) for each in where],
            place_count=first.count,
            judged_at=self._now,
        )
        text = f"It breaks {policy.document.title}: {', '.join(each.title for each in broken)}."
        event_id = self._tx.emit(told, now=self._now)
        self._note(lineage, Happening.NONCOMPLIANT, text, fingerprint=first.fingerprint, event_id=event_id)

    async def _mend(self, policy: Policy, lineages: Sequence[str], *, reason: str | None = None) -> None:
        if not lineages:
            return
        judged = await verdicts.current(self._tx.session, policy.id, lineages)
        await verdicts.drop_told(self._tx, policy.id, lineages)
        for lineage in lineages:
            seen = (
                "Every place was seen to keep to it." if lineage in judged else "It is at no place any more."
            )
            self._keeps(policy, lineage, fingerprint=judged.get(lineage), reason=reason or seen)

    def _keeps(self, policy: Policy, lineage: str, *, fingerprint: str | None, reason: str) -> None:
        told = CertificateCompliant(
            lineage_id=lineage,
            fingerprint=fingerprint,
            policy=policy.id,
            policy_title=policy.document.title,
            reason=reason,
            judged_at=self._now,
        )
        text = f"It does not break {policy.document.title} any more: {reason}"
        event_id = self._tx.emit(told, now=self._now)
        self._note(lineage, Happening.COMPLIANT, text, fingerprint=fingerprint, event_id=event_id)

    def _note(
        self, lineage: str, kind: Happening, text: str, *, fingerprint: str | None, event_id: str
    ) -> None:
        entry = Entry(kind=kind, text=text[:2000], at=self._now, fingerprint=fingerprint, event_id=event_id)
        note(self._tx, lineage, entry)


def _broken(policy: Policy, rules: Sequence[str], *, where: Iterable[Broken]) -> list[BrokenRule]:
    """Return the rules that are broken, with what shows it at the first place that shows it."""
    evidence: dict[str, str] = {}
    for each in where:
        for said in each.details.get("rules", ()):
            if said["result"] == "fail" and said["exception_id"] is None:
                evidence.setdefault(said["rule"], said["evidence"])
    found = [rule for rule in policy.document.rules if rule.id in rules]
    return [
        BrokenRule(
            rule=rule.id,
            title=rule.title,
            severity=rule.severity,
            evidence=evidence.get(rule.id, ""),
            remedy=rule.remedy,
            source=rule.source,
        )
        for rule in found
    ]
