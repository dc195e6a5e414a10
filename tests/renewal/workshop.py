"""Renewal's actions over a database of their own, with an authority that answers as it is told, and time in hand."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self, TypeVar

import sqlalchemy as sa

from services.renewal import store
from services.renewal.actions import authorities as authorities_module
from services.renewal.actions.authorities import Authorities, NewAuthority
from services.renewal.actions.budgets import Budgets
from services.renewal.actions.campaign_approvals import WaitingCampaigns
from services.renewal.actions.challenges import Challenges
from services.renewal.actions.distrusts import Distrusts
from services.renewal.actions.enrolments import Enrolments
from services.renewal.actions.keys import Keys
from services.renewal.actions.means import Means
from services.renewal.actions.order_approvals import OrderGate, WaitingOrders
from services.renewal.actions.orders import NewOrder, Orders
from services.renewal.actions.profiles import NamedProfile, NewProfile, Profiles
from services.renewal.actions.revocations import Revocations, WaitingRevocations
from services.renewal.actions.revoking import Revoking
from services.renewal.actions.schedules import Schedules
from services.renewal.actions.validation import Validator
from services.renewal.actions.windows import Windows
from services.renewal.actions.work import Work
from services.renewal.connectors import (
    Challenge,
    Identity,
    Network,
    Nothing,
    Part,
    Progress,
    Request,
    Terms,
    Window,
)
from services.renewal.connectors.builtin import Builtin
from services.renewal.connectors.builtin.options import BuiltinOptions
from services.renewal.connectors.registry import Kind, authority_kind
from services.renewal.connectors.revocation import Lookout
from services.renewal.domain.approvals import Kind as ApprovalKind
from services.renewal.domain.keys import KeyType
from services.renewal.domain.orders import Schedule
from services.renewal.events import WORDS
from services.renewal.service import SCHEMA
from shared.access import Principal
from shared.approvals.actions import Approvals, Patience, Subject
from shared.events import Event, Payload
from shared.events.inventory import CertificateExpiring, CertificateReplaced, Urgency
from shared.events.renewal import RevocationReason
from shared.lint import Linted
from shared.lint.pkilint import lint
from shared.outbound import Policy
from shared.pkcs11 import Token
from shared.revocation.published import Authorities as Published
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store import Database
from shared.store.plumbing import OUTBOX
from shared.tls import client_context
from shared.x509 import fingerprint
from tests.builders import LOOPBACK

CALLER = Principal(id="tester", name="Tester", roles=frozenset({"admin"}))
WAITS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), timedelta(days=1))
OLD = "0" * 64
RETENTION = timedelta(days=30)
REPLACED_AFTER = timedelta(days=7)
PATIENCE = Patience(timeout=timedelta(days=7), reminder=timedelta(days=1))
P = TypeVar("P", bound=Payload)


@dataclass
class Time:
    """The clock of a test: real time, and what the test adds."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def passes(self, span: timedelta) -> None:
        self.ahead += span


class Scripted:
    """A built-in authority that first does what the test has written down."""

    kind: ClassVar[str] = "scripted"
    summary: ClassVar[str] = "For tests."
    options_type: ClassVar[type[Part]] = Nothing
    secrets_type: ClassVar[type[Part]] = Nothing
    decides_lifetime: ClassVar[bool] = False
    script: ClassVar[list[Exception | Progress]] = []
    asked: ClassVar[list[tuple[bytes | None, bool]]] = []
    requests: ClassVar[list[bytes]] = []
    refusals: ClassVar[list[Exception]] = []
    revoked: ClassVar[list[tuple[str, str]]] = []
    """Fingerprint and reason."""
    replaced: ClassVar[list[bytes | None]] = []
    windows: ClassVar[list[Exception | Window | None]] = []
    """What it answers when it is asked for its window; None when there are none left."""

    def __init__(self, behind: Builtin) -> None:
        self._behind = behind

    @classmethod
    def found(cls, options: Nothing, *, secrets: Nothing, name: str, now: datetime) -> Identity:
        return Builtin.found(BuiltinOptions(intermediate=False), secrets=secrets, name=name, now=now)

    @classmethod
    def check_terms(cls, options: Nothing, *, terms: Terms, network: Network) -> None:
        """Take any."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, options: Nothing, *, secrets: Nothing, identity: Identity, network: Network
    ) -> AsyncIterator[Self]:
        known = BuiltinOptions(intermediate=False)
        async with Builtin.open(known, secrets=secrets, identity=identity, network=network) as behind:
            yield cls(behind)

    async def advance(
        self, request: Request, *, state: bytes | None, resumed: bool, now: datetime
    ) -> Progress:
        self.asked.append((state, resumed))
        self.requests.append(request.csr)
        self.replaced.append(request.replaces)
        if not self.script:
            return await self._behind.advance(request, state=state, resumed=resumed, now=now)
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def revoke(
        self, certificate: bytes, *, issuer: bytes | None, reason: RevocationReason, now: datetime
    ) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.revoked.append((fingerprint(certificate), reason))

    async def renewal_window(self, certificate: bytes, *, now: datetime) -> Window | None:
        answer = self.windows.pop(0) if self.windows else None
        if isinstance(answer, Exception):
            raise answer
        return answer


async def lint_here(der: bytes) -> Linted:
    """Lint in this process: one apart for each test would take longer than all that is tested."""
    return lint(der, True)


def kinds(name: str) -> Kind:
    """Return the scripted kind too."""
    return Scripted if name == Scripted.kind else authority_kind(name)


@dataclass
class Rung:
    """Counts how often the workers were woken."""

    times: int = 0

    def __call__(self) -> None:
        self.times += 1


@dataclass
class Workshop:
    """Everything an order needs."""

    database: Database
    time: Time = field(default_factory=Time)
    rung: Rung = field(default_factory=Rung)
    lease: timedelta = timedelta(seconds=30)
    public_url: str | None = None
    token: Token | None = None

    def __post_init__(self) -> None:
        self.sealer = Sealer([KeyEncryptionKey(b"k" * 32)])
        self.challenges = Challenges(self.database, clock=self.time)
        network = Network(
            policy=Policy(allow=LOOPBACK), tls=client_context(), http01=self.challenges, token=self.token
        )
        self.authorities = Authorities(
            self.database, sealer=self.sealer, network=network, public_url=self.public_url
        )
        self.profiles = Profiles(self.database, self.authorities)
        self.orders = Orders(self.database, ring=self.rung)
        self.schedules = Schedules(self.database, self.orders)
        self.enrolments = Enrolments(self.database, self.orders, self.schedules)
        self.windows = Windows(self.database, authorities=self.authorities, schedules=self.schedules)
        self.budgets = Budgets(self.database)
        self.distrusts = Distrusts(self.database)
        self.keys = Keys(self.database, sealer=self.sealer, retention=RETENTION)
        subjects: dict[str, Subject] = {
            ApprovalKind.ORDER: WaitingOrders(self.rung),
            ApprovalKind.REVOCATION: WaitingRevocations(self.rung),
            ApprovalKind.CAMPAIGN: WaitingCampaigns(self.rung),
        }
        self.approvals = Approvals(
            self.database, store=store.APPROVALS, words=WORDS, subjects=subjects, patience=PATIENCE
        )
        lookout = Lookout(Published(Policy(allow=LOOPBACK), pace=timedelta()))
        means = Means(
            sealer=self.sealer,
            authorities=self.authorities,
            schedule=Schedule(WAITS),
            gate=OrderGate(self.approvals),
            validator=Validator(lookout, lint_public=lint_here),
            token=self.token,
        )
        self.work = Work(self.database, means=means, lease=self.lease, clock=self.time)
        self.revocations = self.revocations_with()
        self.revoking = Revoking(
            self.database, means=means, lookout=lookout, lease=self.lease, clock=self.time
        )

    def revocations_with(self, approvals_needed: int = 0) -> Revocations:
        """Return the verbs on revocations, of which each needs so many approvals."""
        return Revocations(
            self.database,
            approvals=self.approvals,
            approvals_needed=approvals_needed,
            replaced_after=REPLACED_AFTER,
            ring=self.rung,
        )

    async def set_up(self, kind: str = "scripted", **given: Any) -> "Workshop":
        """Make tables, an authority and the profile `web`."""
        await SCHEMA.upgrade(self.database)
        Scripted.script, Scripted.asked, Scripted.requests = [], [], []
        Scripted.refusals, Scripted.revoked = [], []
        Scripted.replaced, Scripted.windows = [], []
        await self.authority("house-ca", kind=kind, **given)
        await self.profile("web", authority="house-ca")
        return self

    async def authority(self, name: str, *, kind: str = "builtin", **given: Any) -> store.Authority:
        new = NewAuthority(**{"name": name, "kind": kind, "options": {}, "secrets": {}, **given})
        return await self.authorities.create(new, caller=CALLER, now=self.time())

    async def profile(
        self, name: str, *, authority: str, challenge: Challenge | None = None, **given: Any
    ) -> NamedProfile:
        new = terms(name=name, authority=authority, challenge=challenge, **given)
        return await self.profiles.create(new, caller=CALLER, now=self.time())

    async def change(self, name: str = "web", **given: Any) -> None:
        """Let a profile say something else."""
        [found] = [
            each
            for each in await self.profiles.page(after=None, limit=100, caller=CALLER)
            if each.row.name == name
        ]
        new = terms(**{"name": name, "authority": found.authority, **given})
        await self.profiles.replace(found.row.id, new, expected=found.row.version, caller=CALLER)

    async def order(
        self, *names: str, lineage_id: str | None = "lineage", profile: str = "web"
    ) -> store.Order:
        new = NewOrder(names=names or ("shop.example.test",), profile=profile, lineage_id=lineage_id)
        return await self.orders.create(new, caller=CALLER, now=self.time())

    async def enrol(
        self, names: Sequence[str] | None = None, *, profile: str = "web", lineage_id: str = "lineage"
    ) -> None:
        await self.enrolments.enrol(lineage_id, profile=profile, names=names, caller=CALLER, now=self.time())

    async def schedule(self, lineage_id: str = "lineage") -> store.Schedule:
        """Return when a lineage is renewed."""
        return await self.schedules.get(lineage_id, caller=CALLER)

    async def order_due(self) -> None:
        """Order all that is due now."""
        while await self.schedules.order_due(self.time()):
            pass

    async def expires(self, fingerprint: str = OLD, **given: Any) -> None:
        """Let inventory say that the lineage runs out."""
        async with self.database.transaction() as tx:
            await self.enrolments.expiring(
                tx, expiring(self.time(), fingerprint=fingerprint, **given), now=self.time()
            )

    async def replaced(self, fingerprint: str, *, old: str = OLD) -> None:
        """Let inventory say that the lineage was seen to be replaced."""
        told = CertificateReplaced(
            lineage_id="lineage",
            old_fingerprint=old,
            fingerprint=fingerprint,
            places=[],
            observed_at=self.time(),
        )
        async with self.database.transaction() as tx:
            await self.enrolments.replaced(tx, told, now=self.time())
            await self.approvals.sweep(tx, "lineage", now=self.time())
            await self.revocations.replaced(tx, told, now=self.time())

    async def work_off(self) -> None:
        """Do all that is due now."""
        while (claim := await self.work.claim(now=self.time())) is not None:
            await self.work.run(claim)
        while (due := await self.revoking.claim(now=self.time())) is not None:
            await self.revoking.run(due)

    async def all(self) -> list[store.Order]:
        """Return all orders, newest first."""
        return list(await self.orders.page(after=None, limit=100, caller=CALLER))

    async def only(self) -> store.Order:
        """Return the one order there is."""
        [row] = await self.all()
        return row

    async def events(self, payload: type[P]) -> list[P]:
        """Return what was told, oldest first."""
        async with self.database.read() as session:
            bodies = (await session.scalars(sa.select(OUTBOX.c.body).order_by(OUTBOX.c.id))).all()
        told = [body for body in bodies if json.loads(body)["type"] == payload.type]
        return [Event.parse(body, payload).data for body in told]


def terms(**given: Any) -> NewProfile:
    """Return a profile for 90 days."""
    usual = {
        "key_type": KeyType.ECDSA_P256,
        "lifetime": timedelta(days=90),
        "allowed_names": ["*.example.test"],
        "challenge": None,
    }
    return NewProfile(**{**usual, **given})


def expiring(now: datetime, **given: Any) -> CertificateExpiring:
    """Return inventory's event for a certificate with five days left."""
    values = {
        "lineage_id": "lineage",
        "fingerprint": OLD,
        "urgency": Urgency.RENEW,
        "not_before": now - timedelta(days=85),
        "not_after": now.replace(microsecond=0) + timedelta(days=5),
        "subject_name": "CN=shop.example.test",
        "issuer_name": "CN=Test root",
        "names": ["shop.example.test"],
        "places": [],
        "place_count": 0,
    }
    return CertificateExpiring.model_validate({**values, **given})


def take_scripted(monkeypatch: Any) -> None:
    """Let the actions know the scripted kind."""
    monkeypatch.setattr(authorities_module, "authority_kind", kinds)
