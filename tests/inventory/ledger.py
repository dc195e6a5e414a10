"""An inventory whose events a test tells in any order and at any time, and what it has said in turn."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from services.inventory.actions.assessing import Assessing
from services.inventory.actions.associating import Associating
from services.inventory.actions.comparisons import Comparisons
from services.inventory.actions.crossings import Crossings
from services.inventory.actions.holding import hold_all
from services.inventory.actions.observations import Observations
from services.inventory.actions.reading import Reading
from services.inventory.actions.renewals import Renewals
from services.inventory.actions.replacements import Replacements
from services.inventory.actions.summaries import Summaries
from services.inventory.connectors import policy_files
from services.inventory.domain.query import Asked, parse
from services.inventory.domain.thresholds import Limit
from services.inventory.events import reactions
from services.inventory.service import SCHEMA
from services.inventory.store.certificates import CertificateFilter
from services.inventory.store.summaries import Summary
from services.inventory.store.tables import Replacement
from services.inventory.store.tallies import TALLY_CHANGES
from shared.bus import Delivery, Message, Verdict
from shared.bus.sqlite import SqliteBus
from shared.events import Event, Payload
from shared.events.discovery import CertificateFound, Held, Place, PlaceLost, SourceRead
from shared.events.inventory import Urgency
from shared.events.provisioner import CertificateDeployed
from shared.events.renewal import CertificateRenewed
from shared.reactions import Reactor
from shared.store import Database
from shared.store.plumbing import OUTBOX
from tests.servers.tls import Issued

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
P = TypeVar("P", bound=Payload)


def place(number: int = 1, *, name: str = "shop.test") -> Place:
    """Return an endpoint."""
    return Place(address=f"192.0.2.{number}", port=443, server_name=name)


def chain(issued: Issued) -> list[bytes]:
    """Return what a server would send."""
    return [each.public_bytes(Encoding.DER) for each in (issued.certificate, *issued.issuers)]


def found(issued: Issued, where: Place, at: datetime) -> Event[Any]:
    """Return discovery's event."""
    payload = CertificateFound.model_construct(
        place=where, fingerprint=issued.fingerprint, chain=chain(issued), observed_at=at
    )
    return Event[CertificateFound].of(payload, source="discovery", now=at)


def stored(
    issued: Issued,
    host: str,
    at: datetime,
    *,
    held: Held | None,
    path: str = "/etc/tls/a.pem",
    run: str | None = None,
) -> Event[Any]:
    """Return discovery's event of a certificate that a store holds."""
    payload = CertificateFound.model_construct(
        place=Place(kind="store", address=host, path=path),
        fingerprint=issued.fingerprint,
        chain=chain(issued),
        observed_at=at,
        held=held,
        scan_id=run,
    )
    return Event[CertificateFound].of(payload, source="discovery", now=at)


def read(run: str, at: datetime, *, source: str = "source", is_complete: bool = True) -> Event[Any]:
    """Return discovery's event of a source that was read to its end, in no time."""
    payload = SourceRead(source_id=source, run_id=run, is_complete=is_complete, started_at=at, finished_at=at)
    return Event[SourceRead].of(payload, source="discovery", now=at)


def found_bytes(fingerprint: str, ders: list[bytes], where: Place, at: datetime) -> Event[Any]:
    """Return discovery's event of bytes that may be anything."""
    payload = CertificateFound.model_construct(
        place=where, fingerprint=fingerprint, chain=ders, observed_at=at
    )
    return Event[CertificateFound].of(payload, source="discovery", now=at)


def lost(issued: Issued, where: Place, at: datetime) -> Event[Any]:
    """Return discovery's event of a place that does not answer."""
    payload = PlaceLost(place=where, fingerprint=issued.fingerprint, observed_at=at, reason="refused")
    return Event[PlaceLost].of(payload, source="discovery", now=at)


def renewed(old: Issued | None, new: Issued, at: datetime, *, lineage: str = "lineage") -> Event[Any]:
    """Return renewal's event."""
    payload = CertificateRenewed.model_construct(
        lineage_id=lineage,
        order_id="order",
        old_fingerprint=old.fingerprint if old else None,
        fingerprint=new.fingerprint,
        chain=chain(new),
        names=["shop.test"],
        not_before=new.certificate.not_valid_before_utc,
        not_after=new.certificate.not_valid_after_utc,
        authority="house-ca",
    )
    return Event[CertificateRenewed].of(payload, source="renewal", now=at)


def deployed(
    old: Issued, new: Issued, at: datetime, *, lineage: str = "lineage", is_last: bool = True
) -> Event[Any]:
    """Return the provisioner's event."""
    payload = CertificateDeployed(
        lineage_id=lineage,
        order_id="order",
        deployment_id="deployment",
        target="web-1",
        old_fingerprint=old.fingerprint,
        fingerprint=new.fingerprint,
        places=[],
        is_last=is_last,
        deployed_at=at,
    )
    return Event[CertificateDeployed].of(payload, source="provisioner", now=at)


class Ledger:
    """The inventory's actions behind its reactions, over a migrated database, with time in hand."""

    def __init__(
        self,
        database: Database,
        bus: SqliteBus,
        *,
        now: datetime = NOON,
        limits: dict[Urgency, Limit] | None = None,
    ) -> None:
        self.database = database
        self.now = now
        self.crossings = Crossings(database, limits=limits or {})
        self.replacements = Replacements(database, stale_after=DAY)
        self.associating = Associating(database)
        self.assessing = Assessing(database, timelines=policy_files.timelines())
        observations = Observations(
            replacements=self.replacements,
            crossings=self.crossings,
            comparisons=Comparisons(),
            assessing=self.assessing,
        )
        renewals = Renewals(replacements=self.replacements, crossings=self.crossings)
        table = reactions(observations, renewals, clock=lambda: self.now)
        self.reactor = Reactor(database, bus, table, clock=lambda: self.now, before=hold_all)
        self.reading = Reading(database)
        self.summaries = Summaries(database)

    async def hear(self, *events: Event[Any]) -> None:
        """React to events, in this order, in one batch."""
        outcomes = await self.reactor.handle(deliveries(events))
        assert all(outcome.verdict is Verdict.DONE for outcome in outcomes), outcomes

    async def forget(self) -> None:
        """Begin again with empty tables."""
        async with self.database.transaction() as tx:
            for metadata in SCHEMA.metadata:
                for table in reversed(metadata.sorted_tables):
                    await tx.session.execute(sa.delete(table))
            await tx.session.execute(sa.delete(TALLY_CHANGES))  # what the deletes have written

    async def work(self) -> None:
        """Do what is due by the clock."""
        while await self.crossings.cross_due(self.now):
            pass
        while await self.replacements.settle_due(self.now):
            pass
        while await self.associating.associate_due(self.now):
            pass
        while await self.associating.cross_due(self.now):
            pass
        while await self.assessing.judge_due(self.now):
            pass
        while await self.assessing.lapse(self.now):
            pass

    async def summary(self) -> Summary:
        """Return how many there are of what, for who sees all."""
        return await self.summaries.summary(scope=None, now=self.now)

    async def said(self, payload: type[P]) -> list[P]:
        """Return the events of this type, the oldest first."""
        async with self.database.read() as session:
            bodies = (await session.scalars(sa.select(OUTBOX.c.body).order_by(OUTBOX.c.id))).all()
        return [
            Event.parse(body, payload).data for body in bodies if json.loads(body)["type"] == payload.type
        ]

    async def row(self, issued: Issued) -> Any:
        """Return what is kept of a certificate."""
        return (await self.reading.certificate(issued.fingerprint, scope=None)).row

    async def asked(self, question: str) -> Sequence[Any]:
        """Return the certificates that a question finds."""
        wanted = CertificateFilter(asked=Asked(query=parse(question), now=self.now))
        return await self.reading.certificates(wanted, limit=100)

    async def replacement(self) -> Replacement:
        """Return the one replacement there is."""
        [(row, _places)] = await self.reading.replacements(
            after=None, limit=10, lineage_id=None, state=None, scope=None
        )
        return row

    async def served(self, where: Place, *, at: datetime | None = None) -> list[str | None]:
        """Return what a place served, the latest first."""
        return [
            serving.fingerprint
            for serving in (await self.reading.history(where.key, at=at, scope=None)).servings
        ]

    async def told(self, lineage_id: str) -> list[str]:
        """Return the kinds of what happened to a lineage, the first first."""
        return [
            row.kind for row in await self.reading.timeline(lineage_id, after=None, limit=100, scope=None)
        ]


def deliveries(events: Iterable[Event[Any]]) -> Sequence[Delivery]:
    """Return events as the bus hands them over."""
    return [
        Delivery(message=Message(id=event.id, type=event.type, body=event.to_bytes()), attempt=1)
        for event in events
    ]
