"""What looking at one place has shown."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from services.discovery.domain.answers import Outcome
from services.discovery.domain.targets import Asked
from services.discovery.domain.values import value


class Finding(StrEnum):
    """What came of a check for one weakness."""

    VULNERABLE = "vulnerable"
    NOT = "not"
    UNCHECKED = "unchecked"


@value(frozen=True, slots=True)
class Flaw:
    """What came of a check, and why; nothing of what the server sent stands in it."""

    finding: Finding
    reason: str


class Header(StrEnum):
    """What became of the question for HSTS."""

    SENT = "sent"
    ABSENT = "absent"
    NOT_HTTP = "not_http"
    UNCHECKED = "unchecked"


@value(frozen=True, slots=True)
class Hsts:
    """What a server says in Strict-Transport-Security (RFC 6797 §6.1); `max_age` in seconds where it was sent."""

    header: Header
    reason: str = ""
    max_age: int | None = None
    include_subdomains: bool = False


@value(frozen=True, kw_only=True, slots=True)
class Depth:
    """What depth `full` finds out beside the chain; names are those of IANA's registries."""

    versions: tuple[str, ...] = ()
    """Newest first: TLSv1.3, TLSv1.2, TLSv1.1, TLSv1, SSLv3, SSLv2."""
    suites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By version; in the server's order where it has one."""
    preference: Mapping[str, str] = field(default_factory=dict)
    """By version: whose order decides, `server` or `client`."""
    groups: tuple[str, ...] = ()
    """Key exchange groups of all versions."""
    alpn: tuple[str, ...] = ()
    dh_bits: tuple[int, ...] = ()
    """Sizes of the finite-field primes that the server sends by itself."""
    is_stapled: bool = False
    """It staples an OCSP response."""
    compresses: bool = False
    """It takes TLS compression (CRIME)."""
    secure_renegotiation: bool | None = None
    """RFC 5746; None where only TLS 1.3 is spoken, which has no renegotiation."""
    resumes_by_id: bool | None = None
    resumes_by_ticket: bool | None = None
    fallback_scsv: bool | None = None
    """It refuses a downgraded hello (RFC 7507); None where it speaks one version only."""
    downgrade_sentinel: bool | None = None
    """RFC 8446 §4.1.3; None where it does not speak TLS 1.3."""
    flaws: Mapping[str, Flaw] = field(default_factory=dict)
    """By name: heartbleed, ccs-injection, ticketbleed, robot."""
    hsts: Hsts | None = None
    """None where STARTTLS comes first: there is no HTTP behind it."""
    connections: int = 0
    """How many were made to find out."""
    unreached: int = 0
    """How many of them never stood, though others did: there may be more to it than is listed."""


@value(frozen=True, kw_only=True, slots=True)
class Sighting:
    """What came of looking at one place."""

    asked: Asked
    outcome: Outcome
    reason: str = ""
    protocol: str | None = None
    """What is spoken there where it is not TLS and can be told: http, ssh, smtp …"""
    starttls: str | None = None
    """The protocol that was spoken before TLS, where one was."""
    chain: tuple[bytes, ...] = ()
    """DER certificates as served, leaf first; empty where none was shown."""
    other_chains: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    """Chains shown to clients that verify only this kind of key (`rsa`, `ecdsa`), where they differ from `chain`."""
    tls_version: str | None = None
    """The highest that the server speaks."""
    cipher_suite: str | None = None
    """What it chose at that version, and so the group."""
    group: str | None = None
    alpn: str | None = None
    wants_client_certificate: bool = False
    is_stapled: bool = False
    depth: Depth | None = None
