"""PowerShell on a Windows host, as sources are told of it and log into it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.discovery.connectors import Access
from services.discovery.connectors.shell import logged_in
from shared.appliances.powershell import PowerShell
from shared.errors import Invalid
from shared.ssh import Credential, HostKey, HostName, JumpHost, Login, UserName, refuse_unreadable, through


class WindowsSettings(BaseModel):
    """Where the host is; its OpenSSH server lets the account in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: HostName
    port: int = Field(22, ge=1, le=65535)
    username: UserName
    host_key: HostKey
    jumps: list[JumpHost] = Field(
        [], max_length=5, description="Hosts that it is reached through, the first of them directly."
    )


class WindowsCredential(Credential):
    """A private key in PEM, perhaps with a passphrase, or a password."""

    jumps: list[Credential] = Field(
        [],
        max_length=5,
        description="What the jump hosts are logged into with, in their order; left out, all with this one.",
    )

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        try:
            refuse_unreadable(self)
            for jump in self.jumps:
                refuse_unreadable(jump)
        except Invalid as error:
            raise ValueError(str(error)) from None
        return self


@asynccontextmanager
async def powershell(access: Access) -> AsyncIterator[PowerShell]:
    """Log into a host of `WindowsSettings` for one piece of work."""
    settings = cast("WindowsSettings", access.settings)
    credential = cast("WindowsCredential", access.credential)
    login = Login(
        host=settings.host,
        port=settings.port,
        username=settings.username,
        host_key=settings.host_key,
        credential=credential,
        agent=access.ssh_agent,
        reach=access.reach,
    )
    login = through(login, settings.jumps, credentials=credential.jumps)
    async with logged_in(login, limits=access.limits) as connection:
        yield PowerShell(connection, limit=access.limits.command)
