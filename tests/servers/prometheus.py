"""A real Prometheus on a free loopback port: it scrapes every three seconds, and its rules need no patience."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx
import yaml

from tests.servers.processes import Process, free_port, program

PACKAGE = "prometheus"
LIMIT = 180
_PACE = {"scrape_interval": "3s", "scrape_timeout": "3s", "evaluation_interval": "1s"}


class Prometheus:
    """One server, until `stop`."""

    def __init__(self, directory: Path, *, targets: Sequence[str], rules: Mapping[str, Any]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        (directory / "rules.yml").write_text(yaml.safe_dump(impatient(rules)))
        job = {"job_name": "everleaf", "static_configs": [{"targets": list(targets)}]}
        config = {"global": _PACE, "rule_files": ["rules.yml"], "scrape_configs": [job]}
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        arguments = [
            program("prometheus", package=PACKAGE),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        self._process = Process(arguments, log=directory / "prometheus.log")

    async def until_firing(self, *names: str) -> dict[str, dict[str, Any]]:
        """Return these alerts by name as soon as all of them fire."""
        deadline = time.monotonic() + LIMIT
        firing: dict[str, dict[str, Any]] = {}
        while not firing.keys() >= set(names):
            self._process.check()
            assert time.monotonic() < deadline, f"only {sorted(firing)} fire after {LIMIT} s"
            await anyio.sleep(0.2)
            found = await self._ask("alerts")
            firing = {
                each["labels"]["alertname"]: each
                for each in found.get("alerts", ())
                if each["state"] == "firing"
            }
        return firing

    async def value(self, query: str) -> float | None:
        """Return what a query gives for one series, or None where there is none."""
        found = (await self._ask("query", query=query))["result"]
        return float(found[0]["value"][1]) if found else None

    async def _ask(self, what: str, **parameters: str) -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                answer = await client.get(f"{self.url}/api/v1/{what}", params=parameters)
            except httpx.TransportError:
                return {}
        return dict(answer.json()["data"]) if answer.is_success else {}

    def stop(self) -> None:
        """End it."""
        self._process.stop()


def impatient(rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same rules, which fire at once."""
    return {
        "groups": [
            {**group, "rules": [{**rule, "for": "0s"} for rule in group["rules"]]}
            for group in rules["groups"]
        ]
    }
