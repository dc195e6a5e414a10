"""AWS Secrets Manager: one region of one account, by a key or by a role that the key may assume."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, Field

from services.discovery.connectors import Access, Check
from services.discovery.connectors.aws.account import Account, assumed_account, own_account
from services.discovery.connectors.aws.actions import STORE_CALLS
from services.discovery.connectors.aws.login import login_with
from shared.aws.credentials import AssumedRole, AwsCredential, Region
from shared.aws.errors import Declined
from shared.errors import Invalid, NotFound, Unavailable

PLAIN = "SecretString"
"""The one member of a secret that is plain text."""


class SecretsManagerSettings(BaseModel):
    """Which region is asked, and as whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: Region = Field(examples=["eu-west-1"])
    role: AssumedRole | None = Field(None, description="Assumed before anything is read.")
    endpoint_url: str | None = Field(
        None,
        max_length=500,
        pattern=r"^https?://[^\s/?#@]+$",
        description="Where AWS is asked, in place of its own addresses: a private endpoint.",
    )
    trusted_ca: str | None = Field(
        None, max_length=20_000, description="PEM of the CA of `endpoint_url`, where it is no public one."
    )


class SecretsManager:
    """The secrets of one region; a path is a secret's name or its ARN."""

    kind: ClassVar[str] = "aws-secrets-manager"
    summary: ClassVar[str] = "AWS Secrets Manager, in one region of one account."
    settings_type: ClassVar[type[BaseModel]] = SecretsManagerSettings
    credential_type: ClassVar[type[BaseModel]] = AwsCredential

    def __init__(self, account: Account, *, region: str) -> None:
        self._account = account
        self._region = region

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Ask AWS whose key it is, and assume the role."""
        settings = cast("SecretsManagerSettings", access.settings)
        async with login_with(
            cast("AwsCredential", access.credential),
            access=access,
            endpoint_url=settings.endpoint_url,
            trusted_ca=settings.trusted_ca,
            calls=STORE_CALLS,
        ) as login:
            with _as_documented():
                account = await own_account(login, region=settings.region)
                if settings.role is not None:
                    account = await assumed_account(account, settings.role, login=login)
            yield cls(account, region=settings.region)

    async def check(self) -> Sequence[Check]:
        """Say whose secrets are read."""
        text = f"It reads secrets of {self._account.id} in {self._region}."
        return [Check(name="account", ok=True, text=text)]

    async def read(self, path: str) -> Mapping[str, Any]:
        """Return the members of the current version."""
        try:
            told = await self._account.call(
                "secretsmanager", "get_secret_value", region=self._region, SecretId=path
            )
        except NotFound as error:
            raise NotFound(
                f"No secret has this name in {self._region} of {self._account.id}.",
                next_step="Make it, or correct the path, or `region`.",
            ) from error
        except Declined as error:
            raise Declined(
                error.detail,
                next_step=f"{error.next_step} Where a KMS key of your own encrypts it, allow kms:Decrypt, too.",
            ) from error
        text = told.get("SecretString")
        if text is None:
            raise Invalid(
                "The secret is binary.",
                next_step="Store it as text: a JSON object with a member for each field.",
            )
        return _members(text)


def _members(text: str) -> Mapping[str, Any]:
    """Return the members of a JSON object; anything else is one member itself."""
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        members = None
    return members if isinstance(members, dict) else {PLAIN: text}


@contextmanager
def _as_documented() -> Iterator[None]:
    try:
        yield
    except (KeyError, IndexError) as error:
        raise Unavailable(f"An answer lacks {error}.", next_step="Check `endpoint_url`.") from error
