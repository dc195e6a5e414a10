"""What Prometheus can ask of every process: requests, events, and how long they wait. One registry per process."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Histogram(
    "http_server_request_duration_seconds",
    "Time to answer a request.",
    ["service", "method", "route", "status"],
)
EVENTS_PUBLISHED = Counter("everleaf_events_published_total", "Events the bus has confirmed.", ["service"])
EVENTS_HANDLED = Counter(
    "everleaf_events_handled_total",
    "Events handled, by verdict: done, retry, or dead.",
    ["service", "type", "verdict"],
)
CT_LOG_FAILURES = Counter(
    "everleaf_ct_log_failures_total",
    "Reads of Certificate Transparency logs that failed: the log was away, wrong, or forked.",
    ["state"],
)
OUTBOX_DELAYED = Gauge(
    "everleaf_outbox_failures", "Failed tries in a row to publish the outbox; 0 is well.", ["service"]
)
