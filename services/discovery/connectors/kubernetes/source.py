"""Reads a cluster: first what its configuration uses, then its TLS secrets by namespace and name, part by part."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import ClassVar, Self, cast

import anyio.to_thread
from pydantic import BaseModel

from services.discovery.connectors import Access, Check
from services.discovery.connectors.kubernetes import lists
from services.discovery.connectors.kubernetes.configured import (
    Configured,
    denied,
    missing,
    read_configured,
    shaped,
    too_many,
)
from services.discovery.connectors.kubernetes.lists import Absent, Lists, Part, Resource
from services.discovery.connectors.kubernetes.login import api_of
from services.discovery.connectors.kubernetes.options import KubernetesSettings
from services.discovery.connectors.kubernetes.shapes import Secret
from services.discovery.connectors.kubernetes.tls_secrets import TLS, of_issued, of_secret
from services.discovery.connectors.kubernetes.watch import Notice, Watched, watch
from services.discovery.connectors.web import NotPermitted
from services.discovery.domain.holdings import Gap, Holding, Page
from shared.clouds.kubernetes import KubernetesCredential
from shared.errors import NotFound
from shared.tokens import Api

PER_PAGE = 100
MOST_SECRETS = 50_000
CONFIGURING = (lists.INGRESSES, lists.GATEWAYS, lists.REFERENCE_GRANTS, lists.CERTIFICATES)


@dataclass(frozen=True, kw_only=True)
class _At:
    """Where reading stands: in this namespace, after this path; the token asks for what follows."""

    namespace: str | None = None
    path: str = ""
    token: str | None = None

    @classmethod
    def of(cls, position: str | None) -> Self:
        return cls(**json.loads(position)) if position else cls()

    def __str__(self) -> str:
        return json.dumps(asdict(self))


class KubernetesCluster:
    """A cluster whose API we ask."""

    kind: ClassVar[str] = "kubernetes"
    summary: ClassVar[str] = (
        "TLS secrets of a Kubernetes cluster, and what uses them: Ingress, Gateway API, cert-manager."
    )
    settings_type: ClassVar[type[BaseModel]] = KubernetesSettings
    credential_type: ClassVar[type[BaseModel]] = KubernetesCredential

    def __init__(self, api: Api, *, settings: KubernetesSettings) -> None:
        self._api = api
        self._lists = Lists(api)
        self._reads_secrets = settings.read_secrets
        self.is_watched = settings.watch
        """Whether it is read as soon as something in it changes."""
        self._address = f"kubernetes:{settings.cluster}"
        self._namespaces: tuple[str | None, ...] = tuple(sorted(set(settings.namespaces or ()))) or (None,)

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Open its API; nothing is asked yet."""
        async with api_of(access) as api:
            yield cls(api, settings=cast("KubernetesSettings", access.settings))

    async def check(self) -> Sequence[Check]:
        """Say which version it has, and which lists we may read."""
        asked = [
            (resource, namespace)
            for resource in (*CONFIGURING, self._holding)
            for namespace in self._namespaces
        ]
        checks = [
            await self._version(),
            *[await self._may_list(resource, namespace=namespace) for resource, namespace in asked],
        ]
        if self.is_watched:
            checks += [
                await self._may_watch(resource, namespace=namespace)
                for (resource, namespace), check in zip(asked, checks[1:], strict=True)
                if check.ok
            ]
        return checks

    async def watch(self, *, after: str | None, notice: Notice) -> None:
        """Tell of changes of all that is read."""
        await watch(self._lists, self._watched, after=after, notice=notice)

    @property
    def _holding(self) -> Resource:
        return lists.SECRETS if self._reads_secrets else lists.CERTIFICATE_REQUESTS

    @property
    def _watched(self) -> list[Watched]:
        # What holds certificates comes first: of very many namespaces not all can be watched.
        resources = (self._holding, *CONFIGURING)
        return [Watched(resource, namespace) for resource in resources for namespace in self._namespaces]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield secrets by namespace and name; the first page tells what could not be read of the rest."""
        told = await read_configured(
            self._lists, namespaces=self._namespaces, with_requests=not self._reads_secrets
        )
        at, first = _At.of(after), tuple(told.gaps)
        if not self._reads_secrets:
            for page in self._issued(told, at):
                yield Page(holdings=page.holdings, gaps=(*first, *page.gaps), position=page.position)
                first = ()
            return
        first += tuple(_elsewhere(told, self._namespaces))
        async with aclosing(self._secrets(told, at)) as pages:
            async for page in pages:
                yield Page(holdings=page.holdings, gaps=(*first, *page.gaps), position=page.position)
                first = ()

    async def _version(self) -> Check:
        try:
            told = await self._api.get("/version")
        except (NotPermitted, NotFound):
            return Check(name="version", ok=True, text="The cluster does not say its version.")
        version = str(told.get("gitVersion", ""))[:50] if isinstance(told, dict) else ""
        return Check(name="version", ok=True, text=f"Kubernetes {version}")

    async def _may_list(self, resource: Resource, *, namespace: str | None) -> Check:
        name = f"list {resource.full_name} in {namespace or 'all namespaces'}"
        try:
            async with aclosing(self._lists.parts(resource, namespace=namespace, limit=1)) as parts:
                await anext(parts)
        except Absent:
            return Check(name=name, ok=True, text="The cluster does not have this resource.")
        except NotPermitted as error:
            return Check(name=name, ok=False, text=f"{name} is denied. {error.detail}")
        return Check(name=name, ok=True, text="It may be listed.")

    async def _may_watch(self, resource: Resource, *, namespace: str | None) -> Check:
        name = f"watch {resource.full_name} in {namespace or 'all namespaces'}"
        try:
            await self._lists.may_watch(resource, namespace=namespace)
        except Absent:
            return Check(name=name, ok=True, text="The cluster does not have this resource.")
        except NotPermitted as error:
            return Check(name=name, ok=False, text=f"{name} is denied. {error.detail}")
        return Check(name=name, ok=True, text="It may be watched.")

    async def _secrets(self, told: Configured, at: _At) -> AsyncGenerator[Page]:
        todo = [each for each in self._namespaces if at.namespace is None or (each or "") >= at.namespace]
        count = 0
        for namespace, following in zip(todo, [*todo[1:], None], strict=True):
            start = at if namespace == at.namespace else _At(namespace=namespace)
            async with aclosing(self._of_namespace(told, start)) as pages:
                async for page in pages:
                    count += len(page.holdings)
                    if count >= MOST_SECRETS and page.position is not None:
                        yield Page(
                            holdings=page.holdings, gaps=(*page.gaps, too_many(lists.SECRETS, MOST_SECRETS))
                        )
                        return
                    is_end = page.position is None and following is not None
                    position = str(_At(namespace=following)) if is_end else page.position
                    yield Page(holdings=page.holdings, gaps=page.gaps, position=position)

    async def _of_namespace(self, told: Configured, at: _At) -> AsyncGenerator[Page]:
        """Yield the secrets of one namespace (or of all): a page for each part of the list."""
        parts = self._lists.parts(lists.SECRETS, namespace=at.namespace, limit=PER_PAGE, token=at.token)
        upto, is_again = at.path, False
        try:
            async with aclosing(parts):
                async for part in parts:
                    is_again = is_again or part.is_from_start
                    known = await anyio.to_thread.run_sync(self._known, part, told)
                    new = {path: each for path, each in known.items() if not is_again or path > upto}
                    last = max([upto, *known])
                    absent = _between(told, at.namespace, after=upto, upto=last if part.token else None)
                    gaps = (*_gaps(new), *missing(told.uses, sorted(absent - known.keys())))
                    upto = last
                    standing = _At(namespace=at.namespace, path=upto, token=part.token)
                    position = str(standing) if part.token else None
                    yield Page(holdings=_holdings(new), gaps=gaps, position=position)
        except NotPermitted as error:
            yield Page(gaps=(denied(lists.SECRETS, at.namespace, error),))

    def _known(self, part: Part, told: Configured) -> dict[str, Holding | Gap]:
        """Return what a part of the list holds, by path; in a thread, for there are keys to be read."""
        known: dict[str, Holding | Gap] = {}
        for each in shaped(part.items, Secret, resource=lists.SECRETS):
            if isinstance(each, Gap):
                known[each.scope] = each
            elif each.type == TLS:
                found = of_secret(each, address=self._address, uses=told.uses)
                known[found.scope if isinstance(found, Gap) else found.path] = found
        return known

    def _issued(self, told: Configured, at: _At) -> Iterator[Page]:
        """Yield what cert-manager issued, and a gap for every other secret that something uses."""
        known = {each.path: of_issued(each, address=self._address, uses=told.uses) for each in told.issued}
        known |= {path: _unread(path) for path in told.uses if path not in known}
        paths = sorted(path for path in known if path > at.path)
        for start in range(0, max(1, len(paths)), PER_PAGE):
            chosen = {path: known[path] for path in paths[start : start + PER_PAGE]}
            is_last = start + PER_PAGE >= len(paths)
            position = None if is_last else str(_At(path=max(chosen)))
            yield Page(holdings=_holdings(chosen), gaps=_gaps(chosen), position=position)


def _between(told: Configured, namespace: str | None, *, after: str, upto: str | None) -> set[str]:
    """Return the secrets that something uses, in this part of the list."""
    beginning = f"secrets/{namespace}/" if namespace else "secrets/"
    return {
        path
        for path in told.uses
        if path.startswith(beginning) and path > after and (upto is None or path <= upto)
    }


def _elsewhere(told: Configured, namespaces: Sequence[str | None]) -> Iterator[Gap]:
    """Yield a gap for each secret that something uses in a namespace that is not read."""
    for path in told.uses:
        if None not in namespaces and path.split("/")[1] not in namespaces:
            yield Gap(
                scope=path,
                reason=f"{told.uses[path][0].file} names it, and its namespace is not read.",
                next_step="Add the namespace to `namespaces`.",
            )


def _holdings(known: dict[str, Holding | Gap]) -> tuple[Holding, ...]:
    return tuple(each for each in known.values() if isinstance(each, Holding))


def _gaps(known: dict[str, Holding | Gap]) -> tuple[Gap, ...]:
    return tuple(each for each in known.values() if isinstance(each, Gap))


def _unread(path: str) -> Gap:
    return Gap(
        scope=path,
        reason="Something uses it, and by the settings of the source secrets are not read.",
        next_step="Set `read_secrets`, and give the login the right to list secrets.",
    )
