"""What provisioner can be asked, and what it answers.

Written by `make contracts` from services/provisioner/openapi.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from everleaf.calls import Call, Listing, Page, quoted


class AbortBody(TypedDict):
    """Why."""

    reason: str


class AcceptanceBody(TypedDict):
    """Nothing need be said: what is left out is as the proposal says."""

    target_id: NotRequired[str | None]
    """Left out, a target that is reached under the name or address that the source has for the host."""
    target: NotRequired[HostTargetBody | None]
    """A new target for the host, in place of one that is known; needs `targets:write`."""
    lineage_id: NotRequired[str | None]
    """Left out, that of the certificate in the file."""
    test_command: NotRequired[str | None]
    """Left out, the proposal's own."""
    reload_command: NotRequired[str | None]
    """Left out, the proposal's own."""
    endpoints: NotRequired[list[Endpoint] | None]
    """Left out, what the configuration lets listen."""
    deploy_now: NotRequired[bool]
    """Whether the lineage's latest certificate goes there at once."""


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


class BindingBody(TypedDict):
    """A lineage, and the slot of a target that it belongs in."""

    lineage_id: str
    target_id: str
    slot: dict[str, JsonValue]
    """Where in the target; GET /v1/target-kinds says what each kind takes."""
    endpoints: list[Endpoint]
    """What serves the certificate from there: it counts as deployed when all were seen to."""
    deploy_now: NotRequired[bool]
    """Whether the lineage's latest certificate goes there at once."""
    after: NotRequired[list[str]]
    """Bindings of the same lineage that come first: a load balancer, say."""
    on_drift: NotRequired[OnDrift]
    """What is done where somebody else has put another certificate there: tell, or put it right as
    well.
    """


class BindingChangeBody(TypedDict):
    """What is to be changed; what is left out stays."""

    after: NotRequired[list[str] | None]
    on_drift: NotRequired[OnDrift | None]
    """What is done where somebody else has put another certificate there: tell, or put it right as
    well.
    """


class BindingView(TypedDict):
    """A binding."""

    id: str
    lineage_id: str
    target_id: str
    slot: dict[str, Any]
    endpoints: list[Endpoint]
    after: list[str]
    """Bindings of the same lineage that come first."""
    on_drift: OnDrift
    version: int
    """Send it back as `If-Match` with a change."""
    fingerprint: str | None
    """The certificate that was last seen there by our doing."""
    deployed_at: str | None
    drift: dict[str, str] | None
    """Where another certificate was seen, and which."""
    drifted_at: str | None
    created_at: str
    created_by: str


class CheckView(TypedDict):
    """One thing that was tried."""

    name: str
    ok: bool
    text: str


class ChecksView(TypedDict):
    """Whether a target can be worked on; the checks end at the first that fails."""

    ok: bool
    checks: list[CheckView]


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


Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
"""A day of the week."""


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


class DeploymentReport(TypedDict):
    """A deployment with all its steps, oldest first."""

    id: str
    order_id: str
    lineage_id: str
    binding_id: str
    target_id: str
    fingerprint: str
    state: DomainState
    phase: Phase
    """Where the work goes on."""
    attempt: int
    """How many attempts have failed."""
    next_attempt_at: str | None
    failure: Failure | None
    """Why the last attempt failed."""
    failed_step: str | None
    reason: str | None
    next_step: NotRequired[str | None]
    """What a person can do about it."""
    restored: bool | None
    """Whether what was there before is in place again."""
    hold: Hold | None
    """What keeps it from beginning; `next_attempt_at` says until when."""
    hold_reason: str | None
    overridden_by: str | None
    """Who has said that it does not wait for a window."""
    watch_until: str | None
    """Until when what is in place must last."""
    discovery: Literal["seen", "stale"] | None
    """What discovery has seen at its places since: this certificate, or another one."""
    discovered_at: str | None
    rollout_id: str | None
    wave: int
    """Of its rollout: 0 are the canaries, 1 is the share, 2 the rest."""
    created_at: str
    updated_at: str
    deployed_at: str | None
    steps: list[StepView]


class DeploymentView(TypedDict):
    """A certificate on its way into a slot."""

    id: str
    order_id: str
    lineage_id: str
    binding_id: str
    target_id: str
    fingerprint: str
    state: DomainState
    phase: Phase
    """Where the work goes on."""
    attempt: int
    """How many attempts have failed."""
    next_attempt_at: str | None
    failure: Failure | None
    """Why the last attempt failed."""
    failed_step: str | None
    reason: str | None
    next_step: NotRequired[str | None]
    """What a person can do about it."""
    restored: bool | None
    """Whether what was there before is in place again."""
    hold: Hold | None
    """What keeps it from beginning; `next_attempt_at` says until when."""
    hold_reason: str | None
    overridden_by: str | None
    """Who has said that it does not wait for a window."""
    watch_until: str | None
    """Until when what is in place must last."""
    discovery: Literal["seen", "stale"] | None
    """What discovery has seen at its places since: this certificate, or another one."""
    discovered_at: str | None
    rollout_id: str | None
    wave: int
    """Of its rollout: 0 are the canaries, 1 is the share, 2 the rest."""
    created_at: str
    updated_at: str
    deployed_at: str | None


class Discard(TypedDict):
    """Which dead letters to throw away."""

    ids: list[str]


class Endpoint(TypedDict):
    """An address and port that serve a certificate, and the SNI name to ask for."""

    address: str
    """An IP address."""
    port: int
    server_name: NotRequired[str | None]
    starttls: NotRequired[str | None]
    """What is spoken before TLS; left out, nothing. One of: smtp, lmtp, imap, pop3, ftp, ldap, xmpp,
    xmpp-server, postgres, mysql, nntp, sieve, irc, mssql, rdp.
    """


class EndpointView(TypedDict):
    """An endpoint that will be looked at after a deployment."""

    address: str
    port: int
    server_name: str | None
    starttls: str | None


Failure = Literal["unreachable", "host_key_changed", "login_refused", "permission_denied", "disk_full", "no_such_folder", "write_failed", "out_of_reach", "not_found", "conflict", "rate_limited", "rejected", "not_supported", "not_fetched", "no_way_back", "key_unavailable", "key_refused", "key_not_made", "pair_mismatch", "store_refused", "test_failed", "reload_failed", "changed_by_others", "still_old", "not_served", "unforeseen"]
"""Why an attempt failed, as far as it decides what follows."""


class FreezeBody(TypedDict):
    """When targets are not changed, and why."""

    reason: str
    target_id: NotRequired[str | None]
    """Left out with the other of the two, it holds for all targets."""
    group: NotRequired[str | None]
    """Of targets in this group. Left out with the other of the two, it holds for all targets."""
    starts_at: str
    ends_at: str


class FreezeChangeBody(TypedDict):
    """What is to be changed; what is left out stays, as does for which targets it is."""

    reason: NotRequired[str | None]
    starts_at: NotRequired[str | None]
    ends_at: NotRequired[str | None]


class FreezeView(TypedDict):
    """When targets are not changed, and why."""

    id: str
    reason: str
    target_id: str | None
    group: str | None
    starts_at: str
    ends_at: str
    version: int
    """Send it back as `If-Match` with a change."""
    created_at: str
    created_by: str


Hold = Literal["slot", "approval", "rollout", "dependency", "window", "freeze"]
"""What a deployment that could begin waits for."""


class HostKeyView(TypedDict):
    """The key a host shows. Compare its fingerprint with the host's own before it is trusted."""

    host_key: str
    fingerprint: str


class HostTargetBody(TypedDict):
    """A target that is made known along with the binding: how the host is logged into to change it."""

    name: NotRequired[str | None]
    """Left out, the host's."""
    kind: NotRequired[str]
    host: NotRequired[str | None]
    """Left out, the one that the source has."""
    port: NotRequired[int]
    username: str
    host_key: str
    """The OpenSSH public key the host must prove to have; compare it with the host's console."""
    credential: NotRequired[dict[str, JsonValue] | None]
    """Write-only: it is sealed, and never shown again. Of the shape that GET /v1/target-kinds says for
    the kind.
    """
    credential_of: NotRequired[str | None]
    """In place of a credential: the target whose credential this one takes too."""
    options: NotRequired[dict[str, JsonValue]]


JsonValue = Any


class KeyBody(TypedDict):
    """Which key, and to whom."""

    offer_id: str
    sealing_key: NotRequired[str | None]
    """A raw X25519 public key in base64: the private key is sealed to it (HPKE), and may be asked for
    again.
    """


class KeyView(TypedDict):
    """The private key, as PKCS#8 in PEM or sealed."""

    private_key: str | None
    sealed_private_key: str | None
    """HPKE, with `purpose` as its info, in base64."""
    purpose: str | None


class KindView(TypedDict):
    """A kind of target, with the JSON Schemas of its credential, options and slots."""

    kind: str
    summary: str
    is_host: bool
    """Whether it is reached by SSH; else it is an API."""
    credential: dict[str, Any]
    options: dict[str, Any]
    slot: dict[str, Any]


class KindsView(TypedDict):
    """Every kind of target."""

    items: list[KindView]


class Listening(TypedDict):
    """Where a server listens, as its configuration says."""

    port: int
    address: NotRequired[str | None]
    starttls: NotRequired[str | None]


class Moved(TypedDict):
    """How many dead letters were moved."""

    count: int


class OfferView(TypedDict):
    """What is to be done, without the private key."""

    id: str
    action: Literal["deploy", "restore"]
    """deploy: put it in place, and keep what was there; restore: put back what was there before."""
    fingerprint: str
    """SHA-256 of the certificate that is meant, in hexadecimal."""
    chain: str
    """PEM, the leaf first."""
    offered_at: str
    is_settled: bool
    """Whether it is in place and was seen there: nothing is left to be done."""


OnDrift = Literal["alert", "restore"]
"""What is done about it."""


Phase = Literal["start", "staging", "binding", "watching", "clearing", "restoring", "tidying", "over"]
"""Where the work on a deployment goes on, also after the process was killed. start → staging →
binding (→ watching) → tidying → over; a failure leads through clearing (nothing was put in
force) or restoring (perhaps something was) back to start, or over.
"""


class PlanView(TypedDict):
    """What would be done for a lineage, in its order. Nothing is changed, and nothing is connected to."""

    lineage_id: str
    order_id: str | None
    """Of the certificate; empty where the first is still to come."""
    fingerprint: str | None
    approvals_needed: int
    soak: int | None
    """Seconds between two waves."""
    slots: list[SlotPlanView]


class PlannedCallView(TypedDict):
    """A request that changes something, as it would be sent; what is in braces is known only then."""

    request: str
    """Method and path, or the name that the API has for it."""
    about: str | None
    """What it makes or changes, where the path does not say."""
    when: str | None
    """It is sent only then; empty for always."""


class PlannedStepView(TypedDict):
    """One thing that would be done."""

    step: str
    """The name that the deployment's report will have for it."""
    text: str
    files: list[str]
    """What is written or replaced."""
    command: str | None
    """What is run, as it is run."""
    calls: list[PlannedCallView]
    """What is asked of an API, in this order; what only reads is left out."""


class PolicyBody(TypedDict):
    """How the certificates of a lineage go out: first to a few, then to a share, then to the rest."""

    canaries: NotRequired[int]
    """How many slots come first, and are watched alone."""
    share: NotRequired[int]
    """In %, of all slots: so many have it after the second wave."""
    soak: NotRequired[int]
    """Seconds to wait after a wave before the next."""
    stop_after: NotRequired[int]
    """So many failures stop it, until a person says."""
    watch: NotRequired[int]
    """Seconds that each is watched once it is in place."""
    approvals_needed: NotRequired[int]
    """How many people, none of whom has a part in it, must agree to each rollout."""
    approver_groups: NotRequired[list[str]]
    """In one of these; none: in any."""
    approver_roles: NotRequired[list[str]]
    """With one of these; none: with any."""


class PolicyView(TypedDict):
    """A rollout policy."""

    lineage_id: str
    canaries: int
    share: int
    soak: int
    stop_after: int
    watch: int
    approvals_needed: int
    approver_groups: list[str]
    approver_roles: list[str]
    version: int
    """Send it back as `If-Match` with a change."""
    updated_at: str
    updated_by: str


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


class ProposalView(TypedDict):
    """A certificate file of a host, what its configuration uses it for, and the binding that it can
    become.
    """

    id: str
    state: ProposalsState
    is_ready: bool
    """Whether it can be accepted."""
    reason: str | None
    """Why it cannot."""
    host: str
    products: list[str]
    fingerprint: str
    format: str
    owner: str | None
    """Whose the file is; it stays so."""
    group: str | None
    mode: int | None
    """Permission bits; they stay so."""
    certificate_path: str
    key_path: str | None
    """Empty where the key is in the same file as the certificates."""
    key_first: bool
    """Whether the key comes before the certificates there."""
    chain_path: str | None
    """Where the intermediates are in a file of their own."""
    alias: str | None
    """The entry's name, where it is a keystore."""
    test_command: str | None
    reload_command: str | None
    target_kind: str | None
    """Of a device: the kind of target that changes it. Empty for files on a host."""
    slot: dict[str, JsonValue] | None
    """Of a device: the slot, in place of files."""
    endpoints: list[EndpointView]
    uses: list[ConfiguredUse]
    """Where the configuration says so."""
    observed_at: str
    """When it was first told to be as it is now."""
    binding_id: str | None
    """The binding that has this slot, where you see it."""
    lineage_id: str | None
    """That binding's."""


class PullTokenView(TypedDict):
    """A token for one binding: shown once."""

    binding_id: str
    token: str
    """Send it as `Authorization: Bearer …`; one from before is void."""


class Redrive(TypedDict):
    """Which dead letters to put back."""

    ids: NotRequired[list[str] | None]
    """Event ids; left out, all of them."""


class ReportBody(TypedDict):
    """What has become of an offer."""

    offer_id: str
    outcome: Literal["bound", "restored", "failed"]
    reason: NotRequired[str | None]


class RolloutReport(TypedDict):
    """A rollout, how far it is, and its deployments, the first to go first."""

    id: str
    order_id: str
    lineage_id: str
    fingerprint: str
    state: RolloutState
    wave: int
    """The latest that has begun: 0 are the canaries, 1 is the share, 2 the rest."""
    canaries: int
    share: int
    """In %, of all."""
    soak: int
    """Seconds between two waves."""
    stop_after: int
    """How many failures stop it."""
    approvals_needed: int
    soaked_at: str | None
    """When the next wave begins, if all goes well until then."""
    reason: str | None
    """Why it has stopped, goes on, or ended early."""
    created_at: str
    updated_at: str
    finished_at: str | None
    waves: list[WaveView]
    deployments: list[DeploymentView]


RolloutState = Literal["awaiting_approval", "running", "stopped", "finished", "aborted", "superseded"]
"""Where a rollout is."""


class RolloutView(TypedDict):
    """A certificate on its way into the slots of its lineage, wave by wave."""

    id: str
    order_id: str
    lineage_id: str
    fingerprint: str
    state: RolloutState
    wave: int
    """The latest that has begun: 0 are the canaries, 1 is the share, 2 the rest."""
    canaries: int
    share: int
    """In %, of all."""
    soak: int
    """Seconds between two waves."""
    stop_after: int
    """How many failures stop it."""
    approvals_needed: int
    soaked_at: str | None
    """When the next wave begins, if all goes well until then."""
    reason: str | None
    """Why it has stopped, goes on, or ended early."""
    created_at: str
    updated_at: str
    finished_at: str | None


class RuleBody(TypedDict):
    """What is put in place on these targets waits until enough people have agreed, certificate by
    certificate.
    """

    name: str
    target_id: NotRequired[str | None]
    """Left out with the other of the two, it holds for all targets."""
    group: NotRequired[str | None]
    """Of targets in this group. Left out with the other of the two, it holds for all targets."""
    approvals_needed: NotRequired[int]
    """How many people, none of whom has a part in it, must agree to each certificate."""
    approver_groups: NotRequired[list[str]]
    """In one of these; none: in any."""
    approver_roles: NotRequired[list[str]]
    """With one of these; none: with any."""


class RuleChangeBody(TypedDict):
    """What is to be changed; what is left out stays, as does for which targets it is."""

    name: NotRequired[str | None]
    approvals_needed: NotRequired[int | None]
    approver_groups: NotRequired[list[str] | None]
    """In one of these; none: in any."""
    approver_roles: NotRequired[list[str] | None]
    """With one of these; none: with any."""


class RuleView(TypedDict):
    """Who has to agree before something is put in place on a target."""

    id: str
    name: str
    target_id: str | None
    group: str | None
    approvals_needed: int
    approver_groups: list[str]
    approver_roles: list[str]
    version: int
    """Send it back as `If-Match` with a change."""
    created_at: str
    updated_at: str
    updated_by: str


class SlotPlanView(TypedDict):
    """What would be done in one slot."""

    binding_id: str
    target_id: str
    target: str
    slot: str
    position: int
    """In the order of the lineage, from 1."""
    wave: int
    """0 are the canaries, 1 is the share, 2 the rest; 0 without a rollout policy."""
    after: list[str]
    """The slots that come first."""
    approval_rules: list[str]
    """By name: people have to agree to it first, as `/v1/approval-rules` says."""
    begins_at: str
    """The first instant that windows and freezes allow, as they are now."""
    held_by: Hold | None
    """What stands in the way until then."""
    hold_reason: str | None
    watch: int | None
    """Seconds that it is watched; empty for as long as the settings say."""
    steps: list[PlannedStepView]
    endpoints: list[str]
    """What must serve the certificate in the end."""
    obstacles: list[str]


class StepView(TypedDict):
    """One thing that was done, or that failed."""

    attempt: int
    at: str
    step: str
    ok: bool
    text: str


class TargetBody(TypedDict):
    """A new target: a host with `host`, `username` and `host_key`, or an API whose `options` say where
    it is.
    """

    name: str
    kind: str
    host: NotRequired[str | None]
    port: NotRequired[int | None]
    """Of a host; left out, 22."""
    username: NotRequired[str | None]
    host_key: NotRequired[str | None]
    """The OpenSSH public key the host must prove to have; compare it with the host's console."""
    credential: NotRequired[dict[str, JsonValue]]
    """Write-only: it is sealed, and never shown again. Of the shape that GET /v1/target-kinds says for
    the kind.
    """
    options: NotRequired[dict[str, JsonValue]]
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


class TargetChangeBody(TypedDict):
    """What to change; what is left out stays."""

    host: NotRequired[str | None]
    port: NotRequired[int | None]
    username: NotRequired[str | None]
    host_key: NotRequired[str | None]
    credential: NotRequired[dict[str, JsonValue] | None]
    """Write-only: it is sealed, and never shown again. Of the shape that GET /v1/target-kinds says for
    the kind.
    """
    options: NotRequired[dict[str, JsonValue] | None]
    groups: NotRequired[list[str] | None]


class TargetView(TypedDict):
    """A target, without its credential; only a host has host, port, username and host key."""

    id: str
    name: str
    kind: str
    host: str | None
    port: int | None
    username: str | None
    host_key: str | None
    options: dict[str, Any]
    groups: list[str]
    version: int
    created_at: str
    created_by: str
    updated_at: str


Verdict = Literal["grant", "refuse", "override"]
"""What somebody says."""


class WaveView(TypedDict):
    """How far a wave is."""

    wave: int
    counts: dict[str, int]
    """How many deployments are in which state."""


class WeeklyBody(TypedDict):
    """It opens every week on this day at this time of the time zone, and stays open for so long."""

    day: Day
    start: str
    duration: str
    """ISO 8601; a week at most."""


class WindowBody(TypedDict):
    """When targets may be changed."""

    name: str
    target_id: NotRequired[str | None]
    """Left out with the other of the two, it holds for all targets."""
    group: NotRequired[str | None]
    """Of targets in this group. Left out with the other of the two, it holds for all targets."""
    time_zone: NotRequired[str]
    weekly: list[WeeklyBody]


class WindowChangeBody(TypedDict):
    """What is to be changed; what is left out stays, as does for which targets it is."""

    name: NotRequired[str | None]
    time_zone: NotRequired[str | None]
    weekly: NotRequired[list[WeeklyBody] | None]


class WindowView(TypedDict):
    """When targets may be changed."""

    id: str
    name: str
    target_id: str | None
    group: str | None
    time_zone: str
    weekly: list[WeeklyBody]
    version: int
    """Send it back as `If-Match` with a change."""
    created_at: str
    created_by: str


class DeploymentsOverrideBody(TypedDict):
    """Why it cannot wait."""

    reason: str


DomainState = Literal["pending", "running", "waiting", "watching", "restored", "needs_attention", "deployed", "failed", "superseded", "cancelled"]
"""What a person is told of a deployment."""


ProposalsState = Literal["open", "bound", "gone"]
"""What has become of a proposal."""


class RoutesOverrideBody(TypedDict):
    """Why it cannot wait."""

    reason: str


def list_targets(*, limit: int | None = None, cursor: str | None = None) -> Listing[TargetView]:
    """List targets.

    Needs `targets:read`.
    """
    return Listing(
        operation="list_targets",
        method="GET",
        path="/provisioner/v1/targets",
        query={"limit": limit, "cursor": cursor},
    )


def create_target(body: TargetBody) -> Call[TargetView]:
    """Make a target known.

    Needs `targets:write`.
    """
    return Call(
        operation="create_target",
        method="POST",
        path="/provisioner/v1/targets",
        takes_key=True,
        body=body,
    )


def get_target(target_id: str) -> Call[TargetView]:
    """Show a target.

    Needs `targets:read`.
    """
    return Call(
        operation="get_target",
        method="GET",
        path=f"/provisioner/v1/targets/{quoted(target_id)}",
    )


def change_target(target_id: str, body: TargetChangeBody, *, if_match: str | None = None) -> Call[TargetView]:
    """Change how a target is reached, or its groups.

    Needs `targets:write`.
    """
    return Call(
        operation="change_target",
        method="PATCH",
        path=f"/provisioner/v1/targets/{quoted(target_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_target(target_id: str) -> Call[None]:
    """Forget a target.

    Needs `targets:write`.
    """
    return Call(
        operation="delete_target",
        method="DELETE",
        path=f"/provisioner/v1/targets/{quoted(target_id)}",
        answers="nothing",
    )


def list_target_kinds() -> Call[KindsView]:
    """List the kinds of target.

    Needs `targets:read`.
    """
    return Call(
        operation="list_target_kinds",
        method="GET",
        path="/provisioner/v1/target-kinds",
    )


def check_target(target_id: str) -> Call[ChecksView]:
    """Connect to a target and say what works.

    Needs `targets:write`.
    """
    return Call(
        operation="check_target",
        method="POST",
        path=f"/provisioner/v1/targets/{quoted(target_id)}/check",
    )


def get_host_key(*, host: str, port: int | None = None) -> Call[HostKeyView]:
    """Show the SSH host key that is seen at an address now.

    Needs `targets:write`.
    """
    return Call(
        operation="get_host_key",
        method="GET",
        path="/provisioner/v1/host-keys",
        query={"host": host, "port": port},
    )


def create_binding(body: BindingBody) -> Call[BindingView]:
    """Bind a lineage to a slot of a target.

    Needs `bindings:write`.
    """
    return Call(
        operation="create_binding",
        method="POST",
        path="/provisioner/v1/bindings",
        takes_key=True,
        body=body,
    )


def list_bindings(
    *,
    lineage_id: str | None = None,
    target_id: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[BindingView]:
    """List bindings.

    Needs `bindings:read`.
    """
    return Listing(
        operation="list_bindings",
        method="GET",
        path="/provisioner/v1/bindings",
        query={"lineage_id": lineage_id, "target_id": target_id, "limit": limit, "cursor": cursor},
    )


def get_binding(binding_id: str) -> Call[BindingView]:
    """Show a binding.

    Needs `bindings:read`.
    """
    return Call(
        operation="get_binding",
        method="GET",
        path=f"/provisioner/v1/bindings/{quoted(binding_id)}",
    )


def change_binding(
    binding_id: str,
    body: BindingChangeBody,
    *,
    if_match: str | None = None,
) -> Call[BindingView]:
    """Change what comes before a binding, or what is done on drift.

    Needs `bindings:write`.
    """
    return Call(
        operation="change_binding",
        method="PATCH",
        path=f"/provisioner/v1/bindings/{quoted(binding_id)}",
        headers={"if-match": if_match},
        body=body,
    )


def delete_binding(binding_id: str) -> Call[None]:
    """Take a binding back; what is in place stays.

    Needs `bindings:write`.
    """
    return Call(
        operation="delete_binding",
        method="DELETE",
        path=f"/provisioner/v1/bindings/{quoted(binding_id)}",
        answers="nothing",
    )


def get_plan(lineage_id: str, *, order_id: str | None = None) -> Call[PlanView]:
    """Show what would be done in all slots of a lineage.

    Needs `bindings:read`.
    """
    return Call(
        operation="get_plan",
        method="GET",
        path=f"/provisioner/v1/plans/{quoted(lineage_id)}",
        query={"order_id": order_id},
    )


def get_binding_plan(binding_id: str) -> Call[PlanView]:
    """Show what would be done in one slot.

    Needs `bindings:read`.
    """
    return Call(
        operation="get_binding_plan",
        method="GET",
        path=f"/provisioner/v1/bindings/{quoted(binding_id)}/plan",
    )


def list_proposals(
    *,
    host: str | None = None,
    product: str | None = None,
    fingerprint: str | None = None,
    lineage_id: str | None = None,
    state: ProposalsState | None = None,
    is_ready: bool | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[ProposalView]:
    """List what configurations use, ready to be bound.

    Needs `bindings:read`.
    """
    return Listing(
        operation="list_proposals",
        method="GET",
        path="/provisioner/v1/proposals",
        query={"host": host, "product": product, "fingerprint": fingerprint, "lineage_id": lineage_id, "state": state, "is_ready": is_ready, "limit": limit, "cursor": cursor},
    )


def get_proposal(proposal_id: str) -> Call[ProposalView]:
    """Show a proposal.

    Needs `bindings:read`.
    """
    return Call(
        operation="get_proposal",
        method="GET",
        path=f"/provisioner/v1/proposals/{quoted(proposal_id)}",
    )


def accept_proposal(proposal_id: str, body: AcceptanceBody | None = None) -> Call[BindingView]:
    """Make the binding.

    Needs `bindings:write`.
    """
    return Call(
        operation="accept_proposal",
        method="POST",
        path=f"/provisioner/v1/proposals/{quoted(proposal_id)}/accept",
        takes_key=True,
        body=body,
    )


def list_deployments(
    *,
    lineage_id: str | None = None,
    order_id: str | None = None,
    target_id: str | None = None,
    binding_id: str | None = None,
    rollout_id: str | None = None,
    state: DomainState | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[DeploymentView]:
    """List deployments.

    Needs `deployments:read`.
    """
    return Listing(
        operation="list_deployments",
        method="GET",
        path="/provisioner/v1/deployments",
        query={"lineage_id": lineage_id, "order_id": order_id, "target_id": target_id, "binding_id": binding_id, "rollout_id": rollout_id, "state": state, "limit": limit, "cursor": cursor},
    )


def get_deployment(deployment_id: str) -> Call[DeploymentReport]:
    """Show a deployment and its steps.

    Needs `deployments:read`.
    """
    return Call(
        operation="get_deployment",
        method="GET",
        path=f"/provisioner/v1/deployments/{quoted(deployment_id)}",
    )


def retry_deployment(deployment_id: str) -> Call[DeploymentView]:
    """Try a deployment again at once.

    Needs `deployments:write`.
    """
    return Call(
        operation="retry_deployment",
        method="POST",
        path=f"/provisioner/v1/deployments/{quoted(deployment_id)}/retry",
    )


def override_window(deployment_id: str, body: DeploymentsOverrideBody) -> Call[DeploymentView]:
    """Do it now, whatever windows and freezes say, in an emergency.

    Needs `deployments:override`.
    """
    return Call(
        operation="override_window",
        method="POST",
        path=f"/provisioner/v1/deployments/{quoted(deployment_id)}/override",
        body=body,
    )


def create_pull_token(binding_id: str) -> Call[PullTokenView]:
    """Make the token that fetches for a binding.

    Needs `bindings:write`.
    """
    return Call(
        operation="create_pull_token",
        method="POST",
        path=f"/provisioner/v1/bindings/{quoted(binding_id)}/pull-tokens",
    )


def get_offer(
    binding_id: str,
    *,
    wait: str | None = None,
    if_none_match: str | None = None,
) -> Call[OfferView | None]:
    """Show what waits for a binding.

    Needs no token: the token of the binding is asked for.
    """
    return Call(
        operation="get_offer",
        method="GET",
        path=f"/provisioner/v1/pull/{quoted(binding_id)}",
        query={"wait": wait},
        headers={"if-none-match": if_none_match},
    )


def release_pulled_key(binding_id: str, body: KeyBody) -> Call[KeyView]:
    """Fetch the private key of an offer, once.

    Needs no token: the token of the binding is asked for.
    """
    return Call(
        operation="release_pulled_key",
        method="POST",
        path=f"/provisioner/v1/pull/{quoted(binding_id)}/key",
        body=body,
    )


def report_offer(binding_id: str, body: ReportBody) -> Call[None]:
    """Say what has become of an offer.

    Needs no token: the token of the binding is asked for.
    """
    return Call(
        operation="report_offer",
        method="POST",
        path=f"/provisioner/v1/pull/{quoted(binding_id)}/reports",
        answers="nothing",
        body=body,
    )


def list_policies(*, limit: int | None = None, cursor: str | None = None) -> Listing[PolicyView]:
    """List rollout policies.

    Needs `rollout-policies:read`.
    """
    return Listing(
        operation="list_policies",
        method="GET",
        path="/provisioner/v1/rollout-policies",
        query={"limit": limit, "cursor": cursor},
    )


def get_policy(lineage_id: str) -> Call[PolicyView]:
    """Show how the certificates of a lineage go out.

    Needs `rollout-policies:read`.
    """
    return Call(
        operation="get_policy",
        method="GET",
        path=f"/provisioner/v1/rollout-policies/{quoted(lineage_id)}",
    )


def put_policy(lineage_id: str, body: PolicyBody, *, if_match: str | None = None) -> Call[PolicyView]:
    """Say how the next certificates of a lineage go out.

    Needs `rollout-policies:write`.
    """
    return Call(
        operation="put_policy",
        method="PUT",
        path=f"/provisioner/v1/rollout-policies/{quoted(lineage_id)}",
        headers={"if-match": if_match},
        body=body,
    )


def delete_policy(lineage_id: str) -> Call[None]:
    """Let certificates go out at once, everywhere.

    Needs `rollout-policies:write`.
    """
    return Call(
        operation="delete_policy",
        method="DELETE",
        path=f"/provisioner/v1/rollout-policies/{quoted(lineage_id)}",
        answers="nothing",
    )


def list_rollouts(
    *,
    lineage_id: str | None = None,
    order_id: str | None = None,
    state: RolloutState | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[RolloutView]:
    """List rollouts.

    Needs `rollouts:read`.
    """
    return Listing(
        operation="list_rollouts",
        method="GET",
        path="/provisioner/v1/rollouts",
        query={"lineage_id": lineage_id, "order_id": order_id, "state": state, "limit": limit, "cursor": cursor},
    )


def get_rollout(rollout_id: str) -> Call[RolloutReport]:
    """Show a rollout and how far it is.

    Needs `rollouts:read`.
    """
    return Call(
        operation="get_rollout",
        method="GET",
        path=f"/provisioner/v1/rollouts/{quoted(rollout_id)}",
    )


def resume_rollout(rollout_id: str) -> Call[RolloutView]:
    """Go on with a rollout that has stopped.

    Needs `rollouts:write`.
    """
    return Call(
        operation="resume_rollout",
        method="POST",
        path=f"/provisioner/v1/rollouts/{quoted(rollout_id)}/resume",
    )


def abort_rollout(rollout_id: str, body: AbortBody) -> Call[RolloutView]:
    """Let what has not begun never begin.

    Needs `rollouts:write`.
    """
    return Call(
        operation="abort_rollout",
        method="POST",
        path=f"/provisioner/v1/rollouts/{quoted(rollout_id)}/abort",
        body=body,
    )


def create_rule(body: RuleBody) -> Call[RuleView]:
    """Have what is put in place on targets approved first.

    Needs `approval-rules:write`.
    """
    return Call(
        operation="create_rule",
        method="POST",
        path="/provisioner/v1/approval-rules",
        takes_key=True,
        body=body,
    )


def list_rules(*, limit: int | None = None, cursor: str | None = None) -> Listing[RuleView]:
    """List approval rules.

    Needs `approval-rules:read`.
    """
    return Listing(
        operation="list_rules",
        method="GET",
        path="/provisioner/v1/approval-rules",
        query={"limit": limit, "cursor": cursor},
    )


def get_rule(rule_id: str) -> Call[RuleView]:
    """Show an approval rule.

    Needs `approval-rules:read`.
    """
    return Call(
        operation="get_rule",
        method="GET",
        path=f"/provisioner/v1/approval-rules/{quoted(rule_id)}",
    )


def change_rule(rule_id: str, body: RuleChangeBody, *, if_match: str | None = None) -> Call[RuleView]:
    """Change an approval rule; what waits is asked for anew.

    Needs `approval-rules:write`.
    """
    return Call(
        operation="change_rule",
        method="PATCH",
        path=f"/provisioner/v1/approval-rules/{quoted(rule_id)}",
        headers={"if-match": if_match},
        body=body,
    )


def delete_rule(rule_id: str) -> Call[None]:
    """Take an approval rule back; what waits goes on.

    Needs `approval-rules:write`.
    """
    return Call(
        operation="delete_rule",
        method="DELETE",
        path=f"/provisioner/v1/approval-rules/{quoted(rule_id)}",
        answers="nothing",
    )


def create_window(body: WindowBody) -> Call[WindowView]:
    """Let targets be changed only in this window, and others that they have.

    Needs `windows:write`.
    """
    return Call(
        operation="create_window",
        method="POST",
        path="/provisioner/v1/change-windows",
        takes_key=True,
        body=body,
    )


def list_windows(*, limit: int | None = None, cursor: str | None = None) -> Listing[WindowView]:
    """List change windows.

    Needs `windows:read`.
    """
    return Listing(
        operation="list_windows",
        method="GET",
        path="/provisioner/v1/change-windows",
        query={"limit": limit, "cursor": cursor},
    )


def get_window(window_id: str) -> Call[WindowView]:
    """Show a change window.

    Needs `windows:read`.
    """
    return Call(
        operation="get_window",
        method="GET",
        path=f"/provisioner/v1/change-windows/{quoted(window_id)}",
    )


def change_window(window_id: str, body: WindowChangeBody, *, if_match: str | None = None) -> Call[WindowView]:
    """Change a change window; what waits is looked at anew.

    Needs `windows:write`.
    """
    return Call(
        operation="change_window",
        method="PATCH",
        path=f"/provisioner/v1/change-windows/{quoted(window_id)}",
        headers={"if-match": if_match},
        body=body,
    )


def delete_window(window_id: str) -> Call[None]:
    """Forget a change window.

    Needs `windows:write`.
    """
    return Call(
        operation="delete_window",
        method="DELETE",
        path=f"/provisioner/v1/change-windows/{quoted(window_id)}",
        answers="nothing",
    )


def create_freeze(body: FreezeBody) -> Call[FreezeView]:
    """Let targets not be changed for a time.

    Needs `windows:write`.
    """
    return Call(
        operation="create_freeze",
        method="POST",
        path="/provisioner/v1/freezes",
        takes_key=True,
        body=body,
    )


def list_freezes(*, limit: int | None = None, cursor: str | None = None) -> Listing[FreezeView]:
    """List freezes.

    Needs `windows:read`.
    """
    return Listing(
        operation="list_freezes",
        method="GET",
        path="/provisioner/v1/freezes",
        query={"limit": limit, "cursor": cursor},
    )


def get_freeze(freeze_id: str) -> Call[FreezeView]:
    """Show a freeze.

    Needs `windows:read`.
    """
    return Call(
        operation="get_freeze",
        method="GET",
        path=f"/provisioner/v1/freezes/{quoted(freeze_id)}",
    )


def change_freeze(freeze_id: str, body: FreezeChangeBody, *, if_match: str | None = None) -> Call[FreezeView]:
    """Change a freeze; what waits is looked at anew.

    Needs `windows:write`.
    """
    return Call(
        operation="change_freeze",
        method="PATCH",
        path=f"/provisioner/v1/freezes/{quoted(freeze_id)}",
        headers={"if-match": if_match},
        body=body,
    )


def delete_freeze(freeze_id: str) -> Call[None]:
    """End or forget a freeze.

    Needs `windows:write`.
    """
    return Call(
        operation="delete_freeze",
        method="DELETE",
        path=f"/provisioner/v1/freezes/{quoted(freeze_id)}",
        answers="nothing",
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
        path="/provisioner/v1/approvals",
        query={"state": state, "show": show, "limit": limit, "cursor": cursor},
    )


def get_approval(approval_id: str) -> Call[ApprovalReport]:
    """Show exactly what would be done, and what was said.

    Needs `approvals:read`.
    """
    return Call(
        operation="get_approval",
        method="GET",
        path=f"/provisioner/v1/approvals/{quoted(approval_id)}",
    )


def decide_approval(approval_id: str, body: DecisionBody) -> Call[ApprovalReport]:
    """Grant or refuse.

    Needs `approvals:approve`.
    """
    return Call(
        operation="decide_approval",
        method="POST",
        path=f"/provisioner/v1/approvals/{quoted(approval_id)}/decisions",
        body=body,
    )


def override_approval(approval_id: str, body: RoutesOverrideBody) -> Call[ApprovalReport]:
    """Do it without approval, in an emergency.

    Needs `approvals:override`.
    """
    return Call(
        operation="override_approval",
        method="POST",
        path=f"/provisioner/v1/approvals/{quoted(approval_id)}/override",
        body=body,
    )


def list_dead_letters(*, limit: int | None = None) -> Call[DeadLetters]:
    """List events that were given up.

    Needs `dead-letters:read`.
    """
    return Call(
        operation="list_dead_letters",
        method="GET",
        path="/provisioner/v1/dead-letters",
        query={"limit": limit},
    )


def redrive_dead_letters(body: Redrive) -> Call[Moved]:
    """Put dead letters back for another try.

    Needs `dead-letters:admin`.
    """
    return Call(
        operation="redrive_dead_letters",
        method="POST",
        path="/provisioner/v1/dead-letters/redrive",
        body=body,
    )


def discard_dead_letters(body: Discard) -> Call[Moved]:
    """Throw dead letters away.

    Needs `dead-letters:admin`.
    """
    return Call(
        operation="discard_dead_letters",
        method="POST",
        path="/provisioner/v1/dead-letters/discard",
        body=body,
    )


def list_audit_keys() -> Call[AuditKeysView]:
    """Show what this service signs the audit trail with.

    Needs no token: verification keys are public.
    """
    return Call(
        operation="list_audit_keys",
        method="GET",
        path="/provisioner/v1/audit-keys",
    )
