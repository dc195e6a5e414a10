"""Lists of a cluster's objects, part by part (Kubernetes API concepts, "Retrieving large results sets in chunks").

A list is consistent as long as its continue token lives (some five minutes). When it has expired, the API gives
a token that goes on after the last object with what is there now; without one, the list begins anew.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field, ValidationError, field_validator

from services.discovery.connectors.web import Answer, NotPermitted, TooLong
from shared.errors import NotFound, Unavailable
from shared.tokens import Api

MOST_RESTARTS = 5
_GRACE = 30
"""Seconds that a watch may be silent beyond its end."""
_TOKEN = r"^[0-9A-Za-z+/=._~:-]{0,1500}$"  # noqa: S105 - a pattern
"""A continue token, which is kept with the position of a run; it is opaque, and base64 in truth."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One kind of objects; `versions` of its group that have the fields we read, the preferred one first."""

    name: str
    group: str = ""
    versions: tuple[str, ...] = ("v1",)
    selector: str | None = None

    @property
    def full_name(self) -> str:
        """As roles and `kubectl` write it."""
        return f"{self.name}.{self.group}" if self.group else self.name

    def path(self, version: str, *, namespace: str | None) -> str:
        """Return where they are listed; None stands for all namespaces."""
        root = f"/apis/{self.group}/{version}" if self.group else f"/api/{version}"
        return root + (f"/namespaces/{namespace}" if namespace else "") + f"/{self.name}"


SECRETS = Resource(name="secrets", selector="type=kubernetes.io/tls")
INGRESSES = Resource(name="ingresses", group="networking.k8s.io")
GATEWAYS = Resource(name="gateways", group="gateway.networking.k8s.io", versions=("v1", "v1beta1"))
REFERENCE_GRANTS = Resource(
    name="referencegrants", group="gateway.networking.k8s.io", versions=("v1", "v1beta1")
)
CERTIFICATES = Resource(name="certificates", group="cert-manager.io")
CERTIFICATE_REQUESTS = Resource(name="certificaterequests", group="cert-manager.io")


class Absent(NotFound):
    """The cluster does not know this resource: its CustomResourceDefinition is not installed."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a list."""

    items: tuple[Any, ...] = field(repr=False)
    token: str | None
    """What the list goes on with; None where this is its end."""
    is_from_start: bool = False
    """It is the beginning of the list, though another part of it was asked for."""


class Expired(Exception):
    """What a watch was to go on from is forgotten: the list must be asked for again."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a watch says: something has changed, or (a bookmark) nothing has up to this version."""

    version: str
    is_news: bool


class _Metadata(BaseModel):
    token: str | None = Field(None, alias="continue", pattern=_TOKEN)
    version: str | None = Field(None, alias="resourceVersion", pattern=_TOKEN)


class _Listed(BaseModel):
    metadata: _Metadata = Field(default_factory=_Metadata)
    items: list[Any]

    @field_validator("items", mode="before")
    @classmethod
    def _none_is_empty(cls, items: object) -> object:
        return [] if items is None else items


class _Expired(BaseModel):
    metadata: _Metadata


class _Told(BaseModel):
    """The object of a watch event, or the Status that ends the watch."""

    metadata: _Metadata = Field(default_factory=_Metadata)
    code: int | None = None
    reason: str = ""


class _Event(BaseModel):
    type: str
    told: _Told = Field(alias="object")


class Lists:
    """Asks for lists, and remembers which resources and versions the cluster has."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._groups: frozenset[str] | None = None
        self._versions: dict[Resource, str] = {}

    async def parts(
        self, resource: Resource, *, namespace: str | None, limit: int, token: str | None = None
    ) -> AsyncGenerator[Part]:
        """Yield a list, from a continue token on. Raises `Absent`, and `NotPermitted` where it may not be listed."""
        restarts, is_from_start = 0, False
        while True:
            answer, limit = await self._part(resource, namespace=namespace, limit=limit, token=token)
            if answer.status == HTTPStatus.GONE:
                restarts += 1
                if restarts > MOST_RESTARTS:
                    raise Unavailable(
                        f"{resource.full_name}: the API gives up its lists again and again.",
                        next_step="It is tried again by itself.",
                    )
                token = _token_of_expired(answer)
                is_from_start = token is None
                continue
            listed = _listed(answer, resource)
            token = listed.metadata.token or None
            yield Part(items=tuple(listed.items), token=token, is_from_start=is_from_start)
            is_from_start = False
            if token is None:
                return

    async def version(self, resource: Resource, *, namespace: str | None) -> str:
        """Return the version that a list has now: what comes after it can be watched. Raises as `parts` does."""
        answer, _ = await self._part(resource, namespace=namespace, limit=1, token=None)
        version = _listed(answer, resource).metadata.version
        if not version:
            raise Unavailable(
                f"{resource.full_name}: the list has no resourceVersion.",
                next_step="Check that the server is a cluster's API.",
            )
        return version

    async def changes(
        self, resource: Resource, *, namespace: str | None, version: str, seconds: int
    ) -> AsyncGenerator[Change]:
        """Watch a list after a version, for so many seconds ("Efficient detection of changes").

        Raises `Expired` where that version is too old, and `NotPermitted` where it may not be watched.
        """
        known = self._versions.get(resource, resource.versions[0])
        params = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        } | ({"fieldSelector": resource.selector} if resource.selector else {})
        path = resource.path(known, namespace=namespace)
        try:
            async with aclosing(self._api.lines(path, idle=seconds + _GRACE, params=params)) as lines:
                async for line in lines:
                    yield _change(line, resource)
        except NotFound:
            raise Expired from None  # 410 before the first event; of a resource that is gone, the next list tells

    async def may_watch(self, resource: Resource, *, namespace: str | None) -> None:
        """Raise `NotPermitted` where a list may not be watched: a watch of a second is begun."""
        version = await self.version(resource, namespace=namespace)
        params = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "1"}
        path = resource.path(self._versions[resource], namespace=namespace)
        await self._api.ask("GET", path, params=params, accepted={HTTPStatus.GONE})

    async def _part(
        self, resource: Resource, *, namespace: str | None, limit: int, token: str | None
    ) -> tuple[Answer, int]:
        """Return one answer, and how many objects are asked for from now on: fewer, where they are very large."""
        while True:
            params = {"limit": str(limit), "fieldSelector": resource.selector, "continue": token}
            asked = {name: value for name, value in params.items() if value is not None}
            try:
                return await self._ask(resource, namespace=namespace, params=asked), limit
            except TooLong:
                if limit == 1:
                    raise
                limit = max(1, limit // 10)

    async def _ask(self, resource: Resource, *, namespace: str | None, params: dict[str, str]) -> Answer:
        if resource.group and not await self._has_group(resource.group):
            raise _absent(resource)
        known = self._versions.get(resource)
        for version in (known,) if known else resource.versions:
            path = resource.path(version, namespace=namespace)
            answer = await self._api.ask(
                "GET", path, params=params, accepted={HTTPStatus.GONE, HTTPStatus.NOT_FOUND}
            )
            if answer.status != HTTPStatus.NOT_FOUND:
                self._versions[resource] = version
                return answer
        raise _absent(resource)

    async def _has_group(self, group: str) -> bool:
        """Say whether the cluster may have this group: who lacks a right is told so of absent resources too."""
        if self._groups is None:
            try:
                told = await self._api.get("/apis")
            except (NotPermitted, NotFound):
                told = {"groups": [{"name": resource.group} for resource in _GROUPED]}
            self._groups = _group_names(told)
        return group in self._groups


_GROUPED = (INGRESSES, GATEWAYS, CERTIFICATES)


def _absent(resource: Resource) -> Absent:
    return Absent(f"The cluster has no {resource.full_name}.", next_step="Nothing is to be done.")


def _group_names(told: Any) -> frozenset[str]:
    groups = told.get("groups") if isinstance(told, dict) else None
    if not isinstance(groups, list):
        raise Unavailable(
            "/apis: the answer is no list of API groups.",
            next_step="Check that the server is a cluster's API.",
        )
    return frozenset(str(each.get("name")) for each in groups if isinstance(each, dict))


def _listed(answer: Answer, resource: Resource) -> _Listed:
    try:
        listed = _Listed.model_validate_json(answer.body)
    except ValidationError:
        listed = None  # the error quotes the answer, which may hold keys
    if listed is None:
        raise Unavailable(
            f"{resource.full_name}: the answer is no list of objects.",
            next_step="Check that the server is a cluster's API.",
        )
    return listed


def _change(line: bytes, resource: Resource) -> Change:
    try:
        event = _Event.model_validate_json(line)
    except ValidationError:
        event = None  # the error quotes the event, which may hold a key
    told = event.told if event else _Told()
    if event and event.type == "ERROR":
        if told.code == HTTPStatus.GONE or told.reason == "Expired":
            raise Expired
        raise Unavailable(
            f"{resource.full_name}: the watch was ended (HTTP {told.code}).",
            next_step="It is tried again by itself.",
        )
    if event is None or not told.metadata.version:
        raise Unavailable(
            f"{resource.full_name}: what the watch says is no event.",
            next_step="Check that the server is a cluster's API.",
        )
    return Change(version=told.metadata.version, is_news=event.type != "BOOKMARK")


def _token_of_expired(answer: Answer) -> str | None:
    """Return the token in the Status that says that another one has expired."""
    try:
        told = _Expired.model_validate_json(answer.body)
    except ValidationError:
        return None
    return told.metadata.token or None
