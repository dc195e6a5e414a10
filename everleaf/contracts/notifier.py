"""What notifier can be asked, and what it answers.

Written by `make contracts` from services/notifier/openapi.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from everleaf.calls import Call, Listing, Page, quoted


class Acknowledgement(TypedDict):
    """Somebody has taken it up."""

    note: NotRequired[str]


Address = Literal["channel", "owner", "deputy"]
"""To whom a channel tells it that can tell others than its own recipients, as mail can."""


AlertState = Literal["open", "resolved"]
"""Whether an alert still holds."""


class AlertStory(TypedDict):
    """An alert, its history and its deliveries."""

    id: str
    lineage_id: str | None
    fingerprint: str | None
    """SHA-256 of the certificate in trouble."""
    problem: AlertsProblem
    severity: Severity
    summary: str
    details: Details
    state: AlertState
    opened_at: str
    updated_at: str
    resolved_at: str | None
    resolved_because: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    snoozed_until: str | None
    """Nobody is told until then, unless it becomes more severe."""
    snoozed_by: str | None
    muted_at: str | None
    """Since then nobody is told, until it is over."""
    muted_by: str | None
    muted_because: str | None
    history: list[EntryView]
    deliveries: list[DeliveryView]


class AlertView(TypedDict):
    """A problem: open, or seen to be over."""

    id: str
    lineage_id: str | None
    fingerprint: str | None
    """SHA-256 of the certificate in trouble."""
    problem: AlertsProblem
    severity: Severity
    summary: str
    details: Details
    state: AlertState
    opened_at: str
    updated_at: str
    resolved_at: str | None
    resolved_because: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    snoozed_until: str | None
    """Nobody is told until then, unless it becomes more severe."""
    snoozed_by: str | None
    muted_at: str | None
    """Since then nobody is told, until it is over."""
    muted_by: str | None
    muted_because: str | None


class ApproverBody(TypedDict):
    """Who somebody is here, by what they are called there."""

    external: str
    principal: str
    """A principal's id."""
    roles: NotRequired[list[Literal["approver", "admin"]]]
    """Those that their word counts with."""


class AuditKeysView(TypedDict):
    """A JWKS (RFC 7517)."""

    keys: list[dict[str, str]]


class CatchUpView(TypedDict):
    """What is on its way for the first time."""

    count: int
    """Alerts that are told through the channel now."""


class ChannelBody(TypedDict):
    """A channel to be made."""

    name: str
    kind: str
    options: dict[str, Any]
    """As the kind of channel wants them."""
    secrets: NotRequired[dict[str, str]]
    """As the kind of channel wants them; never shown."""
    enabled: NotRequired[bool]
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


class ChannelKindView(TypedDict):
    """A kind of channel, with the JSON Schemas of its options and its secrets."""

    kind: str
    summary: str
    options: dict[str, Any]
    secrets: dict[str, Any]


class ChannelKindsView(TypedDict):
    """Every kind of channel."""

    items: list[ChannelKindView]


class ChannelPatch(TypedDict):
    """What is to be another; options and secrets are replaced whole."""

    name: NotRequired[str | None]
    options: NotRequired[dict[str, Any] | None]
    secrets: NotRequired[dict[str, str] | None]
    enabled: NotRequired[bool | None]
    groups: NotRequired[list[str] | None]


class ChannelView(TypedDict):
    """A channel, without its secrets."""

    id: str
    name: str
    kind: str
    options: dict[str, Any]
    enabled: bool
    disabled_because: str | None
    """Why the notifier itself turned it off."""
    groups: list[str]
    """It is told of what is in one of them; without any, of everything."""
    version: int
    created_at: str
    updated_at: str


class CheckpointView(TypedDict):
    """A signed end of a segment."""

    number: int
    first: int
    last: int
    head: str
    at: str
    is_let_go: bool
    """Its entries were older than they are kept."""
    checkpoint: str
    """A JWS."""
    cosigned_by: dict[str, str]
    """The JWS of each service that has co-signed."""


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


class DecisionData(TypedDict):
    """Somebody's decision."""

    approval_id: str
    digest: str
    """The one that the notice has told."""
    decided_by: str
    """As the hook's `approvers` name them."""
    reason: str


class DecisionMessage(TypedDict):
    """A message of Standard Webhooks."""

    type: Literal["approval.granted", "approval.refused"]
    timestamp: NotRequired[str | None]
    """For people: the signed time is `webhook-timestamp`."""
    data: DecisionData


DeliveryState = Literal["pending", "gathered", "delivered", "failed", "withdrawn"]
"""What became of a telling."""


class DeliveryView(TypedDict):
    """One turn of an alert, or a digest of many, on its way through one channel."""

    id: str
    alert_id: str | None
    """Empty where it is a digest of many."""
    number: int
    """The turn of the alert, as its history numbers it."""
    channel_id: str
    state: DeliveryState
    attempts: int
    next_attempt_at: str | None
    answer: str | None
    """What the other side said when it took it."""
    last_error: str | None
    is_own: bool
    """To the recipients that the channel's options name."""
    addressed: list[str]
    """And to these contacts of a team."""
    digest_id: str | None
    """The delivery that tells it together with others."""
    told: list[str]
    """Recipients that have it, where the channel has several."""
    refused: dict[str, str]
    """Recipients that were refused for good, and why."""
    created_at: str
    delivered_at: str | None


class Details(TypedDict):
    """What is known of a problem, all of it cleaned and none of it secret."""

    names: NotRequired[list[str]]
    issuer: NotRequired[str | None]
    owner: NotRequired[str | None]
    not_after: NotRequired[str | None]
    places: NotRequired[list[str]]
    place_count: NotRequired[int]
    target: NotRequired[str | None]
    policy: NotRequired[str | None]
    broken: NotRequired[list[str]]
    step: NotRequired[str | None]
    reason: NotRequired[str | None]
    next_step: NotRequired[str]
    attempt: NotRequired[int | None]
    next_attempt_at: NotRequired[str | None]
    approval_id: NotRequired[str | None]
    digest: NotRequired[str | None]
    counts: NotRequired[list[str]]
    urgent: NotRequired[list[str]]


class Discard(TypedDict):
    """Which dead letters to throw away."""

    ids: list[str]


class EntryView(TypedDict):
    """One thing that happened to an alert."""

    number: int
    turn: Turn
    at: str
    severity: Severity
    text: str
    by: str | None
    """The caller, where it was one."""


class EventsView(TypedDict):
    """Some events, in their order."""

    items: list[dict[str, Any]]
    """CloudEvents 1.0, as docs/events.md lists them."""
    after: int
    """Send it as `after` to get what comes next."""


Form = Literal["html", "pdf", "csv"]
"""What a report is written as."""


Format = Literal["syslog", "cef", "ocsf"]
"""How a notice, or an entry of the audit trail, is written down."""


class HookBody(TypedDict):
    """A hook to be made."""

    name: str
    signing_secret: NotRequired[str | None]
    """`whsec_` and 24 to 64 random bytes in base64; never shown. Without it no message is taken."""
    channel_id: NotRequired[str | None]
    """What is decided in the tickets of this channel is passed on, as long as nobody changes its
    options.
    """
    approvers: list[ApproverBody]
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


class HookView(TypedDict):
    """A hook, without its secret."""

    id: str
    name: str
    approvers: list[ApproverBody]
    channel_id: str | None
    """The channel in whose tickets people decide."""
    groups: list[str]
    """It speaks for people in these; without any, in all."""
    created_at: str
    created_by: str


class Hours(TypedDict):
    """Business hours in a time zone. What is urgent does not wait for them."""

    zone: str
    days: NotRequired[list[Weekday]]
    opens: NotRequired[str]
    closes: NotRequired[str]
    urgent_from: NotRequired[Severity]


class Level(TypedDict):
    """Who is told when nobody has taken it up for so long."""

    after: str
    """ISO 8601: at least a minute, at most 90 days."""
    channels: NotRequired[list[str] | None]
    address: NotRequired[Address]


class MadeStreamView(TypedDict):
    """A stream, and what its receiver checks messages with."""

    id: str
    name: str
    way: Way
    options: dict[str, Any]
    state: State
    position: int
    """The number of the last entry that was handed over."""
    failures: int
    last_error: str | None
    created_at: str
    created_by: str
    credential: dict[str, str]
    """Shown this once."""


class MadeView(TypedDict):
    """A subscription, and what its consumer needs."""

    id: str
    name: str
    way: Way
    types: list[str]
    names: list[str]
    groups: list[str]
    """It is told of what is in one of them; without any, of everything."""
    options: dict[str, Any]
    state: State
    position: int
    """The number of the last event that was handed over."""
    failures: int
    """How often in a row its consumer has not taken what was to come."""
    last_error: str | None
    created_at: str
    created_by: str
    credential: dict[str, str]
    """What the consumer needs, shown this once."""


class Match(TypedDict):
    """Of which lineages a rule is: all that is given must fit, and of a list one; `*` stands for
    anything.
    """

    names: NotRequired[list[str]]
    issuers: NotRequired[list[str]]
    owners: NotRequired[list[str]]


class Moved(TypedDict):
    """How many dead letters were moved."""

    count: int


class Muting(TypedDict):
    """Not at all."""

    reason: str


class NextKeyView(TypedDict):
    """The key that the trail is to be signed with."""

    key: dict[str, str]
    """Its public half, as a JWK."""
    made_at: str


class Plan(TypedDict):
    """What a rule says beside whom it tells."""

    thresholds: NotRequired[list[str]]
    match: NotRequired[Match]
    address: NotRequired[Address]
    escalation: NotRequired[list[Level]]
    repeat_every: NotRequired[str | None]
    hours: NotRequired[Hours | None]
    digest_every: NotRequired[str | None]
    is_quiet_while_automated: NotRequired[bool]


ProblemInput = Literal["expiring", "stale", "renewal-failed", "deployment-failed", "channel-dead", "source-unread", "key-exposed", "key-mismatch", "key-replaceable", "key-shared", "not-configured", "not-served", "unowned", "authority-expiring", "noncompliant", "revoked", "revocation-failed", "awaiting-approval", "rollout-stopped", "drifted", "audit-incomplete", "audit-broken"]
"""What can be wrong; there is at most one open alert for each subject and problem."""


class Redrive(TypedDict):
    """Which dead letters to put back."""

    ids: NotRequired[list[str] | None]
    """Event ids; left out, all of them."""


class ReplayView(TypedDict):
    """What is on its way again."""

    count: int
    since: str


Report = Literal["expiring", "compliance", "ownership", "renewals", "exceptions", "forecast"]
"""What there are reports about."""


class RuleBody(TypedDict):
    """A rule to be made."""

    name: str
    min_severity: NotRequired[Severity]
    problems: NotRequired[list[ProblemInput]]
    """Empty: all of them."""
    channels: NotRequired[list[str] | None]
    """Ids; null: every enabled channel."""
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """
    plan: NotRequired[Plan]
    """Of which lineages, at which thresholds, to which addresses, at what hours, and what if nobody
    answers.
    """


class RulePatch(TypedDict):
    """What is to be another; what is left out stays."""

    name: NotRequired[str]
    min_severity: NotRequired[Severity]
    problems: NotRequired[list[ProblemInput]]
    channels: NotRequired[list[str] | None]
    """Ids; null: every enabled channel."""
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """
    plan: NotRequired[Plan]
    """Replaced whole."""


class RuleView(TypedDict):
    """A rule."""

    id: str
    name: str
    min_severity: Severity
    problems: list[AlertsProblem]
    channels: list[str] | None
    groups: list[str]
    """It is for alerts in one of them; without any, for all."""
    plan: Plan
    version: int
    created_at: str
    updated_at: str


class ScheduleBody(TypedDict):
    """A report that is to be mailed again and again."""

    name: str
    report: Report
    format: NotRequired[Form]
    query: NotRequired[str | None]
    days: NotRequired[int]
    """Ahead; for what was done, before."""
    cron: str
    zone: NotRequired[str]
    channel_id: str
    """Of a channel of the kind email."""
    recipients: NotRequired[list[str]]
    """Empty: those of the channel."""
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """


class SchedulePatch(TypedDict):
    """What is to be another; `recipients` and `groups` are replaced whole. `query` may be null: all
    certificates.
    """

    name: NotRequired[str | None]
    report: NotRequired[Report | None]
    format: NotRequired[Form | None]
    query: NotRequired[str | None]
    days: NotRequired[int | None]
    """Ahead; for what was done, before."""
    cron: NotRequired[str | None]
    zone: NotRequired[str | None]
    channel_id: NotRequired[str | None]
    """Of a channel of the kind email."""
    recipients: NotRequired[list[str] | None]
    groups: NotRequired[list[str] | None]


class ScheduleView(TypedDict):
    """A report that is mailed again and again."""

    id: str
    name: str
    report: Report
    format: Form
    query: str | None
    days: int
    cron: str
    zone: str
    channel_id: str
    recipients: list[str]
    groups: list[str]
    scope: list[str] | None
    """What its reports show: what is in these groups; null is everything."""
    next_at: str
    last_sent_at: str | None
    last_error: str | None
    created_at: str
    created_by: str


Severity = Literal["info", "warning", "error", "critical"]
"""How bad it is, least bad first."""


class Snooze(TypedDict):
    """Not now."""

    until: str
    """At most 90 days ahead."""
    note: NotRequired[str]


class SourceView(TypedDict):
    """What a service has told."""

    source: str
    entries: int
    missing: int
    """Changes that it has numbered and that have not come (yet)."""


class Sources(TypedDict):
    """All services that have told something."""

    items: list[SourceView]


State = Literal["active", "ended"]
"""Whether a subscription is served."""


class StreamBody(TypedDict):
    """Where the trail is to go."""

    name: str
    way: Literal["syslog", "webhook"]
    from_beginning: NotRequired[bool]
    """What is there already goes first."""
    syslog: NotRequired[SyslogBody | None]
    webhook: NotRequired[WebhookBody | None]


class StreamView(TypedDict):
    """A stream, without its secrets."""

    id: str
    name: str
    way: Way
    options: dict[str, Any]
    state: State
    position: int
    """The number of the last entry that was handed over."""
    failures: int
    last_error: str | None
    created_at: str
    created_by: str


class SubscriptionBody(TypedDict):
    """What a consumer wants, and how it gets it."""

    name: str
    way: Literal["poll", "webhook", "queue"]
    """It asks; or it is sent signed requests; or it gets a RabbitMQ queue of its own."""
    types: NotRequired[list[str]]
    """Types of events; left out, all."""
    names: NotRequired[list[str]]
    """Only what is about one of these DNS names, or below one: `*.example.com`."""
    groups: NotRequired[list[str]]
    """The groups it is in: a caller with groups sees and changes it who shares one with it. Left out,
    those of the caller; an object without any is for callers without groups only.
    """
    webhook: NotRequired[WebhookBody | None]
    """Where `way` is `webhook`, and only then."""


class SubscriptionView(TypedDict):
    """A subscription, without its secrets."""

    id: str
    name: str
    way: Way
    types: list[str]
    names: list[str]
    groups: list[str]
    """It is told of what is in one of them; without any, of everything."""
    options: dict[str, Any]
    state: State
    position: int
    """The number of the last event that was handed over."""
    failures: int
    """How often in a row its consumer has not taken what was to come."""
    last_error: str | None
    created_at: str
    created_by: str


class SyslogBody(TypedDict):
    """A receiver of syslog over TLS (RFC 5425)."""

    host: str
    port: NotRequired[int]
    format: NotRequired[Format]
    facility: NotRequired[int]
    """RFC 5424 §6.2.1; 13 is `log audit`."""
    ca_pem: NotRequired[str | None]
    """Trust only these authorities (PEM)."""


class TakenView(TypedDict):
    """That the message was taken. Whether the decision counts is for who has asked: see the approval."""

    is_first: bool
    """False where the same message has come before, and was not taken again."""


TicketState = Literal["open", "closed"]
"""Whether people are to work on it."""


class TicketView(TypedDict):
    """What is kept of an alert beyond a channel."""

    alert_id: str
    channel_id: str
    key: str
    """What people there call it."""
    link: str | None
    state: TicketState
    words: str | None
    """What that state is called there, once it was looked at."""
    opened_at: str
    updated_at: str


class TrailEntryView(TypedDict):
    """An entry."""

    number: int
    source: str
    """The service that has recorded it."""
    sequence: int
    """That service's own count, without a gap."""
    at: str
    actor_id: str
    """A principal, or the service itself."""
    actor_name: str
    on_behalf_of: str | None
    action: str
    object_kind: str
    object_id: str
    object_name: str | None
    groups: list[str]
    lineage_id: str | None
    before: dict[str, Any] | None
    """What changed, as it was; no secret is in it."""
    after: dict[str, Any] | None
    reason: str | None
    approval_id: str | None
    cause: str | None
    """The event that it was the answer to."""
    operation: str | None
    address: str | None
    agent: str | None
    trace_id: str
    previous: str
    """SHA-256 of the entry before."""
    digest: str
    """SHA-256 of this entry as it is exported."""


class TrialView(TypedDict):
    """What became of a test: `later` may pass, or is to be put right; `never` is the receiver's last
    word.
    """

    outcome: Literal["delivered", "later", "never"]
    answer: str
    """What the other side said, or why nothing was said."""
    refused: dict[str, str]
    """Recipients that were refused, and why."""


Turn = Literal["opened", "raised", "resolved", "crossed", "escalated", "repeated", "acknowledged", "snoozed", "muted", "woken", "noted", "test", "digest"]
"""What can happen to an alert. Channels hear of it as opened, raised or resolved."""


Way = Literal["poll", "webhook", "queue", "syslog"]
"""How a consumer gets what it has subscribed to."""


class WebhookBody(TypedDict):
    """Where messages are sent to."""

    url: str
    ca_pem: NotRequired[str | None]
    """Trust only these authorities (PEM)."""
    signature: NotRequired[Literal["hmac", "ed25519"]]


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
"""A day of the week, in the order of `date.weekday()`."""


class ReplaysReplayBody(TypedDict):
    """From when on."""

    since: str
    include_delivered: NotRequired[bool]
    """Also what the other side has taken: it gets that a second time."""


class SubscriptionsReplayBody(TypedDict):
    """From when on."""

    since: str


AlertsProblem = Literal["expiring", "stale", "renewal-failed", "deployment-failed", "channel-dead", "source-unread", "key-exposed", "key-mismatch", "key-replaceable", "key-shared", "not-configured", "not-served", "unowned", "authority-expiring", "noncompliant", "revoked", "revocation-failed", "awaiting-approval", "rollout-stopped", "drifted", "audit-incomplete", "audit-broken"]
"""What can be wrong; there is at most one open alert for each subject and problem."""


class OpenapiProblem(TypedDict):
    """A problem document (RFC 9457); `next_step` says what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    next_step: str
    trace_id: str
    errors: NotRequired[list[dict[str, str]]]


def list_alerts(
    *,
    state: Literal["open", "resolved"] | None = None,
    severity: Severity | None = None,
    problem: ProblemInput | None = None,
    lineage_id: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[AlertView]:
    """List alerts, newest first.

    Needs `alerts:read`.
    """
    return Listing(
        operation="list_alerts",
        method="GET",
        path="/notifier/v1/alerts",
        query={"state": state, "severity": severity, "problem": problem, "lineage_id": lineage_id, "limit": limit, "cursor": cursor},
    )


def get_alert(alert_id: str) -> Call[AlertStory]:
    """Show an alert with its history and deliveries.

    Needs `alerts:read`.
    """
    return Call(
        operation="get_alert",
        method="GET",
        path=f"/notifier/v1/alerts/{quoted(alert_id)}",
    )


def acknowledge_alert(alert_id: str, body: Acknowledgement) -> Call[AlertStory]:
    """Say that somebody has taken it up.

    Needs `alerts:write`.
    """
    return Call(
        operation="acknowledge_alert",
        method="POST",
        path=f"/notifier/v1/alerts/{quoted(alert_id)}/acknowledge",
        body=body,
    )


def snooze_alert(alert_id: str, body: Snooze) -> Call[AlertStory]:
    """Let nobody be told until an instant, unless it becomes more severe.

    Needs `alerts:write`.
    """
    return Call(
        operation="snooze_alert",
        method="POST",
        path=f"/notifier/v1/alerts/{quoted(alert_id)}/snooze",
        body=body,
    )


def mute_alert(alert_id: str, body: Muting) -> Call[AlertStory]:
    """Let nobody be told until it is over, and say why.

    Needs `alerts:write`.
    """
    return Call(
        operation="mute_alert",
        method="POST",
        path=f"/notifier/v1/alerts/{quoted(alert_id)}/mute",
        body=body,
    )


def wake_alert(alert_id: str) -> Call[AlertStory]:
    """End what keeps an alert from being told, and tell it again.

    Needs `alerts:write`.
    """
    return Call(
        operation="wake_alert",
        method="POST",
        path=f"/notifier/v1/alerts/{quoted(alert_id)}/wake",
    )


def follow_changes(*, wait: int, last_event_id: int | None = None) -> Call[dict[str, Any]]:
    """Be told, as it happens, what has changed of what you may see.

    Needs `changes:read`.
    """
    return Call(
        operation="follow_changes",
        method="GET",
        path="/notifier/v1/changes",
        query={"wait": wait},
        headers={"last-event-id": last_event_id},
    )


def create_channel(body: ChannelBody) -> Call[ChannelView]:
    """Make a channel.

    Needs `channels:write`.
    """
    return Call(
        operation="create_channel",
        method="POST",
        path="/notifier/v1/channels",
        takes_key=True,
        body=body,
    )


def list_channels(*, limit: int | None = None, cursor: str | None = None) -> Listing[ChannelView]:
    """List channels, newest first.

    Needs `channels:read`.
    """
    return Listing(
        operation="list_channels",
        method="GET",
        path="/notifier/v1/channels",
        query={"limit": limit, "cursor": cursor},
    )


def get_channel(channel_id: str) -> Call[ChannelView]:
    """Show a channel.

    Needs `channels:read`.
    """
    return Call(
        operation="get_channel",
        method="GET",
        path=f"/notifier/v1/channels/{quoted(channel_id)}",
    )


def change_channel(channel_id: str, body: ChannelPatch, *, if_match: str | None = None) -> Call[ChannelView]:
    """Change a channel.

    Needs `channels:write`.
    """
    return Call(
        operation="change_channel",
        method="PATCH",
        path=f"/notifier/v1/channels/{quoted(channel_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_channel(channel_id: str) -> Call[None]:
    """Take a channel away.

    Needs `channels:write`.
    """
    return Call(
        operation="delete_channel",
        method="DELETE",
        path=f"/notifier/v1/channels/{quoted(channel_id)}",
        answers="nothing",
    )


def test_channel(channel_id: str) -> Call[TrialView]:
    """Send a test through a channel now, and say what came back.

    Needs `channels:write`.
    """
    return Call(
        operation="test_channel",
        method="POST",
        path=f"/notifier/v1/channels/{quoted(channel_id)}/test",
    )


def list_channel_kinds() -> Call[ChannelKindsView]:
    """List the kinds of channel.

    Needs `channels:read`.
    """
    return Call(
        operation="list_channel_kinds",
        method="GET",
        path="/notifier/v1/channel-kinds",
    )


def create_rule(body: RuleBody) -> Call[RuleView]:
    """Make a rule.

    Needs `rules:write`.
    """
    return Call(
        operation="create_rule",
        method="POST",
        path="/notifier/v1/rules",
        takes_key=True,
        body=body,
    )


def list_rules(*, limit: int | None = None, cursor: str | None = None) -> Listing[RuleView]:
    """List rules, newest first.

    Needs `rules:read`.
    """
    return Listing(
        operation="list_rules",
        method="GET",
        path="/notifier/v1/rules",
        query={"limit": limit, "cursor": cursor},
    )


def get_rule(rule_id: str) -> Call[RuleView]:
    """Show a rule.

    Needs `rules:read`.
    """
    return Call(
        operation="get_rule",
        method="GET",
        path=f"/notifier/v1/rules/{quoted(rule_id)}",
    )


def change_rule(rule_id: str, body: RulePatch, *, if_match: str | None = None) -> Call[RuleView]:
    """Change a rule.

    Needs `rules:write`.
    """
    return Call(
        operation="change_rule",
        method="PATCH",
        path=f"/notifier/v1/rules/{quoted(rule_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_rule(rule_id: str) -> Call[None]:
    """Take a rule away.

    Needs `rules:write`.
    """
    return Call(
        operation="delete_rule",
        method="DELETE",
        path=f"/notifier/v1/rules/{quoted(rule_id)}",
        answers="nothing",
    )


def replay_channel(channel_id: str, body: ReplaysReplayBody) -> Call[ReplayView]:
    """Send again what a channel has missed.

    Needs `deliveries:write`.
    """
    return Call(
        operation="replay_channel",
        method="POST",
        path=f"/notifier/v1/channels/{quoted(channel_id)}/replay",
        body=body,
    )


def catch_up_channel(channel_id: str) -> Call[CatchUpView]:
    """Tell a channel of what is open already.

    Needs `deliveries:write`.
    """
    return Call(
        operation="catch_up_channel",
        method="POST",
        path=f"/notifier/v1/channels/{quoted(channel_id)}/catch-up",
    )


def list_deliveries(
    *,
    state: DeliveryState | None = None,
    channel_id: str | None = None,
    alert_id: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[DeliveryView]:
    """List deliveries, newest first.

    Needs `deliveries:read`.
    """
    return Listing(
        operation="list_deliveries",
        method="GET",
        path="/notifier/v1/deliveries",
        query={"state": state, "channel_id": channel_id, "alert_id": alert_id, "limit": limit, "cursor": cursor},
    )


def retry_delivery(delivery_id: str) -> Call[DeliveryView]:
    """Try a delivery again, now.

    Needs `deliveries:write`.
    """
    return Call(
        operation="retry_delivery",
        method="POST",
        path=f"/notifier/v1/deliveries/{quoted(delivery_id)}/retry",
    )


def list_tickets(
    *,
    alert_id: str | None = None,
    channel_id: str | None = None,
    state: TicketState | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[TicketView]:
    """List tickets, the newest alert's first.

    Needs `tickets:read`.
    """
    return Listing(
        operation="list_tickets",
        method="GET",
        path="/notifier/v1/tickets",
        query={"alert_id": alert_id, "channel_id": channel_id, "state": state, "limit": limit, "cursor": cursor},
    )


def get_snmp_mib(*, enterprise: int | None = None) -> Call[str]:
    """Get EVERLEAF-MIB under your enterprise number.

    Needs `channels:read`.
    """
    return Call(
        operation="get_snmp_mib",
        method="GET",
        path="/notifier/v1/snmp-mib",
        query={"enterprise": enterprise},
        answers="text",
    )


def make_report(
    *,
    report: Report,
    format: Form | None = None,
    query: str | None = None,
    days: int | None = None,
) -> Call[bytes]:
    """Make a report of what the caller may see.

    Needs `reports:read`.
    """
    return Call(
        operation="make_report",
        method="GET",
        path="/notifier/v1/reports",
        query={"report": report, "format": format, "query": query, "days": days},
        answers="bytes",
    )


def create_schedule(body: ScheduleBody) -> Call[ScheduleView]:
    """Let a report be mailed again and again.

    Needs `reports:write`.
    """
    return Call(
        operation="create_schedule",
        method="POST",
        path="/notifier/v1/report-schedules",
        takes_key=True,
        body=body,
    )


def list_schedules(*, limit: int | None = None, cursor: str | None = None) -> Listing[ScheduleView]:
    """List reports that are mailed, newest first.

    Needs `reports:read`.
    """
    return Listing(
        operation="list_schedules",
        method="GET",
        path="/notifier/v1/report-schedules",
        query={"limit": limit, "cursor": cursor},
    )


def get_schedule(schedule_id: str) -> Call[ScheduleView]:
    """Show a report that is mailed.

    Needs `reports:read`.
    """
    return Call(
        operation="get_schedule",
        method="GET",
        path=f"/notifier/v1/report-schedules/{quoted(schedule_id)}",
    )


def change_schedule(
    schedule_id: str,
    body: SchedulePatch,
    *,
    if_match: str | None = None,
) -> Call[ScheduleView]:
    """Change a report that is mailed.

    Needs `reports:write`.
    """
    return Call(
        operation="change_schedule",
        method="PATCH",
        path=f"/notifier/v1/report-schedules/{quoted(schedule_id)}",
        headers={"If-Match": if_match},
        body=body,
    )


def delete_schedule(schedule_id: str) -> Call[None]:
    """Let it not be mailed any more.

    Needs `reports:write`.
    """
    return Call(
        operation="delete_schedule",
        method="DELETE",
        path=f"/notifier/v1/report-schedules/{quoted(schedule_id)}",
        answers="nothing",
    )


def send_schedule(schedule_id: str) -> Call[ScheduleView]:
    """Let the next one go out at once.

    Needs `reports:write`.
    """
    return Call(
        operation="send_schedule",
        method="POST",
        path=f"/notifier/v1/report-schedules/{quoted(schedule_id)}/send",
    )


def create_approval_hook(body: HookBody) -> Call[HookView]:
    """Let an outside system pass on what people decide there.

    Needs `approval-hooks:admin`.
    """
    return Call(
        operation="create_approval_hook",
        method="POST",
        path="/notifier/v1/approval-hooks",
        takes_key=True,
        body=body,
    )


def list_approval_hooks(*, limit: int | None = None, cursor: str | None = None) -> Listing[HookView]:
    """List hooks, newest first.

    Needs `approval-hooks:admin`.
    """
    return Listing(
        operation="list_approval_hooks",
        method="GET",
        path="/notifier/v1/approval-hooks",
        query={"limit": limit, "cursor": cursor},
    )


def get_approval_hook(hook_id: str) -> Call[HookView]:
    """Show a hook.

    Needs `approval-hooks:admin`.
    """
    return Call(
        operation="get_approval_hook",
        method="GET",
        path=f"/notifier/v1/approval-hooks/{quoted(hook_id)}",
    )


def delete_approval_hook(hook_id: str) -> Call[None]:
    """Take a hook away.

    Needs `approval-hooks:admin`.
    """
    return Call(
        operation="delete_approval_hook",
        method="DELETE",
        path=f"/notifier/v1/approval-hooks/{quoted(hook_id)}",
        answers="nothing",
    )


def pass_on_decision(hook_id: str, body: DecisionMessage) -> Call[TakenView]:
    """Pass on what somebody has decided.

    Needs no token: the message is signed with the hook's secret (Standard Webhooks).
    """
    return Call(
        operation="pass_on_decision",
        method="POST",
        path=f"/notifier/v1/approval-hooks/{quoted(hook_id)}/decisions",
        body=body,
    )


def list_audit_entries(
    *,
    actor_id: str | None = None,
    action: str | None = None,
    object_kind: str | None = None,
    object_id: str | None = None,
    lineage_id: str | None = None,
    source: str | None = None,
    trace_id: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Listing[TrailEntryView]:
    """Search the audit trail, newest first.

    Needs `audit-trail:audit`.
    """
    return Listing(
        operation="list_audit_entries",
        method="GET",
        path="/notifier/v1/audit",
        query={"actor_id": actor_id, "action": action, "object_kind": object_kind, "object_id": object_id, "lineage_id": lineage_id, "source": source, "trace_id": trace_id, "since": since, "until": until, "limit": limit, "cursor": cursor},
    )


def list_audit_checkpoints(*, limit: int | None = None, cursor: str | None = None) -> Listing[CheckpointView]:
    """List signed checkpoints, oldest first.

    Needs `audit-trail:audit`.
    """
    return Listing(
        operation="list_audit_checkpoints",
        method="GET",
        path="/notifier/v1/audit/checkpoints",
        query={"limit": limit, "cursor": cursor},
    )


def list_audit_sources() -> Call[Sources]:
    """Show what each service has recorded, and what is missing.

    Needs `audit-trail:audit`.
    """
    return Call(
        operation="list_audit_sources",
        method="GET",
        path="/notifier/v1/audit/sources",
    )


def export_audit_trail() -> Call[str]:
    """Export the whole trail as signed lines of JSON.

    Needs `audit-trail:audit`.
    """
    return Call(
        operation="export_audit_trail",
        method="GET",
        path="/notifier/v1/audit/export",
        answers="text",
    )


def list_audit_keys() -> Call[AuditKeysView]:
    """Show what the audit trail is signed and co-signed with.

    Needs no token: verification keys are public.
    """
    return Call(
        operation="list_audit_keys",
        method="GET",
        path="/notifier/v1/audit-keys",
    )


def rotate_audit_key() -> Call[NextKeyView]:
    """Have the audit trail signed with a new key.

    Needs `audit-trail:admin`.
    """
    return Call(
        operation="rotate_audit_key",
        method="POST",
        path="/notifier/v1/audit-keys",
    )


def create_subscription(body: SubscriptionBody) -> Call[MadeView]:
    """Subscribe to events.

    Needs `subscriptions:write`.
    """
    return Call(
        operation="create_subscription",
        method="POST",
        path="/notifier/v1/subscriptions",
        body=body,
    )


def list_subscriptions(*, limit: int | None = None, cursor: str | None = None) -> Listing[SubscriptionView]:
    """List subscriptions, newest first.

    Needs `subscriptions:read`.
    """
    return Listing(
        operation="list_subscriptions",
        method="GET",
        path="/notifier/v1/subscriptions",
        query={"limit": limit, "cursor": cursor},
    )


def get_subscription(subscription_id: str) -> Call[SubscriptionView]:
    """Show a subscription.

    Needs `subscriptions:read`.
    """
    return Call(
        operation="get_subscription",
        method="GET",
        path=f"/notifier/v1/subscriptions/{quoted(subscription_id)}",
    )


def delete_subscription(subscription_id: str) -> Call[None]:
    """Take a subscription away, and its queue with it.

    Needs `subscriptions:write`.
    """
    return Call(
        operation="delete_subscription",
        method="DELETE",
        path=f"/notifier/v1/subscriptions/{quoted(subscription_id)}",
        answers="nothing",
    )


def replay_subscription(subscription_id: str, body: SubscriptionsReplayBody) -> Call[SubscriptionView]:
    """Hand over again what was kept since an instant.

    Needs `subscriptions:write`.
    """
    return Call(
        operation="replay_subscription",
        method="POST",
        path=f"/notifier/v1/subscriptions/{quoted(subscription_id)}/replay",
        body=body,
    )


def read_subscription_events(
    subscription_id: str,
    *,
    after: int | None = None,
    wait: float | None = None,
    limit: int | None = None,
) -> Call[EventsView]:
    """Read what comes next, and wait for it where it is to come yet.

    Needs `subscriptions:read`.
    """
    return Call(
        operation="read_subscription_events",
        method="GET",
        path=f"/notifier/v1/subscriptions/{quoted(subscription_id)}/events",
        query={"after": after, "wait": wait, "limit": limit},
    )


def create_audit_stream(body: StreamBody) -> Call[MadeStreamView]:
    """Send the audit trail to a SIEM, as it grows.

    Needs `audit-trail:admin`.
    """
    return Call(
        operation="create_audit_stream",
        method="POST",
        path="/notifier/v1/audit-streams",
        body=body,
    )


def list_audit_streams(*, limit: int | None = None, cursor: str | None = None) -> Listing[StreamView]:
    """List streams of the audit trail, newest first.

    Needs `audit-trail:audit`.
    """
    return Listing(
        operation="list_audit_streams",
        method="GET",
        path="/notifier/v1/audit-streams",
        query={"limit": limit, "cursor": cursor},
    )


def delete_audit_stream(stream_id: str) -> Call[None]:
    """Send the audit trail there no more.

    Needs `audit-trail:admin`.
    """
    return Call(
        operation="delete_audit_stream",
        method="DELETE",
        path=f"/notifier/v1/audit-streams/{quoted(stream_id)}",
        answers="nothing",
    )


def list_dead_letters(*, limit: int | None = None) -> Call[DeadLetters]:
    """List events that were given up.

    Needs `dead-letters:read`.
    """
    return Call(
        operation="list_dead_letters",
        method="GET",
        path="/notifier/v1/dead-letters",
        query={"limit": limit},
    )


def redrive_dead_letters(body: Redrive) -> Call[Moved]:
    """Put dead letters back for another try.

    Needs `dead-letters:admin`.
    """
    return Call(
        operation="redrive_dead_letters",
        method="POST",
        path="/notifier/v1/dead-letters/redrive",
        body=body,
    )


def discard_dead_letters(body: Discard) -> Call[Moved]:
    """Throw dead letters away.

    Needs `dead-letters:admin`.
    """
    return Call(
        operation="discard_dead_letters",
        method="POST",
        path="/notifier/v1/dead-letters/discard",
        body=body,
    )
