"""What is said of a Linux host, and what it is logged into with."""

from typing import Annotated, Self, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from services.discovery.connectors import Access
from shared.errors import Invalid
from shared.ssh import (
    Credential,
    HostKey,
    HostName,
    JumpHost,
    Login,
    UserName,
    refuse_unreadable,
    through,
)

FOLDERS = (
    "/etc/ssl/private",
    "/etc/nginx",
    "/etc/apache2",
    "/etc/httpd",
    "/etc/haproxy",
    "/etc/pki/tls/certs",
    "/etc/letsencrypt/live",
    "/etc/tls",
    "/opt",
    "/srv",
)
_Path = Annotated[str, Field(pattern=r"^/[^\x00-\x1f]*$", max_length=500)]


class LinuxSettings(BaseModel):
    """Where the host is, and where to look in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: HostName
    port: int = Field(22, ge=1, le=65535)
    username: UserName
    host_key: HostKey
    jumps: list[JumpHost] = Field(
        [], max_length=5, description="Hosts that it is reached through, the first of them directly."
    )
    sudo: bool = Field(False, description="Read as root: the host lets this user run `sudo -n /bin/sh -s`.")
    folders: list[_Path] = Field(
        list(FOLDERS), max_length=100, description="Where certificate files are looked for."
    )
    configurations: dict[str, _Path] | None = Field(
        None,
        description="Main file of each product that is not where its package puts it; only these are read then.",
    )


class LinuxCredential(Credential):
    """A private key, perhaps with an OpenSSH certificate; a password; or the ssh-agent of the platform."""

    store_passwords: list[SecretStr] = Field(
        [],
        max_length=20,
        description="Tried on PKCS#12 files there, after none and `changeit`. Java keystores need none.",
    )
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


def login_of(access: Access) -> Login:
    """Return how the host is logged into, through its jump hosts."""
    settings, credential = cast("LinuxSettings", access.settings), cast("LinuxCredential", access.credential)
    login = Login(
        host=settings.host,
        port=settings.port,
        username=settings.username,
        host_key=settings.host_key,
        credential=credential,
        agent=access.ssh_agent,
        reach=access.reach,
    )
    return through(login, settings.jumps, credentials=credential.jumps)
