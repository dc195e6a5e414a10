"""A service's API, built from its routers."""

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from shared.access import Verifier
from shared.http.limits import Limits, Measured
from shared.http.problems import add_error_handlers
from shared.http.routes import Routes, refuse_open_routes
from shared.openapi import Problem, complete


def create_api(*, name: str, summary: str, routers: Sequence[Routes], verifier: Verifier) -> FastAPI:
    """Build a service's API. Raises `OpenRoute` where a route is not closed."""
    api = FastAPI(
        title=f"Everleaf {name}",
        summary=summary,
        version="1",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        redoc_url=None,
        servers=[{"url": f"/{name}"}],
        root_path_in_servers=False,
    )
    api.state.verifier = verifier
    for router in routers:
        api.include_router(router, tags=[name])
    api.state.routers = tuple(routers)
    api.state.known_routes = tuple(api.routes)
    api.state.plain_paths = frozenset(_plain_paths(routers))
    _tell_all(api)
    refuse_open_routes(api)
    add_error_handlers(api)
    api.add_middleware(Limits)
    api.add_middleware(Measured, service=name)
    return api


def _plain_paths(routers: Sequence[Routes]) -> Iterator[str]:
    """Yield the paths that have no parameter."""
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and not route.param_convertors:
                yield route.path


def _tell_all(api: FastAPI) -> None:
    def schema() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = get_openapi(
                title=api.title,
                summary=api.summary,
                version=api.version,
                routes=api.routes,
                servers=api.servers,
                license_info=api.license_info,
            )
            complete(document, problem=_problem_name(document))
            for unused in ("HTTPValidationError", "ValidationError"):
                document.get("components", {}).get("schemas", {}).pop(unused, None)
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = schema  # type: ignore[method-assign] # FastAPI's documented way to extend it


def _problem_name(document: dict[str, Any]) -> str:
    # FastAPI puts the module before the name where a service has another model called `Problem`.
    full = f"{Problem.__module__}.{Problem.__name__}".replace(".", "__")
    return full if full in document["components"]["schemas"] else Problem.__name__
