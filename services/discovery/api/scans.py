"""Scans over HTTP: asked for, shown, listed, cancelled."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import BeforeValidator, Field

from services.discovery import store
from services.discovery.actions.scans import NewScan, Pace, Scans
from services.discovery.domain.answers import Outcome
from services.discovery.domain.looks import Reach
from shared.access import Principal, requires
from shared.clock import Clock
from shared.events.discovery import ScanCounts
from shared.groups import Groups
from shared.http import Body, Page, Paging, Routes, View, of_query
from shared.idempotency import IdempotencyKey, Once

ScanReader = Annotated[Principal, requires("scans:read")]
ScanWriter = Annotated[Principal, requires("scans:write")]
AllPages = Annotated[Paging, of_query(Paging)]


def _as_text(value: object) -> object:
    """Let ports be written `443`, `[443, "8000-8010"]` or `"443,8000-8010"`."""
    parts = value if isinstance(value, list) else [value]
    if all(isinstance(part, int | str) and not isinstance(part, bool) for part in parts):
        return ",".join(str(part) for part in parts)
    return value


Ports = Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | int | list[str | int])]


Starttls = Literal[
    "auto", "none", "smtp", "lmtp", "imap", "pop3", "ftp", "ldap", "xmpp", "xmpp-server", "postgres", "mysql", "nntp",
    "sieve", "irc", "mssql", "rdp",
]  # fmt: skip


class ScanBody(Body):
    """What to look at."""

    targets: list[str] = Field(
        min_length=1,
        max_length=10_000,
        description="Networks, ranges, addresses, host names and URLs, IPv4 and IPv6; `*.example.com` is every name known under it.",
        examples=[["192.0.2.0/24", "[2001:db8::1]:8443", "https://www.example.com"]],
    )
    ports: Ports = Field(
        "443",
        max_length=1000,
        description="For targets that name none: numbers and ranges, as text or as a list.",
        examples=["443,8443,9000-9010"],
    )
    exclude: list[str] = Field(
        default=[],
        max_length=10_000,
        description="Addresses, networks and ranges to leave out.",
        examples=[["192.0.2.7", "192.0.2.64/26"]],
    )
    server_names: list[str] = Field(
        default=[],
        max_length=100,
        description="Names to ask each address for (SNI), beside the host names among the targets.",
        examples=[["shop.example.com"]],
    )
    timeout: float | None = Field(None, gt=0, le=60, description="Seconds one connection may take.")
    concurrency: int | None = Field(None, ge=1, le=10_000, description="Connections at a time.")
    per_host: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Connections at a time to one address; a host name counts as its addresses.",
    )
    per_network: int | None = Field(
        None, ge=1, le=10_000, description="Connections at a time to one /24 (IPv6: /64)."
    )
    rate: float | None = Field(None, gt=0, le=1_000_000, description="New connections per second.")
    depth: Reach = Field(
        Reach.FAST,
        description="`fast` takes the chain and what is negotiated; `full` also lists versions, cipher suites, groups "
        "and the other certificate, with up to 150 connections to each server.",
    )
    starttls: Starttls = Field(
        "auto",
        description="The protocol to speak before TLS; `auto` goes by the port and by the server's greeting, `none` is "
        "TLS from the first byte.",
    )
    fan_out: bool = Field(
        default=True,
        description="Ask addresses that answer also for the names known there: from certificates, reverse DNS, events and "
        "Certificate Transparency. What shows nothing else than the address itself is a result and no place.",
    )

    def new(self, pace: Pace) -> NewScan:
        """Return what is asked, within what the operator allows."""
        return NewScan(
            targets=self.targets,
            ports=self.ports,
            exclude=self.exclude,
            server_names=self.server_names,
            timeout=self.timeout or pace.timeout,
            concurrency=min(self.concurrency or pace.concurrency, pace.concurrency),
            per_host=min(self.per_host or pace.per_host, pace.per_host),
            per_network=min(self.per_network or pace.per_network, pace.per_network),
            rate=min((rate for rate in (self.rate, pace.rate) if rate is not None), default=None),
            reach=self.depth,
            starttls=None if self.starttls == "none" else self.starttls,
            does_fan_out=self.fan_out,
        )


class NewScanBody(ScanBody):
    """What to look at, and who sees what comes of it."""

    groups: Groups = Field(default=[])


class ScanView(View):
    """A scan and how far it has come; the outcomes in `counts` add up to `asked`."""

    id: str = Field(examples=["0191d7a2-8f4e-7c3b-9d5e-1f2a3b4c5d6e"])
    state: str = Field(
        description="queued, running, paused, finished, cancelled or failed.", examples=["running"]
    )
    error: str | None = Field(description="Why it failed.")
    targets: list[str]
    ports: str
    server_names: list[str]
    exclude: list[str]
    depth: Reach
    starttls: Starttls
    fan_out: bool
    unresolved: dict[str, str] = Field(description="Host names without an address, and why.")
    total: int = Field(description="Places to be asked, host names without an address not among them.")
    counts: ScanCounts
    percent: float
    active_seconds: float = Field(description="How long it was at work, without pauses.")
    per_second: float | None = Field(description="Places asked per second so far.")
    seconds_left: float | None = Field(description="At that rate.")
    created_at: datetime
    created_by: str
    schedule_id: str | None = Field(description="The schedule that started it.")
    groups: list[str]
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, scan: store.Scan, *, now: datetime) -> "ScanView":
        """Show a scan as it stands."""
        since = (now - scan.active_since).total_seconds() if scan.active_since else 0
        active = scan.active + max(0.0, since)
        rate = scan.position / active if active > 0 else None
        is_running = scan.state == "running"
        shared = {name: getattr(scan, name) for name in cls.model_fields if hasattr(scan, name)}
        return cls(
            **{**shared, "counts": ScanCounts(**scan.counts), "starttls": scan.starttls or "none"},
            depth=Reach(scan.reach),
            fan_out=scan.does_fan_out,
            active_seconds=round(active, 3),
            percent=round(100 * scan.position / scan.total, 1) if scan.total else 100.0,
            per_second=round(rate, 1) if rate else None,
            seconds_left=round((scan.total - scan.position) / rate, 1) if rate and is_running else None,
        )


class ResultView(View):
    """What came of one place."""

    number: int = Field(description="Its place in the walk.")
    address: str = Field(description="The IP address, or a host name that has none.", examples=["192.0.2.7"])
    port: int | None
    server_name: str | None
    outcome: Outcome
    reason: str = Field(description="Why, where it is not plain.")
    fingerprint: str | None
    tls_version: str | None = Field(examples=["TLSv1.3"])
    cipher_suite: str | None
    group: str | None
    starttls: str | None = Field(description="The protocol that was spoken before TLS.")
    protocol: str | None = Field(description="What is spoken there instead of TLS.", examples=["http", "ssh"])
    wants_client_certificate: bool
    depth: dict[str, Any] | None = Field(description="What depth `full` has found.")
    others: dict[str, str] = Field(
        description="Fingerprints of certificates for clients that verify only `rsa` or only `ecdsa`."
    )


def add_scans(routes: Routes, scans: Scans, *, once: Once, clock: Clock, pace: Pace) -> None:
    """Add the routes; `pace` is what holds where a scan does not ask for less."""
    _add_reading(routes, scans, clock)

    @routes.post("/scans", summary="Start a scan", status_code=202)
    async def create_scan(
        caller: ScanWriter,
        request: Request,
        response: Response,
        body: NewScanBody,
        key: IdempotencyKey = None,
    ) -> ScanView:
        async def create() -> ScanView:
            now = clock()
            scan = await scans.create(body.new(pace), groups=body.groups, caller=caller, now=now)
            return ScanView.of(scan, now=now)

        view = await once.run(request, key=key, caller=caller, body=body, view=ScanView, create=create)
        response.headers["Location"] = f"/discovery/v1/scans/{view.id}"
        return view

    @routes.post("/scans/{scan_id}/pause", summary="Stop looking for a while")
    async def pause_scan(caller: ScanWriter, scan_id: str) -> ScanView:
        now = clock()
        return ScanView.of(await scans.pause(scan_id, caller=caller, now=now), now=now)

    @routes.post("/scans/{scan_id}/resume", summary="Go on where a paused scan stood")
    async def resume_scan(caller: ScanWriter, scan_id: str) -> ScanView:
        now = clock()
        return ScanView.of(await scans.resume(scan_id, caller=caller, now=now), now=now)

    @routes.post("/scans/{scan_id}/cancel", summary="Stop a scan")
    async def cancel_scan(caller: ScanWriter, scan_id: str) -> ScanView:
        now = clock()
        return ScanView.of(await scans.cancel(scan_id, caller=caller, now=now), now=now)


def _add_reading(routes: Routes, scans: Scans, clock: Clock) -> None:
    @routes.get("/scans", summary="List scans, newest first")
    async def list_scans(caller: ScanReader, paging: AllPages) -> Page[ScanView]:
        after = paging.after[0] if paging.after else None
        rows = await scans.page(after=after, limit=paging.limit, caller=caller)
        now = clock()
        return paging.page([ScanView.of(row, now=now) for row in rows], key=lambda view: [view.id])

    @routes.get("/scans/{scan_id}", summary="Show a scan and its progress")
    async def get_scan(caller: ScanReader, scan_id: str) -> ScanView:
        return ScanView.of(await scans.get(scan_id, caller=caller), now=clock())

    @routes.get("/scans/{scan_id}/results", summary="List what came of each place")
    async def list_scan_results(
        caller: ScanReader,
        scan_id: str,
        paging: AllPages,
        outcome: Annotated[Outcome | None, Query()] = None,
    ) -> Page[ResultView]:
        after = paging.after_number()
        rows = await scans.results(scan_id, outcome=outcome, after=after, limit=paging.limit, caller=caller)
        views = [ResultView.model_validate(row) for row in rows]
        return paging.page(views, key=lambda view: [str(view.number)])
