"""Schemathesis against the five services, in this process: `python -m tests.fuzz.contracts SECONDS [SERVICE…]`.

An administrator asks whatever the contracts allow and what they forbid, one request and whole sequences of them; each
answer is held against the contract by all checks that schemathesis has. Nothing outside is reached.
"""

import asyncio
import re
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.schemas import BaseSchema
from starlette.types import Receive, Scope, Send

from shared.access import Principal
from shared.clock import utc_now
from shared.ids import new_id
from shared.outbound import Address, Policy
from tests.access.estate import Estate, Neighbours, running
from tests.architecture.tree import SERVICES, service_folder
from tests.builders import ISSUER, SIGNING_KEY

SHORT: Mapping[str, Any] = {
    "coverage": {"enabled": False},
    "fuzzing": {"generation": {"max-examples": 2}},
    "stateful": {"enabled": False},
}
"""The phases that the suite has time for; sequences are for the long run."""
LONG: Mapping[str, Any] = {
    "fuzzing": {"generation": {"max-examples": 50}},
    "stateful": {"generation": {"max-examples": 100}},
}
_UNDERSTOOD = ["2xx", "3xx", "401", "403", "404", "409", "412", "422", "429", "502", "503"]
"""What a request that fits its schema may be answered: JSON Schema cannot say that a certificate is one, or that a team
exists. What it can say it must: see `_said_too_little`."""
_AWAY = ["2xx", "3xx", "4xx", "502", "503"]
"""What is no failure of ours: nothing outside is there."""
_BY_KIND = re.compile(r"/body/(sources/\d+/)?(options|secrets|settings|credential)\b")
"""What must be in these is told for each kind by a route of its own."""
_BEYOND = re.compile(r"Input should be (less|greater) than or equal to \d+ (second|minute|hour|day)")
"""The bounds of a duration: JSON Schema has none, and the contract says them in words."""
_SHAPES = ("Input should", "String should", "List should", "Field required", "Extra inputs")
"""How a message begins that tells of the form of a value."""


class Nowhere(Policy):
    """Lets nobody connect anywhere."""

    def permits(self, address: Address) -> bool:
        """Refuse."""
        return False


class App:
    """The five services behind one address, each below its name; built where the test client runs its loop."""

    def __init__(self) -> None:
        self._estate: Estate | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to its service."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        assert self._estate is not None
        _, name, rest = scope["path"].split("/", 2)
        inner = {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode(), "root_path": ""}
        await self._estate.services[name].api(inner, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        asyncio.get_running_loop().getaddrinfo = _no_names  # type: ignore[method-assign] # nothing outside is asked
        async with AsyncExitStack() as opened:
            await receive()
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
            self._estate = await opened.enter_async_context(
                running(folder, outbound=Nowhere(), neighbours=Neighbours())
            )
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


async def _no_names(*_: object, **__: object) -> Any:
    raise socket.gaierror(socket.EAI_NONAME, "no names are looked up here")


@schemathesis.serializer("application/ocsp-request")
def as_it_is(ctx: Any, value: Any) -> bytes:
    """Send a question of OCSP, or what is none, as it is."""
    del ctx
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@schemathesis.check
def said_too_little(ctx: Any, response: Any, case: Any) -> None:
    """Fail where a request that fits its schema is refused for its form: then the schema says too little."""
    del ctx
    is_fitting = case.meta is not None and case.meta.generation.mode.is_positive
    if not is_fitting or response.status_code != 422:
        return
    said = [
        fault["message"]
        for fault in response.json().get("errors", ())
        if fault["pointer"].startswith(("/body", "/query", "/path")) and not _BY_KIND.match(fault["pointer"])
    ]
    missing = [each for each in said if each.startswith(_SHAPES) and not _BEYOND.match(each)]
    assert missing == [], f"The schema allows it, and it is refused: {missing}"


def configuration(phases: Mapping[str, Any], *, seconds: float | None = None) -> SchemathesisConfig:
    """Return how the services are asked: as an administrator, the same each time."""
    principal = Principal(id="fuzz", name="fuzz", roles=frozenset({"admin"}))
    token = SIGNING_KEY.token(
        principal, issuer=ISSUER, token_id=new_id(), now=utc_now(), lifetime=timedelta(hours=12)
    )
    return SchemathesisConfig.from_dict(
        {
            "seed": 47,
            "request-timeout": 120,
            **({"max-time": seconds} if seconds is not None else {}),
            "headers": {"Authorization": f"Bearer {token}"},
            "phases": dict(phases),
            "checks": {
                "positive_data_acceptance": {"expected-statuses": _UNDERSTOOD},
                "not_a_server_error": {"expected-statuses": _AWAY},
            },
            "suppress-health-check": ["all"],
        }
    )


def contract(name: str, app: App, config: SchemathesisConfig) -> BaseSchema:
    """Return the contract of a service, to be asked in this process."""
    loaded: Any = schemathesis.openapi.from_path(service_folder(name) / "openapi.json", config=config)
    loaded.app = app
    return loaded  # type: ignore[no-any-return] # the loader is not typed for ASGI


def failures(schema: BaseSchema) -> tuple[Counter[str], list[str]]:
    """Ask, and return how many scenarios ended how, and what failed, one text each."""
    tally: Counter[str] = Counter()
    found: dict[str, None] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found[f"could not be tried: {event}"] = None
        if not isinstance(event, events.ScenarioFinished):
            continue
        tally[event.status.value] += 1
        for case_id, checks in event.recorder.checks.items():
            for check in checks:
                if check.status is Status.FAILURE and check.failure_info is not None:
                    sent = event.recorder.cases[case_id].value
                    found[f"{sent.operation.label}: {check.name}: {check.failure_info.failure}"] = None
    return tally, list(found)


def main() -> int:
    """Ask all services, or those named, for as long as is said; print what failed."""
    seconds, names = float(sys.argv[1]), sys.argv[2:] or list(SERVICES)
    app, failed = App(), 0
    for name in names:
        config = configuration(LONG, seconds=seconds / len(names))
        tally, found = failures(contract(name, app, config))
        print(f"{name}: {dict(tally)}, {len(found)} failures", *found, sep="\n", flush=True)
        failed += len(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
