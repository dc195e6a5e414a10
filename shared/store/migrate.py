"""Runs the migrations of any service: one `env.py` here, the versions in the service's own folder."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from shared.errors import Conflict, Unavailable
from shared.store import Database
from shared.store.plumbing import PLUMBING

_LOCATION = Path(__file__).parent / "alembic"


class Schema:
    """What a service's database looks like: its tables and the folder of its migrations."""

    def __init__(self, metadata: sa.MetaData, versions: Path) -> None:
        self.metadata = [metadata, PLUMBING]
        self.versions = versions

    async def upgrade(self, database: Database) -> None:
        """Bring the database to the newest version; safe to run from several processes at once."""
        async with database.engine.begin() as connection:
            await connection.run_sync(self._upgrade)

    def _upgrade(self, connection: sa.Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7305804)"))
        command.upgrade(self._config(connection), "head")

    async def require_current(self, database: Database) -> None:
        """Return where the database is at the newest version. Raises `Conflict` or `Unavailable`."""
        try:
            async with database.engine.connect() as connection:
                present, newest = await connection.run_sync(self._versions)
        except (sa.exc.DBAPIError, OSError) as error:
            raise Unavailable(
                f"The database of {database.source} does not answer: {error}.",
                next_step="Check that it runs and that the database settings are right.",
            ) from error
        if present != newest:
            raise Conflict(
                f"The database of {database.source} is at version {present}, this program needs {newest}.",
                next_step=f"Run `everleaf migrate {database.source}` first.",
            )

    def _versions(self, connection: sa.Connection) -> tuple[str | None, str | None]:
        scripts = ScriptDirectory.from_config(self._config(connection))
        return MigrationContext.configure(connection).get_current_revision(), scripts.get_current_head()

    async def differences(self, database: Database) -> list[object]:
        """Return what the tables in the code have that the migrated database has not, or the reverse."""
        async with database.engine.connect() as connection:
            return await connection.run_sync(self._compare)

    def _compare(self, connection: sa.Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, self.metadata))  # type: ignore[arg-type] # takes several, as env.py does

    def write_revision(self, connection: sa.Connection, *, number: str, words: str) -> None:
        """Write the next migration from the difference between code and database."""
        command.revision(self._config(connection), message=words, rev_id=number, autogenerate=True)

    def _config(self, connection: sa.Connection) -> Config:
        config = Config()
        config.set_main_option("script_location", str(_LOCATION))
        config.set_main_option("version_locations", str(self.versions))
        config.set_main_option("path_separator", "os")
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        config.attributes["connection"] = connection
        config.attributes["metadata"] = self.metadata
        return config
