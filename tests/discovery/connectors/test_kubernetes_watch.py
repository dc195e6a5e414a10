"""A cluster is watched: every change is noticed, none is lost where a watch ends, and what is forgotten is listed anew."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from services.discovery.connectors import Noticed
from services.discovery.connectors.kubernetes import KubernetesCluster, watch
from services.discovery.connectors.kubernetes.options import KubernetesSettings
from shared.errors import Refused, Unavailable
from tests.discovery.workshops import access_to
from tests.discovery.workshops.kubernetes import NAMESPACES, RESOURCES, USER, Cluster, workshop
from tests.servers.api import Asked, Told

LISTS = len(NAMESPACES) * len(RESOURCES)


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setattr(watch, "_PAUSE", 0.01)
    async with workshop(tmp_path) as opened:
        assert isinstance(opened, Cluster)
        yield opened


class Listener:
    """Keeps what was noticed."""

    def __init__(self) -> None:
        self.noticed: list[Noticed] = []
        self.error: Exception | None = None

    async def take(self, noticed: Noticed) -> None:
        self.noticed.append(noticed)

    @property
    def news(self) -> int:
        return sum(each.is_news for each in self.noticed)

    @property
    def position(self) -> str:
        return self.noticed[-1].position

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; fails where it is not soon."""
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, self.noticed
            assert self.error is None, self.error
            await anyio.sleep(0.01)


@asynccontextmanager
async def listening(
    cluster: Cluster, *, after: str | None = None, **settings: Any
) -> AsyncIterator[Listener]:
    listener = Listener()
    given = KubernetesSettings.model_validate(dict(cluster.settings) | settings)

    async def listen() -> None:
        async with KubernetesCluster.open(access_to(cluster, settings=given)) as source:
            try:
                await source.watch(after=after, notice=listener.take)
            except (Refused, Unavailable) as error:
                listener.error = error

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        yield listener
        tasks.cancel_scope.cancel()


def watches(cluster: Cluster) -> list[Asked]:
    return [each for each in cluster.server.api.asked if each.query.get("watch")]


async def test_each_change_of_what_is_read_is_noticed(cluster: Cluster):
    cluster.put(1)
    async with listening(cluster) as listener:
        await listener.until(lambda: listener.news == LISTS and len(watches(cluster)) == LISTS)
        cluster.put(1)
        await listener.until(lambda: listener.news == LISTS + 1)
        cluster.server.remove("secrets", "shop", "tls-0000")
        await listener.until(lambda: listener.news == LISTS + 2)
        cluster.server.put("ingresses.networking.k8s.io", "web", "site", spec={})
        await listener.until(lambda: listener.news == LISTS + 3)
        cluster.server.put("secrets", "elsewhere", "other", type="kubernetes.io/tls", data={})
        cluster.server.put("secrets", "shop", "password", type="Opaque", data={})
        cluster.server.bookmark()
        await listener.until(lambda: len(listener.noticed) > LISTS + 3)
        assert listener.news == LISTS + 3
    asked = watches(cluster)[0].query
    assert (asked["allowWatchBookmarks"], asked["timeoutSeconds"]) == ("true", str(watch.SECONDS))


async def test_what_changed_while_nobody_listened_is_noticed_and_nothing_else_is_news(cluster: Cluster):
    async with listening(cluster) as first:
        await first.until(lambda: len(watches(cluster)) == LISTS)
    cluster.server.put("secrets", "web", "meanwhile", type="kubernetes.io/tls", data={})
    async with listening(cluster, after=first.position) as second:
        await second.until(lambda: second.news == 1 and len(watches(cluster)) == 2 * LISTS)
    lists = [each for each in cluster.server.api.asked if each.query.get("limit") == "1"]
    assert len(lists) == LISTS, "the second goes on where the first stood"


async def test_a_watch_that_the_api_ends_goes_on_from_its_bookmark(cluster: Cluster):
    cluster.server.watch_seconds = 0.2
    lists = len(RESOURCES)
    async with listening(cluster, namespaces=["shop"]) as listener:
        await listener.until(lambda: len(watches(cluster)) > 2 * lists)
        cluster.server.put("secrets", "shop", "new", type="kubernetes.io/tls", data={})
        await listener.until(lambda: listener.news == lists + 1)
        # The rest is quiet; without bookmarks its versions would grow too old.
        await listener.until(
            lambda: set(json.loads(listener.position).values()) == {str(cluster.server._store.version)}
        )
        assert listener.news == lists + 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_version_that_is_forgotten_is_news_and_the_watch_goes_on_from_now(
    cluster: Cluster, *, at_once: bool
):
    cluster.server.refuses_old_watches_at_once = at_once
    async with listening(cluster) as first:
        await first.until(lambda: len(watches(cluster)) == LISTS)
    cluster.put(1)
    cluster.server.compact()
    async with listening(cluster, after=first.position) as second:
        await second.until(lambda: second.news == LISTS and len(watches(cluster)) >= 2 * LISTS)
        cluster.put(1)
        await second.until(lambda: second.news == LISTS + 1)


async def test_who_may_not_watch_is_told_so_and_a_list_that_may_not_be_watched_leaves_the_others(
    cluster: Cluster,
):
    cluster.server.deny(USER, "ingresses.networking.k8s.io", namespace="web")
    async with listening(cluster) as listener:
        await listener.until(lambda: listener.news == LISTS - 1)
    cluster.server.forbid_watching(USER)
    async with KubernetesCluster.open(access_to(cluster)) as source:
        checks = {check.name: check.ok for check in await source.check()}
        assert (checks["list secrets in shop"], checks["watch secrets in shop"]) == (True, False)
        with pytest.raises(Refused, match="watch"):
            await source.watch(after=None, notice=Listener().take)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"type": "ERROR", "object": {"code": 500, "reason": "InternalError"}}\n', "HTTP 500"),
        (b'{"type": "ADDED", "object": {"metadata": {}}}\n', "no event"),
        (b"<html>\n", "no event"),
    ],
)
async def test_what_is_no_event_ends_it_with_a_reason(cluster: Cluster, line: bytes, why: str):
    def twist(asked: Asked, told: Told) -> Told:
        return Told(stream=iter([line])) if asked.query.get("watch") else told

    cluster.server.api.twist = twist
    async with KubernetesCluster.open(access_to(cluster)) as source:
        with pytest.raises(Unavailable, match=why):
            await source.watch(after=None, notice=Listener().take)


async def test_an_api_that_goes_away_ends_it(cluster: Cluster):
    async with KubernetesCluster.open(access_to(cluster)) as source:
        cluster.stop()
        with pytest.raises(Unavailable):
            await source.watch(after=None, notice=Listener().take)
