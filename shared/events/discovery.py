"""What discovery says: which certificate is where, and what is no longer where it was."""

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.events import Der, Payload


class Place(BaseModel):
    """Where a certificate is found; `key` identifies it across all services.

    An *endpoint* serves it: `address` (an IP address) and `port`, the SNI name asked for, and the
    STARTTLS protocol spoken first, if any. A *store* holds it: `address` is the host or account
    and `path` the file, alias or resource in it.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["endpoint", "store"] = "endpoint"
    address: str
    port: int | None = None
    server_name: str | None = None
    starttls: str | None = None
    key_type: Literal["rsa", "ecdsa"] | None = None
    """Where an endpoint has a second certificate: for clients that verify only this kind of key."""
    path: str | None = None

    @property
    def key(self) -> str:
        """Return the place as one string, the same for the same place, for ever."""
        if self.kind == "store":
            return f"store://{self.address}/{self.path}"
        host = f"[{self.address}]" if ":" in self.address else self.address
        scheme = f"{self.starttls}+tls" if self.starttls else "tls"
        kind = f"?key={self.key_type}" if self.key_type else ""
        return f"{scheme}://{host}:{self.port}/{self.server_name or ''}{kind}"


class HeldKey(BaseModel):
    """What is known of the private key beside a certificate. The key itself never leaves where it is."""

    model_config = ConfigDict(frozen=True)

    path: str
    fingerprint: str | None = None
    """SHA-256 of its public half's SubjectPublicKeyInfo, lower-case hexadecimal; empty where it could not be read."""
    is_match: bool | None = None
    """It belongs to the certificate; empty where that is unknown."""
    is_exposed: bool = False
    """Others than its owner and group may read it."""
    is_replaceable: bool = False
    """Others than its owner and group may put another file in its place: they may write to it, or to its folder."""
    is_encrypted: bool = False
    owner: str | None = None
    mode: int | None = None


class Listening(BaseModel):
    """Where a server listens, as its configuration says."""

    model_config = ConfigDict(frozen=True)

    port: int
    address: str | None = None
    """Empty for every address of the host."""
    starttls: str | None = None


class ConfiguredUse(BaseModel):
    """One certificate slot of a server's configuration."""

    model_config = ConfigDict(frozen=True)

    product: str
    file: str
    """The configuration file or object that says so, and the line in it (0 where there is none)."""
    line: int = 0
    listeners: list[Listening] = []
    server_names: list[str] = []
    """Wildcards as written; empty where it is served whatever name is asked for."""
    key: str | None = None
    chain: str | None = None
    protocols: list[str] = []
    """As the product writes them, at most 20; empty where its default holds."""
    ciphers: str | None = None
    """As the product writes them, at most 1,000 characters; empty where its default holds."""
    is_default: bool = False
    start: str | None = None
    """The file that the product's configuration begins with."""


class Held(BaseModel):
    """How a store keeps a certificate, and what the configuration there uses it for."""

    model_config = ConfigDict(frozen=True)

    format: str
    """pem or der for a file."""
    owner: str | None = None
    group: str | None = None
    mode: int | None = None
    """Permission bits of a file."""
    key: HeldKey | None = None
    in_use: bool | None = None
    """Empty where the source cannot tell."""
    uses: list[ConfiguredUse] = []
    """At most 100 of them, with at most 200 listeners and 2,000 names among them."""
    use_count: int = 0
    is_abridged: bool = False
    """There are more uses, listeners or names than are told."""
    addresses: list[str] = []
    """The IP addresses of the host that holds it, at most 20; empty where it is no host."""


class Flaw(BaseModel):
    """What came of a check for one weakness of an endpoint's TLS."""

    model_config = ConfigDict(frozen=True)

    finding: Literal["vulnerable", "not", "unchecked"]
    reason: str = ""
    """What shows it, or why nobody knows; never what the server has sent."""


class Hsts(BaseModel):
    """What became of the question for Strict-Transport-Security (RFC 6797)."""

    model_config = ConfigDict(frozen=True)

    header: Literal["sent", "absent", "not_http", "unchecked"]
    reason: str = ""
    max_age: int | None = None
    """Seconds; empty where it was not sent."""
    include_subdomains: bool = False


class TlsFacts(BaseModel):
    """Everything that an endpoint would negotiate, as a look at depth `full` finds it; names are IANA's."""

    model_config = ConfigDict(frozen=True)

    versions: list[str] = []
    """Newest first: TLSv1.3, TLSv1.2, TLSv1.1, TLSv1, SSLv3, SSLv2."""
    suites: dict[str, list[str]] = {}
    """By version; in the server's order where it has one."""
    preference: dict[str, Literal["server", "client"]] = {}
    """By version: whose order of suites decides."""
    groups: list[str] = []
    """Key exchange groups of all versions, in the order in which the server chooses them."""
    alpn: list[str] = []
    dh_bits: list[int] = []
    """Sizes of the finite-field primes that the server sends by itself."""
    is_stapled: bool = False
    """It staples an OCSP response."""
    compresses: bool = False
    """It takes TLS compression (CRIME)."""
    secure_renegotiation: bool | None = None
    """RFC 5746; empty where only TLS 1.3 is spoken, which has no renegotiation."""
    resumes_by_id: bool | None = None
    resumes_by_ticket: bool | None = None
    fallback_scsv: bool | None = None
    """It refuses a downgraded hello (RFC 7507); empty where it speaks one version only."""
    downgrade_sentinel: bool | None = None
    """RFC 8446 §4.1.3; empty where it does not speak TLS 1.3 and TLS 1.2."""
    flaws: dict[str, Flaw] = {}
    """By name: heartbleed, ccs-injection, ticketbleed, robot; what is not named was not looked for."""
    hsts: Hsts | None = None
    """Empty where nobody has asked."""
    is_complete: bool = True
    """Every connection came about, so that what is not listed is not offered."""


class CertificateFound(Payload):
    """A certificate was seen at a place; said at every look, also when nothing has changed."""

    type: ClassVar[str] = "certificate.found"

    place: Place
    fingerprint: str
    """SHA-256 of the leaf's DER, lower-case hexadecimal."""
    chain: list[Der]
    """DER certificates as served, leaf first."""
    observed_at: datetime
    scan_id: str | None = None
    tls_version: str | None = None
    cipher_suite: str | None = None
    group: str | None = None
    wants_client_certificate: bool = False
    tls: TlsFacts | None = None
    """Only of a look at depth `full`; two certificates of one endpoint share it."""
    held: Held | None = None
    """What a source has read of a store; empty for an endpoint."""
    groups: list[str] = Field(default=[])
    """Those of the source that has told of it; of an endpoint none are told."""

    def subject(self) -> str:
        """Return the leaf's fingerprint."""
        return self.fingerprint


class PlaceLost(Payload):
    """A place that served a certificate does not answer any more."""

    type: ClassVar[str] = "place.lost"

    place: Place
    fingerprint: str
    """The certificate last seen there."""
    observed_at: datetime
    reason: str

    def subject(self) -> str:
        """Return the fingerprint of the certificate last seen there."""
        return self.fingerprint


class ScanCounts(BaseModel):
    """What became of every address and port asked; the parts add up to `asked`."""

    model_config = ConfigDict(frozen=True)

    asked: int = 0
    tls: int = 0
    no_tls: int = 0
    refused: int = 0
    silent: int = 0
    excluded: int = 0
    failed: int = 0
    found: int = 0
    """Places with a certificate: new + known + changed. It can differ from `tls`: not every server of TLS shows one, and
    some show two."""
    new: int = 0
    """Places that had not been known before."""
    known: int = 0
    """Places with the same certificate as before."""
    changed: int = 0
    """Places with another certificate than before."""


class ScanFinished(Payload):
    """A scan has come to its end, or was stopped."""

    type: ClassVar[str] = "scan.finished"

    scan_id: str
    state: Literal["finished", "cancelled", "failed"]
    counts: ScanCounts
    started_at: datetime
    finished_at: datetime

    def subject(self) -> str:
        """Return the scan's id."""
        return self.scan_id


class SourceRead(Payload):
    """A source was read to its end: what it has not shown in this run, it does not hold."""

    type: ClassVar[str] = "source.read"

    source_id: str
    run_id: str
    """The `scan_id` of each `certificate.found` of this run."""
    is_complete: bool
    """Nothing was left unread that could hold a certificate or name one."""
    started_at: datetime
    finished_at: datetime

    def subject(self) -> str:
        """Return the source's id."""
        return self.source_id


class SourceFailed(Payload):
    """A source was not read to its end, and is not tried again before its next run: its login was refused, or it does not answer."""

    type: ClassVar[str] = "source.failed"

    source_id: str
    run_id: str
    name: str
    kind: str
    reason: str
    next_step: str
    failed_at: datetime
    groups: list[str] = Field(default=[])
    """Those of the source."""

    def subject(self) -> str:
        """Return the source's id."""
        return self.source_id


class SourceRecovered(Payload):
    """What `source.failed` has told of a source is over: it was read to its end, or it was deleted."""

    type: ClassVar[str] = "source.recovered"

    source_id: str
    name: str
    reason: str
    recovered_at: datetime

    def subject(self) -> str:
        """Return the source's id."""
        return self.source_id
