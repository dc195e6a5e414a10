"""How any service logs into a host over SSH: the stored host key is verified, and nothing of this machine plays a part.

The one exception is an ssh-agent whose socket the operator's settings name.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Annotated, Self

import asyncssh
from asyncssh.public_key import CERT_TYPE_USER, SSHOpenSSHCertificate
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from shared.errors import Invalid, Refused, Unavailable
from shared.ssh_connection import open_connection

AUTHORITY = "@cert-authority"
"""Before the key of a CA, as in a known_hosts file: the host shows a certificate that this CA has signed."""


class Credential(BaseModel):
    """What a host is logged into with: a private key, perhaps with an OpenSSH certificate; a password; or the agent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    private_key: SecretStr | None = Field(None, description="The whole text, PEM or OpenSSH.")
    passphrase: SecretStr | None = Field(None, description="Of the private key.")
    certificate: str | None = Field(
        None,
        max_length=10_000,
        description="The OpenSSH user certificate of the private key: the line in its -cert.pub file.",
    )
    password: SecretStr | None = Field(
        None, description="Also said where the host asks for it keyboard-interactively."
    )
    agent: bool = Field(
        False, description="Use the keys of the ssh-agent whose socket the operator's settings name."
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if [self.private_key is not None, self.password is not None, self.agent].count(True) != 1:
            msg = "give either private_key, password or agent"
            raise ValueError(msg)
        if self.private_key is None and (self.passphrase is not None or self.certificate is not None):
            msg = "a passphrase or a certificate belongs to a private_key"
            raise ValueError(msg)
        return self


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Which addresses and ports may be logged into, and which settings say so."""

    permits: Callable[[str, int], bool]
    settings: str


@dataclass(frozen=True, kw_only=True)
class Login:
    """Where, and as whom."""

    host: str
    port: int
    username: str
    host_key: str
    """The OpenSSH public key that the host must prove to have; after `@cert-authority`, that of its CA."""
    credential: Credential = field(repr=False)
    via: "Login | None" = None
    """The jump host that it is reached through."""
    agent: str | None = None
    """The socket of the ssh-agent that may be used."""
    reach: Reach | None = None
    """None for any address. What a jump host makes of a name is not known here: then only addresses are held against it."""

    @property
    def where(self) -> str:
        """Return host and port, as they are said to a person."""
        return f"{self.host}:{self.port}" + (f" (through {self.via.where})" if self.via else "")


class HostKeyChanged(Refused):
    """The host has another key than the one stored."""


class OutOfReach(Refused):
    """The operator's settings let nobody log in there."""


async def log_in(login: Login) -> asyncssh.SSHClientConnection:
    """Connect, verify the host key and log in, through the jump hosts where there are some.

    Raises `HostKeyChanged`, `Refused`, `Unavailable` or `Invalid`, whose texts name the host that is meant. Closing
    the connection closes those to the jump hosts too.
    """
    via = await log_in(login.via) if login.via else None
    try:
        with _named(login):
            connection = await _connect(login, via=via)
    except BaseException:
        if via is not None:
            via.abort()
        raise
    connection.set_tunnel(via)
    return connection


async def _connect(login: Login, *, via: asyncssh.SSHClientConnection | None) -> asyncssh.SSHClientConnection:
    addresses = await _addresses(login)
    host_keys = read_host_keys(login.host_key)
    password = login.credential.password
    async with _client_keys(login) as client_keys:
        for number, address in enumerate(addresses, start=1):
            try:
                return await open_connection(
                    address,
                    login.port,
                    name=login.host,
                    username=login.username,
                    client_keys=client_keys,
                    password=password.get_secret_value() if password else None,
                    host_keys=host_keys,
                    via=via,
                )
            except OSError:
                if number == len(addresses):
                    raise
    raise OSError("it has no address")


async def _addresses(login: Login) -> Sequence[str]:
    """Return what to connect to: checked addresses, never a name that might resolve to another one a moment later."""
    if login.via is not None:
        found = [login.host]  # the jump host resolves it
    else:
        found = await _resolved(login.host, login.port)
    return _within_reach(found, login.port, reach=login.reach, where=login.where)


async def reachable_addresses(host: str, port: int, *, reach: Reach | None) -> Sequence[str]:
    """Return the addresses of a host that may be logged into. Raises `OutOfReach`, or `OSError` without any."""
    found = await _resolved(host, port)
    return _within_reach(found, port, reach=reach, where=f"{host}:{port}")


async def _resolved(host: str, port: int) -> list[str]:
    if _is_address(host):
        return [
            host
        ]  # to ask the resolver, which has a thread of its own, costs more than a request over SSH
    entries = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _within_reach(found: Sequence[str], port: int, *, reach: Reach | None, where: str) -> Sequence[str]:
    permitted = [each for each in found if reach is None or _permits(reach, each, port)]
    if reach is not None and not permitted:
        raise OutOfReach(
            f"{where} is at {', '.join(found)}, where {reach.settings} does not let us log in.",
            next_step=f"An operator of the platform can change {reach.settings}.",
        )
    return permitted


def _permits(reach: Reach, address: str, port: int) -> bool:
    try:
        return reach.permits(address, port)
    except ValueError:  # a name, for the jump host to resolve
        return True


@asynccontextmanager
async def _client_keys(login: Login) -> AsyncIterator[Sequence[asyncssh.SSHKeyPair]]:
    credential = login.credential
    if credential.agent:
        async with _agent_keys(login) as keys:
            yield keys
    elif credential.private_key is None:
        yield ()
    else:
        _refuse_expired(credential)
        yield read_client_keys(credential)


@asynccontextmanager
async def _agent_keys(login: Login) -> AsyncIterator[Sequence[asyncssh.SSHKeyPair]]:
    # asyncssh's own way to an agent would read this account's key files too.
    if login.agent is None:
        raise Refused(
            "The operator's settings name no ssh-agent to log in with.",
            next_step="Name its socket in EVERLEAF_DISCOVERY_SSH_AGENT (or EVERLEAF_PROVISIONER_SSH_AGENT), or give a private key.",
        )
    try:
        agent = await asyncssh.connect_agent(login.agent)
    except OSError as error:
        raise Unavailable(
            f"The ssh-agent at {login.agent} does not answer ({error.strerror}).",
            next_step="Start it, and let the account of the platform use its socket.",
        ) from error
    async with agent:
        keys = await agent.get_keys()
        if not keys:
            raise Refused(f"The ssh-agent at {login.agent} holds no key.", next_step="Add one with ssh-add.")
        yield keys


def _refuse_expired(credential: Credential) -> None:
    """Raise `Refused` where the certificate cannot be used now: the host would only say no."""
    certificate = asyncssh.import_certificate(credential.certificate) if credential.certificate else None
    if not isinstance(certificate, SSHOpenSSHCertificate):
        return
    try:
        certificate.validate(CERT_TYPE_USER, None)
    except ValueError as error:
        raise Refused(
            f"The user certificate cannot be used: {str(error).lower()}.",
            next_step="Have a new one signed for this key, and store it with the key.",
        ) from None


@contextmanager
def _named(login: Login) -> Iterator[None]:
    """Turn what asyncssh raises into errors that say which host, and what to do."""
    where = login.where
    try:
        yield
    except asyncssh.HostKeyNotVerifiable as error:
        raise _other_host_key(login, error) from error
    except asyncssh.PermissionDenied as error:
        raise Refused(
            f"{where} refused the login.",
            next_step="Check user name and credential; store a new one if it expired.",
        ) from error
    except asyncssh.ChannelOpenError as error:
        raise Unavailable(
            f"{where} cannot be reached: its jump host opens no connection to it ({error.reason}).",
            next_step="Check host and port, and that the jump host allows TCP forwarding (AllowTcpForwarding, PermitOpen).",
        ) from error
    except (asyncssh.ConnectionLost, ConnectionResetError) as error:
        # So sshd ends it where it has no host key of the kind that we ask for.
        kind = "host certificate" if login.host_key.startswith(AUTHORITY) else login.host_key.split()[0]
        raise Unavailable(
            f"{where} ended the connection ({error}).",
            next_step=f"Check host and port, and that the host has a {kind} to show.",
        ) from error
    except (asyncssh.Error, OSError) as error:
        raise Unavailable(
            f"{where} cannot be reached ({error}).", next_step="Check host and port."
        ) from error


def _other_host_key(login: Login, error: asyncssh.HostKeyNotVerifiable) -> HostKeyChanged:
    if login.host_key.startswith(AUTHORITY):
        return HostKeyChanged(
            f"{login.where} shows no host certificate of the stored CA that is valid for {login.host} ({error.reason}).",
            next_step="Sign its host key for this name with ssh-keygen -h -n, and name the certificate in HostCertificate.",
        )
    return HostKeyChanged(
        f"{login.where} has another host key than the one stored.",
        next_step="Compare its key on the console of the host; store the new one only if it is right.",
    )


def read_host_keys(line: str) -> tuple[list[asyncssh.SSHKey], list[asyncssh.SSHKey]]:
    """Read a line as (host keys, keys of CAs that sign host keys); one of them is empty. Raises `Invalid`."""
    is_authority = line.startswith(f"{AUTHORITY} ")
    try:
        key = asyncssh.import_public_key(line.removeprefix(AUTHORITY))
    except (asyncssh.KeyImportError, ValueError) as error:
        raise Invalid(
            f"The host key is not an OpenSSH public key ({error}).",
            next_step="Write it as in /etc/ssh/ssh_host_ed25519_key.pub, beginning with ssh-ed25519, say; "
            f"where hosts show certificates, write {AUTHORITY} and the public key of their CA.",
        ) from error
    return ([], [key]) if is_authority else ([key], [])


def plain_host_key(line: str) -> str:
    """Return a host key's line without its comment. Raises `Invalid`."""
    read_host_keys(line)
    words = line.split()
    return " ".join(words[: 3 if words[0] == AUTHORITY else 2])


def _checked_host_key(line: str) -> str:
    try:
        return plain_host_key(line)
    except Invalid as error:
        raise ValueError(str(error)) from error


HostName = Annotated[
    str,
    Field(min_length=1, max_length=253, pattern=r"^[0-9A-Za-z.:_-]+$", examples=["web-1.example.com"]),
]
UserName = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$", examples=["everleaf"])
]
HostKey = Annotated[
    str,
    AfterValidator(_checked_host_key),
    Field(
        min_length=20,
        max_length=4000,
        description="The OpenSSH public key that it must prove to have; or `@cert-authority` and the public key of the "
        "CA that signed its host certificate for this name.",
    ),
]


class JumpHost(BaseModel):
    """A host that another one is reached through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: HostName
    port: int = Field(22, ge=1, le=65535)
    username: UserName
    host_key: HostKey


def through(login: Login, jumps: Sequence[JumpHost], *, credentials: Sequence[Credential] = ()) -> Login:
    """Return the login as reached through these hosts, the first of them directly.

    Each has a credential of its own; without any, all are logged into with that of the login. Raises `Refused`
    where there are neither none nor as many as jump hosts.
    """
    if credentials and len(credentials) != len(jumps):
        raise Refused(
            f"There are {len(jumps)} jump hosts, and credentials for {len(credentials)}.",
            next_step="Give one for each jump host, in their order; or none, where all take that of the host.",
        )
    via = None
    for jump, credential in zip(jumps, credentials or [login.credential] * len(jumps), strict=True):
        via = replace(
            login,
            host=jump.host,
            port=jump.port,
            username=jump.username,
            host_key=jump.host_key,
            credential=credential,
            via=via,
        )
    return replace(login, via=via)


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


def read_client_keys(credential: Credential) -> Sequence[asyncssh.SSHKeyPair]:
    """Read the private key of a credential with its certificate. Raises `Invalid`, without quoting the key."""
    key = read_private_key(credential)
    if credential.certificate is None:
        return asyncssh.load_keypairs(key)
    try:
        return asyncssh.load_keypairs((key, asyncssh.import_certificate(credential.certificate)))
    except (asyncssh.KeyImportError, ValueError) as error:
        raise Invalid(
            f"The certificate does not go with the private key ({error}).",
            next_step="Send the line in the -cert.pub file that ssh-keygen -s made of this key.",
        ) from None


def refuse_unreadable(credential: Credential) -> None:
    """Raise `Invalid` where a private key or certificate of the credential cannot be read."""
    if credential.private_key is not None:
        read_client_keys(credential)
