"""What a step-ca has issued, from its own PostgreSQL: its API tells of roots and provisioners, not of certificates.

It keeps every certificate for ever, and most live for a day: the database itself passes over those that have expired
or were revoked, so that they are not sent.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar, Self, cast

import asyncpg
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from services.discovery.connectors import Access, Check
from services.discovery.connectors.database import Place, read_only, told
from services.discovery.connectors.issued import PER_PAGE, Issued, Issuers, holdings_of
from services.discovery.connectors.web import NotPermitted
from services.discovery.domain.holdings import Gap, Page
from shared import x509
from shared.clock import utc_now
from shared.errors import EverleafError, Invalid, NotFound, Refused

ROWS_AT_A_TIME = 1_000
MOST_ROWS = 5_000_000
"""Of the table, looked at by one run."""
LARGEST = 65_536
"""Bytes of one certificate."""
_SCOPE = "issued"


class StepCaSettings(BaseModel):
    """Which CA it is, and where its database is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[0-9A-Za-z.:_-]+$",
        description="The host name of the CA: what its certificates are shown under.",
        examples=["ca.example.com"],
    )
    host: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[0-9A-Za-z.:_-]+$",
        description="Where its PostgreSQL is.",
        examples=["db.example.com"],
    )
    port: int = Field(5432, ge=1, le=65535)
    database: str = Field("stepca", min_length=1, max_length=63, pattern=r"^[^\x00-\x1f]+$")
    username: str = Field(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f]+$", examples=["everleaf"])
    trusted_ca: str | None = Field(
        None, max_length=100_000, description="PEM that is trusted beside the public roots, for the database."
    )
    issuers: str | None = Field(
        None,
        max_length=100_000,
        description="PEM of the CA's intermediate and root: its chain is told with what it issued.",
    )

    @field_validator("trusted_ca", "issuers")
    @classmethod
    def _is_pem(cls, text: str | None) -> str | None:
        try:
            if text is not None:
                x509.from_pem(text)
        except Invalid as error:
            raise ValueError(str(error)) from error
        return text


class StepCaCredential(BaseModel):
    """The password of a login that may only read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    password: SecretStr = Field(min_length=1, max_length=1000)


class StepCa:
    """The database of a step-ca."""

    kind: ClassVar[str] = "step-ca"
    summary: ClassVar[str] = "Certificates that a step-ca has issued, from its PostgreSQL database."
    settings_type: ClassVar[type[BaseModel]] = StepCaSettings
    credential_type: ClassVar[type[BaseModel]] = StepCaCredential

    def __init__(self, connection: asyncpg.Connection, *, settings: StepCaSettings) -> None:
        self._connection = connection
        self._settings = settings

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Log into the database."""
        settings = cast("StepCaSettings", access.settings)
        credential = cast("StepCaCredential", access.credential)
        place = Place(
            host=settings.host,
            port=settings.port,
            database=settings.database,
            username=settings.username,
            password=credential.password.get_secret_value(),
            trusted_ca=settings.trusted_ca,
        )
        async with read_only(access, place) as connection:
            yield cls(connection, settings=settings)

    async def check(self) -> Sequence[Check]:
        """Say whether both tables may be read."""
        return [await self._check(table) for table in ("x509_certs", "revoked_x509_certs")]

    async def read(self, *, after: str | None) -> AsyncGenerator[Page]:
        """Yield what is current, by the key of the table."""
        try:
            async for page in self._pages(bytes.fromhex(after or "")):
                yield page
        except NotFound as error:
            raise Refused(f"There is no step-ca in it. {error.detail}", next_step=error.next_step) from error
        except NotPermitted as error:
            yield Page(gaps=(_gap(error),))
            return
        yield Page()

    async def _check(self, table: str) -> Check:
        try:
            await self._fetch(f"SELECT nkey FROM {table} LIMIT 1")  # noqa: S608 - one of two names of ours
        except (NotPermitted, NotFound) as error:
            return Check(name=table, ok=False, text=str(error))
        return Check(name=table, ok=True, text="It may be read.")

    async def _pages(self, key: bytes) -> AsyncGenerator[Page]:
        question, gaps = await self._question()
        issuers = Issuers(x509.from_pem(self._settings.issuers) if self._settings.issuers else ())
        if gaps:
            yield Page(gaps=gaps, position=key.hex())
        for _ in range(MOST_ROWS // ROWS_AT_A_TIME):
            now = utc_now()
            moment = now.strftime("%y%m%d%H%M%S").encode()
            rows = await self._fetch(question, key, ROWS_AT_A_TIME, _DATES, moment, LARGEST)
            current = [row for row in rows if row["der"] is not None]
            for start in range(0, len(current), PER_PAGE):
                part = current[start : start + PER_PAGE]
                yield self._page(part, issuers=issuers, now=now)
            if len(rows) < ROWS_AT_A_TIME:
                return
            key = rows[-1]["nkey"]
            yield Page(position=key.hex())
        reason = f"It holds more than {MOST_ROWS} rows; those with higher keys are not read."
        step = "Delete what expired long ago."
        yield Page(gaps=(Gap(scope=_SCOPE, reason=reason, next_step=step),), position=key.hex())

    async def _question(self) -> tuple[str, tuple[Gap, ...]]:
        """Return what is asked: without the revoked ones, where we may know which those are."""
        try:
            await self._fetch("SELECT nkey FROM revoked_x509_certs LIMIT 1")
        except NotPermitted as error:
            reason = f"Which were revoked is not known, so they are shown too. {error.detail}"
            step = "GRANT SELECT ON revoked_x509_certs to the login."
            return _QUESTION.format(is_revoked="false"), (
                Gap(scope="revoked", reason=reason, next_step=step),
            )
        return _QUESTION.format(is_revoked=_IS_REVOKED), ()

    async def _fetch(self, question: str, *values: object) -> Sequence[Any]:
        with told():
            rows: Sequence[Any] = await self._connection.fetch(question, *values)
        return rows

    def _page(self, rows: Sequence[Any], *, issuers: Issuers, now: datetime) -> Page:
        read = [_issued(row["nkey"], row["der"]) for row in rows]
        holdings, gaps = holdings_of(
            [each for each in read if isinstance(each, Issued)],
            address=self._settings.name,
            issuers=issuers,
            now=now,
        )
        gaps += [each for each in read if isinstance(each, Gap)]
        return Page(holdings=tuple(holdings), gaps=tuple(gaps), position=rows[-1]["nkey"].hex())


_DATES = b"\x30\x1e\x17\x0d"
"""How the validity begins where both dates are UTCTime (RFC 5280 §4.1.2.5): 30 bytes, of which the first date takes 15.

Only the serial number and the issuer's name are before it, and neither is the applicant's to choose.
"""
_IS_REVOKED = "EXISTS (SELECT 1 FROM revoked_x509_certs r WHERE r.nkey = c.nkey)"
_QUESTION = """
SELECT c.nkey, CASE
  WHEN octet_length(c.nvalue) > $5::int THEN ''::bytea
  WHEN position($3::bytea in c.nvalue) > 0
    AND substring(c.nvalue from position($3::bytea in c.nvalue) + 19 for 12) < $4::bytea THEN NULL
  WHEN {is_revoked} THEN NULL
  ELSE coalesce(c.nvalue, ''::bytea) END AS der
FROM (SELECT nkey, nvalue FROM x509_certs WHERE nkey > $1::bytea ORDER BY nkey LIMIT $2::int) c
ORDER BY c.nkey
"""


def _issued(key: bytes, der: bytes) -> Issued | Gap:
    """Return a row: its key is the serial number in decimal digits."""
    if not key.isdigit():
        reason = "A row has a key that is no serial number."
        return Gap(scope=_SCOPE, reason=reason, next_step="Look at the table x509_certs.")
    return Issued(path=f"{_SCOPE}/{int(key):x}", der=der)


def _gap(error: EverleafError) -> Gap:
    step = "GRANT SELECT ON x509_certs to the login."
    return Gap(scope=_SCOPE, reason=error.detail, next_step=step)
