"""The whole loop through public APIs and events alone, on both shapes of the platform."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.journeys.conftest import StartPlatform
from tests.journeys.estate import Estate, found, known, scan
from tests.journeys.platforms import Json, accepted, until
from tests.journeys.recorder import Recorder
from tests.servers.otlp import Collector, Received
from tests.servers.pebble import StartPebble
from tests.servers.processes import free_port
from tests.servers.rabbitmq import Vhost
from tests.servers.tls import CertificateAuthority, fingerprint

NAME = "shop.example.test"
BACKBONE = [
    "certificate.found",
    "certificate.expiring",
    "certificate.renewed",
    "certificate.deployed",
    "certificate.replaced",
    "alert.resolved",
]


def builtin(client: httpx.Client) -> None:
    """The platform's own CA issues."""
    accepted(
        client.post("/renewal/v1/authorities", json={"name": "house-ca", "kind": "builtin", "options": {}})
    )
    accepted(client.post("/renewal/v1/profiles", json=profile("house-ca")))


def acme(client: httpx.Client, *, dir_url: str, ca_pem: str) -> None:
    """A real ACME CA issues, after an http-01 challenge that the platform answers."""
    options = {"directory_url": dir_url, "ca_pem": ca_pem, "contacts": ["mailto:pki@example.test"]}
    accepted(
        client.post("/renewal/v1/authorities", json={"name": "pebble", "kind": "acme", "options": options})
    )
    accepted(client.post("/renewal/v1/profiles", json={**profile("pebble"), "challenge": "http-01"}))


def profile(authority: str) -> Json:
    return {
        "name": "web",
        "authority": authority,
        "key_type": "ecdsa-p256",
        "lifetime": "P90D",
        "allowed_names": ["*.example.test"],
    }


async def close_the_loop(
    client: httpx.Client, estate: Estate, *, ca: CertificateAuthority, trust: Callable[[httpx.Client], None]
) -> Json:
    """Walk the loop and assert on what is observed at each step; return the order."""
    site = estate.expiring_site(NAME, ca=ca)
    old = fingerprint(site.served())
    estate.tell_notifier(client)
    trust(client)

    counts = scan(client, site)["counts"]
    outcomes = ("tls", "no_tls", "refused", "silent", "excluded", "failed")
    assert counts["asked"] == sum(counts[outcome] for outcome in outcomes)
    assert counts["found"] == counts["new"] + counts["known"] + counts["changed"]
    assert counts["tls"] >= 1
    lineage_id = known(client, site)["lineage_id"]

    alert = found(client, "/notifier/v1/alerts", lineage_id=lineage_id, problem="expiring", state="open")
    mail = until(lambda: [m for m in estate.smtp.inbox if NAME in m.message["subject"]], what="the mail")[0]
    assert list(mail.recipients) == ["operations@example.test"]
    hooks = until(
        lambda: [r for r in estate.webhook.requests if alert["id"].encode() in r.body], what="the webhook"
    )
    assert all(estate.is_signed(request) for request in hooks)

    estate.bind(client, site, lineage_id=lineage_id)
    accepted(client.put(f"/renewal/v1/enrolments/{lineage_id}", json={"profile": "web"}))
    order = found(client, "/renewal/v1/orders", lineage_id=lineage_id, state="renewed")
    found(client, "/provisioner/v1/deployments", lineage_id=lineage_id, state="deployed")

    now = site.served()
    assert fingerprint(now) != old
    assert now.public_key() != site.issued.certificate.public_key()
    assert now.not_valid_after_utc > datetime.now(UTC) + timedelta(days=30)

    found(client, "/inventory/v1/replacements", lineage_id=lineage_id, state="replaced")
    path = f"/notifier/v1/alerts/{alert['id']}"
    until(lambda: accepted(client.get(path))["state"] == "resolved", what="the end of the alert")
    resolved = until(
        lambda: [m for m in estate.smtp.inbox if "resolved" in m.message["subject"].lower()],
        what="the last mail",
    )
    assert len(resolved) == 1
    assert known(client, site)["lineage_id"] == lineage_id
    return order


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where the platform tells its traces to."""
    made = Collector()
    yield made
    made.stop()


@pytest.mark.parametrize("shape", ["embedded", "production"])
async def test_the_loop_closes_with_the_built_in_authority_and_is_one_trace(
    shape: str,
    start_platform: StartPlatform,
    estate: Estate,
    lab_ca: CertificateAuthority,
    collector: Collector,
    capsys: pytest.CaptureFixture[str],
) -> None:
    platform = start_platform(shape, EVERLEAF_TRACE_ENDPOINT=collector.url)
    with platform.client() as client:
        order = await close_the_loop(client, estate, ca=lab_ca, trust=builtin)
    platform.stop()  # which sends what is not sent yet
    is_one_trace(collector, order, capsys)
    for secret in ("PRIVATE KEY", estate.secret, *platform.secrets()):
        assert secret not in platform.logs()
        assert secret not in repr(collector.spans)


def is_one_trace(collector: Collector, order: Json, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that from the order to what was seen on the wire all is one trace, and print it as a tree."""
    services = {"renewal", "provisioner", "discovery", "inventory", "notifier"}
    by_trace: dict[str, list[Received]] = {}
    for span in collector.spans:
        by_trace.setdefault(span.trace, []).append(span)
    [trace] = [
        trace
        for trace, spans in by_trace.items()
        if {"order", "deploy", "process certificate.replaced"} <= {span.name for span in spans}
    ]
    with capsys.disabled():
        print("\nFrom the order to what is seen on the wire:")
        print("\n".join(collector.tree(trace)))
    reached = {span.attributes.get("everleaf.service") for span in by_trace[trace]}
    assert services <= reached, reached
    # All hang together: what has no parent in the trace is its one beginning.
    ids = {span.id for span in by_trace[trace]}
    assert len([span for span in by_trace[trace] if span.parent not in ids]) == 1
    told = repr(collector.spans)
    assert NAME not in told
    assert order["id"] not in told


async def test_the_loop_closes_with_an_acme_authority_and_the_bus_carries_it_in_order(
    start_platform: StartPlatform,
    start_pebble: StartPebble,
    estate: Estate,
    vhost: Vhost,
    lab_ca: CertificateAuthority,
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    pebble = start_pebble(http01_port=port)
    platform = start_platform("production", EVERLEAF_RENEWAL_HTTP01_LISTEN=f"127.0.0.1:{port}")

    def trust(client: httpx.Client) -> None:
        acme(client, dir_url=pebble.dir_url, ca_pem=pebble.ca_pem.read_text())

    async with Recorder(vhost.url) as recorder:
        with platform.client() as client:
            await close_the_loop(client, estate, ca=lab_ca, trust=trust)
        events = await recorder.events()
    with capsys.disabled():
        print("\nThe events as the bus carried them:")
        for event in events:
            print(f"  {event['time'][11:23]}  {event['source'].rsplit('/')[-1]:<12} {event['type']}")
    first: dict[str, Any] = {}
    for number, event in enumerate(events):
        first.setdefault(event["type"], number)
    assert [first[name] for name in BACKBONE] == sorted(first[name] for name in BACKBONE)
    assert recorder.has_no_secrets()
    assert "PRIVATE KEY" not in platform.logs()
