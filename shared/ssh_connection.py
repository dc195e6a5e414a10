"""SSH connections as the library makes them, with less ado than its own `connect`.

That reads, for each connection anew and in a thread of its own, all that a program could have set, and asks for an agent
that there is not: a tenth of what logging in takes. Here all connections are set up alike, but for what a login says.
"""

import asyncio
import logging
from collections.abc import Sequence
from copy import copy
from functools import cache
from typing import Any

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import MSG_IGNORE
from asyncssh.logging import SSHLogger
from asyncssh.packet import SSHPacketLogger
from asyncssh.saslprep import saslprep

_CIPHERS = "^aes256-gcm@openssh.com"
"""Before the library's own choice, which is used where a host does not speak it: a packet takes a sixth of what it takes with ChaCha20."""
_KEEPALIVE = 15
"""Seconds without a word of the host after which it is asked whether it is still there."""


class _Quiet(SSHLogger):
    """Writes nothing below a warning, as our logs have it (`shared.logs`), and so puts no words together for it.

    The library does that for each packet, and for most of what it does: a twentieth of a deployment.
    """

    def get_child(self, child: str = "", context: str = "") -> SSHLogger:  # noqa: ARG002 - nothing is said of either
        """Return this one, for a channel too."""
        return self

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Write a warning or an error."""
        if level >= logging.WARNING:
            super().log(level, msg, *args, **kwargs)


_QUIET = _Quiet()


class _Terse(asyncssh.SSHClientConnection):
    """Says what there is to say: to the host no empty packets, and to the logs nothing that they would not keep.

    An empty packet is what the library puts before each of its own, half of all that is sent. It is against a weakness of
    ciphers in CBC mode (RFC 4253 §9.3.1), none of which we offer.
    """

    @property
    def logger(self) -> SSHLogger:
        """Return what this connection, and its channels, write to."""
        return _QUIET

    def send_packet(self, pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:  # noqa: ARG002 - whose it is would only be logged
        """Send all but empty ones."""
        if pkttype != MSG_IGNORE:
            super().send_packet(pkttype, *args, handler=self)

    def add_channel(self, chan: SSHChannel[Any]) -> int:
        """Add a channel, which tells of its packets as this connection does."""
        chan.log_received_packet = self.log_received_packet  # type: ignore[method-assign] # the library makes it itself
        return super().add_channel(chan)

    def log_sent_packet(self, *_: object, **__: object) -> None:
        """Keep it to itself."""

    def log_received_packet(self, *_: object, **__: object) -> None:
        """Keep it to itself."""


@cache
def _settings() -> asyncssh.SSHClientConnectionOptions:
    """Return what all connections have in common.

    Nothing of the account or machine we run on may play a part: no configuration, agent, tickets or CAs.
    """
    return asyncssh.SSHClientConnectionOptions(
        config=None,
        username="",
        client_username="",
        client_keys=None,
        known_hosts=([], [], []),
        agent_path=None,
        agent_forwarding=False,
        gss_host=None,
        x509_trusted_certs=None,
        x509_trusted_cert_paths=[],
        keepalive_interval=_KEEPALIVE,
        encryption_algs=_CIPHERS,
    )


async def open_connection(
    address: str,
    port: int,
    *,
    name: str,
    username: str,
    client_keys: Sequence[asyncssh.SSHKeyPair],
    password: str | None,
    host_keys: tuple[Sequence[asyncssh.SSHKey], Sequence[asyncssh.SSHKey]],
    via: asyncssh.SSHClientConnection | None,
) -> asyncssh.SSHClientConnection:
    """Connect to an address, verify the host's key and log in.

    `host_keys` are those it may prove to have, and those of CAs that may have signed a certificate for its `name`;
    `via` is the connection to a jump host. Raises `asyncssh.Error` or `OSError`.
    """
    loop = asyncio.get_running_loop()
    settings = copy(_settings())
    settings.host, settings.port, settings.host_key_alias = address, port, name
    settings.username, settings.password = saslprep(username), password
    settings.client_keys = client_keys or None
    settings.known_hosts = (*host_keys, [], [], [], [], [])  # none revoked, and nothing of X.509
    settings.waiter = loop.create_future()
    try:
        opener: Any = via or loop
        _, connection = await opener.create_connection(
            lambda: _Terse(loop, settings, wait="auth"), address, port
        )
    except asyncio.CancelledError:
        settings.waiter.cancel()
        raise
    try:
        await settings.waiter
    except BaseException:
        connection.abort()
        await connection.wait_closed()
        raise
    opened: asyncssh.SSHClientConnection = connection
    return opened
