"""How any service logs into a host over SSH: the stored host key is verified, and nothing of this machine plays a part."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Self

import asyncssh
from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from shared.errors import Invalid


class Credential(BaseModel):
    """What a target is logged into with: a private key in PEM, perhaps with a passphrase, or a password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    private_key: SecretStr | None = None
    passphrase: SecretStr | None = None
    password: SecretStr | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.private_key is None) == (self.password is None):
            msg = "give either private_key or password"
            raise ValueError(msg)
        if self.passphrase is not None and self.private_key is None:
            msg = "a passphrase belongs to a private_key"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, kw_only=True)
class Login:
    """Where, and as whom."""

    host: str
    port: int
    username: str
    host_key: str
    """The OpenSSH public key that the host must prove to have."""
    credential: Credential = field(repr=False)


def log_in(login: Login) -> Awaitable[asyncssh.SSHClientConnection]:
    """Connect, verify the host key and log in. Raises `asyncssh.Error`, `OSError` or `Invalid`."""
    credential = login.credential
    password = credential.password
    return asyncssh.connect(
        login.host,
        login.port,
        username=login.username,
        client_keys=[read_private_key(credential)] if credential.private_key is not None else None,
        password=password.get_secret_value() if password else None,
        known_hosts=([read_host_key(login.host_key)], [], []),
        # Nothing of the account or machine we run on may play a part: no configuration, agent or tickets.
        config=None,
        agent_path=None,
        agent_forwarding=False,
        gss_host=None,
        keepalive_interval=15,
    )


def read_host_key(line: str) -> asyncssh.SSHKey:
    """Read an OpenSSH public key line. Raises `Invalid`."""
    try:
        return asyncssh.import_public_key(line)
    except (asyncssh.KeyImportError, ValueError) as error:
        raise Invalid(
            f"The host key is not an OpenSSH public key ({error}).",
            next_step="Write it as in /etc/ssh/ssh_host_ed25519_key.pub, beginning with ssh-ed25519, say.",
        ) from error


def read_private_key(credential: Credential) -> asyncssh.SSHKey:
    """Read the private key of a credential. Raises `Invalid`, without quoting it."""
    key, passphrase = credential.private_key, credential.passphrase
    try:
        return asyncssh.import_private_key(
            key.get_secret_value() if key else "", passphrase.get_secret_value() if passphrase else None
        )
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError):
        raise Invalid(
            "The private key cannot be read with this passphrase.",
            next_step="Send the whole PEM text, and the passphrase where it has one.",
        ) from None
