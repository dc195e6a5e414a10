"""The inventory asked: a process of the product on PostgreSQL, beside bare routes and bare SQL on the same rows."""

import asyncio
import atexit
import functools
import http.client
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import asyncpg
import httpx

from bench.inventory import asking, servers
from bench.inventory.client import Asking, cycled, load
from bench.inventory.embedded import copied
from bench.inventory.questions import GROUP, counts, listings
from bench.inventory.rows import BARE_ROUTE, BARE_SQL, ON_SQLITE, ROWS
from bench.inventory.seed import filled
from bench.measure import Usage
from bench.rows import SUBJECT, Contestant, Row, Sample, Scenario
from tests.servers.postgres import Postgres

CERTIFICATES, PLACES, EMBEDDED = 1_000_000, 1_500_000, 50_000
REQUESTS = {"get": 2_000, "list50": 500}
"""Of one round."""
IDLE = 3
"""Seconds over which it is seen what a process takes by the clock, without being asked."""


@dataclass(frozen=True, kw_only=True)
class InventorySuite:
    """Rows `api.*`."""

    rows: tuple[Row, ...] = ROWS

    @contextmanager
    def stage(self, name: str, *, folder: Path, scale: float) -> Iterator[Scenario]:  # noqa: ARG002 - the keys of what is filled once are kept beside it
        """Start what is asked; raises NotMeasured where there is no PostgreSQL."""
        stage = {"sqlite": _on_sqlite, "export": _export, "questions": _questions}.get(name, _load)
        estate = _estate(scale)
        with stage(estate, name, estate.folder) as scenario:
            yield scenario


class _Estate:
    """A PostgreSQL with everything in it, for all scenarios of a run: it takes minutes to fill."""

    def __init__(self, scale: float) -> None:
        self.certificates = max(2_000, round(CERTIFICATES * scale))
        self.places = max(3_000, round(PLACES * scale))
        self.embedded = max(1_000, round(EMBEDDED * scale))
        self._open = ExitStack()
        atexit.register(self._open.close)

    @functools.cached_property
    def folder(self) -> Path:
        """Where the processes of the product keep their keys and logs."""
        return Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="everleaf-bench-")))

    @functools.cached_property
    def postgres(self) -> Postgres:
        """The server."""
        return self._open.enter_context(servers.cluster())

    @functools.cached_property
    def url(self) -> str:
        """The database."""
        return self._filled("api", self.certificates, self.places)

    @functools.cached_property
    def small_url(self) -> str:
        """A database of the size that the embedded default is for."""
        return self._filled("small", self.embedded, self.embedded * 3 // 2)

    def _filled(self, label: str, certificates: int, places: int) -> str:
        url = self.postgres.database(label).url
        asyncio.run(filled(url, certificates=certificates, places=places, tell=lambda _: None))
        return url


@functools.cache
def _estate(scale: float) -> _Estate:
    return _Estate(scale)


async def _picked(url: str) -> tuple[list[str], list[str]]:
    """Return fingerprints of all over the table, and issuers, the commonest first."""
    connection = await asyncpg.connect(url)
    try:
        prints = await connection.fetch(
            "SELECT fingerprint FROM certificates ORDER BY md5(fingerprint) LIMIT 2000"
        )
        issuers = await connection.fetch(
            "SELECT issuer FROM certificates WHERE issuer IS NOT NULL GROUP BY 1 HAVING count(*) > 50 ORDER BY count(*) DESC"
        )
    finally:
        await connection.close()
    return [row[0] for row in prints], [row[0] for row in issuers]


def _usage(*, wall: float, cpu: float = 0, peak_mib: float = 0) -> Usage:
    return Usage(wall=wall, cpu=cpu, peak_mib=peak_mib, exit_code=0, said="")


def _token(data: Path) -> str:
    return (data / "data" / "admin.token").read_text().strip()


@contextmanager
def _load(estate: _Estate, name: str, folder: Path) -> Iterator[Scenario]:
    """Stage `get` and `list50`: many requests at once, and the CPU that they cost the process that answers."""
    prints, issuers = asyncio.run(_picked(estate.url))
    before = datetime.now(UTC) + timedelta(days=200)
    with (
        servers.product(estate.url, folder=folder) as ours,
        servers.bare(estate.url, folder=folder) as theirs,
    ):
        us, them = Asking(port=ours.port, token=_token(folder)), Asking(port=theirs.port)
        if name == "get":
            requests = [us.get(f"/inventory/v1/certificates/{each}") for each in prints]
            bare = [them.get(f"/certificates/{each}") for each in prints]
        else:
            query = 'issuer = "{}" and expires < 200d'
            requests = [
                us.get("/inventory/v1/certificates", query=query.format(each), sort="expires", limit=50)
                for each in issuers
            ]
            bare = [
                them.get("/certificates", issuer=each, before=before.isoformat(), limit=50)
                for each in issuers
            ]
        faults = asyncio.run(asking.differences(ours.port, requests[:20], theirs.port, bare[:20]))
        contestants = (
            Contestant(name=SUBJECT, run=_loaded(ours, requests, REQUESTS[name], faults)),
            Contestant(name=BARE_ROUTE, run=_loaded(theirs, bare, REQUESTS[name], ())),
        )
        yield Scenario(name=name, title=f"{estate.certificates:,} certificates", contestants=contestants)


def _loaded(
    server: servers.Server, requests: list[bytes], count: int, faults: tuple[str, ...]
) -> Callable[[], Sample]:
    asyncio.run(load(server.port, cycled(requests, count // 4)))
    before = server.cpu
    time.sleep(IDLE)
    # Workers that look every second whether something is due do so without being asked, too.
    idle = (server.cpu - before) / IDLE

    def run() -> Sample:
        began = server.cpu
        wall = asyncio.run(load(server.port, cycled(requests, count)))
        usage = _usage(wall=wall, cpu=server.cpu - began - idle * wall, peak_mib=server.peak_mib)
        return Sample(usage=usage, asked=count, found=count, faults=faults)

    return run


@contextmanager
def _questions(estate: _Estate, name: str, folder: Path) -> Iterator[Scenario]:
    """Stage every question by itself: how long one asker waits."""
    _, issuers = asyncio.run(_picked(estate.url))
    issuer, now = issuers[len(issuers) // 4], datetime.now(UTC)
    with servers.product(estate.url, folder=folder) as ours:
        everybody = Asking(port=ours.port, token=_token(folder))
        few = Asking(port=ours.port, token=_limited(ours.port, _token(folder)))
        lists = listings(issuer=issuer, now=now)
        far = asyncio.run(asking.far_down(everybody, lists))
        questions = [*(each.first() for each in lists), *far, *counts(issuer=issuer)]
        bout = asking.Bout(questions, everybody=everybody, few=few, url=estate.url)
        contestants = (Contestant(name=SUBJECT, run=bout.ask), Contestant(name=BARE_SQL, run=bout.of_sql))
        title = f"{len(questions)} questions to {estate.certificates:,} certificates, one at a time"
        yield Scenario(name=name, title=title, contestants=contestants)


def _limited(port: int, token: str) -> str:
    """Return a token of a principal who sees one group only."""
    base = f"http://127.0.0.1:{port}/inventory/v1"
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        new = {"name": f"bench-{time.time_ns()}", "kind": "machine", "roles": ["viewer"], "groups": [GROUP]}
        made = client.post("/principals", json=new).raise_for_status().json()
        key = client.post(f"/principals/{made['id']}/api-keys", json={}).raise_for_status().json()["key"]
        bearer = {"Authorization": f"Bearer {key}"}
        found: str = client.post("/tokens", json={}, headers=bearer).raise_for_status().json()["access_token"]
    return found


@contextmanager
def _export(estate: _Estate, name: str, folder: Path) -> Iterator[Scenario]:
    """Stage the export of everything."""
    with servers.product(estate.url, folder=folder) as ours:
        contestants = (
            Contestant(
                name=SUBJECT, run=lambda: _exported(ours, _token(folder), estate.certificates), at_most=2
            ),
        )
        title = f"{estate.certificates:,} certificates as JSON lines"
        yield Scenario(name=name, title=title, contestants=contestants)


def _exported(server: servers.Server, token: str, count: int) -> Sample:
    before, most, is_over = server.memory_mib, [0.0], Event()

    def watch() -> None:
        while not is_over.wait(0.1):
            most[0] = max(most[0], server.memory_mib)

    watcher = Thread(target=watch)
    watcher.start()
    began, cpu = time.monotonic(), server.cpu
    try:
        lines = _lines(server.port, token)
    finally:
        is_over.set()
        watcher.join()
    usage = _usage(wall=time.monotonic() - began, cpu=server.cpu - cpu, peak_mib=max(0.0, most[0] - before))
    faults = () if lines == count else (f"{lines:,} of {count:,} certificates in the export",)
    return Sample(usage=usage, asked=count, found=lines, faults=faults)


def _lines(port: int, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", "/inventory/v1/certificates/export?format=ndjson", headers=headers)
    answer, lines = connection.getresponse(), 0
    while chunk := answer.read(1 << 20):
        lines += chunk.count(b"\n")
    connection.close()
    return lines


@contextmanager
def _on_sqlite(estate: _Estate, name: str, folder: Path) -> Iterator[Scenario]:
    """Stage the embedded default: the same questions to a SQLite file."""
    with tempfile.TemporaryDirectory(prefix="embedded-", dir=folder) as own:
        path = Path(own)
        servers.migrate(None, folder=path)
        rows = asyncio.run(copied(estate.small_url, path / "data" / "inventory.db"))
        with servers.product(None, folder=path) as ours:
            everybody = Asking(port=ours.port, token=_token(path))
            every = [
                *(each.first() for each in listings(issuer="", now=datetime.now(UTC))),
                *counts(issuer=""),
            ]
            questions = [each for each in every if each.name in ON_SQLITE]
            bout = asking.Bout(questions, everybody=everybody, few=everybody, url="")
            title = f"{estate.embedded:,} certificates on SQLite, {rows:,} rows in all"
            yield Scenario(name=name, title=title, contestants=(Contestant(name=SUBJECT, run=bout.ask),))
