"""Runs the migrations of any service: one `env.py` here, the versions in the service's own folder.

Alembic is imported when there is something to migrate. Whether there is, every process asks that starts, and hardly ever there is.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import Conflict, Unavailable
from shared.store import Database
from shared.store.plumbing import PLUMBING

if TYPE_CHECKING:
    from alembic.config import Config

AfterEach = Callable[[sa.Connection, str], None]
_LOCATION = Path(__file__).parent / "alembic"
_APPLIED = sa.table("alembic_version", sa.column("version_num", sa.String(32)))
"""Where Alembic keeps which version a database is at."""


class Schema:
    """What a service's database looks like: its tables and the folder of its migrations."""

    def __init__(self, metadata: sa.MetaData, versions: Path) -> None:
        self.metadata = [metadata, PLUMBING]
        self.versions = versions

    async def upgrade(self, database: Database, *, after_each: AfterEach | None = None) -> None:
        """Bring the database to the newest version; safe to run from several processes at once.

        `after_each` is given the connection and the version after each migration, in the transaction that they all are in.
        """
        async with (
            database.engine.connect() as connection,
            _references_at_rest(connection, database),
            connection.begin(),
        ):
            await connection.run_sync(self._upgrade, after_each)

    def _upgrade(self, connection: sa.Connection, after_each: AfterEach | None) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7305804)"))
        present, newest = self._versions(connection)
        if _fits(present, newest):
            return
        from alembic import command  # noqa: PLC0415 - imported when there is something to migrate

        config = self._config(connection)
        config.attributes["after_each"] = after_each
        command.upgrade(config, "head")
        _refuse_dangling(connection)

    async def require_current(self, database: Database) -> None:
        """Return where the database is at the newest version. Raises `Conflict` or `Unavailable`.

        A newer version than the newest known here is well: migrations only add (`tests/architecture/test_migrations.py`
        holds them to it), so that the version before serves on until it is replaced.
        """
        try:
            async with database.engine.connect() as connection:
                present, newest = await connection.run_sync(self._versions)
        except (sa.exc.DBAPIError, OSError) as error:
            raise Unavailable(
                f"The database of {database.source} does not answer: {error}.",
                next_step="Check that it runs and that the database settings are right.",
            ) from error
        if not _fits(present, newest):
            raise Conflict(
                f"The database of {database.source} is at version {present}, this program needs {newest}.",
                next_step=f"Run `everleaf migrate {database.source}` first.",
            )

    def _versions(self, connection: sa.Connection) -> tuple[str | None, str | None]:
        # Names are enough (`tests/architecture/test_migrations.py`): to read all migrations takes many times as long.
        newest = max((path.name.partition("_")[0] for path in self.versions.glob("*_*.py")), default=None)
        if not sa.inspect(connection).has_table(_APPLIED.name):
            return None, newest
        return connection.scalar(sa.select(_APPLIED.c.version_num)), newest

    async def differences(self, database: Database) -> list[object]:
        """Return what the tables in the code have that the migrated database has not, or the reverse."""
        async with database.engine.connect() as connection:
            return await connection.run_sync(self._compare)

    def _compare(self, connection: sa.Connection) -> list[object]:
        from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - imported when there is something to migrate
        from alembic.migration import MigrationContext  # noqa: PLC0415 - imported when there is something to migrate

        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, self.metadata))  # type: ignore[arg-type] # takes several, as env.py does

    def write_revision(self, connection: sa.Connection, *, number: str, words: str) -> None:
        """Write the next migration from the difference between code and database."""
        from alembic import command  # noqa: PLC0415 - imported when there is something to migrate

        command.revision(self._config(connection), message=words, rev_id=number, autogenerate=True)

    def _config(self, connection: sa.Connection) -> "Config":
        from alembic.config import Config  # noqa: PLC0415 - imported when there is something to migrate

        config = Config()
        config.set_main_option("script_location", str(_LOCATION))
        config.set_main_option("version_locations", str(self.versions))
        config.set_main_option("path_separator", "os")
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        config.attributes["connection"] = connection
        config.attributes["metadata"] = self.metadata
        return config


@asynccontextmanager
async def _references_at_rest(connection: AsyncConnection, database: Database) -> AsyncIterator[None]:
    """Let SQLite not look at foreign keys meanwhile, where it makes a table anew and drops the old one.

    So its documentation has it (https://www.sqlite.org/lang_altertable.html#otheralter); within a transaction it would not
    listen, so this is said to the driver, before one has begun.
    """
    if not database.is_sqlite:
        yield
        return
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        await driver.execute("PRAGMA foreign_keys=ON")


def _refuse_dangling(connection: sa.Connection) -> None:
    """Raise `Conflict`, which undoes all, where a row has come to name another one that is not there."""
    if connection.dialect.name != "sqlite":
        return
    found = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if found is not None:
        raise Conflict(
            f"A row of {found[0]} names one of {found[2]} that is not there.",
            next_step="Nothing was migrated. Restore the last backup, or tell us.",
        )


def _fits(present: str | None, newest: str | None) -> bool:
    """Return whether a database is at the newest version or beyond it; versions are numbers."""
    if present is None or newest is None:
        return present == newest
    return present == newest or (present.isdecimal() and newest.isdecimal() and int(present) > int(newest))
