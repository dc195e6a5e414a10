"""Routes that are closed: each names its permission or says why it is public."""

from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

from fastapi import APIRouter, FastAPI, params
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from shared.access import Declared
from shared.openapi import failures


class OpenRoute(TypeError):
    """A route that declares no permission: the service does not start with one."""


def public(reason: str) -> dict[str, Any]:
    """Declare that a route needs no token, for `openapi_extra`."""
    return {"x-public": reason, "security": []}


class Route(APIRoute):
    """A route whose parameters stand for no word that the service has a path of its own for.

    Else what is wrong with the method there would be answered as if the word were an id.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any route does, but for those words."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if self.param_convertors and path in scope["app"].state.plain_paths:
            return Match.NONE, {}
        return super().matches(scope)


class Routes(APIRouter):
    """A router that is closed: every route names its permission or says why it is public."""

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=Route, **options)

    def add_api_route(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Add a route. Raises `OpenRoute` where it declares neither permission nor `public`."""
        extra = dict(options.pop("openapi_extra", None) or {})
        declared = _declared(endpoint)
        if declared is None and "x-public" not in extra:
            raise OpenRoute(f"{path} ({endpoint.__name__}) declares no permission.")
        if declared is not None:
            extra["x-permission"] = declared.permission
        if declared is not None and declared.everything:
            extra["x-scope"] = "everything"
        options["operation_id"] = options.get("operation_id") or endpoint.__name__
        known = failures(
            self.prefix + path, set(options.get("methods") or ()), hints=get_type_hints(endpoint), extra=extra
        )
        options["responses"] = {**known, **(options.get("responses") or {})}
        super().add_api_route(path, endpoint, openapi_extra=extra, **options)


def _declared(endpoint: Callable[..., Any]) -> Declared | None:
    for hint in get_type_hints(endpoint, include_extras=True).values():
        for marker in getattr(hint, "__metadata__", ()):
            if isinstance(marker, params.Depends):
                found = getattr(marker.dependency, "declared", None)
                if isinstance(found, Declared):
                    return found
    return None


def refuse_open_routes(api: FastAPI) -> None:
    """Raise `OpenRoute` where a route got past `Routes`, be it hidden from the contract or added late."""
    for route in _strangers(api):
        name = getattr(route, "path", None) or type(route).__name__
        raise OpenRoute(f"{name} of {api.title} was not added through Routes and create_api.")


def _strangers(api: FastAPI) -> Iterator[BaseRoute | APIRouter]:
    known = getattr(api.state, "known_routes", ())
    yield from (route for route in api.routes if route not in known)
    for router in getattr(api.state, "routers", ()):
        if not isinstance(router, Routes):
            yield router
        yield from (route for route in router.routes if not _is_closed(route))


def _is_closed(route: BaseRoute) -> bool:
    extra = (route.openapi_extra or {}) if isinstance(route, APIRoute) else {}
    return "x-permission" in extra or "x-public" in extra
