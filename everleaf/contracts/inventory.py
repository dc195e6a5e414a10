"""What inventory can be asked, and what it answers.

Written by `make contracts` from services/inventory/openapi.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from everleaf.calls import Call, Listing, Page, quoted


class ApiKeyBody(TypedDict):
    """How long the key is to last."""

    days: NotRequired[int]


class ApiKeyView(TypedDict):
    """An API key, without the key."""

    id: str
    principal_id: str
    created_at: str
    created_by: str
    expires_at: str
    last_used_at: str | None
    revoked_at: str | None


class ApplyBody(TypedDict):
    """How the rules are to be applied."""

    dry_run: NotRequired[bool]
    """Change nothing, and say what would be."""


class ArrangementBody(TypedDict):
    """The cards of a page, in their order; none for the page as it comes."""

    cards: list[Card]


class ArrangementView(TypedDict):
    """How a page is arranged."""

    cards: list[Card]
    """In their order; none where the page is as it comes."""


class AssessmentCountsView(TypedDict):
    """How many places there are of what; `unknown` are those of which too little is known."""

    by_grade: dict[str, int]
    by_pq_key_exchange: dict[str, int]
    by_policy: dict[str, dict[str, int]]


class AssessmentView(TypedDict):
    """How good a place is."""

    place: PlaceView
    fingerprint: str | None
    grade: Literal["A+", "A", "A-", "B", "C", "D", "E", "F", "M", "T"] | None
    """Empty where too little is known: scan the place at depth `full`."""
    score: float | None
    protocol: float | None
    key_exchange: float | None
    cipher: float | None
    reasons: list[ReasonView]
    not_checked: list[str]
    """What bears upon the letter and nobody has looked at."""
    readiness: ReadinessView
    verdicts: list[VerdictView]
    rules: str
    """The version of the rules that were applied."""
    assessed_at: str


class AssignmentRuleBody(TypedDict):
    """A rule to be made."""

    name: str
    query: str
    owner: NotRequired[str | None]
    """A team's id."""
    add_groups: NotRequired[list[str]]
    """Groups by hand."""
    add_tags: NotRequired[list[str]]
    overrides_people: NotRequired[bool]
    """Whether its owner takes the place of one that a person has set."""
    is_enabled: NotRequired[bool]
    position: NotRequired[int | None]
    """Lower ones are asked first; left out: last."""


class AssignmentRulePatch(TypedDict):
    """What is to be another; what is left out stays."""

    name: NotRequired[str]
    query: NotRequired[str]
    owner: NotRequired[str | None]
    add_groups: NotRequired[list[str]]
    """Groups by hand."""
    add_tags: NotRequired[list[str]]
    overrides_people: NotRequired[bool]
    """Whether its owner takes the place of one that a person has set."""
    is_enabled: NotRequired[bool]
    position: NotRequired[int | None]
    """Lower ones are asked first; left out: last."""


class AssignmentRuleView(TypedDict):
    """An assignment rule."""

    id: str
    position: int
    name: str
    query: str
    owner: str | None
    add_groups: list[str]
    add_tags: list[str]
    overrides_people: bool
    is_enabled: bool
    version: int
    created_at: str
    created_by: str


class AuditKeysView(TypedDict):
    """A JWKS (RFC 7517)."""

    keys: list[dict[str, str]]


class BothViewsView(TypedDict):
    """A place: what it serves or holds, and what is configured."""

    id: str
    key: str
    kind: str
    address: str
    port: int | None
    server_name: str | None
    starttls: str | None
    key_type: str | None
    """Where an endpoint has a second certificate: for clients that verify only this kind of key."""
    path: str | None
    fingerprint: str | None
    """Empty where it does not answer any more."""
    first_seen: str
    """Since when it has been as it is now."""
    last_seen: str
    configured: list[SlotView]
    """Of an endpoint, what is to be served there; of a store, what its certificate is configured for.
    At most 100; a store's are all with its holding.
    """
    configured_count: int
    flaws: list[Flaw]


class BrokenView(TypedDict):
    """A ceiling to come, and how many publicly trusted certificates in use last longer than it will
    allow.
    """

    ceiling: CeilingView
    certificates: int
    by_hand: int


class BucketView(TypedDict):
    """A value, and how many certificates or places have it."""

    value: str | int | bool
    count: int
    query: str
    """What finds the certificates."""


class BulkBody(TypedDict):
    """Which certificates, and what is to be changed of them."""

    owner: NotRequired[str | None]
    """A team's id; null: nobody."""
    add_tags: NotRequired[list[str]]
    remove_tags: NotRequired[list[str]]
    set_fields: NotRequired[dict[str, bool | int | float | str | None]]
    """Null takes the value away."""
    add_to_groups: NotRequired[list[str]]
    """Groups by hand."""
    remove_from_groups: NotRequired[list[str]]
    query: NotRequired[str | None]
    fingerprints: NotRequired[list[str] | None]
    dry_run: NotRequired[bool]
    """Change nothing, and say what would be."""


By = Literal["issuer", "owner", "group", "automation"]
"""What a forecast is divided by."""


class Card(TypedDict):
    """One card of a page."""

    id: str
    width: NotRequired[int]
    """In twelfths of the page."""
    is_hidden: NotRequired[bool]


class Ceiling(TypedDict):
    """From this day on, whatever is issued lasts at most so many days."""

    issued_from: str
    days: int


class CeilingView(TypedDict):
    """The longest that a publicly trusted certificate may last, from a day on."""

    begins: str
    longest: str
    validation_reuse: str


CertificateClass = Literal["public-tls", "private-tls", "authority", "public-smime", "private-smime", "code-signing", "other"]
"""What a certificate is for, and for whom, as far as rules differ by it."""


class CertificateReportView(TypedDict):
    """A certificate, where it is now (at most 1000 places), and what it has crossed."""

    owner: NotRequired[OwnerView | None]
    groups: NotRequired[list[str]]
    tags: NotRequired[list[str]]
    fields: NotRequired[dict[str, str | bool | int | float]]
    missing_fields: NotRequired[list[str]]
    """Required fields without a value."""
    id: str
    fingerprint: str
    """SHA-256 of its DER."""
    lineage_id: str
    subject: str | None
    issuer: str | None
    serial: str | None
    names: list[str]
    not_before: str | None
    not_after: str | None
    key_type: str | None
    key_bits: int | None
    key_fingerprint: str | None
    """SHA-256 of the SubjectPublicKeyInfo."""
    signature_algorithm: str | None
    is_ca: bool
    is_self_issued: bool
    finding: str | None
    """What could not be read of it, and why; empty where all was."""
    is_current: bool
    """Whether its expiry matters: it is in use and has no successor."""
    urgency: Urgency | None
    """The last threshold that was crossed."""
    next_crossing_at: str | None
    first_known_at: str
    chain: list[str]
    """Fingerprints of what was served after it, as last seen."""
    chain_state: ChainState | None
    """What is wrong with that chain, the worst of it; empty where it was not judged yet."""
    is_trusted: bool | None
    """Whether it led to a root of a trust store when it was judged; empty where it was not yet."""
    revocation: Revocation | None
    """What its authority says; empty where nobody was asked, or it names nobody to ask."""
    findings: dict[str, int]
    """How many rules it breaks, by severity."""
    pq_signature: Signature
    """What its key and its signature rest on: its part of post-quantum readiness; that of a place,
    where key exchange counts too, is with the place's assessment.
    """
    place_count: int
    places: list[SeenPlaceView]
    thresholds_passed: list[CrossedView]
    oddities: list[OddityView]


class CertificateView(TypedDict):
    """A certificate; what cannot be read of it is empty, and `finding` says why."""

    owner: NotRequired[OwnerView | None]
    groups: NotRequired[list[str]]
    tags: NotRequired[list[str]]
    fields: NotRequired[dict[str, str | bool | int | float]]
    missing_fields: NotRequired[list[str]]
    """Required fields without a value."""
    id: str
    fingerprint: str
    """SHA-256 of its DER."""
    lineage_id: str
    subject: str | None
    issuer: str | None
    serial: str | None
    names: list[str]
    not_before: str | None
    not_after: str | None
    key_type: str | None
    key_bits: int | None
    key_fingerprint: str | None
    """SHA-256 of the SubjectPublicKeyInfo."""
    signature_algorithm: str | None
    is_ca: bool
    is_self_issued: bool
    finding: str | None
    """What could not be read of it, and why; empty where all was."""
    is_current: bool
    """Whether its expiry matters: it is in use and has no successor."""
    urgency: Urgency | None
    """The last threshold that was crossed."""
    next_crossing_at: str | None
    first_known_at: str


ChainState = Literal["unreadable", "self-signed", "untrusted", "invalid", "expired-issuer", "incomplete", "wrong-order", "outlives-issuer", "extra", "valid"]
"""What is wrong with a chain, the worst first."""


class ChainView(TypedDict):
    """A chain that is or was served with a certificate, and what was found out about it."""

    chain: list[str]
    """Fingerprints of what is served after the certificate."""
    place_count: int
    """How many places serve it with this chain now."""
    judged_at: str | None
    """Empty where it was not judged yet."""
    state: ChainState | None
    """The worst of `problems`."""
    problems: list[ProblemView]
    path: list[str]
    """Fingerprints of the best path there is, the certificate first."""
    missing: list[str]
    """Fingerprints of intermediates that are known here and should be served too."""
    trust_store: str | None
    """`public` or `own`, where the path ends in a root of it."""
    trusted_until: str | None
    """When the path ends, where clients accept it."""


class ChainsView(TypedDict):
    """The chains of a certificate, at most 100, the latest judged first."""

    chains: list[ChainView]


class ChangesBody(TypedDict):
    """What is to be changed; what is left out stays."""

    owner: NotRequired[str | None]
    """A team's id; null: nobody."""
    add_tags: NotRequired[list[str]]
    remove_tags: NotRequired[list[str]]
    set_fields: NotRequired[dict[str, bool | int | float | str | None]]
    """Null takes the value away."""
    add_to_groups: NotRequired[list[str]]
    """Groups by hand."""
    remove_from_groups: NotRequired[list[str]]


Code = Literal["unreadable", "unreadable-serial", "unreadable-subject", "unreadable-issuer", "unreadable-names", "unreadable-validity", "unreadable-key", "unreadable-signature", "unreadable-extensions", "refused", "trailing-bytes", "version-1", "serial-not-positive", "serial-too-long", "ends-before-it-begins", "never-ends", "repeated-extension", "large-extension", "control-characters", "direction-marks", "nameless", "too-many-names", "too-long-name", "unknown-key", "unknown-signature", "explicit-curve", "rsa-exponent", "large-key"]
"""Kinds of oddities."""


class ConfiguredUse(TypedDict):
    """One certificate slot of a server's configuration."""

    product: str
    file: str
    line: NotRequired[int]
    listeners: NotRequired[list[Listening]]
    server_names: NotRequired[list[str]]
    key: NotRequired[str | None]
    chain: NotRequired[str | None]
    protocols: NotRequired[list[str]]
    ciphers: NotRequired[str | None]
    is_default: NotRequired[bool]
    start: NotRequired[str | None]


class ContactBody(TypedDict):
    """A way to reach a team."""

    kind: ContactKind
    value: str


ContactKind = Literal["email", "chat", "phone"]
"""By which way a team is reached."""


class ContactView(TypedDict):
    """A way to reach a team."""

    kind: ContactKind
    value: str


class CountView(TypedDict):
    """How many certificates were asked for."""

    count: int


class CrossedView(TypedDict):
    """A threshold that was crossed."""

    urgency: Urgency
    at: str
    is_told: bool
    """Whether an event said so; of several at once only the most urgent."""


class DayView(TypedDict):
    """What one day, in UTC, brings."""

    day: str
    expiries: int
    """Certificates of today that end on it, if nobody renews them before."""
    renewals: int
    by_hand: int
    """Those of the renewals that nothing does by itself."""


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


class DeadlineView(TypedDict):
    """A day after which something that is in use is allowed no more."""

    source: str
    of: str
    meaning: str
    after: str
    applies_to: str


class DeputyBody(TypedDict):
    """Who stands in: another team, or somebody to be reached; one of the two."""

    team: NotRequired[str | None]
    contact: NotRequired[ContactBody | None]


class DeputyView(TypedDict):
    """Who stands in."""

    team: str | None
    contact: ContactView | None


class DeviceReportView(TypedDict):
    """A host under all its addresses: at most 1000 places, and what is at those."""

    address: str
    same_device: list[str]
    """Other addresses and hosts that are known to be the same: a host that is read tells its
    addresses.
    """
    places: int
    lost: int
    """Of the places, those that do not answer any more."""
    certificates: int
    flaws: dict[str, int]
    """What is wrong there, and at how many places."""
    last_seen: str
    found: list[FlawedPlaceView]
    found_certificates: list[CertificateView]
    keys: list[str]
    """Fingerprints of the keys of the certificates, and of the private keys that are held there."""


class DeviceView(TypedDict):
    """An address or host, and how much is there."""

    address: str
    same_device: list[str]
    """Other addresses and hosts that are known to be the same: a host that is read tells its
    addresses.
    """
    places: int
    lost: int
    """Of the places, those that do not answer any more."""
    certificates: int
    flaws: dict[str, int]
    """What is wrong there, and at how many places."""
    last_seen: str


class DhBitsAtLeast(TypedDict):
    """Primes of finite-field Diffie-Hellman have this many bits."""

    kind: Literal["dh_bits_at_least"]
    bits: int


class Discard(TypedDict):
    """Which dead letters to throw away."""

    ids: list[str]


class Document(TypedDict):
    """What a policy says. The same document, facts and instant give the same verdict."""

    title: str
    description: NotRequired[str]
    source: NotRequired[str]
    published: NotRequired[str | None]
    rules: list[Rule]


class DuplicatesView(TypedDict):
    """Certificates in use that are for the same names, by the same issuer, on the same kind of key, at
    the same time.
    """

    certificates: list[CertificateView]
    """The oldest first."""
    spread: SpreadView


class EditView(TypedDict):
    """An edit of many certificates: matched = changed + unchanged + refused, of those it has come to."""

    id: str | None
    """Empty for a dry run."""
    state: str
    """`running`, `done`, or `dry-run`."""
    total: NotRequired[int | None]
    """Of a dry run: all that match; the counts are of the first 10000."""
    matched: int
    changed: int
    unchanged: int
    refused: int
    reasons: dict[str, int]
    """Why some were refused, and how many."""
    created_at: str | None
    created_by: str | None
    ended_at: str | None


class ExampleView(TypedDict):
    """A place that would newly fail."""

    place_id: str
    place_key: str
    fingerprint: str
    rules: list[str]
    """What it would break."""
    evidence: list[str]


class ExceptionBody(TypedDict):
    """An exception that is asked for."""

    policy_id: str
    rule_id: str
    scope: ScopeBody
    reason: str
    ends_at: str
    """At most 366 days ahead; afterwards the failure counts again."""


ExceptionState = Literal["requested", "approved", "refused", "withdrawn"]
"""How far an exception has come; one that is approved holds until its end."""


class ExceptionView(TypedDict):
    """An exception; one that is approved holds until its end."""

    id: str
    policy_id: str
    rule_id: str
    scope: ScopeView
    reason: str
    ends_at: str
    state: ExceptionState
    requested_by: str
    requested_by_name: str
    requested_at: str
    decided_by: str | None
    decided_by_name: str | None
    decided_at: str | None
    version: int


class FacetView(TypedDict):
    """The commonest values of a field, the commonest first."""

    field: str
    buckets: list[BucketView]
    counts: Subject
    """What is counted: for a field of places, the places that the certificates are at."""
    missing: int | None
    """How many have no value; null for fields of places."""
    values: int
    """How many values there are, also those not shown."""


class FacetsView(TypedDict):
    """How the certificates that were asked for differ."""

    facets: list[FacetView]


class Feature(TypedDict):
    """Something that an endpoint does, or does not; where its versions do not know it, the demand is
    met.
    """

    kind: Literal["feature"]
    feature: Literal["compresses", "secure_renegotiation", "fallback_scsv", "downgrade_sentinel", "is_stapled", "resumes_by_id", "resumes_by_ticket"]
    value: NotRequired[bool]


class FieldBody(TypedDict):
    """A field to be made."""

    name: str
    kind: FieldKind
    description: NotRequired[str]
    is_required: NotRequired[bool]
    """Certificates without a value are listed with it as missing."""
    choices: NotRequired[list[str]]
    """Of the kind `choice`."""


FieldKind = Literal["text", "number", "date", "choice", "boolean"]
"""What a field holds."""


class FieldPatch(TypedDict):
    """What is to be another; what is left out stays."""

    description: NotRequired[str]
    is_required: NotRequired[bool]
    choices: NotRequired[list[str]]
    """Of the kind `choice`."""


class FieldView(TypedDict):
    """A custom field."""

    name: str
    kind: FieldKind
    description: str
    is_required: bool
    choices: list[str]
    version: int
    created_at: str
    created_by: str


class FindingView(TypedDict):
    """A rule that a certificate breaks."""

    fingerprint: str
    rule: str
    severity: Severity
    evidence: str
    """A line for each place in the certificate, and what is there."""
    remedy: str | None
    linter: str
    """What found it last: name, version, and that of our own rules about it."""
    first_seen: str
    last_seen: str


Flaw = Literal["key-exposed", "key-mismatch", "key-replaceable", "key-shared", "not-configured", "not-served", "unused"]
"""What can be wrong with a place, as its configuration and what is served there show it."""


class FlawedPlaceView(TypedDict):
    """A place, what it serves now, and what is wrong with it."""

    id: str
    key: str
    kind: str
    address: str
    port: int | None
    server_name: str | None
    starttls: str | None
    key_type: str | None
    """Where an endpoint has a second certificate: for clients that verify only this kind of key."""
    path: str | None
    fingerprint: str | None
    """Empty where it does not answer any more."""
    first_seen: str
    """Since when it has been as it is now."""
    last_seen: str
    flaws: list[Flaw]


class ForecastView(TypedDict):
    """What lies ahead of the certificates in use."""

    certificates: int
    by_hand: int
    """How many of them nothing renews by itself."""
    lifetime: str
    """The lifetime that `then` supposes at most."""
    now: LoadView
    then: LoadView
    broken: list[BrokenView]
    days: list[DayView]
    groups: list[ShareView]


Format = Literal["csv", "json", "ndjson"]
"""What an export is written as."""


class ForwardSecrecy(TypedDict):
    """Only suites with ephemeral keys are offered."""

    kind: Literal["forward_secrecy"]


class GroupBody(TypedDict):
    """A group to be made: by its rule, or, without one, by hand."""

    id: NotRequired[str | None]
    """Left out: made of the name."""
    name: str
    description: NotRequired[str]
    rule: NotRequired[str | None]


class GroupPatch(TypedDict):
    """What is to be another; what is left out stays."""

    name: NotRequired[str]
    description: NotRequired[str]
    rule: NotRequired[str | None]


class GroupPreviewView(TypedDict):
    """What a rule matches now."""

    matches: int
    is_by_the_clock: bool
    """Whether that changes as time goes by, though nothing happens."""
    examples: list[CertificateView]


class GroupView(TypedDict):
    """A group."""

    id: str
    name: str
    description: str
    kind: Literal["hand", "rule"]
    rule: str | None
    members: int
    """Certificates in it."""
    is_settled: bool
    """Whether all certificates were gone through since the rule was written."""
    evaluated_at: str | None
    """When they last were."""
    version: int
    created_at: str
    created_by: str


class GroupsInclude(TypedDict):
    """At least one of these groups is offered for key exchange."""

    kind: Literal["groups_include"]
    values: list[str]


class GroupsWithin(TypedDict):
    """No other group is offered for key exchange."""

    kind: Literal["groups_within"]
    values: list[str]


Happening = Literal["found", "lost", "expiring", "renewed", "deployed", "stale", "replaced", "noncompliant", "compliant", "revoked"]
"""What happened."""


class Held(TypedDict):
    """How a store keeps a certificate, and what the configuration there uses it for."""

    format: str
    owner: NotRequired[str | None]
    group: NotRequired[str | None]
    mode: NotRequired[int | None]
    key: NotRequired[HeldKey | None]
    in_use: NotRequired[bool | None]
    uses: NotRequired[list[ConfiguredUse]]
    use_count: NotRequired[int]
    is_abridged: NotRequired[bool]
    addresses: NotRequired[list[str]]


class HeldKey(TypedDict):
    """What is known of the private key beside a certificate. The key itself never leaves where it is."""

    path: str
    fingerprint: NotRequired[str | None]
    is_match: NotRequired[bool | None]
    is_exposed: NotRequired[bool]
    is_replaceable: NotRequired[bool]
    is_encrypted: NotRequired[bool]
    owner: NotRequired[str | None]
    mode: NotRequired[int | None]


class HoldingView(TypedDict):
    """A certificate in a store: where, how it is kept, what uses it, and what is wrong with that."""

    place: PlaceView
    fingerprint: str
    held: Held
    flaws: list[Flaw]
    slots: list[SlotView]
    """Configured and served, side by side."""
    key_shared_with: list[str]
    """Other hosts that hold the same private key; at most 100."""


class HstsAtLeast(TypedDict):
    """Over HTTP, Strict-Transport-Security lasts this many days."""

    kind: Literal["hsts_at_least"]
    days: int


class IssuerFindingView(TypedDict):
    """A rule that an authority's certificate breaks."""

    rule: str
    severity: Severity
    evidence: str
    """A line for each place in the certificate, and what is there."""
    remedy: str | None


class IssuerReportView(TypedDict):
    """An authority, how many certificates under it have not ended, and what a linter has found of it."""

    fingerprint: str
    subject: str | None
    issuer: str | None
    serial: str | None
    not_before: str | None
    not_after: str | None
    key_type: str | None
    key_bits: int | None
    key_fingerprint: str | None
    signature_algorithm: str | None
    is_self_issued: bool
    """Whether it is a root."""
    urgency: Urgency | None
    """How near its end is: `renew` a year before, `warning` 180 days, `error` 90, `critical` 30."""
    first_known_at: str
    leaves: LeavesView
    broken_rules: dict[str, int]
    """How many rules it breaks, by severity."""
    valid: int
    linted_at: str | None
    """Empty where it was not linted yet."""
    findings: list[IssuerFindingView]
    """The rules that it breaks. They are not counted with those of the certificates."""


class IssuerRuleCountView(TypedDict):
    """How many intermediates and roots break a rule."""

    rule: str
    severity: Severity
    remedy: str | None
    issuers: int


class IssuerRuleCountsView(TypedDict):
    """Which rules are broken by intermediates and roots, the most broken first; at most 500."""

    rules: list[IssuerRuleCountView]


class IssuerView(TypedDict):
    """A certificate of an authority, as it was served above others."""

    fingerprint: str
    subject: str | None
    issuer: str | None
    serial: str | None
    not_before: str | None
    not_after: str | None
    key_type: str | None
    key_bits: int | None
    key_fingerprint: str | None
    signature_algorithm: str | None
    is_self_issued: bool
    """Whether it is a root."""
    urgency: Urgency | None
    """How near its end is: `renew` a year before, `warning` 180 days, `error` 90, `critical` 30."""
    first_known_at: str
    leaves: LeavesView
    broken_rules: dict[str, int]
    """How many rules it breaks, by severity."""


class KeyBitsAtLeast(TypedDict):
    """A key of one of these kinds (`rsa`, `ecdsa`, `dsa`) has this many bits; others may have any
    number.
    """

    kind: Literal["key_bits_at_least"]
    values: dict[str, int]


KeyExchange = Literal["preferred", "offered", "none", "unknown"]
"""Whether recorded traffic stays secret."""


class KeyReportView(TypedDict):
    """A public key, the certificates on it, and where it is; at most 100 of each."""

    fingerprint: str
    """SHA-256 of its SubjectPublicKeyInfo."""
    spread: SpreadView
    key_type: str | None
    key_bits: int | None
    lineages: list[str]
    certificates: list[CertificateView]
    """Those that end last first."""
    hosts: list[str]
    """That hold the private key."""
    places: list[SeenPlaceView]
    """That serve a certificate on it, or hold the private key."""


class KeyTypesWithin(TypedDict):
    """The key is of one of these types: `rsa`, `ecdsa-p256`, `ecdsa-p384`, `ed25519`, `ml-dsa-65` and
    so on.
    """

    kind: Literal["key_types_within"]
    values: list[str]


class KeyView(TypedDict):
    """A public key that is in several certificates or places."""

    fingerprint: str
    """SHA-256 of its SubjectPublicKeyInfo."""
    spread: SpreadView


class KeysView(TypedDict):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]


Kind = Literal["person", "machine", "service"]
"""What a principal is."""


class LeavesView(TypedDict):
    """How many certificates are under an authority."""

    known: int
    outliving: int
    """Of those, the ones that end later than the authority does."""


class LifetimeAtMost(TypedDict):
    """It lasts no longer than the ceiling of the day on which it was issued; a day is 86,400 s (BR
    §6.3.2).
    """

    kind: Literal["lifetime_at_most"]
    days: NotRequired[int | None]
    ceilings: NotRequired[list[Ceiling]]


class LineageReportView(TypedDict):
    """A lineage and its certificates, the one that is valid longest first."""

    id: str
    title: str
    created_at: str
    is_managed: NotRequired[bool]
    """Whether renewal renews it by itself."""
    certificates: list[CertificateView]


class LineageView(TypedDict):
    """The chain of renewals of one thing."""

    id: str
    title: str
    created_at: str
    is_managed: NotRequired[bool]
    """Whether renewal renews it by itself."""


class LintView(TypedDict):
    """How a certificate was linted, and which rules it breaks."""

    linted_at: str | None
    """Empty where it was not linted yet."""
    linted_with: str | None
    kind: CertificateClass | None
    rules: RuleSet | None
    """Those that were in force for its class when it began; a private CA's certificates are never held
    against the CA/Browser Forum's.
    """
    findings: list[FindingView]


class Listening(TypedDict):
    """Where a server listens, as its configuration says."""

    port: int
    address: NotRequired[str | None]
    starttls: NotRequired[str | None]


class LoadView(TypedDict):
    """How many renewals a day and a week it takes to keep every certificate alive."""

    a_day: float
    a_week: int
    """Rounded up: what an authority must grant."""
    by_hand_a_day: float


class MadeKeyView(TypedDict):
    """An API key, in clear this once: nobody can show it again."""

    id: str
    principal_id: str
    created_at: str
    created_by: str
    expires_at: str
    last_used_at: str | None
    revoked_at: str | None
    key: str


Means = Literal["ocsp", "crl"]
"""By what it is known."""


class Moved(TypedDict):
    """How many dead letters were moved."""

    count: int


class NameView(TypedDict):
    """What a principal is called."""

    id: str
    name: str


class NamesView(TypedDict):
    """What principals are called, in the order of the names."""

    items: list[NameView]


class OAuthTokenView(TypedDict):
    """A token as OAuth 2.0 has it (RFC 6749 §5.1)."""

    access_token: str
    token_type: NotRequired[Literal["Bearer"]]
    expires_in: int
    """Seconds."""


class OdditiesView(TypedDict):
    """Of how many certificates what is odd; what is odd of none is left out."""

    certificates: dict[str, int]


class OddityView(TypedDict):
    """Something odd about a certificate."""

    code: Code
    detail: str


Operator = Literal["has", "=", "!=", "<", "<=", ">", ">=", "~", "in", "under"]
"""How a field is asked."""


class OwnerView(TypedDict):
    """The team that owns a certificate."""

    id: str
    name: str
    set_by: str | None
    """Why: `person:` and who, or `rule:` and the id of an assignment rule."""


class PemView(TypedDict):
    """A certificate as PEM, and those served after it."""

    fingerprint: str
    pem: str
    chain: list[str]


class PlaceHistoryView(TypedDict):
    """What a place served, the latest first, at most 1000 changes."""

    place: PlaceView
    servings: list[ServingView]


class PlaceView(TypedDict):
    """Where a certificate is found."""

    id: str
    key: str
    kind: str
    address: str
    port: int | None
    server_name: str | None
    starttls: str | None
    key_type: str | None
    """Where an endpoint has a second certificate: for clients that verify only this kind of key."""
    path: str | None


class PolicyBody(TypedDict):
    """A policy to be made."""

    title: str
    description: NotRequired[str]
    source: NotRequired[str]
    published: NotRequired[str | None]
    rules: list[Rule]
    id: str


class PolicyPreviewView(TypedDict):
    """What would come of a policy; nothing is kept of it and nobody is told."""

    judged: int
    is_complete: bool
    """Not where there are more than 200,000 places: then of the first of them."""
    passing: int
    failing: int
    unknown: int
    newly_failing: int
    """Where no policy that is on fails now."""
    newly_passing: int
    """Where this policy, as it is on now, fails."""
    by_rule: dict[str, int]
    """How many places break each rule."""
    examples: list[ExampleView]
    """Of those that would newly fail, at most 20."""


class PolicyView(TypedDict):
    """A policy."""

    id: str
    title: str
    is_builtin: bool
    is_enabled: bool
    version: int
    document: Document
    created_at: str
    created_by: str
    updated_at: str
    updated_by: str


class PreviewBody(TypedDict):
    """What is to be tried."""

    draft: NotRequired[Document | None]
    """Empty: the policy as it is."""


class PrincipalBody(TypedDict):
    """Somebody or something that is to ask."""

    name: str
    kind: Kind
    roles: NotRequired[list[str]]
    permissions: NotRequired[list[str]]
    groups: NotRequired[list[str]]
    """Ids of groups; roles and permissions hold for what is in one of them. None means everything."""


class PrincipalReportView(TypedDict):
    """A principal and its API keys."""

    id: str
    name: str
    kind: Kind
    roles: list[str]
    permissions: list[str]
    groups: list[str]
    """What roles and permissions are scoped to; none means everything."""
    is_from_provider: bool
    """Whether it signs in through the OpenID provider, which decides what it may do."""
    version: int
    disabled_at: str | None
    void_until: str | None
    """Tokens issued at this instant or before are refused."""
    sealing_key: str | None
    """The X25519 public key it is pinned to, base64url."""
    created_at: str
    created_by: str
    api_keys: list[ApiKeyView]


class PrincipalView(TypedDict):
    """A principal."""

    id: str
    name: str
    kind: Kind
    roles: list[str]
    permissions: list[str]
    groups: list[str]
    """What roles and permissions are scoped to; none means everything."""
    is_from_provider: bool
    """Whether it signs in through the OpenID provider, which decides what it may do."""
    version: int
    disabled_at: str | None
    void_until: str | None
    """Tokens issued at this instant or before are refused."""
    sealing_key: str | None
    """The X25519 public key it is pinned to, base64url."""
    created_at: str
    created_by: str


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


class ProblemView(TypedDict):
    """One thing that is wrong with a chain."""

    state: ChainState
    evidence: str


class QueryFieldView(TypedDict):
    """A field of the query language."""

    name: str
    """`.*` at its end stands for any name below it."""
    kind: ValueKind
    about: str
    subject: Subject
    """Terms about a place that are joined by `and` are about one and the same place."""
    operators: list[Operator]
    """`has` is the field alone."""
    choices: list[str]
    """The values it can have, the least first where they have an order."""
    is_sortable: bool
    is_countable: bool
    """Whether facets count by it."""


class ReadinessView(TypedDict):
    """Readiness for quantum computers; it has no part in the letter."""

    key_exchange: KeyExchange
    signature: Signature
    disallowed_after: str | None
    """The first day on which all that is in use is still allowed by all."""
    deadlines: list[DeadlineView]


class ReasonView(TypedDict):
    """Why a letter is no better."""

    code: str
    cap: Literal["A+", "A", "A-", "B", "C", "D", "E", "F", "M", "T"]
    """The best letter that is possible with it."""
    evidence: str


class Redrive(TypedDict):
    """Which dead letters to put back."""

    ids: NotRequired[list[str] | None]
    """Event ids; left out, all of them."""


class ReplacementView(TypedDict):
    """A certificate that is to take the place of another, and how far that has come."""

    id: str
    lineage_id: str
    old_fingerprint: str
    fingerprint: str
    order_id: str | None
    """Empty where somebody else has put the new one in place."""
    state: State
    opened_at: str
    deployed_at: str | None
    replaced_at: str | None
    stale_places: list[PlaceView]
    """Where the old one was still served."""


Result = Literal["pass", "fail", "unknown"]
"""What came of a demand."""


Revocation = Literal["good", "revoked", "unknown", "unreachable"]
"""What is known."""


class RevocationView(TypedDict):
    """What the authority of a certificate says of it."""

    state: Revocation | None
    """Empty where nobody was asked yet."""
    evidence: str | None
    means: Means | None
    url: str | None
    """Who was asked."""
    this_update: str | None
    next_update: str | None
    """Until when the word holds."""
    revoked_at: str | None
    reason: str | None
    """As RFC 5280 §5.3.1 names it."""
    checked_at: str | None
    due_at: str | None
    """When it is asked for next; empty once it has ended."""
    failures: int
    """Looks in a row that brought no answer."""
    told_at: str | None
    """When `certificate.revocation_seen` was told: it is revoked and in use."""


class RightsBody(TypedDict):
    """What a principal may do, instead of what it could before: all three, so that none is widened by
    being left out.
    """

    roles: list[str]
    permissions: list[str]
    groups: list[str]
    """Ids of groups; roles and permissions hold for what is in one of them. None means everything."""


class RsaExponentAtLeast(TypedDict):
    """An RSA key has an odd public exponent of at least this."""

    kind: Literal["rsa_exponent_at_least"]
    value: int


class Rule(TypedDict):
    """One thing that a policy demands."""

    id: str
    title: str
    demand: VersionsWithin | VersionsInclude | SuitesWithin | SuitesWithout | ForwardSecrecy | GroupsWithin | GroupsInclude | DhBitsAtLeast | Feature | HstsAtLeast | KeyTypesWithin | KeyBitsAtLeast | SignaturesWithin | SignaturesWithout | LifetimeAtMost | RsaExponentAtLeast
    severity: NotRequired[RuleSeverity]
    level: NotRequired[Literal["must", "should"]]
    """What only should be is shown, and decides no verdict."""
    only_public: NotRequired[bool]
    """Only certificates of publicly trusted authorities are bound by it."""
    source: NotRequired[str]
    """Where it is written."""
    remedy: NotRequired[str]
    """What to do where it is broken."""
    effective_from: NotRequired[str | None]
    """The first day (UTC) on which it holds; empty for ever before."""
    effective_until: NotRequired[str | None]
    """The first day (UTC) on which it holds no more."""


class RuleBody(TypedDict):
    """A rule to look at."""

    rule: str
    """A query; who matches it is in the group, as long as it is so."""


class RuleCountView(TypedDict):
    """How many certificates break a rule."""

    rule: str
    severity: Severity
    remedy: str | None
    certificates: int


class RuleCountsView(TypedDict):
    """Which rules are broken, the most broken first; at most 500."""

    rules: list[RuleCountView]


RuleSet = Literal["pkix", "cabf_serverauth", "cabf_smime"]
"""A linter's set of rules."""


RuleSeverity = Literal["low", "medium", "high"]
"""How bad it is to break a rule of a policy, least bad first."""


class RuleView(TypedDict):
    """A rule that was not passed."""

    rule: str
    title: str
    result: Result
    severity: RuleSeverity
    level: Literal["must", "should"]
    evidence: str
    remedy: str
    source: str
    exception_id: str | None
    """The exception by which the failure is let pass."""


class SavedQueryBody(TypedDict):
    """A question to be kept."""

    name: str
    query: str
    """In the query language; it is kept in its canonical text."""
    sort: NotRequired[str]
    columns: NotRequired[list[str]]
    """Of an export; empty for all."""
    is_shared: NotRequired[bool]
    """Whether others may use it; only you may change it."""


class SavedQueryPatch(TypedDict):
    """What is to be another; what is left out stays."""

    name: NotRequired[str]
    query: NotRequired[str]
    """In the query language; it is kept in its canonical text."""
    sort: NotRequired[str]
    columns: NotRequired[list[str]]
    is_shared: NotRequired[bool]


class SavedQueryView(TypedDict):
    """A question that is kept."""

    id: str
    owner_id: str
    """The principal who made it."""
    name: str
    query: str
    sort: str
    columns: list[str]
    is_shared: bool
    version: int
    created_at: str
    updated_at: str


class ScopeBody(TypedDict):
    """For whom a broken rule is let pass."""

    kind: ScopeKind
    value: str
    """The id of a group or of a place, the fingerprint of a certificate, or a query."""


ScopeKind = Literal["group", "certificate", "place", "query"]
"""What an exception is for."""


class ScopeView(TypedDict):
    """For whom a broken rule is let pass."""

    kind: ScopeKind
    value: str


class SeenPlaceView(TypedDict):
    """A place, and what it serves now."""

    id: str
    key: str
    kind: str
    address: str
    port: int | None
    server_name: str | None
    starttls: str | None
    key_type: str | None
    """Where an endpoint has a second certificate: for clients that verify only this kind of key."""
    path: str | None
    fingerprint: str | None
    """Empty where it does not answer any more."""
    first_seen: str
    """Since when it has been as it is now."""
    last_seen: str


class ServingView(TypedDict):
    """What a place served from when until when."""

    fingerprint: str | None
    """Empty where it did not answer."""
    since: str
    last_seen: str
    until: str | None
    """When it was first seen otherwise; empty if it is so now."""


Severity = Literal["fatal", "error", "warning", "notice"]
"""How bad a finding is, the worst first."""


class ShareView(TypedDict):
    """The share of one issuer, owner, group, or kind of automation; the one with most renewals to come
    is first.
    """

    key: str
    """Empty for what has none."""
    certificates: int
    by_hand: int
    renewals: int
    """Within the days looked at."""
    busiest_day: int
    now: LoadView
    then: LoadView


Signature = Literal["post-quantum", "classical", "classical-112", "unknown"]
"""What the certificate's key and signature rest on."""


class SignaturesWithin(TypedDict):
    """The certificate is signed by one of these algorithms, as `sha256WithRSAEncryption`,
    `ecdsa-with-SHA384`.
    """

    kind: Literal["signatures_within"]
    values: list[str]


class SignaturesWithout(TypedDict):
    """The certificate is signed by no algorithm with any of these in its name, as `sha1`, `md5`."""

    kind: Literal["signatures_without"]
    values: list[str]


class SlotServedView(TypedDict):
    """What was seen at one address of the host."""

    address: str
    server_name: str | None
    fingerprint: str
    last_seen: str


class SlotView(TypedDict):
    """A listener and server name that a certificate is configured for, beside what was seen there."""

    store: str
    """The key of the place that holds the certificate."""
    fingerprint: str
    """The certificate that is configured."""
    product: str
    file: str
    line: int
    port: int
    address: str | None
    """Empty for every address of the host."""
    starttls: str | None
    server_name: str | None
    key: str | None
    """The file that holds its key."""
    chain: str | None
    """The file that holds its chain, where that is another one."""
    protocols: list[str]
    """As the product writes them; empty where its default holds."""
    ciphers: str | None
    """As the product writes them; empty where its default holds."""
    served: list[SlotServedView]
    """Empty where no scan has looked there."""
    is_served: bool | None
    """Empty where it is not known: nobody has looked since, or only a certificate for other kinds of
    client was seen.
    """


Spec = Literal["1.6", "1.7"]
"""The versions of CycloneDX that are written."""


class SpreadView(TypedDict):
    """In how many certificates and places something is."""

    certificates: int
    addresses: int
    """That serve it."""
    hosts: int
    """That hold it in a store: the private key, or the certificate."""
    places: int


State = Literal["open", "stale", "replaced"]
"""How far a replacement has come."""


class StretchView(TypedDict):
    """A place that had a certificate, from when until when."""

    place: PlaceView
    since: str
    last_seen: str
    until: str | None
    """When it was first seen otherwise; empty if it is so now."""


Subject = Literal["certificate", "place"]
"""Whose field it is. Terms about a place that are joined by `and` are about one and the same
place.
"""


class SuitesWithin(TypedDict):
    """Of each version that is named, no other suite is offered; of versions that are not, any may be."""

    kind: Literal["suites_within"]
    values: dict[str, list[str]]


class SuitesWithout(TypedDict):
    """No suite is offered with any of these in its name, as `RC4`, `3DES`, `NULL`, `EXPORT`, `anon`,
    `CBC`.
    """

    kind: Literal["suites_without"]
    values: list[str]


class SummaryView(TypedDict):
    """How many there are of what, of all that the caller may see."""

    certificates: int
    current: int
    """Those in use, or to be put to use."""
    unreadable: int
    managed: int
    """Current certificates that renewal renews by itself."""
    unowned: int
    """Current certificates that nobody owns."""
    places: int
    places_lost: int
    """Those that do not answer any more."""
    expiring: dict[str, int]
    """Current certificates by the last threshold crossed."""
    ending: list[WindowView]
    """Current certificates that end within 7, 30 and 90 days."""
    replacements: dict[str, int]
    stale: int
    grades: dict[str, int]
    """Places by letter; `unknown` are those of which too little is known."""
    verdicts: dict[str, dict[str, int]]
    """Places by verdict, for each policy that is on."""
    findings: dict[str, int]
    """Broken rules of the linter, one for each certificate and rule, by severity."""
    flaws: dict[str, int]
    """Places that something is wrong with, by what it is."""


class TeamBody(TypedDict):
    """A team to be made."""

    id: NotRequired[str | None]
    """Left out: made of the name."""
    name: str
    contacts: NotRequired[list[ContactBody]]
    """The one to be asked first comes first."""
    deputy: NotRequired[DeputyBody | None]


class TeamPatch(TypedDict):
    """What is to be another; what is left out stays."""

    name: NotRequired[str]
    contacts: NotRequired[list[ContactBody]]
    """The one to be asked first comes first."""
    deputy: NotRequired[DeputyBody | None]


class TeamView(TypedDict):
    """A team."""

    id: str
    name: str
    contacts: list[ContactView]
    deputy: DeputyView | None
    owns: int
    """Certificates."""
    version: int
    created_at: str
    created_by: str


class TimelineView(TypedDict):
    """Something that happened."""

    id: str
    at: str
    kind: Happening
    text: str
    fingerprint: str | None
    place_key: str | None
    event_id: str | None


class TokenBody(TypedDict):
    """What a token is asked with, beside the API key in `Authorization`."""

    sealing_key: NotRequired[str | None]
    """The caller's raw X25519 public key, base64url; the first one sent is pinned."""


class TokenView(TypedDict):
    """A token and when it ends."""

    access_token: str
    token_type: NotRequired[Literal["Bearer"]]
    expires_at: str


Urgency = Literal["renew", "warning", "error", "critical", "expired"]
"""How little of a lifetime is left, least urgent first."""


ValueKind = Literal["text", "number", "boolean", "instant", "span", "choice"]
"""What the values of a field are."""


class VerdictView(TypedDict):
    """What came of a policy that is on."""

    policy: str
    title: str
    version: int
    verdict: Result
    is_by_exception: bool
    since: str
    rules: list[RuleView]
    """Those that were not passed."""


class VersionsInclude(TypedDict):
    """Each of these versions is offered."""

    kind: Literal["versions_include"]
    values: list[Literal["TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1", "SSLv3", "SSLv2"]]


class VersionsWithin(TypedDict):
    """No other version is offered."""

    kind: Literal["versions_within"]
    values: list[Literal["TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1", "SSLv3", "SSLv2"]]


class WildcardReportView(TypedDict):
    """A wildcard certificate, where it is, and what it covers; at most 100 of each."""

    certificate: CertificateView
    spread: SpreadView
    served_names: list[str]
    """Names (SNI) under which it is served, some of them."""
    places: list[SeenPlaceView]
    covered_names: list[str]
    """Names of other certificates for which this one would do."""


class WildcardView(TypedDict):
    """A certificate for all names below one, and how far it is spread."""

    certificate: CertificateView
    spread: SpreadView
    served_names: list[str]
    """Names (SNI) under which it is served, some of them."""


class WindowView(TypedDict):
    """Certificates in use that end soon."""

    days: int
    """From today on, today and the last day included; days are UTC's."""
    certificates: int
    by_hand: int
    """Those of them that nothing renews by itself."""


def list_query_fields() -> Listing[QueryFieldView]:
    """List what a query may ask, and how.

    Needs `certificates:read`.
    """
    return Listing(
        operation="list_query_fields",
        method="GET",
        path="/inventory/v1/query-fields",
    )


def count_certificates(
    *,
    query: str | None = None,
    name: str | None = None,
    lineage_id: str | None = None,
    expires_before: str | None = None,
    key_type: str | None = None,
    address: str | None = None,
    port: int | None = None,
    current: bool | None = None,
    oddity: Code | None = None,
    key_fingerprint: str | None = None,
) -> Call[CountView]:
    """Count the certificates that a query finds.

    Needs `certificates:read`.
    """
    return Call(
        operation="count_certificates",
        method="GET",
        path="/inventory/v1/certificates/count",
        query={"query": query, "name": name, "lineage_id": lineage_id, "expires_before": expires_before, "key_type": key_type, "address": address, "port": port, "current": current, "oddity": oddity, "key_fingerprint": key_fingerprint},
    )


def get_certificate_facets(
    *,
    by: str,
    limit: int | None = None,
    query: str | None = None,
    name: str | None = None,
    lineage_id: str | None = None,
    expires_before: str | None = None,
    key_type: str | None = None,
    address: str | None = None,
    port: int | None = None,
    current: bool | None = None,
    oddity: Code | None = None,
    key_fingerprint: str | None = None,
) -> Call[FacetsView]:
    """Show by what the certificates that a query finds differ.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_certificate_facets",
        method="GET",
        path="/inventory/v1/certificates/facets",
        query={"by": by, "limit": limit, "query": query, "name": name, "lineage_id": lineage_id, "expires_before": expires_before, "key_type": key_type, "address": address, "port": port, "current": current, "oddity": oddity, "key_fingerprint": key_fingerprint},
    )


def export_certificates(
    *,
    format: Format | None = None,
    columns: str | None = None,
    query: str | None = None,
    name: str | None = None,
    lineage_id: str | None = None,
    expires_before: str | None = None,
    key_type: str | None = None,
    address: str | None = None,
    port: int | None = None,
    current: bool | None = None,
    oddity: Code | None = None,
    key_fingerprint: str | None = None,
    sort: str | None = None,
) -> Call[list[dict[str, Any]]]:
    """Download all certificates that a query finds.

    Needs `certificates:read`.
    """
    return Call(
        operation="export_certificates",
        method="GET",
        path="/inventory/v1/certificates/export",
        query={"format": format, "columns": columns, "query": query, "name": name, "lineage_id": lineage_id, "expires_before": expires_before, "key_type": key_type, "address": address, "port": port, "current": current, "oddity": oddity, "key_fingerprint": key_fingerprint, "sort": sort},
    )


def list_certificates(
    *,
    limit: int | None = None,
    cursor: str | None = None,
    query: str | None = None,
    name: str | None = None,
    lineage_id: str | None = None,
    expires_before: str | None = None,
    key_type: str | None = None,
    address: str | None = None,
    port: int | None = None,
    current: bool | None = None,
    oddity: Code | None = None,
    key_fingerprint: str | None = None,
    sort: str | None = None,
) -> Listing[CertificateView]:
    """List certificates.

    Needs `certificates:read`.
    """
    return Listing(
        operation="list_certificates",
        method="GET",
        path="/inventory/v1/certificates",
        query={"limit": limit, "cursor": cursor, "query": query, "name": name, "lineage_id": lineage_id, "expires_before": expires_before, "key_type": key_type, "address": address, "port": port, "current": current, "oddity": oddity, "key_fingerprint": key_fingerprint, "sort": sort},
    )


def get_certificate(fingerprint: str) -> Call[CertificateReportView]:
    """Show a certificate and where it is.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_certificate",
        method="GET",
        path=f"/inventory/v1/certificates/{quoted(fingerprint)}",
    )


def change_certificate(
    fingerprint: str,
    body: ChangesBody,
    *,
    if_match: str | None = None,
) -> Call[CertificateView]:
    """Say who owns a certificate, its tags, fields and groups by hand.

    Needs `certificates:write`.
    """
    return Call(
        operation="change_certificate",
        method="PATCH",
        path=f"/inventory/v1/certificates/{quoted(fingerprint)}",
        headers={"If-Match": if_match},
        body=body,
    )


def get_certificate_pem(fingerprint: str) -> Call[PemView]:
    """Download a certificate; as text where `Accept` says so, with its chain after it.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_certificate_pem",
        method="GET",
        path=f"/inventory/v1/certificates/{quoted(fingerprint)}/pem",
    )


def get_summary() -> Call[SummaryView]:
    """Count certificates, places, and what is urgent.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_summary",
        method="GET",
        path="/inventory/v1/summary",
    )


def get_findings(fingerprint: str, *, severity: Severity | None = None) -> Call[LintView]:
    """Show which rules a certificate breaks.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_findings",
        method="GET",
        path=f"/inventory/v1/certificates/{quoted(fingerprint)}/findings",
        query={"severity": severity},
    )


def get_chains(fingerprint: str) -> Call[ChainsView]:
    """Show the chains it is served with, and what is wrong.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_chains",
        method="GET",
        path=f"/inventory/v1/certificates/{quoted(fingerprint)}/chains",
    )


def get_revocation(fingerprint: str) -> Call[RevocationView]:
    """Show whether its authority has revoked it.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_revocation",
        method="GET",
        path=f"/inventory/v1/certificates/{quoted(fingerprint)}/revocation",
    )


def count_findings(*, current: bool | None = None) -> Call[RuleCountsView]:
    """Count the certificates that break each rule.

    Needs `certificates:read`.
    """
    return Call(
        operation="count_findings",
        method="GET",
        path="/inventory/v1/findings",
        query={"current": current},
    )


def get_forecast(
    *,
    days: int | None = None,
    lifetime: int | None = None,
    by: By | None = None,
    query: str | None = None,
) -> Call[ForecastView]:
    """Look ahead: what ends and is renewed when, and with shorter lifetimes.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_forecast",
        method="GET",
        path="/inventory/v1/forecast",
        query={"days": days, "lifetime": lifetime, "by": by, "query": query},
    )


def list_lineages(*, limit: int | None = None, cursor: str | None = None) -> Listing[LineageView]:
    """List lineages.

    Needs `lineages:read`.
    """
    return Listing(
        operation="list_lineages",
        method="GET",
        path="/inventory/v1/lineages",
        query={"limit": limit, "cursor": cursor},
    )


def get_lineage(lineage_id: str) -> Call[LineageReportView]:
    """Show a lineage and its certificates.

    Needs `lineages:read`.
    """
    return Call(
        operation="get_lineage",
        method="GET",
        path=f"/inventory/v1/lineages/{quoted(lineage_id)}",
    )


def get_timeline(
    lineage_id: str,
    *,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[TimelineView]:
    """Tell what happened to a lineage, the first first.

    Needs `lineages:read`.
    """
    return Listing(
        operation="get_timeline",
        method="GET",
        path=f"/inventory/v1/lineages/{quoted(lineage_id)}/timeline",
        query={"limit": limit, "cursor": cursor},
    )


def list_places(
    *,
    query: str | None = None,
    address: str | None = None,
    port: int | None = None,
    fingerprint: str | None = None,
    flaw: Flaw | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[BothViewsView]:
    """List places: what they serve, and what is configured.

    Needs `places:read`.
    """
    return Listing(
        operation="list_places",
        method="GET",
        path="/inventory/v1/places",
        query={"query": query, "address": address, "port": port, "fingerprint": fingerprint, "flaw": flaw, "limit": limit, "cursor": cursor},
    )


def get_place_history(*, key: str, at: str | None = None, on: str | None = None) -> Call[PlaceHistoryView]:
    """Show what a place served, or what it served at one instant.

    Needs `places:read`.
    """
    return Call(
        operation="get_place_history",
        method="GET",
        path="/inventory/v1/places/history",
        query={"key": key, "at": at, "on": on},
    )


def list_replacements(
    *,
    lineage_id: str | None = None,
    state: State | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[ReplacementView]:
    """List replacements and how far they have come.

    Needs `lineages:read`.
    """
    return Listing(
        operation="list_replacements",
        method="GET",
        path="/inventory/v1/replacements",
        query={"lineage_id": lineage_id, "state": state, "limit": limit, "cursor": cursor},
    )


def list_holdings(
    *,
    address: str | None = None,
    fingerprint: str | None = None,
    flaw: Flaw | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[HoldingView]:
    """List certificates in stores: how they are kept, and what uses them.

    Needs `places:read`.
    """
    return Listing(
        operation="list_holdings",
        method="GET",
        path="/inventory/v1/holdings",
        query={"address": address, "fingerprint": fingerprint, "flaw": flaw, "limit": limit, "cursor": cursor},
    )


def create_team(body: TeamBody) -> Call[TeamView]:
    """Make a team.

    Needs `teams:write`.
    """
    return Call(
        operation="create_team",
        method="POST",
        path="/inventory/v1/teams",
        takes_key=True,
        body=body,
    )


def list_teams(*, limit: int | None = None, cursor: str | None = None) -> Listing[TeamView]:
    """List teams.

    Needs `teams:read`.
    """
    return Listing(
        operation="list_teams",
        method="GET",
        path="/inventory/v1/teams",
        query={"limit": limit, "cursor": cursor},
    )


def get_team(team_id: str) -> Call[TeamView]:
    """Show a team.

    Needs `teams:read`.
    """
    return Call(
        operation="get_team",
        method="GET",
        path=f"/inventory/v1/teams/{quoted(team_id)}",
    )


def change_team(team_id: str, body: TeamPatch, *, if_match: str | None = None) -> Call[TeamView]:
    """Change a team.

    Needs `teams:write`.
    """
    return Call(
        operation="change_team",
        method="PATCH",
        path=f"/inventory/v1/teams/{quoted(team_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_team(team_id: str, *, reassign_to: str | None = None) -> Call[None]:
    """Delete a team; where something needs it, name the team that takes its place.

    Needs `teams:write`.
    """
    return Call(
        operation="delete_team",
        method="DELETE",
        path=f"/inventory/v1/teams/{quoted(team_id)}",
        query={"reassign_to": reassign_to},
        answers="nothing",
    )


def create_group(body: GroupBody) -> Call[GroupView]:
    """Make a group.

    Needs `groups:write`.
    """
    return Call(
        operation="create_group",
        method="POST",
        path="/inventory/v1/groups",
        takes_key=True,
        body=body,
    )


def list_groups(*, limit: int | None = None, cursor: str | None = None) -> Listing[GroupView]:
    """List groups.

    Needs `groups:read`.
    """
    return Listing(
        operation="list_groups",
        method="GET",
        path="/inventory/v1/groups",
        query={"limit": limit, "cursor": cursor},
    )


def preview_group(body: RuleBody) -> Call[GroupPreviewView]:
    """Show what a rule matches, before it is one.

    Needs `certificates:read`.
    """
    return Call(
        operation="preview_group",
        method="POST",
        path="/inventory/v1/groups/preview",
        body=body,
    )


def get_group(group_id: str) -> Call[GroupView]:
    """Show a group.

    Needs `groups:read`.
    """
    return Call(
        operation="get_group",
        method="GET",
        path=f"/inventory/v1/groups/{quoted(group_id)}",
    )


def change_group(group_id: str, body: GroupPatch, *, if_match: str | None = None) -> Call[GroupView]:
    """Change a group.

    Needs `groups:write`.
    """
    return Call(
        operation="change_group",
        method="PATCH",
        path=f"/inventory/v1/groups/{quoted(group_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_group(group_id: str) -> Call[None]:
    """Delete a group; certificates stay.

    Needs `groups:write`.
    """
    return Call(
        operation="delete_group",
        method="DELETE",
        path=f"/inventory/v1/groups/{quoted(group_id)}",
        answers="nothing",
    )


def list_group_members(
    group_id: str,
    *,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[CertificateView]:
    """List the certificates of a group.

    Needs `certificates:read`.
    """
    return Listing(
        operation="list_group_members",
        method="GET",
        path=f"/inventory/v1/groups/{quoted(group_id)}/members",
        query={"limit": limit, "cursor": cursor},
    )


def add_group_member(group_id: str, fingerprint: str) -> Call[None]:
    """Put a certificate into a group by hand.

    Needs `groups:write`.
    """
    return Call(
        operation="add_group_member",
        method="PUT",
        path=f"/inventory/v1/groups/{quoted(group_id)}/members/{quoted(fingerprint)}",
        answers="nothing",
    )


def remove_group_member(group_id: str, fingerprint: str) -> Call[None]:
    """Take a certificate out of a group by hand.

    Needs `groups:write`.
    """
    return Call(
        operation="remove_group_member",
        method="DELETE",
        path=f"/inventory/v1/groups/{quoted(group_id)}/members/{quoted(fingerprint)}",
        answers="nothing",
    )


def create_field(body: FieldBody) -> Call[FieldView]:
    """Make a custom field.

    Needs `fields:admin`.
    """
    return Call(
        operation="create_field",
        method="POST",
        path="/inventory/v1/fields",
        takes_key=True,
        body=body,
    )


def list_fields(*, limit: int | None = None, cursor: str | None = None) -> Listing[FieldView]:
    """List custom fields.

    Needs `fields:read`.
    """
    return Listing(
        operation="list_fields",
        method="GET",
        path="/inventory/v1/fields",
        query={"limit": limit, "cursor": cursor},
    )


def get_field(name: str) -> Call[FieldView]:
    """Show a custom field.

    Needs `fields:read`.
    """
    return Call(
        operation="get_field",
        method="GET",
        path=f"/inventory/v1/fields/{quoted(name)}",
    )


def change_field(name: str, body: FieldPatch, *, if_match: str | None = None) -> Call[FieldView]:
    """Change a custom field; its kind stays.

    Needs `fields:admin`.
    """
    return Call(
        operation="change_field",
        method="PATCH",
        path=f"/inventory/v1/fields/{quoted(name)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_field(name: str, *, drop_values: bool | None = None) -> Call[None]:
    """Delete a custom field.

    Needs `fields:admin`.
    """
    return Call(
        operation="delete_field",
        method="DELETE",
        path=f"/inventory/v1/fields/{quoted(name)}",
        query={"drop_values": drop_values},
        answers="nothing",
    )


def create_assignment_rule(body: AssignmentRuleBody) -> Call[AssignmentRuleView]:
    """Make an assignment rule.

    Needs `assignment-rules:write`.
    """
    return Call(
        operation="create_assignment_rule",
        method="POST",
        path="/inventory/v1/assignment-rules",
        takes_key=True,
        body=body,
    )


def list_assignment_rules() -> Listing[AssignmentRuleView]:
    """List all assignment rules, in the order in which they are asked.

    Needs `assignment-rules:read`.
    """
    return Listing(
        operation="list_assignment_rules",
        method="GET",
        path="/inventory/v1/assignment-rules",
    )


def apply_assignment_rules(body: ApplyBody) -> Call[EditView]:
    """Apply the rules to all that is known, or say what that would do.

    Needs `assignment-rules:write`.
    """
    return Call(
        operation="apply_assignment_rules",
        method="POST",
        path="/inventory/v1/assignment-rules/apply",
        takes_key=True,
        body=body,
    )


def get_assignment_rule(rule_id: str) -> Call[AssignmentRuleView]:
    """Show an assignment rule.

    Needs `assignment-rules:read`.
    """
    return Call(
        operation="get_assignment_rule",
        method="GET",
        path=f"/inventory/v1/assignment-rules/{quoted(rule_id)}",
    )


def change_assignment_rule(
    rule_id: str,
    body: AssignmentRulePatch,
    *,
    if_match: str | None = None,
) -> Call[AssignmentRuleView]:
    """Change an assignment rule.

    Needs `assignment-rules:write`.
    """
    return Call(
        operation="change_assignment_rule",
        method="PATCH",
        path=f"/inventory/v1/assignment-rules/{quoted(rule_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_assignment_rule(rule_id: str) -> Call[None]:
    """Delete an assignment rule; what it said stays.

    Needs `assignment-rules:write`.
    """
    return Call(
        operation="delete_assignment_rule",
        method="DELETE",
        path=f"/inventory/v1/assignment-rules/{quoted(rule_id)}",
        answers="nothing",
    )


def change_certificates(body: BulkBody) -> Call[EditView]:
    """Change many certificates at once, or say what that would do.

    Needs `certificates:write`.
    """
    return Call(
        operation="change_certificates",
        method="POST",
        path="/inventory/v1/certificates/bulk",
        takes_key=True,
        body=body,
    )


def list_edits(*, limit: int | None = None, cursor: str | None = None) -> Listing[EditView]:
    """List edits of many certificates, newest first.

    Needs `certificates:read`.
    """
    return Listing(
        operation="list_edits",
        method="GET",
        path="/inventory/v1/edits",
        query={"limit": limit, "cursor": cursor},
    )


def get_edit(edit_id: str) -> Call[EditView]:
    """Show how far an edit of many certificates has come.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_edit",
        method="GET",
        path=f"/inventory/v1/edits/{quoted(edit_id)}",
    )


def create_saved_query(body: SavedQueryBody) -> Call[SavedQueryView]:
    """Save a query.

    Needs `saved-queries:write`.
    """
    return Call(
        operation="create_saved_query",
        method="POST",
        path="/inventory/v1/saved-queries",
        takes_key=True,
        body=body,
    )


def list_saved_queries(*, limit: int | None = None, cursor: str | None = None) -> Listing[SavedQueryView]:
    """List saved queries: your own, and those that others share.

    Needs `saved-queries:read`.
    """
    return Listing(
        operation="list_saved_queries",
        method="GET",
        path="/inventory/v1/saved-queries",
        query={"limit": limit, "cursor": cursor},
    )


def get_saved_query(query_id: str) -> Call[SavedQueryView]:
    """Show a saved query.

    Needs `saved-queries:read`.
    """
    return Call(
        operation="get_saved_query",
        method="GET",
        path=f"/inventory/v1/saved-queries/{quoted(query_id)}",
    )


def change_saved_query(
    query_id: str,
    body: SavedQueryPatch,
    *,
    if_match: str | None = None,
) -> Call[SavedQueryView]:
    """Change a saved query of your own.

    Needs `saved-queries:write`.
    """
    return Call(
        operation="change_saved_query",
        method="PATCH",
        path=f"/inventory/v1/saved-queries/{quoted(query_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_saved_query(query_id: str) -> Call[None]:
    """Forget a saved query of your own.

    Needs `saved-queries:write`.
    """
    return Call(
        operation="delete_saved_query",
        method="DELETE",
        path=f"/inventory/v1/saved-queries/{quoted(query_id)}",
        answers="nothing",
    )


def get_arrangement(name: str) -> Call[ArrangementView]:
    """Show how you have arranged a page.

    Needs `arrangements:read`.
    """
    return Call(
        operation="get_arrangement",
        method="GET",
        path=f"/inventory/v1/arrangements/{quoted(name)}",
    )


def put_arrangement(name: str, body: ArrangementBody) -> Call[ArrangementView]:
    """Arrange a page as you like it.

    Needs `arrangements:read`.
    """
    return Call(
        operation="put_arrangement",
        method="PUT",
        path=f"/inventory/v1/arrangements/{quoted(name)}",
        body=body,
    )


def list_shared_keys(*, limit: int | None = None, cursor: str | None = None) -> Listing[KeyView]:
    """List keys that are in several certificates or places, the worst first.

    Needs `certificates:read`.
    """
    return Listing(
        operation="list_shared_keys",
        method="GET",
        path="/inventory/v1/keys",
        query={"limit": limit, "cursor": cursor},
    )


def get_key(fingerprint: str) -> Call[KeyReportView]:
    """Show a key: its certificates, places, hosts and lineages.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_key",
        method="GET",
        path=f"/inventory/v1/keys/{quoted(fingerprint)}",
    )


def list_key_places(
    fingerprint: str,
    *,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[SeenPlaceView]:
    """List the places of a key.

    Needs `places:read`.
    """
    return Listing(
        operation="list_key_places",
        method="GET",
        path=f"/inventory/v1/keys/{quoted(fingerprint)}/places",
        query={"limit": limit, "cursor": cursor},
    )


def list_wildcards(*, limit: int | None = None, cursor: str | None = None) -> Listing[WildcardView]:
    """List wildcard certificates, those in most places first.

    Needs `certificates:read`.
    """
    return Listing(
        operation="list_wildcards",
        method="GET",
        path="/inventory/v1/wildcards",
        query={"limit": limit, "cursor": cursor},
    )


def get_wildcard(fingerprint: str) -> Call[WildcardReportView]:
    """Show where a wildcard certificate is, and what it covers.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_wildcard",
        method="GET",
        path=f"/inventory/v1/wildcards/{quoted(fingerprint)}",
    )


def list_duplicates(*, limit: int | None = None, cursor: str | None = None) -> Listing[DuplicatesView]:
    """List certificates in use that do the same, those in most places first.

    Needs `certificates:read`.
    """
    return Listing(
        operation="list_duplicates",
        method="GET",
        path="/inventory/v1/duplicates",
        query={"limit": limit, "cursor": cursor},
    )


def count_oddities() -> Call[OdditiesView]:
    """Count certificates by what is odd about their bytes.

    Needs `certificates:read`.
    """
    return Call(
        operation="count_oddities",
        method="GET",
        path="/inventory/v1/oddities",
    )


def list_devices(*, limit: int | None = None, cursor: str | None = None) -> Listing[DeviceView]:
    """List addresses and hosts, and how much is at each.

    Needs `places:read`.
    """
    return Listing(
        operation="list_devices",
        method="GET",
        path="/inventory/v1/devices",
        query={"limit": limit, "cursor": cursor},
    )


def get_device(address: str) -> Call[DeviceReportView]:
    """Show a host under all its addresses: places, certificates, keys, flaws.

    Needs `places:read`.
    """
    return Call(
        operation="get_device",
        method="GET",
        path=f"/inventory/v1/devices/{quoted(address)}",
    )


def list_issuers(
    *,
    expires_before: str | None = None,
    outlived: bool | None = None,
    rule: str | None = None,
    severity: Severity | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[IssuerView]:
    """List intermediates and roots, those that end first first.

    Needs `certificates:read`.
    """
    return Listing(
        operation="list_issuers",
        method="GET",
        path="/inventory/v1/issuers",
        query={"expires_before": expires_before, "outlived": outlived, "rule": rule, "severity": severity, "limit": limit, "cursor": cursor},
    )


def count_issuer_findings() -> Call[IssuerRuleCountsView]:
    """Count the intermediates and roots that break each rule.

    Needs `certificates:read`.
    """
    return Call(
        operation="count_issuer_findings",
        method="GET",
        path="/inventory/v1/issuer-findings",
    )


def get_issuer(fingerprint: str) -> Call[IssuerReportView]:
    """Show an intermediate or root, and how much is under it.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_issuer",
        method="GET",
        path=f"/inventory/v1/issuers/{quoted(fingerprint)}",
    )


def list_issuer_certificates(
    fingerprint: str,
    *,
    outliving: bool | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[CertificateView]:
    """List the certificates that were served with it above them, those that end first first.

    Needs `certificates:read`.
    """
    return Listing(
        operation="list_issuer_certificates",
        method="GET",
        path=f"/inventory/v1/issuers/{quoted(fingerprint)}/certificates",
        query={"outliving": outliving, "limit": limit, "cursor": cursor},
    )


def get_certificate_history(
    fingerprint: str,
    *,
    at: str | None = None,
    on: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[StretchView]:
    """List where a certificate was, and when.

    Needs `places:read`.
    """
    return Listing(
        operation="get_certificate_history",
        method="GET",
        path=f"/inventory/v1/certificates/{quoted(fingerprint)}/history",
        query={"at": at, "on": on, "limit": limit, "cursor": cursor},
    )


def get_cbom(*, spec: Spec | None = None, query: str | None = None) -> Call[dict[str, Any]]:
    """Export certificates, keys, algorithms and protocols as a CycloneDX CBOM.

    Needs `certificates:read`.
    """
    return Call(
        operation="get_cbom",
        method="GET",
        path="/inventory/v1/cbom",
        query={"spec": spec, "query": query},
    )


def get_jwks() -> Call[KeysView]:
    """The keys tokens are verified with.

    Needs no token: the keys tokens are verified with.
    """
    return Call(
        operation="get_jwks",
        method="GET",
        path="/inventory/v1/jwks.json",
    )


def create_token(body: TokenBody) -> Call[TokenView]:
    """Exchange an API key, sent as bearer, for a token.

    Needs no token: an API key is sent instead of a token.
    """
    return Call(
        operation="create_token",
        method="POST",
        path="/inventory/v1/tokens",
        body=body,
    )


def create_oauth_token(body: Mapping[str, str]) -> Call[OAuthTokenView]:
    """Get a token by OAuth 2.0 client credentials.

    Needs no token: the client's credentials are sent instead of a token.
    """
    return Call(
        operation="create_oauth_token",
        method="POST",
        path="/inventory/v1/oauth/token",
        body=body,
        sends="application/x-www-form-urlencoded",
    )


def create_session() -> Call[None]:
    """Sign in with an API key or a token, sent as bearer: a session begins.

    Needs no token: an API key or a token is sent, and a cookie comes back.
    """
    return Call(
        operation="create_session",
        method="POST",
        path="/inventory/v1/session",
        answers="nothing",
    )


def end_session() -> Call[None]:
    """Sign out: ends the session and all tokens of whose it was.

    Needs no token: the session's cookie is sent instead of a token.
    """
    return Call(
        operation="end_session",
        method="DELETE",
        path="/inventory/v1/session",
        answers="nothing",
    )


def create_session_token() -> Call[TokenView]:
    """Exchange the session's cookie for a token.

    Needs no token: the session's cookie is sent instead of a token.
    """
    return Call(
        operation="create_session_token",
        method="POST",
        path="/inventory/v1/session/token",
    )


def list_principals(*, limit: int | None = None, cursor: str | None = None) -> Listing[PrincipalView]:
    """List principals.

    Needs `principals:admin`.
    """
    return Listing(
        operation="list_principals",
        method="GET",
        path="/inventory/v1/principals",
        query={"limit": limit, "cursor": cursor},
    )


def create_principal(body: PrincipalBody) -> Call[PrincipalView]:
    """Make a principal.

    Needs `principals:admin`.
    """
    return Call(
        operation="create_principal",
        method="POST",
        path="/inventory/v1/principals",
        takes_key=True,
        body=body,
    )


def get_principal(principal_id: str) -> Call[PrincipalReportView]:
    """Show a principal and its API keys.

    Needs `principals:admin`.
    """
    return Call(
        operation="get_principal",
        method="GET",
        path=f"/inventory/v1/principals/{quoted(principal_id)}",
    )


def list_principal_names(*, id: list[str]) -> Call[NamesView]:
    """Show what principals are called, by their ids.

    Needs `principal-names:read`.
    """
    return Call(
        operation="list_principal_names",
        method="GET",
        path="/inventory/v1/principal-names",
        query={"id": id},
    )


def search_principal_names(*, text: str | None = None, limit: int | None = None) -> Call[NamesView]:
    """Find principals by a part of their names.

    Needs `principal-names:audit`.
    """
    return Call(
        operation="search_principal_names",
        method="GET",
        path="/inventory/v1/principal-names/search",
        query={"text": text, "limit": limit},
    )


def set_rights(principal_id: str, body: RightsBody, *, if_match: str | None = None) -> Call[PrincipalView]:
    """Give a principal other roles, permissions and groups.

    Needs `principals:admin`.
    """
    return Call(
        operation="set_rights",
        method="PUT",
        path=f"/inventory/v1/principals/{quoted(principal_id)}/rights",
        headers={"If-Match": if_match},
        body=body,
    )


def disable_principal(principal_id: str) -> Call[PrincipalView]:
    """Let a principal do nothing any more.

    Needs `principals:admin`.
    """
    return Call(
        operation="disable_principal",
        method="POST",
        path=f"/inventory/v1/principals/{quoted(principal_id)}/disable",
    )


def enable_principal(principal_id: str) -> Call[PrincipalView]:
    """Let a disabled principal ask again.

    Needs `principals:admin`.
    """
    return Call(
        operation="enable_principal",
        method="POST",
        path=f"/inventory/v1/principals/{quoted(principal_id)}/enable",
    )


def unpin_principal(principal_id: str) -> Call[PrincipalView]:
    """Let a principal send another sealing key.

    Needs `principals:admin`.
    """
    return Call(
        operation="unpin_principal",
        method="POST",
        path=f"/inventory/v1/principals/{quoted(principal_id)}/unpin",
    )


def create_api_key(principal_id: str, body: ApiKeyBody) -> Call[MadeKeyView]:
    """Make an API key, shown this once.

    Needs `principals:admin`.
    """
    return Call(
        operation="create_api_key",
        method="POST",
        path=f"/inventory/v1/principals/{quoted(principal_id)}/api-keys",
        body=body,
    )


def revoke_api_key(key_id: str) -> Call[None]:
    """Revoke an API key and the tokens of its holder.

    Needs `principals:admin`.
    """
    return Call(
        operation="revoke_api_key",
        method="DELETE",
        path=f"/inventory/v1/api-keys/{quoted(key_id)}",
        answers="nothing",
    )


def list_assessments(
    *,
    grade: Literal["A+", "A", "A-", "B", "C", "D", "E", "F", "M", "T"] | None = None,
    policy: str | None = None,
    verdict: Result | None = None,
    key_exchange: KeyExchange | None = None,
    fingerprint: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[AssessmentView]:
    """List how good what is served is.

    Needs `assessments:read`.
    """
    return Listing(
        operation="list_assessments",
        method="GET",
        path="/inventory/v1/assessments",
        query={"grade": grade, "policy": policy, "verdict": verdict, "key_exchange": key_exchange, "fingerprint": fingerprint, "limit": limit, "cursor": cursor},
    )


def get_assessment_summary() -> Call[AssessmentCountsView]:
    """Count places by letter, verdict and readiness.

    Needs `assessments:read`.
    """
    return Call(
        operation="get_assessment_summary",
        method="GET",
        path="/inventory/v1/assessments/summary",
    )


def get_place_assessment(place_id: str) -> Call[AssessmentView]:
    """Show how good a place is, and why.

    Needs `assessments:read`.
    """
    return Call(
        operation="get_place_assessment",
        method="GET",
        path=f"/inventory/v1/places/{quoted(place_id)}/assessment",
    )


def list_policies(*, limit: int | None = None, cursor: str | None = None) -> Listing[PolicyView]:
    """List policies.

    Needs `policies:read`.
    """
    return Listing(
        operation="list_policies",
        method="GET",
        path="/inventory/v1/policies",
        query={"limit": limit, "cursor": cursor},
    )


def create_policy(body: PolicyBody) -> Call[PolicyView]:
    """Make a policy, which is off at first.

    Needs `policies:write`.
    """
    return Call(
        operation="create_policy",
        method="POST",
        path="/inventory/v1/policies",
        takes_key=True,
        body=body,
    )


def get_policy(policy_id: str) -> Call[PolicyView]:
    """Show a policy.

    Needs `policies:read`.
    """
    return Call(
        operation="get_policy",
        method="GET",
        path=f"/inventory/v1/policies/{quoted(policy_id)}",
    )


def replace_policy(policy_id: str, body: Document, *, if_match: str | None = None) -> Call[PolicyView]:
    """Let an own policy say something else.

    Needs `policies:write`.
    """
    return Call(
        operation="replace_policy",
        method="PUT",
        path=f"/inventory/v1/policies/{quoted(policy_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def preview_policy(policy_id: str, body: PreviewBody | None = None) -> Call[PolicyPreviewView]:
    """Show what a policy, or a draft of it, would change.

    Needs `policies:read`.
    """
    return Call(
        operation="preview_policy",
        method="POST",
        path=f"/inventory/v1/policies/{quoted(policy_id)}/preview",
        body=body,
    )


def enable_policy(policy_id: str) -> Call[PolicyView]:
    """Switch a policy on: every place is judged by it, and who breaks it is told.

    Needs `policies:write`.
    """
    return Call(
        operation="enable_policy",
        method="POST",
        path=f"/inventory/v1/policies/{quoted(policy_id)}/enable",
    )


def disable_policy(policy_id: str) -> Call[PolicyView]:
    """Switch a policy off: what was told of it is over.

    Needs `policies:write`.
    """
    return Call(
        operation="disable_policy",
        method="POST",
        path=f"/inventory/v1/policies/{quoted(policy_id)}/disable",
    )


def approve_exception(exception_id: str, *, if_match: str | None = None) -> Call[ExceptionView]:
    """Approve what somebody else has asked for.

    Needs `exceptions:approve`.
    """
    return Call(
        operation="approve_exception",
        method="POST",
        path=f"/inventory/v1/exceptions/{quoted(exception_id)}/approve",
        headers={"If-Match": if_match},
    )


def refuse_exception(exception_id: str, *, if_match: str | None = None) -> Call[ExceptionView]:
    """Refuse what somebody else has asked for.

    Needs `exceptions:approve`.
    """
    return Call(
        operation="refuse_exception",
        method="POST",
        path=f"/inventory/v1/exceptions/{quoted(exception_id)}/refuse",
        headers={"If-Match": if_match},
    )


def withdraw_exception(exception_id: str, *, if_match: str | None = None) -> Call[ExceptionView]:
    """End an exception, or the wish for it, before its time.

    Needs `exceptions:write`.
    """
    return Call(
        operation="withdraw_exception",
        method="POST",
        path=f"/inventory/v1/exceptions/{quoted(exception_id)}/withdraw",
        headers={"If-Match": if_match},
    )


def request_exception(body: ExceptionBody) -> Call[ExceptionView]:
    """Ask for an exception from a rule.

    Needs `exceptions:write`.
    """
    return Call(
        operation="request_exception",
        method="POST",
        path="/inventory/v1/exceptions",
        takes_key=True,
        body=body,
    )


def list_exceptions(
    *,
    policy: str | None = None,
    state: ExceptionState | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[ExceptionView]:
    """List exceptions, newest first.

    Needs `exceptions:read`.
    """
    return Listing(
        operation="list_exceptions",
        method="GET",
        path="/inventory/v1/exceptions",
        query={"policy": policy, "state": state, "limit": limit, "cursor": cursor},
    )


def get_exception(exception_id: str) -> Call[ExceptionView]:
    """Show an exception.

    Needs `exceptions:read`.
    """
    return Call(
        operation="get_exception",
        method="GET",
        path=f"/inventory/v1/exceptions/{quoted(exception_id)}",
    )


def list_dead_letters(*, limit: int | None = None) -> Call[DeadLetters]:
    """List events that were given up.

    Needs `dead-letters:read`.
    """
    return Call(
        operation="list_dead_letters",
        method="GET",
        path="/inventory/v1/dead-letters",
        query={"limit": limit},
    )


def redrive_dead_letters(body: Redrive) -> Call[Moved]:
    """Put dead letters back for another try.

    Needs `dead-letters:admin`.
    """
    return Call(
        operation="redrive_dead_letters",
        method="POST",
        path="/inventory/v1/dead-letters/redrive",
        body=body,
    )


def discard_dead_letters(body: Discard) -> Call[Moved]:
    """Throw dead letters away.

    Needs `dead-letters:admin`.
    """
    return Call(
        operation="discard_dead_letters",
        method="POST",
        path="/inventory/v1/dead-letters/discard",
        body=body,
    )


def list_audit_keys() -> Call[AuditKeysView]:
    """Show what this service signs the audit trail with.

    Needs no token: verification keys are public.
    """
    return Call(
        operation="list_audit_keys",
        method="GET",
        path="/inventory/v1/audit-keys",
    )
