"""How any service logs into a host over SSH: the stored host key is verified, and nothing of this machine plays a part."""

from collections.abc import Awaitable
from dataclasses import dataclass, field

import asyncssh
from pydantic import SecretStr

from shared.errors import Invalid


@dataclass(frozen=True, kw_only=True)
class Login:
    """Where and as whom; either a private key in PEM, perhaps with a passphrase, or a password."""

    host: str
    port: int
    username: str
    host_key: str
    """The OpenSSH public key that the host must prove to have."""
    private_key: SecretStr | None = field(default=None, repr=False)
    passphrase: SecretStr | None = field(default=None, repr=False)
    password: SecretStr | None = field(default=None, repr=False)


def log_in(login: Login) -> Awaitable[asyncssh.SSHClientConnection]:
    """Connect, verify the host key and log in. Raises `asyncssh.Error`, `OSError` or `Invalid`."""
    key = login.private_key
    return asyncssh.connect(
        login.host,
        login.port,
        username=login.username,
        client_keys=[read_private_key(key, passphrase=login.passphrase)] if key is not None else None,
        password=login.password.get_secret_value() if login.password else None,
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


def read_private_key(text: SecretStr, *, passphrase: SecretStr | None = None) -> asyncssh.SSHKey:
    """Read a private key. Raises `Invalid`, without quoting it."""
    try:
        return asyncssh.import_private_key(
            text.get_secret_value(), passphrase.get_secret_value() if passphrase else None
        )
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError):
        raise Invalid(
            "The private key cannot be read with this passphrase.",
            next_step="Send the whole PEM text, and the passphrase where it has one.",
        ) from None
