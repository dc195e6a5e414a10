"""Databases with the tables of a service: migrated once a run, and copied for each test, which takes a tenth of the time."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from shared.store import Database
from tests.servers.postgres import OwnDatabase, Postgres


class Stores:
    """Copies of migrated databases, of either kind; PostgreSQL is started when it is first asked for."""

    def __init__(self, folder: Path, postgres: Callable[[], Postgres]) -> None:
        self._folder = folder
        self._postgres = postgres
        self._files: dict[str, Path] = {}
        self._databases: dict[str, OwnDatabase] = {}

    @contextmanager
    def copy(self, service: str, kind: str, folder: Path) -> Iterator[str]:
        """The URL of a database of a service, with its tables and nothing in them; `kind` is `sqlite` or `postgresql`."""
        if kind == "sqlite":
            path = folder / f"{service}.db"
            shutil.copy(self._file(service), path)
            yield f"sqlite:///{path}"
        else:
            with self._postgres().copy(self._database(service)) as own:
                yield own.url

    def empty(self, kind: str, folder: Path) -> str:
        """Return the URL of a database without tables."""
        return f"sqlite:///{folder}/empty.db" if kind == "sqlite" else self._postgres().database("empty").url

    def _file(self, service: str) -> Path:
        if service not in self._files:
            path = self._folder / f"{service}.db"
            _migrate(service, f"sqlite:///{path}")
            self._files[service] = path
        return self._files[service]

    def _database(self, service: str) -> OwnDatabase:
        if service not in self._databases:
            database = self._postgres().database(service)
            _migrate(service, database.url)
            self._databases[service] = database
        return self._databases[service]


def _migrate(service: str, url: str) -> None:
    async def migrate() -> None:
        database = Database(url, source=service)
        await import_module(f"services.{service}.service").SCHEMA.upgrade(database)
        await database.close()

    # A thread of its own: fixtures may be made while a test's event loop is running here.
    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, migrate()).result()


@pytest.fixture(scope="session")
def stores(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stores:
    """Databases with the tables of any service."""
    return Stores(tmp_path_factory.mktemp("stores"), lambda: request.getfixturevalue("postgres"))
