"""An inventory whose policies a test switches, and what it then says of places."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.inventory.actions.assessments import AssessmentReport, Assessments
from services.inventory.actions.exceptions import Exceptions, NewException
from services.inventory.actions.policies import Policies
from services.inventory.actions.previews import Previews
from services.inventory.domain.assessment.exceptions import ScopeKind
from services.inventory.domain.assessment.policies import Document
from services.inventory.domain.query import parse
from services.inventory.store.assessment_tables import AssessmentRow, VerdictRow
from services.inventory.store.assessments import AssessmentFilter
from services.inventory.store.places import place_id
from services.inventory.store.queries import condition
from services.inventory.store.tables import Certificate
from shared.access import Principal
from shared.events import Event
from shared.events.discovery import CertificateFound, Place, TlsFacts
from shared.events.inventory import CertificateCompliant, CertificateNoncompliant
from tests.inventory.assessment.facts import DOCUMENTS
from tests.inventory.ledger import Ledger, chain
from tests.servers.tls import Issued

ANN = Principal(id="ann", name="Ann", roles=frozenset({"operator"}))
BEN = Principal(id="ben", name="Ben", roles=frozenset({"approver"}))
STRICT = "mozilla-6.0-intermediate"
GOOD = TlsFacts(
    versions=["TLSv1.3"], suites={"TLSv1.3": ["TLS_AES_128_GCM_SHA256"]}, groups=["X25519", "secp256r1"]
)
OLD = TlsFacts(
    versions=["TLSv1.3", "TLSv1"],
    suites={**GOOD.suites, "TLSv1": ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"]},
    groups=GOOD.groups,
    secure_renegotiation=True,
)
QUICK = ("TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519")


def looked(
    issued: Issued, where: Place, at: datetime, tls: TlsFacts | None, quick: Any = QUICK
) -> Event[Any]:
    """Return discovery's event of a look: at depth `full` with facts, else a quick one."""
    version, suite, group = quick
    payload = CertificateFound(
        place=where,
        fingerprint=issued.fingerprint,
        chain=chain(issued),
        observed_at=at,
        tls_version=version,
        cipher_suite=suite,
        group=group,
        tls=tls,
    )
    return Event[CertificateFound].of(payload, source="discovery", now=at)


class Court:
    """A ledger, and the verbs of assessment."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.policies = Policies(ledger.database, builtin=DOCUMENTS)
        self.previews = Previews(ledger.database)
        self.exceptions = Exceptions(ledger.database)
        self.reading = Assessments(ledger.database)

    @property
    def now(self) -> datetime:
        """The ledger's time."""
        return self.ledger.now

    async def hear(self, *events: Event[Any]) -> None:
        """React to events, and judge what they have made due."""
        await self.ledger.hear(*events)
        await self.ledger.work()

    async def at(self, now: datetime) -> None:
        """Let time pass."""
        self.ledger.now = now
        await self.ledger.work()

    async def switch(self, policy: str, *, is_on: bool = True) -> None:
        """Switch a policy and judge what is due by that."""
        await self.policies.prepare(now=self.now)
        await self.policies.switch(policy, is_on=is_on, caller=ANN, now=self.now)
        await self.ledger.work()

    async def own(self, policy: str, *rules: dict[str, Any], is_new: bool = True) -> None:
        """Make or change a policy of these rules, switched on."""
        document = Document.model_validate({"title": "House rules", "rules": rules})
        if is_new:
            await self.policies.create(policy, document, caller=ANN, now=self.now)
            await self.policies.switch(policy, is_on=True, caller=ANN, now=self.now)
        else:
            version = (await self.policies.get(policy)).version
            await self.policies.replace(policy, document, expected=version, caller=ANN, now=self.now)
        await self.ledger.work()

    async def let_pass(self, rule: str, kind: ScopeKind, value: str, *, ends_at: datetime) -> str:
        """Ask for an exception and approve it; return its id."""
        new = NewException(
            policy_id=STRICT, rule_id=rule, scope=kind, value=value, reason="old tills", ends_at=ends_at
        )
        row = await self.exceptions.request(new, caller=ANN, now=self.now)
        await self.exceptions.decide(row.id, is_approved=True, expected=1, caller=BEN, now=self.now)
        await self.ledger.work()
        return row.id

    async def of(self, where: Place) -> AssessmentReport:
        """Return how good a place is."""
        return await self.reading.of_place(place_id(where.key), scope=None)

    async def verdicts(self, where: Place) -> dict[str, str]:
        """Return the verdicts on a place."""
        return {each.policy: each.verdict for each in (await self.of(where)).verdicts}

    async def places(self, **wanted: Any) -> list[str]:
        """Return the addresses of places that were judged so."""
        found = await self.reading.page(AssessmentFilter(scope=None, **wanted), after=None, limit=100)
        return sorted(each.place.address for each in found)

    async def certificates(self, text: str) -> int:
        """Return how many certificates a query finds."""
        query = sa.select(sa.func.count()).select_from(Certificate)
        async with self.ledger.database.read() as session:
            return await session.scalar(query.where(condition(parse(text), now=self.now))) or 0

    async def told(self) -> list[str]:
        """Return what was told, in its order."""
        broken = [
            (each.judged_at, f"{each.policy} broken: {', '.join(rule.rule for rule in each.rules)}")
            for each in await self.ledger.said(CertificateNoncompliant)
        ]
        over = [
            (each.judged_at, f"{each.policy} over: {each.reason}")
            for each in await self.ledger.said(CertificateCompliant)
        ]
        return [text for _, text in sorted(broken + over)]

    async def rows(self) -> tuple[int, int]:
        """Return how many assessments and verdicts are kept."""
        async with self.ledger.database.read() as session:
            kept = [
                await session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in (AssessmentRow, VerdictRow)
            ]
        return kept[0], kept[1]
