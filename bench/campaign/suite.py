"""Rows `campaign.*`: how long replacing a whole CA takes, with renewal, broker and database each killed on the way."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench.campaign.estate import Estate, Kill, pages, staged
from bench.measure import NotMeasured, Usage
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from tests.journeys.platforms import SERVICES, accepted, until
from tests.servers.processes import MissingServer

BLOCKS = 40
"""Of 256 endpoints each: 10,240."""
ACME = 26
"""Of each 256 are asked of an ACME authority, the others of the built-in one."""
WHOLE_CA = 83_267
"""Certificates that DigiCert had to have replaced within 24 hours in July 2024."""
DAY = 24.0
_PATIENCE = 7200
_AGAIN = 120
"""Seconds after a kill in which the platform may not answer."""


def _hours_for_a_whole_ca(sample: Sample) -> float:
    return sample.usage.wall / sample.asked * WHOLE_CA / 3600


ROWS = (
    Row(
        name="campaign.10k",
        scenario="campaign",
        unit="h/83,267",
        figure=_hours_for_a_whole_ca,
        goal=1.0,
        baseline="24 hours",
        fixed=DAY,
    ),
)


@dataclass(frozen=True, kw_only=True)
class CampaignSuite:
    """Rows `campaign.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:  # noqa: ARG002 - PostgreSQL needs a folder of its own
        """Start the estate; raises NotMeasured where a real server is missing."""
        blocks = max(1, round(BLOCKS * scale))
        try:
            with staged(blocks=blocks, acme=ACME) as estate, estate.platform.client() as client:
                estate.prepare(client)
                title = f"{estate.farm.size:,} certificates of a distrusted CA, three kills"
                run = Contestant(name=SUBJECT, run=lambda: _run(estate, client), at_most=1)
                yield Scenario(name=name, title=title, contestants=(run,))
        except MissingServer as error:
            raise NotMeasured(str(error)) from error


def _run(estate: Estate, client: httpx.Client) -> Sample:
    path = _planned(client)
    began, before = time.monotonic(), estate.cpu()
    kills = _kills(estate)
    _watch(client, path, kills=kills)
    wall = time.monotonic() - began
    spent = {name: seconds - before[name] for name, seconds in estate.cpu().items()}
    said = ", ".join(f"{name} {seconds:.0f}" for name, seconds in spent.items())
    print(f"CPU, in seconds: {said}")
    faults = (
        *_spared(kills),
        *_ended(estate),
        *_lost(estate, client, path),
        *_doubled(client),
        *_wasted(estate, client),
    )
    replaced = accepted(client.get(path))["counts"].get("replaced", 0)
    ours = sum(seconds for name, seconds in spent.items() if name in SERVICES)
    usage = Usage(wall=wall, cpu=ours, peak_mib=0, exit_code=0, said="")
    servers = sum(spent.values()) - ours
    return Sample(usage=usage, asked=estate.farm.size, found=replaced, server_cpu=servers, faults=faults)


def _planned(client: httpx.Client) -> str:
    body = {
        "name": "away from the distrusted root",
        "query": 'issuer = "CN=Distrusted root"',
        "reason": "distrusted",
        "waves": {"first": 50, "size": 2500, "in_flight": 500},
    }
    path = f"/renewal/v1/campaigns/{accepted(client.post('/renewal/v1/campaigns', json=body))['id']}"

    def planned() -> dict[str, Any] | None:
        now = accepted(client.get(path))
        return now if now["state"] == "planned" else None

    plan = until(planned, what="the plan", within=_PATIENCE)
    accepted(client.post(f"{path}/start", json={"plan_digest": plan["plan_digest"]}))
    return path


def _kills(estate: Estate) -> list[Kill]:
    return [
        (0.2, "renewal", lambda: estate.kill_service("renewal")),
        (0.4, "database", estate.kill_database),
        (0.6, "broker", estate.kill_broker),
    ]


def _watch(client: httpx.Client, path: str, *, kills: list[Kill]) -> None:
    """Wait for the end, and kill on the way; a platform that was just hit may not answer for a while."""
    deadline, unanswered = time.monotonic() + _PATIENCE, 0.0
    while time.monotonic() < deadline:
        time.sleep(1)
        try:
            now = accepted(client.get(path))
        except (httpx.HTTPError, AssertionError) as error:
            unanswered += 1
            if unanswered > _AGAIN:
                raise NotMeasured(f"the platform did not come back: {error}") from error
            continue
        unanswered = 0
        if now["state"] in ("finished", "paused"):
            return
        if kills and now["counts"].get("replaced", 0) >= kills[0][0] * now["total"]:
            kills.pop(0)[2]()
    raise NotMeasured(f"not over within {_PATIENCE} s")


def _spared(kills: list[Kill]) -> Iterator[str]:
    """The kills that were not reached: a campaign that was over before them proves nothing of them."""
    for _, name, _ in kills:
        yield f"the {name} was not killed: the campaign was over before"


def _ended(estate: Estate) -> Iterator[str]:
    """The services whose process is gone. None ends by itself: what was killed was started again."""
    for name in SERVICES:
        if not estate.platform.processes[name].is_running():
            yield f"{name} has ended by itself: {estate.platform.processes[name].tail()}"


def _lost(estate: Estate, client: httpx.Client, path: str) -> Iterator[str]:
    """What the wire shows is what counts: every endpoint serves the certificate that its item names."""
    new = {item["names"][0]: item["new_fingerprint"] for item in pages(client, f"{path}/items")}
    wrong = [
        address
        for number, address in enumerate(estate.farm.addresses())
        if estate.farm.served(address) != new.get(estate.farm.name(number))
    ]
    if wrong:
        yield f"{len(wrong)} endpoints do not serve the new certificate, {wrong[0]} among them"


def _doubled(client: httpx.Client) -> Iterator[str]:
    orders = Counter(order["lineage_id"] for order in pages(client, "/renewal/v1/orders"))
    if doubled := [lineage for lineage, number in orders.items() if number > 1]:
        yield f"{len(doubled)} lineages were ordered more than once"


def _wasted(estate: Estate, client: httpx.Client) -> Iterator[str]:
    """Certificates that the ACME authority has issued and we do not have."""
    ours = sum(order["authority"] == "acme" for order in pages(client, "/renewal/v1/orders"))
    theirs = estate.pebble.issued()
    if theirs != ours:
        yield f"the ACME authority has issued {theirs} certificates for {ours} orders"
