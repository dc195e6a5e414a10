"""What renewal can be asked, and what it answers.

Written by `make contracts` from services/renewal/openapi.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from everleaf.calls import Call, Listing, Page, quoted


class AdoptionBody(TypedDict):
    """Which certificate is to be renewed by itself from now on; all else is proposed, unless it is
    said here.
    """

    fingerprint: str
    """SHA-256 of its DER."""
    profile: NotRequired[str | None]
    """A profile's name."""
    authority: NotRequired[str | None]
    """Instead of a profile: where none of this authority's fits, one is made for exactly its names."""
    challenge: NotRequired[Challenge | None]
    """For a profile that is made."""
    names: NotRequired[list[str] | None]
    """Left out: those of the certificate that runs out."""


class AdoptionProposalView(TypedDict):
    """How a certificate would be renewed."""

    fingerprint: str
    lineage_id: str
    names: list[str]
    issuer: str
    not_after: str | None
    key_type: KeyType
    """Of the new certificate's key."""
    lifetime: str
    """Of the new certificate."""
    owner: OwningTeamView | None
    profile: str | None
    """That fits best; empty where none does."""
    authority: str | None
    obstacle: str | None
    next_step: str
    is_adopted: bool
    """Whether it is renewed by itself already."""
    profiles: list[FitView]
    """The one that fits best first."""


class AdoptionView(TypedDict):
    """A certificate that was adopted."""

    proposal: AdoptionProposalView
    enrolment: EnrolmentView


class ApprovalReport(TypedDict):
    """An approval with all that was said, oldest first."""

    id: str
    kind: str
    subject_id: str
    """Its id: of an order, a revocation, a rollout."""
    lineage_id: str
    state: ApprovalState
    document: dict[str, Any]
    """Exactly what would be done."""
    digest: str
    """SHA-256 of the document in canonical JSON (RFC 8785)."""
    needed: int
    """How many different people have to agree."""
    approver_groups: list[str]
    """In one of these; where there are none, in any."""
    approver_roles: list[str]
    """With one of these; where there are none, with any."""
    requesters: list[str]
    """Who has a part in it; none of them approves it."""
    reason: str | None
    """Why it came to its end."""
    reminders: int
    created_at: str
    expires_at: str
    decided_at: str | None
    decisions: list[DecisionView]


ApprovalState = Literal["open", "granted", "refused", "expired", "void", "overridden"]
"""Where an approval is."""


class ApprovalView(TypedDict):
    """Something that is done only when enough people have agreed to exactly this."""

    id: str
    kind: str
    subject_id: str
    """Its id: of an order, a revocation, a rollout."""
    lineage_id: str
    state: ApprovalState
    document: dict[str, Any]
    """Exactly what would be done."""
    digest: str
    """SHA-256 of the document in canonical JSON (RFC 8785)."""
    needed: int
    """How many different people have to agree."""
    approver_groups: list[str]
    """In one of these; where there are none, in any."""
    approver_roles: list[str]
    """With one of these; where there are none, with any."""
    requesters: list[str]
    """Who has a part in it; none of them approves it."""
    reason: str | None
    """Why it came to its end."""
    reminders: int
    created_at: str
    expires_at: str
    decided_at: str | None


class AuditKeysView(TypedDict):
    """A JWKS (RFC 7517)."""

    keys: list[dict[str, str]]


class AuthorityBody(TypedDict):
    """A new authority."""

    name: str
    kind: str
    options: NotRequired[dict[str, JsonValue]]
    """As the kind of authority wants them."""
    secrets: NotRequired[dict[str, str]]
    """As the kind of authority wants them; never shown."""
    trust: NotRequired[Trust | None]
    """`public` where browsers trust it: then the CA/Browser Forum's rules hold. Left out: public for
    the ACME directories that are known to be.
    """
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees it who shares one with it; `*` is everybody. Left
    out, those of the caller; an object without any is for callers without groups only.
    """


class AuthorityKindView(TypedDict):
    """A kind of authority, with the JSON Schemas of its options and its secrets."""

    kind: str
    summary: str
    options: dict[str, Any]
    secrets: dict[str, Any]


class AuthorityKindsView(TypedDict):
    """Every kind of authority."""

    items: list[AuthorityKindView]


class AuthorityView(TypedDict):
    """An authority, without its secrets."""

    id: str
    name: str
    kind: str
    options: dict[str, Any]
    trust: Trust
    groups: list[str]
    """Who sees it; `*` is everybody."""
    created_at: str
    created_by: str


class BudgetBody(TypedDict):
    """What may be asked of an authority; what is left out has no limit."""

    orders: NotRequired[LimitBody | None]
    same_names: NotRequired[LimitBody | None]
    """Orders for exactly the same set of names."""
    failures: NotRequired[LimitBody | None]
    """Failed attempts at one name: then nothing is tried for it for a while."""
    exempts_replacements: NotRequired[bool]
    """The authority does not count orders that say what they replace (RFC 9773 §5)."""


class BudgetView(TypedDict):
    """What may be asked of an authority, and what was."""

    authority: str
    orders: LimitView | None
    same_names: LimitView | None
    failures: LimitView | None
    exempts_replacements: bool
    is_usual: bool
    """Nobody has set it: Let's Encrypt's limits for public ACME authorities, else none."""
    orders_spent: int
    """Orders placed within the window of `orders`; without one, in a day."""
    waiting: int
    """Orders that wait for it."""


class ByHandView(TypedDict):
    """What people have to do."""

    owner: str | None
    obstacle: str | None
    count: int


class CampaignBody(TypedDict):
    """Certificates that are to be replaced."""

    name: str
    query: str
    """Which, in inventory's query language; of those the ones in use are taken."""
    reason: str
    deadline: NotRequired[str | None]
    profiles: NotRequired[list[str]]
    """By which they may be replaced; left out, each by what fits it best."""
    not_from: NotRequired[list[str]]
    """Names of authorities that must not issue the new ones."""
    waves: NotRequired[WavesBody]
    revoke: NotRequired[RevocationReason | None]
    """Revoke each old one, with this reason, once the new one was seen in its place."""
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


class CampaignReport(TypedDict):
    """A campaign, and how far it is."""

    id: str
    name: str
    query: str
    reason: str
    deadline: str | None
    profiles: list[str]
    not_from: list[str]
    waves: dict[str, Any]
    revoke: RevocationReason | None
    groups: list[str]
    state: CampaignState
    wave: int
    """The one that is being worked on, from 0."""
    plan_digest: str | None
    """Of all that would be done; starting it says which is meant."""
    last_error: str | None
    """Why it does not go on, or was stopped."""
    next_step: str | None
    created_at: str
    created_by: str
    started_at: str | None
    started_by: str | None
    finished_at: str | None
    counts: dict[str, int]
    total: int
    bound: int
    """How many the provisioner puts in place by itself."""
    wave_count: int
    per_hour: float
    """How many were done an hour, of late."""
    ends_at: str | None
    """When it will be over, as it goes now."""
    is_late: bool
    """Whether that is after the deadline."""
    by_hand: list[ByHandView]
    """Who has to replace how many by hand, and why."""


CampaignState = Literal["planning", "planned", "awaiting_approval", "running", "paused", "aborted", "finished"]
"""Where a campaign is."""


class CampaignView(TypedDict):
    """A campaign."""

    id: str
    name: str
    query: str
    reason: str
    deadline: str | None
    profiles: list[str]
    not_from: list[str]
    waves: dict[str, Any]
    revoke: RevocationReason | None
    groups: list[str]
    state: CampaignState
    wave: int
    """The one that is being worked on, from 0."""
    plan_digest: str | None
    """Of all that would be done; starting it says which is meant."""
    last_error: str | None
    """Why it does not go on, or was stopped."""
    next_step: str | None
    created_at: str
    created_by: str
    started_at: str | None
    started_by: str | None
    finished_at: str | None


class CeilingView(TypedDict):
    """The longest that a publicly trusted certificate may last, from a day on."""

    begins: str
    longest: str


class CertificateBody(TypedDict):
    """The certificate that another authority has signed."""

    certificate: str
    """PEM: the authority's own certificate, those above it, and the root last."""


Challenge = Literal["http-01", "dns-01", "tls-alpn-01"]
"""How control of a name is shown (RFC 8555 §8)."""


class ChangedKeyView(TypedDict):
    """An authority knows us by a fresh key since."""

    authority_id: str
    changed_at: str


Custody = Literal["central", "target", "pkcs11"]
"""Where a private key is made and kept."""


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


class DecisionBody(TypedDict):
    """What the caller decides, and on what."""

    verdict: Literal["grant", "refuse"]
    digest: str
    """That of the approval as it was read: another one does not count."""
    reason: str


class DecisionView(TypedDict):
    """What somebody has said."""

    principal: str
    name: str
    verdict: Verdict
    reason: str
    digest: str
    means: str
    """`api`, or by whom it was passed on."""
    is_counted: bool
    objection: str | None
    """Why it did not count."""
    at: str


class DigestBody(TypedDict):
    """Which plan is meant."""

    plan_digest: str


class Discard(TypedDict):
    """Which dead letters to throw away."""

    ids: list[str]


class DistrustBody(TypedDict):
    """Who is not trusted any more; exactly one of the three says who."""

    authority: NotRequired[str | None]
    """An authority's name."""
    issuer: NotRequired[str | None]
    """An issuer's name, as certificates show it."""
    issuer_key: NotRequired[str | None]
    """SHA-256 of the issuer's public key (its SubjectPublicKeyInfo)."""
    reason: str


class DistrustReport(TypedDict):
    """Somebody who is not trusted any more, and what follows."""

    id: str
    authority_id: str | None
    issuer: str | None
    issuer_key: str | None
    reason: str
    created_at: str
    created_by: str
    due: int
    """Enrolled lineages that are renewed now because of it, as the budgets allow."""


class DistrustView(TypedDict):
    """Somebody who is not trusted."""

    id: str
    authority_id: str | None
    issuer: str | None
    issuer_key: str | None
    reason: str
    created_at: str
    created_by: str


class EnrolmentBody(TypedDict):
    """How a lineage is to be renewed."""

    profile: str
    """A profile's name."""
    names: NotRequired[list[str] | None]
    """Left out: those of the certificate that runs out."""


class EnrolmentView(TypedDict):
    """A lineage that is renewed by itself."""

    lineage_id: str
    profile: str
    names: list[str] | None
    created_at: str
    created_by: str
    updated_at: str


class FitView(TypedDict):
    """A profile and how well it fits."""

    profile: str
    authority: str
    key_type: KeyType
    lifetime: str
    obstacle: str | None
    """Why it cannot be taken."""
    is_same_issuer: bool
    is_same_key: bool


class GroupsBody(TypedDict):
    """The groups that an object is to be in."""

    groups: list[str]
    """The groups it is in: a caller with groups sees it who shares one with it; `*` is everybody. Left
    out, those of the caller; an object without any is for callers without groups only.
    """


ItemState = Literal["planned", "ordered", "renewed", "replaced", "failed", "by-hand", "skipped"]
"""Where one certificate of a campaign is."""


class ItemView(TypedDict):
    """One certificate of a campaign."""

    lineage_id: str
    fingerprint: str
    names: list[str]
    issuer: str
    not_after: str
    owner: str | None
    profile: str | None
    authority: str | None
    obstacle: str | None
    next_step: str | None
    is_bound: bool
    wave: int | None
    state: ItemState
    order_id: str | None
    new_fingerprint: str | None
    ordered_at: str | None
    renewed_at: str | None
    observed_at: str | None


JsonValue = Any


class KeyReleaseBody(TypedDict):
    """What the key is for."""

    deployment_id: str


class KeyReleaseView(TypedDict):
    """Who was given a private key, when, and for what."""

    id: str
    order_id: str
    deployment_id: str
    principal: str
    released_at: str
    trace_id: str
    is_repeat: bool
    """Whether the same deployment had got it before."""


class KeySet(TypedDict):
    """What reports are verified with (RFC 7517)."""

    keys: list[dict[str, str]]


KeyType = Literal["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "ed25519"]
"""The kinds of key a certificate can have."""


class LimitBody(TypedDict):
    """At most so many within any window of this length."""

    most: int
    window: str
    """ISO 8601: at least a second, at most 30 days."""


class LimitView(TypedDict):
    """At most so many within any window of this length."""

    most: int
    window: str


class Moved(TypedDict):
    """How many dead letters were moved."""

    count: int


class OrderBody(TypedDict):
    """A certificate to be obtained now."""

    names: NotRequired[list[str]]
    """May be left out where a request is brought in `csr`."""
    profile: str
    """A profile's name."""
    lineage_id: NotRequired[str | None]
    """What it renews; left out, it begins a new lineage."""
    csr: NotRequired[str | None]
    """A request of your own (PKCS#10) in PEM: its key never comes here, and nobody puts it in place
    for you.
    """
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


class OrderReport(TypedDict):
    """An order with its steps, oldest first, and what was issued."""

    id: str
    lineage_id: str
    state: State
    names: list[str]
    authority: str
    reason: Reason | None
    """Why it was ordered, where the schedule or `renew-now` did."""
    held_by: str | None
    """What it waits for without having failed: `budget` or `loop`."""
    old_fingerprint: str | None
    fingerprint: str | None
    not_before: str | None
    not_after: str | None
    attempts: int
    """How many attempts have failed."""
    last_error: str | None
    next_step: str | None
    """What a person can do about it."""
    next_attempt_at: str | None
    created_at: str
    created_by: str
    renewed_at: str | None
    observed_at: str | None
    """When the new certificate was seen in every place of the old one."""
    chain: list[str] | None
    """DER in base64, leaf first."""
    steps: list[StepView]


class OrderView(TypedDict):
    """A certificate on its way here."""

    id: str
    lineage_id: str
    state: State
    names: list[str]
    authority: str
    reason: Reason | None
    """Why it was ordered, where the schedule or `renew-now` did."""
    held_by: str | None
    """What it waits for without having failed: `budget` or `loop`."""
    old_fingerprint: str | None
    fingerprint: str | None
    not_before: str | None
    not_after: str | None
    attempts: int
    """How many attempts have failed."""
    last_error: str | None
    next_step: str | None
    """What a person can do about it."""
    next_attempt_at: str | None
    created_at: str
    created_by: str
    renewed_at: str | None
    observed_at: str | None
    """When the new certificate was seen in every place of the old one."""


class OverrideBody(TypedDict):
    """Why it cannot wait."""

    reason: str


class OwningTeamView(TypedDict):
    """The team that owns the certificate."""

    id: str
    name: str


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


class ProfileBody(TypedDict):
    """A new profile."""

    name: str
    authority: str
    """An authority's name."""
    key_type: NotRequired[KeyType]
    lifetime: NotRequired[str]
    """ISO 8601: from five minutes to 3650 days. An ACME authority decides it by itself."""
    allowed_names: list[str]
    """A name, `*.` before a name (exactly one label), or an IP network."""
    challenge: NotRequired[Challenge | None]
    """How an ACME authority is shown control."""
    fallback_authority: NotRequired[str | None]
    """Asked where the authority keeps failing and time runs out."""
    authority_profile: NotRequired[str | None]
    """What the authority calls its terms: a profile, a template, a product."""
    renew_before: NotRequired[str | None]
    """ISO 8601: how long before the end it is renewed, at least a minute. Only for a lifetime of more
    than 200 days.
    """
    renew_fraction: NotRequired[float | None]
    """The part of the lifetime after which it is renewed. Left out: two thirds, half below 10 days."""
    renew_noncompliant: NotRequired[RuleSeverity | None]
    """Renew at once what breaks a rule of a policy that is at least as bad; left out, never."""
    key_custody: NotRequired[Custody]
    """Where keys are made and kept; `central`: sealed here, `target`: there, `pkcs11`: in the token."""
    reuse_key: NotRequired[bool]
    """Renew with the same key instead of a new one each time."""
    reuse_key_reason: NotRequired[str | None]
    approvals_needed: NotRequired[int]
    """How many people, none of them who asks, have to agree to each order. Unchanged automated renewal
    goes on without.
    """
    approver_groups: NotRequired[list[str]]
    """They are in one of these groups; with none, in any."""
    approver_roles: NotRequired[list[Literal["approver", "admin"]]]
    """They have one of these roles; with none, any right to approve will do."""
    revoke_replaced: NotRequired[bool]
    """Revoke a certificate some days after another was seen in all its places."""
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees it who shares one with it; `*` is everybody. Left
    out, those of the caller; an object without any is for callers without groups only.
    """


class ProfileTerms(TypedDict):
    """On which terms, and for which names, certificates are to be ordered."""

    name: str
    authority: str
    """An authority's name."""
    key_type: NotRequired[KeyType]
    lifetime: NotRequired[str]
    """ISO 8601: from five minutes to 3650 days. An ACME authority decides it by itself."""
    allowed_names: list[str]
    """A name, `*.` before a name (exactly one label), or an IP network."""
    challenge: NotRequired[Challenge | None]
    """How an ACME authority is shown control."""
    fallback_authority: NotRequired[str | None]
    """Asked where the authority keeps failing and time runs out."""
    authority_profile: NotRequired[str | None]
    """What the authority calls its terms: a profile, a template, a product."""
    renew_before: NotRequired[str | None]
    """ISO 8601: how long before the end it is renewed, at least a minute. Only for a lifetime of more
    than 200 days.
    """
    renew_fraction: NotRequired[float | None]
    """The part of the lifetime after which it is renewed. Left out: two thirds, half below 10 days."""
    renew_noncompliant: NotRequired[RuleSeverity | None]
    """Renew at once what breaks a rule of a policy that is at least as bad; left out, never."""
    key_custody: NotRequired[Custody]
    """Where keys are made and kept; `central`: sealed here, `target`: there, `pkcs11`: in the token."""
    reuse_key: NotRequired[bool]
    """Renew with the same key instead of a new one each time."""
    reuse_key_reason: NotRequired[str | None]
    approvals_needed: NotRequired[int]
    """How many people, none of them who asks, have to agree to each order. Unchanged automated renewal
    goes on without.
    """
    approver_groups: NotRequired[list[str]]
    """They are in one of these groups; with none, in any."""
    approver_roles: NotRequired[list[Literal["approver", "admin"]]]
    """They have one of these roles; with none, any right to approve will do."""
    revoke_replaced: NotRequired[bool]
    """Revoke a certificate some days after another was seen in all its places."""


class ProfileView(TypedDict):
    """A profile."""

    id: str
    name: str
    authority: str
    key_type: KeyType
    lifetime: str
    allowed_names: list[str]
    challenge: Challenge | None
    trust: Trust
    """Of its authority: the CA/Browser Forum's rules hold for a public one."""
    fallback_authority: str | None
    authority_profile: str | None
    renew_before: str | None
    renew_fraction: float | None
    renew_noncompliant: RuleSeverity | None
    key_custody: Custody
    reuse_key: bool
    reuse_key_reason: str | None
    approvals_needed: int
    approver_groups: list[str]
    approver_roles: list[str]
    revoke_replaced: bool
    version: int
    groups: list[str]
    """Who may order by it; `*` is everybody."""
    exceeds: list[CeilingView]
    """Ceilings of the CA/Browser Forum, in force or to come, that `lifetime` is over. They hold where
    the authority is publicly trusted: then the profile breaks on that day.
    """
    created_at: str
    created_by: str


Reason = Literal["ari", "profile", "fraction", "revoked", "noncompliant", "distrusted", "expiring", "asked", "unknown"]
"""Why a certificate is renewed when it is."""


class ReasonBody(TypedDict):
    """Why."""

    reason: str


class Redrive(TypedDict):
    """Which dead letters to put back."""

    ids: NotRequired[list[str] | None]
    """Event ids; left out, all of them."""


class RenewalWindowView(TypedDict):
    """When the authority would have it renewed (RFC 9773)."""

    start: str
    end: str
    explanation_url: str | None
    """Where the authority says why, where it does."""


class RequestBody(TypedDict):
    """A certification request (PKCS#10) for exactly the names of the order."""

    csr: str
    """In PEM, signed by a new key of the profile's kind, which stays on the target."""


class RequestRefusalBody(TypedDict):
    """Why there is no request."""

    reason: str
    next_step: str
    """What a person can do about it."""
    is_final: bool
    """Whether the order fails; if not, it is tried again until `renewal.request_wanted` expires."""


class ResumeBody(TypedDict):
    """How it is to go on."""

    retry_failed: NotRequired[bool]
    """Order again what has failed."""


class RevocationBody(TypedDict):
    """A certificate that is to be taken back: named by itself, or by the order that it was obtained
    by.
    """

    fingerprint: NotRequired[str | None]
    """SHA-256 of the DER, in lower-case hexadecimal."""
    order_id: NotRequired[str | None]
    reason: RevocationReason
    """As RFC 5280 §5.3.1 names it."""
    when: NotRequired[Start]
    """Once another was seen in every place of it, or `now`: clients may refuse it from then on."""
    why: str


RevocationReason = Literal["unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation", "privilegeWithdrawn", "aACompromise"]
"""Why a certificate is taken back: those of RFC 5280 §5.3.1 that end it for good."""


class RevocationReport(TypedDict):
    """A revocation with its steps, oldest first."""

    id: str
    fingerprint: str
    lineage_id: str
    order_id: str
    authority: str
    names: list[str]
    reason: RevocationReason
    explanation: str
    starts: Start
    state: RevocationState
    attempts: int
    last_error: str | None
    next_step: str | None
    """What a person can do about it."""
    next_attempt_at: str | None
    revoked_at: str | None
    """When the authority has taken it."""
    confirmed_at: str | None
    """When its CRL or its OCSP responder was seen to say so."""
    confirmed_by: str | None
    created_at: str
    created_by: str
    steps: list[RevocationStepView]


RevocationState = Literal["awaiting_replacement", "awaiting_approval", "pending", "revoked", "confirmed", "unconfirmed", "failed"]
"""Where a revocation is."""


class RevocationStepView(TypedDict):
    """One thing that was done, or that failed."""

    at: str
    step: str
    text: str


class RevocationView(TypedDict):
    """A revocation on its way."""

    id: str
    fingerprint: str
    lineage_id: str
    order_id: str
    authority: str
    names: list[str]
    reason: RevocationReason
    explanation: str
    starts: Start
    state: RevocationState
    attempts: int
    last_error: str | None
    next_step: str | None
    """What a person can do about it."""
    next_attempt_at: str | None
    revoked_at: str | None
    """When the authority has taken it."""
    confirmed_at: str | None
    """When its CRL or its OCSP responder was seen to say so."""
    confirmed_by: str | None
    created_at: str
    created_by: str


RuleSeverity = Literal["low", "medium", "high"]
"""How bad it is to break a rule of a policy, least bad first."""


class ScheduleView(TypedDict):
    """When a lineage is renewed."""

    lineage_id: str
    fingerprint: str | None
    """The certificate to be renewed; empty while it is not known."""
    names: list[str] | None
    issuer: str | None
    not_before: str | None
    not_after: str | None
    renew_at: str | None
    """Empty while the certificate is not known."""
    reason: Reason
    """Why then."""
    because: str | None
    """What made it due, where something did."""
    window: RenewalWindowView | None
    looks_at: str | None
    """When the authority is asked for its window again."""
    ordered_at: str | None
    """When its renewal was ordered."""
    updated_at: str


class SealedKey(TypedDict):
    """A private key (PKCS#8 in PEM), by HPKE (RFC 9180) for the caller's key alone."""

    sealed_key: str
    """base64; the purpose is `everleaf private key ORDER DEPLOYMENT`."""


class SecretsBody(TypedDict):
    """The secrets that an authority is to have, all of them."""

    secrets: dict[str, str]
    """As the kind of authority wants them; never shown."""


Start = Literal["now", "after-replacement"]
"""When a certificate is revoked."""


State = Literal["pending", "awaiting_request", "awaiting_approval", "issuing", "waiting", "renewed", "failed"]
"""Where an order is."""


class StepView(TypedDict):
    """One thing that was done, or that failed."""

    at: str
    step: str
    text: str


Trust = Literal["public", "private"]
"""Who trusts an authority."""


Until = Literal["renewed", "replaced"]
"""What the next wave waits for."""


Verdict = Literal["grant", "refuse", "override"]
"""What somebody says."""


class WavesBody(TypedDict):
    """How fast it goes."""

    first: NotRequired[int]
    """Certificates of the first wave, to learn from."""
    size: NotRequired[int]
    """Certificates of each wave after it."""
    in_flight: NotRequired[int]
    """Orders at a time."""
    until: NotRequired[Until]
    """What the next wave waits for: the certificates alone, or that they were seen in place."""
    stop_at: NotRequired[float]
    """With a larger share of failures it pauses."""


def create_authority(body: AuthorityBody) -> Call[AuthorityView]:
    """Make an authority known.

    Needs `authorities:write`.
    """
    return Call(
        operation="create_authority",
        method="POST",
        path="/renewal/v1/authorities",
        takes_key=True,
        body=body,
    )


def list_authorities(*, limit: int | None = None, cursor: str | None = None) -> Listing[AuthorityView]:
    """List authorities.

    Needs `authorities:read`.
    """
    return Listing(
        operation="list_authorities",
        method="GET",
        path="/renewal/v1/authorities",
        query={"limit": limit, "cursor": cursor},
    )


def get_authority(authority_id: str) -> Call[AuthorityView]:
    """Show an authority.

    Needs `authorities:read`.
    """
    return Call(
        operation="get_authority",
        method="GET",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}",
    )


def put_authority_groups(authority_id: str, body: GroupsBody) -> Call[AuthorityView]:
    """Put an authority into these groups, and no others.

    Needs `authorities:write`.
    """
    return Call(
        operation="put_authority_groups",
        method="PUT",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/groups",
        body=body,
    )


def put_authority_secrets(authority_id: str, body: SecretsBody) -> Call[AuthorityView]:
    """Give an authority new secrets, in place of all it had.

    Needs `authorities:write`.
    """
    return Call(
        operation="put_authority_secrets",
        method="PUT",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/secrets",
        body=body,
    )


def get_authority_roots(authority_id: str) -> Call[str]:
    """Download the roots that clients have to trust.

    Needs `authorities:read`.
    """
    return Call(
        operation="get_authority_roots",
        method="GET",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/roots",
        answers="text",
    )


def list_authority_kinds() -> Call[AuthorityKindsView]:
    """List the kinds of authority.

    Needs `authorities:read`.
    """
    return Call(
        operation="list_authority_kinds",
        method="GET",
        path="/renewal/v1/authority-kinds",
    )


def get_budget(authority_id: str) -> Call[BudgetView]:
    """Show what may be asked of an authority in a while, and what was.

    Needs `authorities:read`.
    """
    return Call(
        operation="get_budget",
        method="GET",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/budget",
    )


def put_budget(authority_id: str, body: BudgetBody) -> Call[BudgetView]:
    """Let no more than this be asked of an authority.

    Needs `authorities:write`.
    """
    return Call(
        operation="put_budget",
        method="PUT",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/budget",
        body=body,
    )


def change_account_key(authority_id: str) -> Call[ChangedKeyView]:
    """Change the key of our account with an authority for a fresh one.

    Needs `authorities:write`.
    """
    return Call(
        operation="change_account_key",
        method="POST",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/key-rollover",
    )


def create_profile(body: ProfileBody) -> Call[ProfileView]:
    """Make a profile.

    Needs `profiles:write`.
    """
    return Call(
        operation="create_profile",
        method="POST",
        path="/renewal/v1/profiles",
        takes_key=True,
        body=body,
    )


def list_profiles(*, limit: int | None = None, cursor: str | None = None) -> Listing[ProfileView]:
    """List profiles.

    Needs `profiles:read`.
    """
    return Listing(
        operation="list_profiles",
        method="GET",
        path="/renewal/v1/profiles",
        query={"limit": limit, "cursor": cursor},
    )


def get_profile(profile_id: str) -> Call[ProfileView]:
    """Show a profile.

    Needs `profiles:read`.
    """
    return Call(
        operation="get_profile",
        method="GET",
        path=f"/renewal/v1/profiles/{quoted(profile_id)}",
    )


def replace_profile(profile_id: str, body: ProfileTerms, *, if_match: str | None = None) -> Call[ProfileView]:
    """Change a profile: on which terms is ordered from here on.

    Needs `profiles:write`.
    """
    return Call(
        operation="replace_profile",
        method="PUT",
        path=f"/renewal/v1/profiles/{quoted(profile_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_profile(profile_id: str) -> Call[None]:
    """Forget a profile that nothing goes by.

    Needs `profiles:write`.
    """
    return Call(
        operation="delete_profile",
        method="DELETE",
        path=f"/renewal/v1/profiles/{quoted(profile_id)}",
        answers="nothing",
    )


def put_profile_groups(profile_id: str, body: GroupsBody) -> Call[ProfileView]:
    """Put a profile into these groups, and no others.

    Needs `profiles:write`.
    """
    return Call(
        operation="put_profile_groups",
        method="PUT",
        path=f"/renewal/v1/profiles/{quoted(profile_id)}/groups",
        body=body,
    )


def enrol_lineage(lineage_id: str, body: EnrolmentBody) -> Call[EnrolmentView]:
    """Have a lineage renewed by itself, or change how.

    Needs `enrolments:write`.
    """
    return Call(
        operation="enrol_lineage",
        method="PUT",
        path=f"/renewal/v1/enrolments/{quoted(lineage_id)}",
        body=body,
    )


def get_enrolment(lineage_id: str) -> Call[EnrolmentView]:
    """Show an enrolment.

    Needs `enrolments:read`.
    """
    return Call(
        operation="get_enrolment",
        method="GET",
        path=f"/renewal/v1/enrolments/{quoted(lineage_id)}",
    )


def withdraw_enrolment(lineage_id: str) -> Call[None]:
    """Renew a lineage by itself no more.

    Needs `enrolments:write`.
    """
    return Call(
        operation="withdraw_enrolment",
        method="DELETE",
        path=f"/renewal/v1/enrolments/{quoted(lineage_id)}",
        answers="nothing",
    )


def list_enrolments(*, limit: int | None = None, cursor: str | None = None) -> Listing[EnrolmentView]:
    """List enrolments.

    Needs `enrolments:read`.
    """
    return Listing(
        operation="list_enrolments",
        method="GET",
        path="/renewal/v1/enrolments",
        query={"limit": limit, "cursor": cursor},
    )


def list_renewals(
    *,
    reason: Reason | None = None,
    due_before: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[ScheduleView]:
    """List when enrolled lineages are renewed, the first due first.

    Needs `enrolments:read`.
    """
    return Listing(
        operation="list_renewals",
        method="GET",
        path="/renewal/v1/schedules",
        query={"reason": reason, "due_before": due_before, "limit": limit, "cursor": cursor},
    )


def get_renewal(lineage_id: str) -> Call[ScheduleView]:
    """Show when a lineage is renewed, and why then.

    Needs `enrolments:read`.
    """
    return Call(
        operation="get_renewal",
        method="GET",
        path=f"/renewal/v1/schedules/{quoted(lineage_id)}",
    )


def renew_now(lineage_id: str) -> Call[OrderView]:
    """Renew a lineage now; where it has an open order, that is the answer.

    Needs `orders:write`.
    """
    return Call(
        operation="renew_now",
        method="POST",
        path=f"/renewal/v1/schedules/{quoted(lineage_id)}/renew-now",
    )


def create_distrust(body: DistrustBody) -> Call[DistrustReport]:
    """Trust an issuer no more: all that it has issued is renewed now.

    Needs `distrusts:write`.
    """
    return Call(
        operation="create_distrust",
        method="POST",
        path="/renewal/v1/distrusts",
        takes_key=True,
        body=body,
    )


def list_distrusts() -> Listing[DistrustView]:
    """List who is not trusted, newest first.

    Needs `distrusts:read`.
    """
    return Listing(
        operation="list_distrusts",
        method="GET",
        path="/renewal/v1/distrusts",
    )


def lift_distrust(distrust_id: str) -> Call[None]:
    """Trust it again; what is due because of it stays due.

    Needs `distrusts:write`.
    """
    return Call(
        operation="lift_distrust",
        method="DELETE",
        path=f"/renewal/v1/distrusts/{quoted(distrust_id)}",
        answers="nothing",
    )


def propose_adoption(fingerprint: str) -> Call[AdoptionProposalView]:
    """Show how a certificate that was found would be renewed.

    Needs `enrolments:read`.
    """
    return Call(
        operation="propose_adoption",
        method="GET",
        path=f"/renewal/v1/adoptions/{quoted(fingerprint)}",
    )


def adopt_certificate(body: AdoptionBody) -> Call[AdoptionView]:
    """Have a certificate that was found renewed by itself.

    Needs `enrolments:write`.
    """
    return Call(
        operation="adopt_certificate",
        method="POST",
        path="/renewal/v1/adoptions",
        takes_key=True,
        body=body,
    )


def create_order(body: OrderBody) -> Call[OrderView]:
    """Order a certificate now.

    Needs `orders:write`.
    """
    return Call(
        operation="create_order",
        method="POST",
        path="/renewal/v1/orders",
        takes_key=True,
        body=body,
    )


def list_orders(
    *,
    lineage_id: str | None = None,
    state: State | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[OrderView]:
    """List orders.

    Needs `orders:read`.
    """
    return Listing(
        operation="list_orders",
        method="GET",
        path="/renewal/v1/orders",
        query={"lineage_id": lineage_id, "state": state, "limit": limit, "cursor": cursor},
    )


def get_order(order_id: str) -> Call[OrderReport]:
    """Show an order and its steps.

    Needs `orders:read`.
    """
    return Call(
        operation="get_order",
        method="GET",
        path=f"/renewal/v1/orders/{quoted(order_id)}",
    )


def retry_order(order_id: str) -> Call[OrderView]:
    """Try an order again at once.

    Needs `orders:write`.
    """
    return Call(
        operation="retry_order",
        method="POST",
        path=f"/renewal/v1/orders/{quoted(order_id)}/retry",
    )


def release_key(order_id: str, body: KeyReleaseBody) -> Call[SealedKey]:
    """Release a private key to a deployment.

    Needs `keys:release`.
    """
    return Call(
        operation="release_key",
        method="POST",
        path=f"/renewal/v1/orders/{quoted(order_id)}/key-releases",
        body=body,
    )


def list_key_releases(
    *,
    order_id: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[KeyReleaseView]:
    """List who was given which private key.

    Needs `keys:audit`.
    """
    return Listing(
        operation="list_key_releases",
        method="GET",
        path="/renewal/v1/key-releases",
        query={"order_id": order_id, "limit": limit, "cursor": cursor},
    )


def bring_request(order_id: str, body: RequestBody) -> Call[OrderView]:
    """Bring the request of a key made on the target.

    Needs `requests:bring`.
    """
    return Call(
        operation="bring_request",
        method="PUT",
        path=f"/renewal/v1/orders/{quoted(order_id)}/request",
        body=body,
    )


def refuse_request(order_id: str, body: RequestRefusalBody) -> Call[OrderView]:
    """Say that the target makes no request.

    Needs `requests:bring`.
    """
    return Call(
        operation="refuse_request",
        method="POST",
        path=f"/renewal/v1/orders/{quoted(order_id)}/request-refusals",
        body=body,
    )


def list_approvals(
    *,
    state: ApprovalState | None = None,
    show: Literal["inbox", "all"] | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[ApprovalView]:
    """List approvals, by default those that wait for the caller.

    Needs `approvals:read`.
    """
    return Listing(
        operation="list_approvals",
        method="GET",
        path="/renewal/v1/approvals",
        query={"state": state, "show": show, "limit": limit, "cursor": cursor},
    )


def get_approval(approval_id: str) -> Call[ApprovalReport]:
    """Show exactly what would be done, and what was said.

    Needs `approvals:read`.
    """
    return Call(
        operation="get_approval",
        method="GET",
        path=f"/renewal/v1/approvals/{quoted(approval_id)}",
    )


def decide_approval(approval_id: str, body: DecisionBody) -> Call[ApprovalReport]:
    """Grant or refuse.

    Needs `approvals:approve`.
    """
    return Call(
        operation="decide_approval",
        method="POST",
        path=f"/renewal/v1/approvals/{quoted(approval_id)}/decisions",
        body=body,
    )


def override_approval(approval_id: str, body: OverrideBody) -> Call[ApprovalReport]:
    """Do it without approval, in an emergency.

    Needs `approvals:override`.
    """
    return Call(
        operation="override_approval",
        method="POST",
        path=f"/renewal/v1/approvals/{quoted(approval_id)}/override",
        body=body,
    )


def create_revocation(body: RevocationBody) -> Call[RevocationView]:
    """Have a certificate revoked.

    Needs `revocations:write`.
    """
    return Call(
        operation="create_revocation",
        method="POST",
        path="/renewal/v1/revocations",
        takes_key=True,
        body=body,
    )


def list_revocations(
    *,
    fingerprint: str | None = None,
    state: RevocationState | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[RevocationView]:
    """List revocations.

    Needs `revocations:read`.
    """
    return Listing(
        operation="list_revocations",
        method="GET",
        path="/renewal/v1/revocations",
        query={"fingerprint": fingerprint, "state": state, "limit": limit, "cursor": cursor},
    )


def get_revocation(revocation_id: str) -> Call[RevocationReport]:
    """Show a revocation and its steps.

    Needs `revocations:read`.
    """
    return Call(
        operation="get_revocation",
        method="GET",
        path=f"/renewal/v1/revocations/{quoted(revocation_id)}",
    )


def retry_revocation(revocation_id: str) -> Call[RevocationView]:
    """Try again, or look again, at once.

    Needs `revocations:write`.
    """
    return Call(
        operation="retry_revocation",
        method="POST",
        path=f"/renewal/v1/revocations/{quoted(revocation_id)}/retry",
    )


def get_authority_crl(authority_id: str) -> Call[bytes]:
    """Download the CRL of an authority of our own.

    Needs no token: it is signed, and whoever is shown a certificate of the authority needs it.
    """
    return Call(
        operation="get_authority_crl",
        method="GET",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/crl",
        answers="bytes",
    )


def get_authority_certificate(authority_id: str) -> Call[bytes]:
    """Download the certificate that an authority of our own signs with.

    Needs no token: it is signed, and whoever is shown a certificate of the authority needs it.
    """
    return Call(
        operation="get_authority_certificate",
        method="GET",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/certificate",
        answers="bytes",
    )


def put_authority_certificate(authority_id: str, body: CertificateBody) -> Call[None]:
    """Bring the certificate that another authority has signed.

    Needs `authorities:write`.
    """
    return Call(
        operation="put_authority_certificate",
        method="PUT",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/certificate",
        answers="nothing",
        body=body,
    )


def ask_authority(authority_id: str, body: Any) -> Call[bytes]:
    """Ask an authority of our own about a certificate (OCSP).

    Needs no token: it is signed, and whoever is shown a certificate of the authority needs it.
    """
    return Call(
        operation="ask_authority",
        method="POST",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/ocsp",
        answers="bytes",
        body=body,
        sends="application/ocsp-request",
    )


def ask_authority_by_get(authority_id: str, asked: str) -> Call[bytes]:
    """Ask an authority of our own about a certificate (OCSP by GET, base64 in the path).

    Needs no token: it is signed, and whoever is shown a certificate of the authority needs it.
    """
    return Call(
        operation="ask_authority_by_get",
        method="GET",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/ocsp/{quoted(asked)}",
        answers="bytes",
    )


def get_authority_csr(authority_id: str) -> Call[bytes]:
    """Download the request for the certificate of an authority that another one signs.

    Needs `authorities:read`.
    """
    return Call(
        operation="get_authority_csr",
        method="GET",
        path=f"/renewal/v1/authorities/{quoted(authority_id)}/csr",
        answers="bytes",
    )


def plan_campaign(campaign_id: str) -> Call[CampaignView]:
    """Plan a campaign anew.

    Needs `campaigns:write`.
    """
    return Call(
        operation="plan_campaign",
        method="POST",
        path=f"/renewal/v1/campaigns/{quoted(campaign_id)}/plan",
    )


def start_campaign(campaign_id: str, body: DigestBody) -> Call[CampaignView]:
    """Start a planned campaign.

    Needs `campaigns:write`.
    """
    return Call(
        operation="start_campaign",
        method="POST",
        path=f"/renewal/v1/campaigns/{quoted(campaign_id)}/start",
        body=body,
    )


def pause_campaign(campaign_id: str, body: ReasonBody) -> Call[CampaignView]:
    """Order nothing more for now.

    Needs `campaigns:write`.
    """
    return Call(
        operation="pause_campaign",
        method="POST",
        path=f"/renewal/v1/campaigns/{quoted(campaign_id)}/pause",
        body=body,
    )


def resume_campaign(campaign_id: str, body: ResumeBody) -> Call[CampaignView]:
    """Let a campaign go on.

    Needs `campaigns:write`.
    """
    return Call(
        operation="resume_campaign",
        method="POST",
        path=f"/renewal/v1/campaigns/{quoted(campaign_id)}/resume",
        body=body,
    )


def abort_campaign(campaign_id: str, body: ReasonBody) -> Call[CampaignView]:
    """End a campaign before it is over.

    Needs `campaigns:write`.
    """
    return Call(
        operation="abort_campaign",
        method="POST",
        path=f"/renewal/v1/campaigns/{quoted(campaign_id)}/abort",
        body=body,
    )


def create_campaign(body: CampaignBody) -> Call[CampaignView]:
    """Plan a campaign: replace many certificates as one job.

    Needs `campaigns:write`.
    """
    return Call(
        operation="create_campaign",
        method="POST",
        path="/renewal/v1/campaigns",
        takes_key=True,
        body=body,
    )


def list_campaigns(*, limit: int | None = None, cursor: str | None = None) -> Listing[CampaignView]:
    """List campaigns.

    Needs `campaigns:read`.
    """
    return Listing(
        operation="list_campaigns",
        method="GET",
        path="/renewal/v1/campaigns",
        query={"limit": limit, "cursor": cursor},
    )


def get_campaign(campaign_id: str) -> Call[CampaignReport]:
    """Show a campaign and how far it is.

    Needs `campaigns:read`.
    """
    return Call(
        operation="get_campaign",
        method="GET",
        path=f"/renewal/v1/campaigns/{quoted(campaign_id)}",
    )


def list_campaign_items(
    campaign_id: str,
    *,
    state: ItemState | None = None,
    wave: int | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[ItemView]:
    """List the certificates of a campaign.

    Needs `campaigns:read`.
    """
    return Listing(
        operation="list_campaign_items",
        method="GET",
        path=f"/renewal/v1/campaigns/{quoted(campaign_id)}/items",
        query={"state": state, "wave": wave, "limit": limit, "cursor": cursor},
    )


def get_campaign_evidence(campaign_id: str) -> Call[str]:
    """Download the signed report of a campaign.

    Needs `campaigns:read`.
    """
    return Call(
        operation="get_campaign_evidence",
        method="GET",
        path=f"/renewal/v1/campaigns/{quoted(campaign_id)}/evidence",
        answers="text",
    )


def get_evidence_keys() -> Call[KeySet]:
    """Show what reports are verified with.

    Needs `campaigns:read`.
    """
    return Call(
        operation="get_evidence_keys",
        method="GET",
        path="/renewal/v1/evidence-keys",
    )


def list_dead_letters(*, limit: int | None = None) -> Call[DeadLetters]:
    """List events that were given up.

    Needs `dead-letters:read`.
    """
    return Call(
        operation="list_dead_letters",
        method="GET",
        path="/renewal/v1/dead-letters",
        query={"limit": limit},
    )


def redrive_dead_letters(body: Redrive) -> Call[Moved]:
    """Put dead letters back for another try.

    Needs `dead-letters:admin`.
    """
    return Call(
        operation="redrive_dead_letters",
        method="POST",
        path="/renewal/v1/dead-letters/redrive",
        body=body,
    )


def discard_dead_letters(body: Discard) -> Call[Moved]:
    """Throw dead letters away.

    Needs `dead-letters:admin`.
    """
    return Call(
        operation="discard_dead_letters",
        method="POST",
        path="/renewal/v1/dead-letters/discard",
        body=body,
    )


def list_audit_keys() -> Call[AuditKeysView]:
    """Show what this service signs the audit trail with.

    Needs no token: verification keys are public.
    """
    return Call(
        operation="list_audit_keys",
        method="GET",
        path="/renewal/v1/audit-keys",
    )
