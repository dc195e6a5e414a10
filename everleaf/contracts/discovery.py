"""What discovery can be asked, and what it answers.

Written by `make contracts` from services/discovery/openapi.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from everleaf.calls import Call, Listing, Page, quoted


class AuditKeysView(TypedDict):
    """A JWKS (RFC 7517)."""

    keys: list[dict[str, str]]


class CredentialBody(TypedDict):
    """A credential that takes the place of the one before."""

    credential: dict[str, JsonValue]
    """Write-only: it is sealed, and never shown again. Or where it lies: `secret_store`, `path` and,
    where names differ, `fields` (see `credential_from` of a source).
    """


class CredentialFromView(TypedDict):
    """Where a credential lies that is fetched at each opening, and is not kept here."""

    secret_store: str
    """Its name."""
    path: str
    fields: dict[str, str]
    """Which field of the credential is which member of the secret; empty: each the one of its name."""


class CtLogBody(TypedDict):
    """A log to be read."""

    url: str
    """The log's monitoring prefix (https://c2sp.org/static-ct-api); https, or http to this machine."""
    public_key: NotRequired[str | None]
    """The log's key, as base64 of its DER or in PEM; without it, signatures are not verified."""
    suffixes: list[str]
    """Names that are one of these or below it are kept; all others are passed over."""
    start: NotRequired[int | Literal["now", "beginning"]]
    """Where to begin: `now` (only what is added from now on), `beginning`, or an entry's number."""
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


class CtLogPatch(TypedDict):
    """What is wanted of a log from here on."""

    suffixes: list[str]
    """Names that are one of these or below it are kept; all others are passed over."""
    groups: NotRequired[list[str] | None]


class CtLogView(TypedDict):
    """A log, and how far it is read."""

    id: str
    url: str
    public_key: str | None
    suffixes: list[str]
    groups: list[str]
    state: str
    """new, reading, current (all is read), away (it gave no usable answer), wrong (what it serves
    cannot be right) or forked (its tree contradicts the one it showed before).
    """
    position: int | None
    """How many entries are read or left out; null before the first look."""
    checkpoint_size: int
    """Entries in the last tree that was found to be consistent."""
    checkpoint_root: str | None
    """The root hash of that tree, hexadecimal."""
    origin: str | None
    """What the log calls itself."""
    signed_at: str | None
    """When the log signed it, where its key is known."""
    entries_read: int
    unreadable: int
    """Certificates that hold a suffix and cannot be parsed."""
    last_read_at: str | None
    last_error: str | None
    failures: int
    """In a row."""
    evidence: str | None
    """The last checkpoint that contradicted an earlier one, as served."""
    next_read_at: str
    version: int
    created_at: str
    created_by: str
    updated_at: str


class DeadLetterView(TypedDict):
    """An event that was given up, and why."""

    id: str
    type: str
    attempts: int
    reason: str
    died_at: str
    body: str
    """The CloudEvent, as JSON text."""


class DeadLetters(TypedDict):
    """The oldest dead letters and how many there are."""

    total: int
    items: list[DeadLetterView]


class Discard(TypedDict):
    """Which dead letters to throw away."""

    ids: list[str]


class ExplanationView(TypedDict):
    """Why a target was found or missed, for each of its addresses."""

    target: str
    places: list[PlaceExplanation]


class GapView(TypedDict):
    """Something that could not be read."""

    scope: str
    """A path, or the beginning of paths; empty for all."""
    reason: str
    next_step: str
    is_absent: bool
    """It is known that nothing is there, though something else names it."""


class GroupBody(TypedDict):
    """Sources of one kind that share a credential and most of their settings."""

    kind: str
    settings: NotRequired[dict[str, JsonValue]]
    credential: dict[str, JsonValue]
    """Write-only: it is sealed, and never shown again. Or where it lies: `secret_store`, `path` and,
    where names differ, `fields` (see `credential_from` of a source).
    """
    every: NotRequired[int | None]
    """Seconds between runs of each."""
    sources: list[MemberBody]
    groups: NotRequired[list[str] | None]


class GroupView(TypedDict):
    """What came of making a group known."""

    created: int
    changed: int


class GroupsBody(TypedDict):
    """The groups that an object is to be in."""

    groups: list[str]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


class HoldingView(TypedDict):
    """One certificate in a source, as it was read last."""

    address: str
    path: str
    fingerprint: str
    details: dict[str, Any]
    """Format, owner, group, mode; its key (never the key itself), and what configurations use it for."""
    first_seen: str
    last_seen: str
    misses: int
    """How many runs in a row did not show it."""


JsonValue = Any


class LookView(TypedDict):
    """The last scan that asked there."""

    scan_id: str
    outcome: Outcome
    reason: str
    at: str
    """When that scan ended, or began where it goes on."""


class MemberBody(TypedDict):
    """One source of a group."""

    name: str
    settings: NotRequired[dict[str, JsonValue]]
    """What differs from the settings of the group."""


class Moved(TypedDict):
    """How many dead letters were moved."""

    count: int


class NameView(TypedDict):
    """A host name that is known."""

    name: str
    origins: list[str]
    """How it became known: certificate, transparency, reverse, configuration, event."""
    addresses: list[str]
    """The IP addresses that it is known to go with."""
    seen_at: str
    """When it was last seen, by whichever way."""


class NewScanBody(TypedDict):
    """What to look at, and who sees what comes of it."""

    targets: list[str]
    """Networks, ranges, addresses, host names and URLs, IPv4 and IPv6; `*.example.com` is every name
    known under it.
    """
    ports: NotRequired[str | int | list[str | int]]
    """For targets that name none: numbers and ranges, as text or as a list."""
    exclude: NotRequired[list[str]]
    """Addresses, networks and ranges to leave out."""
    server_names: NotRequired[list[str]]
    """Names to ask each address for (SNI), beside the host names among the targets."""
    timeout: NotRequired[float | None]
    """Seconds one connection may take."""
    concurrency: NotRequired[int | None]
    """Connections at a time."""
    per_host: NotRequired[int | None]
    """Connections at a time to one address; a host name counts as its addresses."""
    per_network: NotRequired[int | None]
    """Connections at a time to one /24 (IPv6: /64)."""
    rate: NotRequired[float | None]
    """New connections per second."""
    depth: NotRequired[Reach]
    """`fast` takes the chain and what is negotiated; `full` also lists versions, cipher suites, groups
    and the other certificate, with up to 150 connections to each server.
    """
    starttls: NotRequired[Literal["auto", "none", "smtp", "lmtp", "imap", "pop3", "ftp", "ldap", "xmpp", "xmpp-server", "postgres", "mysql", "nntp", "sieve", "irc", "mssql", "rdp"]]
    """The protocol to speak before TLS; `auto` goes by the port and by the server's greeting, `none`
    is TLS from the first byte.
    """
    fan_out: NotRequired[bool]
    """Ask addresses that answer also for the names known there: from certificates, reverse DNS, events
    and Certificate Transparency. What shows nothing else than the address itself is a result and no
    place.
    """
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


Outcome = Literal["tls", "no_tls", "refused", "silent", "excluded", "failed"]
"""What became of one place that was asked."""


class PlaceExplanation(TypedDict):
    """What is known of one address of the target."""

    address: str | None
    port: int
    server_name: str | None
    verdict: Verdict
    text: str
    next_step: str
    seen: SeenView | None
    looked: LookView | None


class PlaceView(TypedDict):
    """A place that has served a certificate."""

    key: str
    address: str
    port: int
    server_name: str | None
    starttls: str | None
    key_type: str | None
    """Where an endpoint has a second certificate: who is shown it."""
    fingerprint: str
    first_seen: str
    last_seen: str
    misses: int
    """How often in a row it has been missed."""


class Problem(TypedDict):
    """A problem document (RFC 9457); `next_step` says what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    next_step: str
    trace_id: str
    errors: NotRequired[list[dict[str, str]]]


class QuietHoursBody(TypedDict):
    """Hours in which nothing is started and what goes on rests; they may pass midnight."""

    start: str
    end: str
    """Where it is not after `start`, it is on the next day."""
    days: NotRequired[list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]]]
    """The days on which they begin."""


Reach = Literal["fast", "full"]
"""How far a look goes."""


class Redrive(TypedDict):
    """Which dead letters to put back."""

    ids: NotRequired[list[str] | None]
    """Event ids; left out, all of them."""


class ResultView(TypedDict):
    """What came of one place."""

    number: int
    """Its place in the walk."""
    address: str
    """The IP address, or a host name that has none."""
    port: int | None
    server_name: str | None
    outcome: Outcome
    reason: str
    """Why, where it is not plain."""
    fingerprint: str | None
    tls_version: str | None
    cipher_suite: str | None
    group: str | None
    starttls: str | None
    """The protocol that was spoken before TLS."""
    protocol: str | None
    """What is spoken there instead of TLS."""
    wants_client_certificate: bool
    depth: dict[str, Any] | None
    """What depth `full` has found."""
    others: dict[str, str]
    """Fingerprints of certificates for clients that verify only `rsa` or only `ecdsa`."""


class ScanBodyInput(TypedDict):
    """What to look at."""

    targets: list[str]
    """Networks, ranges, addresses, host names and URLs, IPv4 and IPv6; `*.example.com` is every name
    known under it.
    """
    ports: NotRequired[str | int | list[str | int]]
    """For targets that name none: numbers and ranges, as text or as a list."""
    exclude: NotRequired[list[str]]
    """Addresses, networks and ranges to leave out."""
    server_names: NotRequired[list[str]]
    """Names to ask each address for (SNI), beside the host names among the targets."""
    timeout: NotRequired[float | None]
    """Seconds one connection may take."""
    concurrency: NotRequired[int | None]
    """Connections at a time."""
    per_host: NotRequired[int | None]
    """Connections at a time to one address; a host name counts as its addresses."""
    per_network: NotRequired[int | None]
    """Connections at a time to one /24 (IPv6: /64)."""
    rate: NotRequired[float | None]
    """New connections per second."""
    depth: NotRequired[Reach]
    """`fast` takes the chain and what is negotiated; `full` also lists versions, cipher suites, groups
    and the other certificate, with up to 150 connections to each server.
    """
    starttls: NotRequired[Literal["auto", "none", "smtp", "lmtp", "imap", "pop3", "ftp", "ldap", "xmpp", "xmpp-server", "postgres", "mysql", "nntp", "sieve", "irc", "mssql", "rdp"]]
    """The protocol to speak before TLS; `auto` goes by the port and by the server's greeting, `none`
    is TLS from the first byte.
    """
    fan_out: NotRequired[bool]
    """Ask addresses that answer also for the names known there: from certificates, reverse DNS, events
    and Certificate Transparency. What shows nothing else than the address itself is a result and no
    place.
    """


class ScanBodyOutput(TypedDict):
    """What to look at."""

    targets: list[str]
    """Networks, ranges, addresses, host names and URLs, IPv4 and IPv6; `*.example.com` is every name
    known under it.
    """
    ports: NotRequired[str]
    """For targets that name none: numbers and ranges, as text or as a list."""
    exclude: NotRequired[list[str]]
    """Addresses, networks and ranges to leave out."""
    server_names: NotRequired[list[str]]
    """Names to ask each address for (SNI), beside the host names among the targets."""
    timeout: NotRequired[float | None]
    """Seconds one connection may take."""
    concurrency: NotRequired[int | None]
    """Connections at a time."""
    per_host: NotRequired[int | None]
    """Connections at a time to one address; a host name counts as its addresses."""
    per_network: NotRequired[int | None]
    """Connections at a time to one /24 (IPv6: /64)."""
    rate: NotRequired[float | None]
    """New connections per second."""
    depth: NotRequired[Reach]
    """`fast` takes the chain and what is negotiated; `full` also lists versions, cipher suites, groups
    and the other certificate, with up to 150 connections to each server.
    """
    starttls: NotRequired[Literal["auto", "none", "smtp", "lmtp", "imap", "pop3", "ftp", "ldap", "xmpp", "xmpp-server", "postgres", "mysql", "nntp", "sieve", "irc", "mssql", "rdp"]]
    """The protocol to speak before TLS; `auto` goes by the port and by the server's greeting, `none`
    is TLS from the first byte.
    """
    fan_out: NotRequired[bool]
    """Ask addresses that answer also for the names known there: from certificates, reverse DNS, events
    and Certificate Transparency. What shows nothing else than the address itself is a result and no
    place.
    """


class ScanCounts(TypedDict):
    """What became of every address and port asked; the parts add up to `asked`."""

    asked: NotRequired[int]
    tls: NotRequired[int]
    no_tls: NotRequired[int]
    refused: NotRequired[int]
    silent: NotRequired[int]
    excluded: NotRequired[int]
    failed: NotRequired[int]
    found: NotRequired[int]
    new: NotRequired[int]
    known: NotRequired[int]
    changed: NotRequired[int]


class ScanView(TypedDict):
    """A scan and how far it has come; the outcomes in `counts` add up to `asked`."""

    id: str
    state: str
    """queued, running, paused, finished, cancelled or failed."""
    error: str | None
    """Why it failed."""
    targets: list[str]
    ports: str
    server_names: list[str]
    exclude: list[str]
    depth: Reach
    starttls: Literal["auto", "none", "smtp", "lmtp", "imap", "pop3", "ftp", "ldap", "xmpp", "xmpp-server", "postgres", "mysql", "nntp", "sieve", "irc", "mssql", "rdp"]
    fan_out: bool
    unresolved: dict[str, str]
    """Host names without an address, and why."""
    total: int
    """Places to be asked, host names without an address not among them."""
    counts: ScanCounts
    percent: float
    active_seconds: float
    """How long it was at work, without pauses."""
    per_second: float | None
    """Places asked per second so far."""
    seconds_left: float | None
    """At that rate."""
    created_at: str
    created_by: str
    schedule_id: str | None
    """The schedule that started it."""
    groups: list[str]
    started_at: str | None
    finished_at: str | None


class ScheduleBody(TypedDict):
    """A scan, and when to repeat it: either by `cron` or `every` so many seconds."""

    name: str
    scan: ScanBodyInput
    cron: NotRequired[str | None]
    """Minute, hour, day of month, month, day of week."""
    every: NotRequired[int | None]
    """Seconds."""
    timezone: NotRequired[str]
    jitter: NotRequired[int]
    """Each run comes up to so many seconds later, so that not all come at once."""
    quiet_hours: NotRequired[list[QuietHoursBody]]
    is_enabled: NotRequired[bool]
    groups: NotRequired[list[str] | None]


class ScheduleView(TypedDict):
    """A scan that repeats, and how it went."""

    id: str
    name: str
    scan: ScanBodyOutput
    cron: str | None
    every: int | None
    timezone: str
    jitter: int
    quiet_hours: list[QuietHoursBody]
    is_enabled: bool
    groups: list[str]
    """Its scans are in them too."""
    is_resting: bool
    """Its scan rests until quiet hours are over."""
    next_run_at: str | None
    last_scan_id: str | None
    last_started_at: str | None
    last_error: str | None
    """Why it did not run when it should have last."""
    skipped: int
    """How often it did not run because the scan before was not done."""
    version: int
    created_at: str
    created_by: str
    updated_at: str


class SecretStoreBody(TypedDict):
    """A new secret store."""

    name: str
    kind: str
    settings: dict[str, JsonValue]
    credential: dict[str, JsonValue]
    """Write-only: it is sealed, and never shown again."""
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


class SecretStoreCredentialBody(TypedDict):
    """A credential that takes the place of the one before."""

    credential: dict[str, JsonValue]
    """Write-only: it is sealed, and never shown again."""


class SecretStoreKindView(TypedDict):
    """A kind of secret store, with the JSON Schemas of its settings and its credential."""

    kind: str
    summary: str
    settings: dict[str, Any]
    credential: dict[str, Any]


class SecretStoreKindsView(TypedDict):
    """Every kind of secret store."""

    items: list[SecretStoreKindView]


class SecretStoreView(TypedDict):
    """A secret store, without our credential for it."""

    id: str
    name: str
    kind: str
    settings: dict[str, Any]
    groups: list[str]
    version: int
    created_at: str
    created_by: str
    updated_at: str


class SeenView(TypedDict):
    """The place as it is known."""

    key: str
    fingerprint: str
    last_seen: str
    misses: int
    """How often in a row it has been missed since."""


class SentEndpoint(TypedDict):
    """A certificate as an endpoint was seen to serve it, where the platform itself cannot look."""

    pem: NotRequired[str | None]
    der: NotRequired[list[str] | None]
    address: str
    port: int
    server_name: NotRequired[str | None]
    starttls: NotRequired[str | None]
    tls_version: NotRequired[str | None]
    cipher_suite: NotRequired[str | None]
    observed_at: str


class SentHolding(TypedDict):
    """A certificate in a store."""

    pem: NotRequired[str | None]
    der: NotRequired[list[str] | None]
    address: str
    path: str
    format: NotRequired[str]
    owner: NotRequired[str | None]
    group: NotRequired[str | None]
    mode: NotRequired[int | None]
    key: NotRequired[SentKey | None]
    in_use: NotRequired[bool | None]
    """Left out where that is unknown."""
    uses: NotRequired[list[SentUse]]
    addresses: NotRequired[list[str]]
    """IP addresses of the host that holds it."""


class SentKey(TypedDict):
    """What is known of the private key; never the key."""

    path: str
    spki_sha256: NotRequired[str | None]
    """SHA-256 of its public half's SubjectPublicKeyInfo."""
    mode: NotRequired[int | None]
    owner: NotRequired[str | None]
    is_exposed: NotRequired[bool]


class SentListener(TypedDict):
    """Where a server listens."""

    port: int
    address: NotRequired[str | None]
    """Left out for every address of the host."""
    starttls: NotRequired[str | None]


class SentUse(TypedDict):
    """What a configuration uses a certificate for."""

    product: str
    file: str
    line: NotRequired[int]
    listeners: NotRequired[list[SentListener]]
    server_names: NotRequired[list[str]]
    key: NotRequired[str | None]
    chain: NotRequired[str | None]
    is_default: NotRequired[bool]


class SourceBody(TypedDict):
    """A new source."""

    name: str
    kind: str
    settings: dict[str, JsonValue]
    credential: NotRequired[dict[str, JsonValue]]
    """Write-only: it is sealed, and never shown again. Or where it lies: `secret_store`, `path` and,
    where names differ, `fields` (see `credential_from` of a source).
    """
    every: NotRequired[int | None]
    """Seconds between runs; left out, it runs on request."""
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


class SourceCheckView(TypedDict):
    """One thing that was tried."""

    name: str
    ok: bool
    text: str


class SourceChecksView(TypedDict):
    """Whether a source can be read, and what of it."""

    ok: bool
    checks: list[SourceCheckView]


class SourceJobView(TypedDict):
    """How far the reading of a group is; the states add up to `total`."""

    id: str
    total: int
    queued: int
    running: int
    waiting: int
    """Their host did not answer; they are tried again by themselves."""
    finished: int
    failed: int
    holdings: int
    """Certificates seen."""


class SourceKindView(TypedDict):
    """A kind of source, with the JSON Schemas of its settings and its credential."""

    kind: str
    summary: str
    settings: dict[str, Any]
    credential: dict[str, Any]


class SourceKindsView(TypedDict):
    """Every kind of source."""

    items: list[SourceKindView]


class SourceRunView(TypedDict):
    """One reading of a source."""

    id: str
    source_id: str
    state: Literal["queued", "running", "finished", "failed", "sending", "superseded"]
    attempts: int
    next_attempt_at: str
    holdings: int
    """Certificates seen."""
    gaps: list[GapView]
    error: str | None
    next_step: str | None
    created_at: str
    finished_at: str | None


class SourceView(TypedDict):
    """A source, without its credential."""

    id: str
    name: str
    kind: str
    group: str | None
    """The name that it was made known by together with others."""
    groups: list[str]
    """Who sees it."""
    settings: dict[str, Any]
    credential_from: CredentialFromView | None
    """Where its credential lies; nothing where it is sealed here."""
    every: int | None
    next_run_at: str | None
    last_run_id: str | None
    version: int
    created_at: str
    created_by: str
    updated_at: str


class SourceWatchView(TypedDict):
    """How a source is listened to, so that a change in it is read at once."""

    state: Literal["starting", "watching", "off", "failed"]
    """`off` where its kind, its settings, or that it has no schedule, do not let it be watched."""
    error: str | None
    """Why it is not watched now; runs by the schedule go on."""
    next_step: str | None
    next_attempt_at: str | None
    updated_at: str | None
    """When it was heard of last."""


class TakenView(TypedDict):
    """What became of one certificate."""

    address: str
    path: str
    fingerprint: str
    state: Literal["new", "known", "changed", "refused"]
    reason: str | None


class UploadBody(TypedDict):
    """A part of what a system holds."""

    holdings: NotRequired[list[SentHolding]]
    endpoints: NotRequired[list[SentEndpoint]]
    """Needs the permission `sightings:write` beside."""
    snapshot: NotRequired[str | None]
    """A name of your choice for all that you hold now, the same in each of its parts."""
    is_last: NotRequired[bool]
    """The snapshot is complete: what it does not name is missed, and lost in the end."""


class UploadView(TypedDict):
    """What became of an upload."""

    items: list[TakenView]
    """One for each holding, in their order."""
    endpoints: int
    """Sightings of endpoints that were taken in."""


Verdict = Literal["seen", "missed", "lost", "denied", "unresolved", "waiting", "never_asked", "looked"]
"""In one word."""


def list_scans(*, limit: int | None = None, cursor: str | None = None) -> Listing[ScanView]:
    """List scans, newest first.

    Needs `scans:read`.
    """
    return Listing(
        operation="list_scans",
        method="GET",
        path="/discovery/v1/scans",
        query={"limit": limit, "cursor": cursor},
    )


def create_scan(body: NewScanBody) -> Call[ScanView]:
    """Start a scan.

    Needs `scans:write`.
    """
    return Call(
        operation="create_scan",
        method="POST",
        path="/discovery/v1/scans",
        takes_key=True,
        body=body,
    )


def get_scan(scan_id: str) -> Call[ScanView]:
    """Show a scan and its progress.

    Needs `scans:read`.
    """
    return Call(
        operation="get_scan",
        method="GET",
        path=f"/discovery/v1/scans/{quoted(scan_id)}",
    )


def list_scan_results(
    scan_id: str,
    *,
    outcome: Outcome | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[ResultView]:
    """List what came of each place.

    Needs `scans:read`.
    """
    return Listing(
        operation="list_scan_results",
        method="GET",
        path=f"/discovery/v1/scans/{quoted(scan_id)}/results",
        query={"outcome": outcome, "limit": limit, "cursor": cursor},
    )


def pause_scan(scan_id: str) -> Call[ScanView]:
    """Stop looking for a while.

    Needs `scans:write`.
    """
    return Call(
        operation="pause_scan",
        method="POST",
        path=f"/discovery/v1/scans/{quoted(scan_id)}/pause",
    )


def resume_scan(scan_id: str) -> Call[ScanView]:
    """Go on where a paused scan stood.

    Needs `scans:write`.
    """
    return Call(
        operation="resume_scan",
        method="POST",
        path=f"/discovery/v1/scans/{quoted(scan_id)}/resume",
    )


def cancel_scan(scan_id: str) -> Call[ScanView]:
    """Stop a scan.

    Needs `scans:write`.
    """
    return Call(
        operation="cancel_scan",
        method="POST",
        path=f"/discovery/v1/scans/{quoted(scan_id)}/cancel",
    )


def list_schedules(*, limit: int | None = None, cursor: str | None = None) -> Listing[ScheduleView]:
    """List schedules, newest first.

    Needs `scans:read`.
    """
    return Listing(
        operation="list_schedules",
        method="GET",
        path="/discovery/v1/schedules",
        query={"limit": limit, "cursor": cursor},
    )


def create_schedule(body: ScheduleBody) -> Call[ScheduleView]:
    """Repeat a scan.

    Needs `scans:write`.
    """
    return Call(
        operation="create_schedule",
        method="POST",
        path="/discovery/v1/schedules",
        takes_key=True,
        body=body,
    )


def get_schedule(schedule_id: str) -> Call[ScheduleView]:
    """Show a schedule.

    Needs `scans:read`.
    """
    return Call(
        operation="get_schedule",
        method="GET",
        path=f"/discovery/v1/schedules/{quoted(schedule_id)}",
    )


def replace_schedule(
    schedule_id: str,
    body: ScheduleBody,
    *,
    if_match: str | None = None,
) -> Call[ScheduleView]:
    """Repeat it otherwise from here on.

    Needs `scans:write`.
    """
    return Call(
        operation="replace_schedule",
        method="PUT",
        path=f"/discovery/v1/schedules/{quoted(schedule_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_schedule(schedule_id: str) -> Call[None]:
    """Repeat it no more.

    Needs `scans:write`.
    """
    return Call(
        operation="delete_schedule",
        method="DELETE",
        path=f"/discovery/v1/schedules/{quoted(schedule_id)}",
        answers="nothing",
    )


def run_schedule(schedule_id: str) -> Call[ScanView]:
    """Start its scan now.

    Needs `scans:write`.
    """
    return Call(
        operation="run_schedule",
        method="POST",
        path=f"/discovery/v1/schedules/{quoted(schedule_id)}/run",
    )


def list_sources(
    *,
    group: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[SourceView]:
    """List sources, newest first.

    Needs `sources:read`.
    """
    return Listing(
        operation="list_sources",
        method="GET",
        path="/discovery/v1/sources",
        query={"group": group, "limit": limit, "cursor": cursor},
    )


def create_source(body: SourceBody) -> Call[SourceView]:
    """Make a source known.

    Needs `sources:write`.
    """
    return Call(
        operation="create_source",
        method="POST",
        path="/discovery/v1/sources",
        takes_key=True,
        body=body,
    )


def get_source(source_id: str) -> Call[SourceView]:
    """Show a source.

    Needs `sources:read`.
    """
    return Call(
        operation="get_source",
        method="GET",
        path=f"/discovery/v1/sources/{quoted(source_id)}",
    )


def delete_source(source_id: str) -> Call[None]:
    """Forget a source.

    Needs `sources:write`.
    """
    return Call(
        operation="delete_source",
        method="DELETE",
        path=f"/discovery/v1/sources/{quoted(source_id)}",
        answers="nothing",
    )


def list_source_runs(
    source_id: str,
    *,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[SourceRunView]:
    """List the runs of a source, newest first.

    Needs `sources:read`.
    """
    return Listing(
        operation="list_source_runs",
        method="GET",
        path=f"/discovery/v1/sources/{quoted(source_id)}/runs",
        query={"limit": limit, "cursor": cursor},
    )


def run_source(source_id: str) -> Call[SourceRunView]:
    """Read a source now.

    Needs `sources:write`.
    """
    return Call(
        operation="run_source",
        method="POST",
        path=f"/discovery/v1/sources/{quoted(source_id)}/runs",
    )


def get_source_watch(source_id: str) -> Call[SourceWatchView]:
    """Show how a source is listened to for changes.

    Needs `sources:read`.
    """
    return Call(
        operation="get_source_watch",
        method="GET",
        path=f"/discovery/v1/sources/{quoted(source_id)}/watch",
    )


def list_holdings(
    source_id: str,
    *,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[HoldingView]:
    """List the certificates in a source.

    Needs `sources:read`.
    """
    return Listing(
        operation="list_holdings",
        method="GET",
        path=f"/discovery/v1/sources/{quoted(source_id)}/holdings",
        query={"limit": limit, "cursor": cursor},
    )


def list_source_kinds() -> Call[SourceKindsView]:
    """List the kinds of source.

    Needs `sources:read`.
    """
    return Call(
        operation="list_source_kinds",
        method="GET",
        path="/discovery/v1/source-kinds",
    )


def renew_source_credential(source_id: str, body: CredentialBody) -> Call[SourceView]:
    """Give a source a new credential.

    Needs `sources:write`.
    """
    return Call(
        operation="renew_source_credential",
        method="PUT",
        path=f"/discovery/v1/sources/{quoted(source_id)}/credential",
        body=body,
    )


def put_source_groups(source_id: str, body: GroupsBody) -> Call[SourceView]:
    """Put a source into these groups, and no others.

    Needs `sources:write`.
    """
    return Call(
        operation="put_source_groups",
        method="PUT",
        path=f"/discovery/v1/sources/{quoted(source_id)}/groups",
        body=body,
    )


def check_source(source_id: str) -> Call[SourceChecksView]:
    """Log into a source and say what can be read.

    Needs `sources:write`.
    """
    return Call(
        operation="check_source",
        method="POST",
        path=f"/discovery/v1/sources/{quoted(source_id)}/check",
    )


def upload(source_id: str, body: UploadBody) -> Call[UploadView]:
    """Send what a system holds to its source.

    Needs `uploads:write`.
    """
    return Call(
        operation="upload",
        method="POST",
        path=f"/discovery/v1/sources/{quoted(source_id)}/uploads",
        body=body,
    )


def put_source_group(group: str, body: GroupBody) -> Call[GroupView]:
    """Make many sources known, or change them: repeat it as you like.

    Needs `sources:write`.
    """
    return Call(
        operation="put_source_group",
        method="PUT",
        path=f"/discovery/v1/source-groups/{quoted(group)}",
        body=body,
    )


def run_source_group(group: str) -> Call[SourceJobView]:
    """Read every source of a group now.

    Needs `sources:write`.
    """
    return Call(
        operation="run_source_group",
        method="POST",
        path=f"/discovery/v1/source-groups/{quoted(group)}/runs",
    )


def get_source_job(job_id: str) -> Call[SourceJobView]:
    """Show how far the reading of a group is.

    Needs `sources:read`.
    """
    return Call(
        operation="get_source_job",
        method="GET",
        path=f"/discovery/v1/source-jobs/{quoted(job_id)}",
    )


def list_source_job_runs(
    job_id: str,
    *,
    state: Literal["queued", "running", "finished", "failed"] | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[SourceRunView]:
    """List the runs of a job, newest first.

    Needs `sources:read`.
    """
    return Listing(
        operation="list_source_job_runs",
        method="GET",
        path=f"/discovery/v1/source-jobs/{quoted(job_id)}/runs",
        query={"state": state, "limit": limit, "cursor": cursor},
    )


def list_secret_stores(*, limit: int | None = None, cursor: str | None = None) -> Listing[SecretStoreView]:
    """List secret stores, newest first.

    Needs `secret-stores:read`.
    """
    return Listing(
        operation="list_secret_stores",
        method="GET",
        path="/discovery/v1/secret-stores",
        query={"limit": limit, "cursor": cursor},
    )


def create_secret_store(body: SecretStoreBody) -> Call[SecretStoreView]:
    """Make a secret store known.

    Needs `secret-stores:write`.
    """
    return Call(
        operation="create_secret_store",
        method="POST",
        path="/discovery/v1/secret-stores",
        takes_key=True,
        body=body,
    )


def get_secret_store(store_id: str) -> Call[SecretStoreView]:
    """Show a secret store.

    Needs `secret-stores:read`.
    """
    return Call(
        operation="get_secret_store",
        method="GET",
        path=f"/discovery/v1/secret-stores/{quoted(store_id)}",
    )


def delete_secret_store(store_id: str) -> Call[None]:
    """Forget a secret store that no source refers to.

    Needs `secret-stores:write`.
    """
    return Call(
        operation="delete_secret_store",
        method="DELETE",
        path=f"/discovery/v1/secret-stores/{quoted(store_id)}",
        answers="nothing",
    )


def list_secret_store_kinds() -> Call[SecretStoreKindsView]:
    """List the kinds of secret store.

    Needs `secret-stores:read`.
    """
    return Call(
        operation="list_secret_store_kinds",
        method="GET",
        path="/discovery/v1/secret-store-kinds",
    )


def renew_secret_store_credential(store_id: str, body: SecretStoreCredentialBody) -> Call[SecretStoreView]:
    """Give a secret store a new credential.

    Needs `secret-stores:write`.
    """
    return Call(
        operation="renew_secret_store_credential",
        method="PUT",
        path=f"/discovery/v1/secret-stores/{quoted(store_id)}/credential",
        body=body,
    )


def put_secret_store_groups(store_id: str, body: GroupsBody) -> Call[SecretStoreView]:
    """Put a secret store into these groups, and no others.

    Needs `secret-stores:write`.
    """
    return Call(
        operation="put_secret_store_groups",
        method="PUT",
        path=f"/discovery/v1/secret-stores/{quoted(store_id)}/groups",
        body=body,
    )


def check_secret_store(store_id: str) -> Call[SourceChecksView]:
    """Log into a secret store and try what sources refer to.

    Needs `secret-stores:write`.
    """
    return Call(
        operation="check_secret_store",
        method="POST",
        path=f"/discovery/v1/secret-stores/{quoted(store_id)}/check",
    )


def explain_target(*, target: str, server_name: str | None = None) -> Call[ExplanationView]:
    """Explain "why was this missed?".

    Needs `scans:read`.
    """
    return Call(
        operation="explain_target",
        method="GET",
        path="/discovery/v1/explain",
        query={"target": target, "server_name": server_name},
    )


def list_places(*, limit: int | None = None, cursor: str | None = None) -> Listing[PlaceView]:
    """List places that have served certificates.

    Needs `places:read`.
    """
    return Listing(
        operation="list_places",
        method="GET",
        path="/discovery/v1/places",
        query={"limit": limit, "cursor": cursor},
    )


def list_ct_logs(*, limit: int | None = None, cursor: str | None = None) -> Listing[CtLogView]:
    """List Certificate Transparency logs, newest first.

    Needs `ct-logs:read`.
    """
    return Listing(
        operation="list_ct_logs",
        method="GET",
        path="/discovery/v1/ct-logs",
        query={"limit": limit, "cursor": cursor},
    )


def create_ct_log(body: CtLogBody) -> Call[CtLogView]:
    """Read a Certificate Transparency log for names.

    Needs `ct-logs:write`.
    """
    return Call(
        operation="create_ct_log",
        method="POST",
        path="/discovery/v1/ct-logs",
        takes_key=True,
        body=body,
    )


def get_ct_log(log_id: str) -> Call[CtLogView]:
    """Show a log and how far it is read.

    Needs `ct-logs:read`.
    """
    return Call(
        operation="get_ct_log",
        method="GET",
        path=f"/discovery/v1/ct-logs/{quoted(log_id)}",
    )


def change_ct_log(log_id: str, body: CtLogPatch, *, if_match: str | None = None) -> Call[CtLogView]:
    """Keep names under other suffixes from here on.

    Needs `ct-logs:write`.
    """
    return Call(
        operation="change_ct_log",
        method="PATCH",
        path=f"/discovery/v1/ct-logs/{quoted(log_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_ct_log(log_id: str) -> Call[None]:
    """Read a log no more; its names stay.

    Needs `ct-logs:write`.
    """
    return Call(
        operation="delete_ct_log",
        method="DELETE",
        path=f"/discovery/v1/ct-logs/{quoted(log_id)}",
        answers="nothing",
    )


def list_names(*, under: str, limit: int | None = None, cursor: str | None = None) -> Listing[NameView]:
    """List the names known under a domain.

    Needs `names:read`.
    """
    return Listing(
        operation="list_names",
        method="GET",
        path="/discovery/v1/names",
        query={"under": under, "limit": limit, "cursor": cursor},
    )


def list_dead_letters(*, limit: int | None = None) -> Call[DeadLetters]:
    """List events that were given up.

    Needs `dead-letters:read`.
    """
    return Call(
        operation="list_dead_letters",
        method="GET",
        path="/discovery/v1/dead-letters",
        query={"limit": limit},
    )


def redrive_dead_letters(body: Redrive) -> Call[Moved]:
    """Put dead letters back for another try.

    Needs `dead-letters:admin`.
    """
    return Call(
        operation="redrive_dead_letters",
        method="POST",
        path="/discovery/v1/dead-letters/redrive",
        body=body,
    )


def discard_dead_letters(body: Discard) -> Call[Moved]:
    """Throw dead letters away.

    Needs `dead-letters:admin`.
    """
    return Call(
        operation="discard_dead_letters",
        method="POST",
        path="/discovery/v1/dead-letters/discard",
        body=body,
    )


def list_audit_keys() -> Call[AuditKeysView]:
    """Show what this service signs the audit trail with.

    Needs no token: verification keys are public.
    """
    return Call(
        operation="list_audit_keys",
        method="GET",
        path="/discovery/v1/audit-keys",
    )
