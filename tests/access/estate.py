"""The five services in one process, each with an empty database, and callers of every scope."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from services.inventory.domain.credentials import SERVICES
from services.program import NAMES, service_module
from services.siblings import in_process
from shared.access import Principal
from shared.bus import Delivery, Message, Verdict
from shared.bus.sqlite import SqliteBus
from shared.clock import utc_now
from shared.events import Event, Payload
from shared.ids import new_id
from shared.outbound import Policy
from shared.reactions import Reactor
from shared.service import Lanes, Service, open_database
from shared.settings import SettingsSource
from tests.access.contracts import Route
from tests.builders import ISSUER, SIGNING_KEY, surroundings

OURS = "web"
"""The group that makers put things into."""
OTHERS = "mail"
"""The group of a caller who must not see them."""


def token(*, groups: Collection[str] = (), permissions: Collection[str] = (), name: str = "") -> str:
    """Return a token with these permissions, scoped to these groups."""
    name = name or f"caller of {' '.join(groups) or 'everything'}"
    principal = Principal(id=name, name=name, permissions=frozenset(permissions), groups=frozenset(groups))
    return SIGNING_KEY.token(
        principal, issuer=ISSUER, token_id=new_id(), now=utc_now(), lifetime=timedelta(hours=6)
    )


class Estate:
    """The services, and how a test asks them."""

    def __init__(self, services: Sequence[Service], bus: SqliteBus, data_dir: Path) -> None:
        self.services = {service.name: service for service in services}
        self.bus = bus
        self.data_dir = data_dir
        self.kept: dict[Any, Any] = {}
        """What makers have made, by maker and group."""
        self.clients = {
            service.name: httpx.AsyncClient(
                transport=httpx.ASGITransport(service.api, raise_app_exceptions=False),
                base_url=f"http://{service.name}",
            )
            for service in services
        }

    async def ask(
        self,
        service: str,
        method: str,
        path: str,
        *,
        groups: Collection[str] = (),
        permissions: Collection[str],
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        trace: str | None = None,
    ) -> httpx.Response:
        """Ask as somebody with these permissions in these groups; no groups mean everything."""
        headers = {"Authorization": f"Bearer {token(groups=groups, permissions=permissions)}"}
        if trace is not None:
            headers["traceparent"] = f"00-{trace}-{'1' * 16}-01"
        return await self.clients[service].request(method, path, json=body, params=query, headers=headers)

    async def make(
        self, service: str, path: str, body: Any, *, group: str, permission: str
    ) -> dict[str, Any]:
        """POST something as somebody whose scope is this group, and return the answer."""
        answer = await self.ask(service, "POST", path, groups=[group], permissions=[permission], body=body)
        assert answer.is_success, f"{path}: {answer.text}"
        made: dict[str, Any] = answer.json()
        return made

    async def hear(self, service: str, source: str, payload: Payload) -> None:
        """Let a service react to an event of another one, now."""
        event = Event[Any].of(payload, source=source, now=utc_now())
        message = Message(id=event.id, type=event.type, body=event.to_bytes())
        owners = [getattr(job, "__self__", None) for job in self.services[service].jobs]
        (reactor,) = [owner for owner in owners if isinstance(owner, Reactor)]
        (outcome,) = await reactor.handle([Delivery(message=message, attempt=1)])
        assert outcome.verdict is Verdict.DONE, outcome

    async def work_off(self, service: str) -> None:
        """Do all that is due in a service's lanes, now."""
        owners = [getattr(job, "__self__", None) for job in self.services[service].jobs]
        for lanes in (owner for owner in owners if isinstance(owner, Lanes)):
            while (claim := await lanes._work.claim(now=utc_now())) is not None:
                await lanes._work.run(claim)

    async def send(
        self,
        route: Route,
        ids: Mapping[str, str],
        *,
        groups: Collection[str] = (),
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        trace: str | None = None,
    ) -> httpx.Response:
        """Send a request that fits a route, as somebody who has its permission in these groups."""
        return await self.ask(
            route.service,
            route.method,
            route.at(dict(ids)),
            groups=groups,
            permissions=[route.permission or ""],
            body=route.body() if body is None else body,
            query={**route.query(), **(query or {})},
            trace=trace,
        )

    async def ask_with(self, route: Route, headers: Mapping[str, str]) -> httpx.Response:
        """Send a request to a route with these headers and nothing else."""
        path = route.at(dict.fromkeys(route.ids, "x"))
        return await self.clients[route.service].request(route.method, path, headers=headers)


class Neighbours:
    """Siblings that answer one another, each in its own name and with no more than that may."""

    def __init__(self) -> None:
        self.apis: dict[str, ASGIApp] = {}

    def open(
        self, name: str, *, caller: str, api_key: str | None, sealing_key: bytes | None = None
    ) -> httpx.AsyncClient:
        """Return a client to a service that may not be built yet."""
        assert api_key is None
        may = next((each.permissions for each in SERVICES if each.name == caller), ())
        return httpx.AsyncClient(
            transport=in_process(lambda: self.apis[name])(),
            base_url=f"http://{name}",
            headers={"Authorization": f"Bearer {token(permissions=may, name=caller)}"},
        )


@asynccontextmanager
async def running(
    data_dir: Path, *, outbound: Policy | None = None, neighbours: Neighbours | None = None
) -> AsyncIterator[Estate]:
    """Migrate five empty databases and assemble the services over them; nothing works by itself."""
    bus = SqliteBus(data_dir / "bus.db")
    around = surroundings(data_dir, bus=bus, siblings=neighbours)
    if outbound is not None:
        around = replace(around, outbound=outbound)
    settings = SettingsSource(environ={})
    async with AsyncExitStack() as opened:
        opened.push_async_callback(bus.close)
        services = []
        for name in NAMES:
            module = service_module(name)
            database = open_database(name, settings.load(module.SETTINGS, section=name), data_dir=data_dir)
            await module.SCHEMA.upgrade(database)
            await database.close()
            services.append(await opened.enter_async_context(module.build(around)))
        if neighbours is not None:
            neighbours.apis.update({service.name: service.api for service in services})
        await bus.declare([queue for service in services for queue in service.queues])
        yield Estate(services, bus, data_dir)
