"""What Prometheus can ask of every process: requests, events, and how long they wait. One registry per process.

Names and labels are those of OpenTelemetry's semantic conventions 1.44 (https://opentelemetry.io/docs/specs/semconv/, the
groups `http` and `messaging`) where they have one, in Prometheus's spelling; else they begin with `everleaf_`. No label has
a value that strangers choose or that grows with the estate: no name, no address, no id. What is read from the datastores is in
`shared.measures`.
"""

from prometheus_client import Counter, Gauge, Histogram

HTTP_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY"}
)
"""Those that the convention knows; any other is `_OTHER`."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The convention's boundaries for durations of requests and of messages."""
_MINUTES = (1, 5, 15, 60, 5 * 60, 15 * 60, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600)

REQUESTS = Histogram(
    "http_server_request_duration_seconds",
    "Time to answer a request.",
    ["service", "http_request_method", "http_route", "http_response_status_code"],
    buckets=_SECONDS,
)
EVENTS_PUBLISHED = Counter(
    "messaging_client_sent_messages_total", "Events the bus has confirmed.", ["service"]
)
EVENTS_PROCESSED = Histogram(
    "messaging_process_duration_seconds",
    "Time to handle what came at once, in one transaction where that is possible.",
    ["service", "messaging_destination_name"],
    buckets=_SECONDS,
)
EVENTS_HANDLED = Counter(
    "everleaf_events_handled_total",
    "Events handled, by verdict: done, retry, or dead.",
    ["service", "type", "verdict"],
)
EVENTS_AGE = Histogram(
    "everleaf_event_age_seconds",
    "How long ago an event became true when its effect was committed: the lag of outbox, bus and consumer together.",
    ["service"],
    buckets=(*_SECONDS, 60, 300, 1800, 6 * 3600),
)
ALERTS_TOLD = Histogram(
    "everleaf_alert_delivery_seconds",
    "From the turn of an alert until a channel has taken it, by kind of channel.",
    ["channel_kind"],
    buckets=(0.1, 0.5, *_MINUTES),
)
ORDERS_FINISHED = Counter(
    "everleaf_orders_finished_total",
    "Orders that have ended, by name of the authority.",
    ["authority", "outcome"],
)
CERTIFICATES_OBSERVED = Histogram(
    "everleaf_order_observed_seconds",
    "From an order until its certificate was seen in every place of the old one.",
    buckets=_MINUTES,
)
CT_LOG_FAILURES = Counter(
    "everleaf_ct_log_failures_total",
    "Reads of Certificate Transparency logs that failed: the log was away, wrong, or forked.",
    ["state"],
)
OUTBOX_DELAYED = Gauge(
    "everleaf_outbox_failures", "Failed tries in a row to publish the outbox; 0 is well.", ["service"]
)
