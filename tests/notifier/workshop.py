"""The notifier's actions over a database of their own, with time in hand and events said by the test."""

import base64
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr

from services.notifier import store
from services.notifier.actions.alerts import Alerts
from services.notifier.actions.catching_up import CatchingUp
from services.notifier.actions.channels import Channels, NewChannel
from services.notifier.actions.deliveries import Deliveries, Job, Schedule
from services.notifier.actions.digests import Digests
from services.notifier.actions.pursuits import Pursuits
from services.notifier.actions.rules import Rules, RuleText
from services.notifier.actions.thresholds import Thresholds
from services.notifier.actions.tickets import Tickets
from services.notifier.connectors import Network, Sent
from services.notifier.domain.plans import Plan
from services.notifier.events import reactions
from services.notifier.service import SCHEMA
from shared.access import Principal
from shared.bus import Delivery, Message, Verdict
from shared.events import Event, Payload
from shared.events.discovery import Place, SourceFailed, SourceRecovered
from shared.events.inventory import (
    AuthorityCleared,
    AuthorityExpiring,
    BrokenRule,
    CertificateAging,
    CertificateCompliant,
    CertificateExpiring,
    CertificateNoncompliant,
    CertificateReplaced,
    CertificateRevocationSeen,
    CertificatesOwned,
    CertificateStale,
    CertificatesUnowned,
    Flaw,
    PlaceFlawed,
    PlaceMended,
    RuleSeverity,
    Urgency,
)
from shared.events.provisioner import CertificateDeployed, DeploymentFailed
from shared.events.renewal import CertificateRenewed, RenewalFailed
from shared.outbound import Policy
from shared.reactions import Reactor
from shared.sealing import KeyEncryptionKey, Sealer
from shared.store import Database
from shared.store.plumbing import OUTBOX
from tests.servers.smtp import Smtp
from tests.servers.webhook import Webhook

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CALLER = Principal(id="tester", name="Tester", roles=frozenset({"admin"}))
OLD, NEW, NEXT = "0a" * 32, "1b" * 32, "2c" * 32
KEY = bytes(range(32))
SIGNING_SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
WAITS = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800))
LOOPBACK = Policy(["127.0.0.0/8", "::1/128"])
PLACE = Place(address="192.0.2.7", port=443, server_name="www.example.test")


def network() -> Network:
    """Return the way out of a notifier that may reach loopback."""
    return Network(policy=LOOPBACK, tls=ssl.create_default_context())


@dataclass
class Time:
    """The clock of a test."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def passes(self, span: timedelta) -> None:
        self.now += span


class Silence:
    """A bus that nobody listens to: tests hand deliveries to the reactor themselves."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the bus is not for this test: {name}")


@dataclass
class Workshop:
    """A notifier without doors."""

    database: Database
    clock: Time = field(default_factory=Time)
    report_after: int = 2

    def __post_init__(self) -> None:
        self.alerts = Alerts(self.database)
        self.rules = Rules(self.database)
        self.thresholds = Thresholds(self.database)
        self.pursuits = Pursuits(self.database)
        self.digests = Digests(self.database)
        sealer = Sealer([KeyEncryptionKey(b"k" * 32)])
        self.channels = Channels(self.database, sealer=sealer, network=network(), portal_url=None)
        self.catching_up = CatchingUp(self.database, self.channels)
        schedule = Schedule(waits=WAITS, report_after=self.report_after, lease=timedelta(seconds=90))
        self.deliveries = Deliveries(
            self.database, channels=self.channels, schedule=schedule, portal_url="https://portal.test/"
        )
        self.tickets = Tickets(self.database, channels=self.channels, every=timedelta(minutes=1))
        table = reactions(self.alerts, self.thresholds, clock=self.clock)
        self.reactor = Reactor(self.database, Silence(), table, clock=self.clock)

    async def set_up(self) -> "Workshop":
        """Make the tables."""
        await SCHEMA.upgrade(self.database)
        return self

    async def hear(self, *payloads: Payload) -> None:
        """Let the notifier react to events said now."""
        await self.hear_events([Event.of(payload, source="test", now=self.clock()) for payload in payloads])

    async def hear_events(self, events: Sequence[Event[Any]]) -> None:
        """Let the notifier react to events, in this order and in one batch."""
        messages = [Message(id=event.id, type=event.type, body=event.to_bytes()) for event in events]
        outcomes = await self.reactor.handle([Delivery(message=message, attempt=1) for message in messages])
        assert {outcome.verdict for outcome in outcomes} <= {Verdict.DONE}, outcomes

    async def webhook(self, receiver: Webhook, name: str = "hook") -> store.Channel:
        """Make a channel to a receiver."""
        return await self.channel(
            name, "webhook", {"url": receiver.url}, secrets={"signing_secret": SIGNING_SECRET}
        )

    async def email(self, server: Smtp, name: str = "mail", **options: Any) -> store.Channel:
        """Make a channel to a mail server."""
        return await self.channel(
            name, "email", email_options(server, **options), secrets={"password": server.password}
        )

    async def channel(
        self, name: str, kind: str, options: Mapping[str, Any], *, secrets: Mapping[str, str]
    ) -> store.Channel:
        """Make a channel."""
        sealed = {key: SecretStr(value) for key, value in secrets.items()}
        new = NewChannel(name=name, kind=kind, options=options, secrets=sealed, enabled=True)
        return await self.channels.create(new, caller=CALLER, now=self.clock())

    async def rule(self, name: str = "rule", *, min_severity: str = "info", **text: Any) -> store.Rule:
        """Make a rule; `plan` and the like as `RuleText` has them."""
        plan = Plan.model_validate(text.pop("plan", {}))
        channels = text.pop("channels", None)
        written = RuleText(
            name=name,
            min_severity=min_severity,
            problems=text.pop("problems", []),
            channels=channels,
            plan=plan,
            **text,
        )
        return await self.rules.create(written, caller=CALLER, now=self.clock())

    async def drop_default_rule(self) -> None:
        """Take away the rule that tells everything through everything."""
        await self.rules.delete("00000000-0000-7000-8000-000000000001", caller=CALLER)

    async def tick(self) -> None:
        """Do all that is due by the clock now, as the workers do."""
        while await self.thresholds.cross_due(self.clock()):
            pass
        while await self.pursuits.pursue_due(self.clock()):
            pass
        await self.digests.gather_due(self.clock())
        await self.work()

    async def work(self) -> list[Sent]:
        """Send whatever is due now, one after the other."""
        answers = []
        while jobs := await self.deliveries.claim(busy=[], now=self.clock()):
            for job in jobs:
                sent = await self.deliveries.send(job, now=self.clock())
                await self.record(job, sent)
                answers.append(sent)
        return answers

    async def claim(self) -> Job:
        """Claim the one delivery that is due."""
        (job,) = await self.deliveries.claim(busy=[], now=self.clock())
        return job

    async def record(self, job: Job, sent: Sent | None) -> None:
        """Write down what became of a delivery."""
        await self.deliveries.record(job.channel, [(job, sent)], now=self.clock())

    async def look(self) -> int:
        """Look at the tickets that are due now, one after the other; return how many."""
        count = 0
        while (look := await self.tickets.claim(now=self.clock())) is not None:
            count += 1
            seen = await self.tickets.look(look, now=self.clock())
            if seen is not None:
                await self.tickets.take(look, seen, now=self.clock())
        return count

    async def tickets_kept(self) -> list[store.KeptTicket]:
        """Return what outside systems have of alerts."""
        return list(await self.tickets.page(only={}, after=[], limit=100, caller=CALLER))

    async def open_alerts(self, lineage_id: str = "lineage-1") -> dict[str, str]:
        """Return problem and severity of a lineage's open alerts."""
        only = {"lineage_id": lineage_id, "state": "open"}
        rows = await self.alerts.page(only=only, after=None, limit=100, caller=CALLER)
        assert len({row.problem for row in rows}) == len(rows)
        return {row.problem: row.severity for row in rows}

    async def alert(self, **only: str) -> store.Alert:
        """Return the one alert with these values."""
        (row,) = await self.alerts.page(only=only, after=None, limit=100, caller=CALLER)
        return row

    async def states(self) -> dict[str, list[tuple[int, str]]]:
        """Return, for each channel's name, its deliveries' turns and states."""
        names = {row.id: row.name for row in await self.channels.page(after=None, limit=100, caller=CALLER)}
        found: dict[str, list[tuple[int, str]]] = {}
        for row in reversed(await self.deliveries.page(only={}, after=None, limit=1000, caller=CALLER)):
            found.setdefault(names[row.channel_id], []).append((row.number, row.state))
        return found

    async def emitted(self) -> list[str]:
        """Return the types of all events emitted so far."""
        async with self.database.read() as session:
            return list(await session.scalars(sa.select(OUTBOX.c.type).order_by(OUTBOX.c.id)))


def email_options(server: Smtp, **options: Any) -> dict[str, Any]:
    """Return the options of a channel to a mail server."""
    return {
        "host": server.host,
        "port": server.port,
        "username": server.user,
        "from": "everleaf@example.test",
        "to": ["operators@example.test"],
        "ca_pem": server.ca_pem.read_text(),
        **options,
    }


def expiring(
    urgency: Urgency = Urgency.WARNING, fingerprint: str = OLD, *, lineage_id: str = "lineage-1", **other: Any
) -> CertificateExpiring:
    """Return the event of a certificate with three days to go."""
    values: dict[str, Any] = {
        "not_before": NOON - timedelta(days=87),
        "not_after": NOON + timedelta(days=3, hours=1),
        "subject_name": "CN=www.example.test",
        "issuer_name": "CN=Example CA",
        "names": ["*.example.test", "www.example.test"],
        "places": [PLACE],
        "place_count": 1,
        **other,
    }
    return CertificateExpiring(lineage_id=lineage_id, fingerprint=fingerprint, urgency=urgency, **values)


def aging(fingerprint: str = OLD, *, lineage_id: str = "lineage-1", **other: Any) -> CertificateAging:
    """Return the event of a certificate of 200 days with 100 to go."""
    values = expiring(lineage_id=lineage_id, fingerprint=fingerprint).model_dump(exclude={"urgency"})
    span = {"not_before": NOON - timedelta(days=100), "not_after": NOON + timedelta(days=100)}
    return CertificateAging.model_validate({**values, **span, **other})


def replaced(
    old: str = OLD, new: str = NEW, *, lineage_id: str = "lineage-1", at: datetime = NOON
) -> CertificateReplaced:
    """Return the event of an observed replacement."""
    return CertificateReplaced(
        lineage_id=lineage_id, old_fingerprint=old, fingerprint=new, places=[PLACE], observed_at=at
    )


def stale(
    old: str = OLD, new: str = NEW, *, lineage_id: str = "lineage-1", at: datetime = NOON
) -> CertificateStale:
    """Return the event of a place that still serves the old one."""
    return CertificateStale(
        lineage_id=lineage_id, old_fingerprint=old, fingerprint=new, places=[PLACE], observed_at=at
    )


def revoked(
    fingerprint: str = OLD, *, lineage_id: str = "lineage-1", at: datetime = NOON
) -> CertificateRevocationSeen:
    """Return the event of a certificate in use that its authority has revoked."""
    return CertificateRevocationSeen(
        lineage_id=lineage_id,
        fingerprint=fingerprint,
        revoked_at=at - timedelta(hours=1),
        reason="keyCompromise",
        means="ocsp",
        seen_at=at,
        subject_name="CN=www.example.test",
        issuer_name="CN=Example CA",
        names=["www.example.test"],
        places=[PLACE],
        place_count=1,
    )


def renewal_failed(
    attempt: int = 1, *, lineage_id: str = "lineage-1", is_last: bool = False, fingerprint: str | None = OLD
) -> RenewalFailed:
    """Return the event of a failed attempt to obtain."""
    return RenewalFailed(
        lineage_id=lineage_id,
        order_id=f"order-of-{lineage_id}",
        fingerprint=fingerprint,
        names=["www.example.test"],
        reason="the CA is away",
        next_step="Wait.",
        attempt=attempt,
        next_attempt_at=None if is_last else NOON + timedelta(hours=1),
    )


def deployment_failed(
    attempt: int = 1,
    *,
    lineage_id: str = "lineage-1",
    is_last: bool = False,
    restored: bool = True,
    old: str | None = OLD,
) -> DeploymentFailed:
    """Return the event of a failed attempt to put in place."""
    return DeploymentFailed(
        lineage_id=lineage_id,
        order_id=f"order-of-{lineage_id}",
        deployment_id=f"deployment-of-{lineage_id}",
        target="web-1",
        fingerprint=NEW,
        step="reload",
        reason="the server does not start",
        next_step="Look at its log.",
        restored=restored,
        attempt=attempt,
        next_attempt_at=None if is_last else NOON + timedelta(hours=1),
        old_fingerprint=old,
    )


def deployed(*, lineage_id: str = "lineage-1") -> CertificateDeployed:
    """Return the event of a certificate put in place."""
    return CertificateDeployed(
        lineage_id=lineage_id,
        order_id="order-1",
        deployment_id="deployment-1",
        target="web-1",
        old_fingerprint=OLD,
        fingerprint=NEW,
        places=[PLACE],
        is_last=True,
        deployed_at=NOON,
    )


def renewed(*, lineage_id: str = "lineage-1") -> CertificateRenewed:
    """Return the event of a certificate issued."""
    return CertificateRenewed(
        lineage_id=lineage_id,
        order_id="order-1",
        old_fingerprint=OLD,
        fingerprint=NEW,
        chain=[],
        names=["www.example.test"],
        not_before=NOON,
        not_after=NOON + timedelta(days=90),
        authority="Test root",
    )


def source_failed(source_id: str = "source-1", *, at: datetime = NOON) -> SourceFailed:
    """Return the event of a source whose login was refused."""
    return SourceFailed(
        source_id=source_id,
        run_id="run-1",
        name="db-1",
        kind="linux-ssh",
        reason="db-1:22 refused the login.",
        next_step="Store a new credential.",
        failed_at=at,
    )


def source_recovered(source_id: str = "source-1", *, at: datetime = NOON) -> SourceRecovered:
    """Return the event of a source that was read again."""
    return SourceRecovered(
        source_id=source_id, name="db-1", reason="It was read to its end.", recovered_at=at
    )


WHERE = Place(kind="store", address="web-1", path="/etc/tls/a.pem")


def flawed(flaw: Flaw = Flaw.NOT_SERVED, *, place: Place = WHERE, at: datetime = NOON) -> PlaceFlawed:
    """Return the event that something is wrong with a place."""
    return PlaceFlawed(
        place=place,
        flaw=flaw,
        fingerprint=OLD,
        lineage_id="lineage-1",
        names=["shop.example.test"],
        beside=[],
        began_at=at,
    )


def mended(flaw: Flaw = Flaw.NOT_SERVED, *, place: Place = WHERE, at: datetime = NOON) -> PlaceMended:
    """Return the event that it is over."""
    return PlaceMended(place=place, flaw=flaw, fingerprint=OLD, ended_at=at)


def unowned(count: int = 3, *, at: datetime = NOON) -> CertificatesUnowned:
    """Return the event that certificates have no owner."""
    return CertificatesUnowned(count=count, since=NOON - timedelta(days=1), counted_at=at)


def owned(*, at: datetime = NOON) -> CertificatesOwned:
    """Return the event that all have one."""
    return CertificatesOwned(ended_at=at)


def authority_expiring(urgency: Urgency = Urgency.WARNING, *, at: datetime = NOON) -> AuthorityExpiring:
    """Return the event that an intermediate ends with certificates in use under it."""
    return AuthorityExpiring(
        fingerprint=NEW,
        urgency=urgency,
        not_before=at - timedelta(days=1000),
        not_after=at + timedelta(days=100),
        subject_name="CN=Issuing CA 1",
        issuer_name="CN=Root",
        is_self_issued=False,
        certificate_count=3,
        certificates=[OLD],
    )


def authority_cleared(*, at: datetime = NOON) -> AuthorityCleared:
    """Return the event that it is over."""
    return AuthorityCleared(fingerprint=NEW, cleared_at=at)


def noncompliant(
    *rules: str, severity: RuleSeverity = RuleSeverity.HIGH, policy: str = "house", at: datetime = NOON
) -> CertificateNoncompliant:
    """Return the event that a lineage breaks rules of a policy."""
    return CertificateNoncompliant(
        lineage_id="lineage-1",
        fingerprint=OLD,
        policy=policy,
        policy_title="House rules",
        policy_version=1,
        severity=severity,
        rules=[
            BrokenRule(
                rule=rule,
                title=f"No {rule}",
                severity=severity,
                evidence=f"offers {rule}",
                remedy=f"Switch {rule} off.",
                source="",
            )
            for rule in rules
        ],
        names=["shop.example.test"],
        places=[WHERE],
        place_count=3,
        judged_at=at,
    )


def compliant(*, policy: str = "house", at: datetime = NOON) -> CertificateCompliant:
    """Return the event that it does not any more."""
    return CertificateCompliant(
        lineage_id="lineage-1",
        fingerprint=OLD,
        policy=policy,
        policy_title="House rules",
        reason="Every place was seen to keep to it.",
        judged_at=at,
    )
