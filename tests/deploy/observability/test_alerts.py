"""The alert rules: each is tried by promtool, and a real Prometheus fires them on our own /metrics."""

import json
import re
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from services.run import front_door, listen, serve
from shared.bus import Message, Outcome, Verdict
from shared.clock import utc_now
from shared.store.plumbing import OUTBOX
from tests.access.estate import Estate, running
from tests.servers.processes import program
from tests.servers.prometheus import PACKAGE, Prometheus

FOLDER = Path(__file__).parents[3] / "deploy" / "observability"
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text())
NAMED = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
FIRES = {
    "EverleafDown": ['up{job="everleaf"} 0x90'],
    "EverleafNotReady": ['everleaf_ready{part="bus"} 0x90'],
    "EverleafStateUnknown": ['everleaf_measures_failed{service="renewal"} 1x90'],
    "EverleafDeadLetters": ['everleaf_queue_messages{queue="q",state="dead"} 1x90'],
    "EverleafOutboxStuck": ['everleaf_outbox_oldest_seconds{service="renewal"} 301x90'],
    "EverleafQueueGrows": ['everleaf_queue_messages{queue="q",state="waiting"} 20000+10x90'],
    "EverleafEventsLate": [
        'everleaf_event_age_seconds_bucket{service="s",le="60"} 0+1x90',
        'everleaf_event_age_seconds_bucket{service="s",le="300"} 0+9x90',
        'everleaf_event_age_seconds_bucket{service="s",le="+Inf"} 0+9x90',
    ],
    "EverleafAnswersFail": [
        'http_server_request_duration_seconds_count{service="s",http_response_status_code="503"} 0+10x90',
        'http_server_request_duration_seconds_count{service="s",http_response_status_code="200"} 0+90x90',
    ],
    "EverleafCertificatesEndUnhandled": [
        'everleaf_certificates_expiring{within_days="7",renewed="by_hand"} 1x90'
    ],
    "EverleafRenewalsLate": ['everleaf_certificates_expiring{within_days="7",renewed="by_itself"} 1x90'],
    "EverleafStaleCertificates": ['everleaf_replacements{state="stale"} 1x90'],
    "EverleafOrdersFail": ['everleaf_orders_finished_total{authority="a",outcome="failed"} 0+1x90'],
    "EverleafWorkLeft": ['everleaf_work_overdue_seconds{work="orders"} 901x90'],
    "EverleafDeploymentNeedsAttention": ['everleaf_deployments{state="needs_attention"} 1x90'],
    "EverleafScansOld": ["everleaf_scan_age_seconds 180000x90"],
    "EverleafTellingFails": ["everleaf_channels_disabled 1x90", 'everleaf_deliveries{state="failed"} 0x90'],
    "EverleafTellingSlow": [
        'everleaf_alert_delivery_seconds_bucket{channel_kind="mail",le="300"} 0+1x90',
        'everleaf_alert_delivery_seconds_bucket{channel_kind="mail",le="900"} 0+9x90',
        'everleaf_alert_delivery_seconds_bucket{channel_kind="mail",le="+Inf"} 0+9x90',
    ],
}
"""For each rule, series (one sample in five minutes) on which it must fire."""


def test_every_rule_fires_after_its_patience_and_says_what_to_do(tmp_path: Path) -> None:
    assert FIRES.keys() == NAMED.keys()
    values = [
        dict(zip(("series", "values"), each.rsplit(" ", 1), strict=True)) for each in chain(*FIRES.values())
    ]
    fires = [
        {
            "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
            "eval_time": at,
            "exp_samples": samples,
        }
        for name in FIRES
        for at, samples in (("0m", []), ("7h", [{"labels": "{}", "value": 1}]))
    ]
    test = {"interval": "5m", "input_series": values, "promql_expr_test": fires}
    asked = {"rule_files": [str(FOLDER / "alerts.yml")], "evaluation_interval": "5m", "tests": [test]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(asked))
    promtool = program("promtool", package=PACKAGE)
    done = subprocess.run(
        [promtool, "test", "rules", tmp_path / "tests.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for rule in NAMED.values():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "next_step"} == rule["annotations"].keys()


def told_by(text: str) -> set[str]:
    """Return the names of all series that a scrape gives."""
    families = list(text_string_to_metric_families(text))
    names = {sample.name for family in families for sample in family.samples}
    # A histogram or counter that has counted nothing has no samples yet, only its name.
    for family in families:
        names |= {family.name + end for end in ("", "_total", "_bucket", "_count", "_sum")}
    return names


def asked_in(expression: str) -> set[str]:
    """Return the names of the metrics that an expression asks for, which are beside labels and their values."""
    metrics = re.sub(r"\{[^}]*\}|\bby \([^)]*\)", "", expression)
    return set(re.findall(r"\b(?:everleaf|http|messaging|process)_[a-z_]+", metrics))


@pytest.fixture(scope="module")
async def estate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Estate]:
    """The five services, with nothing in them."""
    async with running(tmp_path_factory.mktemp("watched")) as made:
        yield made


async def scraped(estate: Estate) -> str:
    app = front_door(list(estate.services.values()), estate.bus)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        answer = await client.get("/metrics")
    return answer.text


async def test_everything_that_rules_and_dashboard_ask_is_told_and_nothing_is_told_of_whom(
    estate: Estate,
) -> None:
    text = await scraped(estate)
    told = told_by(text) | {"everleaf_scan_age_seconds"}  # which is told from the first scan on
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(shown) > 15
    for expression in (*(rule["expr"] for rule in NAMED.values()), *shown):
        assert asked_in(expression) <= told, expression
    ours = [line for line in text.splitlines() if line.startswith("everleaf_") and "_bucket" not in line]
    assert len(ours) < 400
    assert "everleaf_measures_failed" in text
    assert not re.search(r"everleaf_measures_failed\{[^}]*\} 1", text)


async def test_prometheus_fires_on_what_went_wrong_here(estate: Estate, tmp_path: Path) -> None:
    inventory = estate.services["inventory"]
    [queue] = inventory.queues
    await estate.bus.declare([queue])
    await estate.bus.publish([Message(id="broken", type=queue.types[0], body=b"{}")])
    long_ago = utc_now() - timedelta(hours=1)
    async with estate.services["renewal"].database.transaction() as tx:
        row = {"event_id": "late", "type": "renewal.failed", "body": b"{}", "created_at": long_ago}
        await tx.session.execute(OUTBOX.insert(), [row])

    async def give_up(deliveries: Any) -> list[Outcome]:
        done.set()
        return [Outcome(verdict=Verdict.DEAD, reason="it is broken") for _ in deliveries]

    done = anyio.Event()
    services = list(estate.services.values())
    bound = listen("127.0.0.1", 0)
    prometheus = Prometheus(
        tmp_path, targets=[f"127.0.0.1:{bound.getsockname()[1]}", "127.0.0.1:1"], rules=RULES
    )
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(estate.bus.consume, queue, give_up)
            await done.wait()
            tasks.start_soon(serve, front_door(services, estate.bus), (), bound)
            firing = await prometheus.until_firing(
                "EverleafDeadLetters", "EverleafOutboxStuck", "EverleafDown"
            )
            tasks.cancel_scope.cancel()
    finally:
        prometheus.stop()
    assert firing["EverleafDeadLetters"]["labels"]["queue"] == "inventory.events"
    assert firing["EverleafOutboxStuck"]["labels"] == {
        "alertname": "EverleafOutboxStuck",
        "service": "renewal",
        "severity": "page",
    }
    assert firing["EverleafDown"]["labels"]["instance"] == "127.0.0.1:1"
    assert "EverleafNotReady" not in firing
