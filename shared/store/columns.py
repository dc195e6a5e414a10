"""Column types that mean the same on SQLite and on PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB


class Json(sa.TypeDecorator[Any]):
    """A JSON document: `JSONB` on PostgreSQL, text on SQLite."""

    impl = sa.JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Choose the form the database can index."""
        return dialect.type_descriptor(JSONB() if dialect.name == "postgresql" else sa.JSON())


class Instant(sa.TypeDecorator[datetime]):
    """An aware datetime in UTC; a naive one is refused rather than guessed at."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Store UTC; SQLite has no zones, so there the zone is understood."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"{value!r} has no time zone"
            raise ValueError(msg)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """Leave what PostgreSQL's driver gives as it is, an aware datetime in UTC: lists have thousands of them."""
        return None if dialect.name == "postgresql" else super().result_processor(dialect, coltype)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Return an aware datetime in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Sealed(sa.LargeBinary):
    """What `shared.sealing.Sealer` has sealed: when the key-encryption key changes, these columns are wrapped anew.

    Empty, or nothing, where there is no secret.
    """


class SealedOwn(Sealed):
    """A sealed key of our own that is made anew where its row is not there: nobody else has to give it again."""
