"""Watches a cluster: one watch for each list that is read, each going on from the version that it has seen last."""

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import anyio

from services.discovery.connectors import Noticed
from services.discovery.connectors.kubernetes.lists import Absent, Expired, Lists, Resource
from services.discovery.connectors.web import NotPermitted
from shared.errors import EverleafError, Refused

MOST_WATCHES = 40
"""Of one cluster, each a connection."""
SECONDS = 300
"""After which the API ends a watch, and another one goes on; some five minutes of versions are all that it keeps."""
_PAUSE = 1.0
"""Before a watch is begun again, in seconds: whatever ends them does it no faster."""
Notice = Callable[[Noticed], Awaitable[None]]


@dataclass(frozen=True)
class Watched:
    """One list."""

    resource: Resource
    namespace: str | None

    @property
    def name(self) -> str:
        """Return what it is called in a position."""
        return f"{self.resource.full_name}/{self.namespace or ''}"


async def watch(asked: Lists, watched: Sequence[Watched], *, after: str | None, notice: Notice) -> None:
    """Watch these lists for ever, as far as we may. Raises `Refused` where none may be watched."""
    versions: dict[str, str] = json.loads(after) if after else {}
    cluster = _Cluster(asked, versions=versions, notice=notice)
    try:
        async with anyio.create_task_group() as tasks:
            for each in watched[:MOST_WATCHES]:
                tasks.start_soon(cluster.watch, each)
    except* EverleafError as group:
        raise _first(group) from None
    raise cluster.denied or Refused("There is nothing to watch.", next_step="Nothing is to be done.")


def _first(group: BaseExceptionGroup[EverleafError]) -> EverleafError:
    [first, *_] = group.exceptions
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


class _Cluster:
    """Where each of the watches stands."""

    def __init__(self, asked: Lists, *, versions: dict[str, str], notice: Notice) -> None:
        self._lists = asked
        self._versions = versions
        self._notice = notice
        self._lock = anyio.Lock()
        self.denied: NotPermitted | None = None
        """The last refusal."""

    async def watch(self, each: Watched) -> None:
        """Watch one list; ends where there is none, or it may not be watched."""
        while True:
            try:
                await self._go_on(each)
            except Expired:
                self._versions.pop(each.name, None)
            except Absent:
                return
            except NotPermitted as error:
                self.denied = error
                return
            await anyio.sleep(_PAUSE)

    async def _go_on(self, each: Watched) -> None:
        version = self._versions.get(each.name)
        if version is None:
            version = await self._lists.version(each.resource, namespace=each.namespace)
            await self._tell(each, version, is_news=True)
        changes = self._lists.changes(
            each.resource, namespace=each.namespace, version=version, seconds=SECONDS
        )
        async with aclosing(changes):
            async for change in changes:
                await self._tell(each, change.version, is_news=change.is_news)

    async def _tell(self, each: Watched, version: str, *, is_news: bool) -> None:
        async with self._lock:
            self._versions[each.name] = version
            await self._notice(Noticed(position=json.dumps(self._versions), is_news=is_news))
