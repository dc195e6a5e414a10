"""Serves assembled services over HTTP, their workers beside, until told to stop."""

import signal
import socket
import ssl
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import anyio
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from shared.bus import Bus
from shared.clock import utc_now
from shared.errors import Conflict
from shared.measures import Measures, answers
from shared.service import Service


def front_door(services: Sequence[Service], bus: Bus, *, portal: Sequence[BaseRoute] = ()) -> ASGIApp:
    """Return the whole HTTP face of the process: the APIs, health and metrics, and the portal where there is one."""
    measures = Measures(services, bus, clock=utc_now)

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_request: Request) -> Response:
        report = {"bus": await answers(bus.ready) or "ready"}
        report |= {service.name: await answers(service.ready) or "ready" for service in services}
        is_ready = all(state == "ready" for state in report.values())
        return JSONResponse(report, status_code=200 if is_ready else 503)

    async def metrics(_request: Request) -> Response:
        return Response(await measures.text(), media_type=CONTENT_TYPE_LATEST)

    async def index(_request: Request) -> Response:
        contracts = {service.name: f"/{service.name}/openapi.json" for service in services}
        return JSONResponse({"everleaf": contracts})

    routes: list[BaseRoute] = [
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/metrics", metrics),
        *(Mount(f"/{service.name}", service.api) for service in services),
        *(portal or [Route("/", index)]),
    ]
    return Starlette(routes=routes)


class HttpServer(uvicorn.Server):
    """Uvicorn without its own signal handling."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Do nothing: uvicorn raises SIGTERM again when it has stopped, before our resources are closed."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop; listen no more when that is over, also where it was cancelled."""
        try:
            await super().serve(sockets)
        finally:
            # Uvicorn that is cancelled leaves them to the event loop, which would go on listening.
            for listening in getattr(self, "servers", ()):
                listening.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket. Raises `Conflict` where the port is taken, `Invalid` where it is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise Conflict(
            f"Cannot listen on {host} port {port}: {error}.",
            next_step="Choose another with --host or --port.",
        ) from error
    return bound


async def serve(
    app: ASGIApp, services: Sequence[Service], bound: socket.socket, *, tls: ssl.SSLContext | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, HTTPS with `tls`; a worker that fails ends everything with its error."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        lifespan="off",
        ssl_context_factory=(lambda *_: tls) if tls is not None else None,
    )
    server = HttpServer(config)
    # Workers run beside the server in one group: inside a lifespan a dead one would go unnoticed.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, server)
        for service in services:
            tasks.start_soon(service.work)
        await server.serve(sockets=[bound])
        tasks.cancel_scope.cancel()


async def _stop_on_signal(server: HttpServer) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _number in signals:
            server.should_exit = True
