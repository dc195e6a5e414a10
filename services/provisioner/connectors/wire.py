"""What is really served: a TLS handshake with an endpoint, or a look at how it begins, and the fingerprint of the leaf."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Protocol, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.provisioner.connectors.hello import NotShown, client_hello, leaf_in
from services.provisioner.domain import DeploymentError, Failure
from shared import x509
from shared.starttls import PROTOCOLS, Framing, OtherProtocol, Refused

_PAUSE = 0.15
_IN_A_ROW = 3
_HANDSHAKE = 5


class Endpoint(BaseModel):
    """An address and port that serve a certificate, and the SNI name to ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(description="An IP address.", examples=["192.0.2.10"])
    port: int = Field(ge=1, le=65535, examples=[443])
    server_name: str | None = Field(None, max_length=253, examples=["shop.example.com"])
    starttls: str | None = Field(
        None,
        description=f"What is spoken before TLS; left out, nothing. One of: {', '.join(PROTOCOLS)}.",
        examples=["smtp"],
    )

    @field_validator("starttls")
    @classmethod
    def _is_spoken(cls, value: str | None) -> str | None:
        if value is not None and value not in PROTOCOLS:
            msg = f"choose one of: {', '.join(PROTOCOLS)}"
            raise ValueError(msg)
        return value

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return str(ip_address(value))

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        details = ", ".join(each for each in (self.server_name, self.starttls) if each)
        return f"{host}:{self.port}" + (f" ({details})" if details else "")


class Wire(Protocol):
    """Looks at endpoints."""

    async def served(self, endpoint: Endpoint) -> str | None:
        """Return the fingerprint of the leaf that is served, or None where there is no handshake."""

    async def shown(self, endpoint: Endpoint) -> str | None:
        """Return the fingerprint of the leaf that a handshake would begin with, or None where that is not to be seen.

        It costs a fraction of a handshake, and proves less: what was not to be seen so is asked for with `served`.
        """


class Handshakes:
    """Looks at endpoints by TLS handshakes. They are not verified: the leaf is compared, not trusted."""

    def __init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    async def served(self, endpoint: Endpoint) -> str | None:
        """Return the fingerprint of the leaf that is served, or None where there is no handshake."""
        try:
            async with asyncio.timeout(_HANDSHAKE), _connected(endpoint) as connection:
                # An address as the name means that no SNI is sent (RFC 6066 §3 allows only host names).
                name = endpoint.server_name or endpoint.address
                return x509.fingerprint(await connection.shake_hands(self._context, server_hostname=name))
        except (OSError, EOFError, OtherProtocol, Refused):
            return None

    async def shown(self, endpoint: Endpoint) -> str | None:
        """Return the fingerprint of the leaf that a handshake would begin with, or None where that is not to be seen.

        Behind STARTTLS it is not looked for: a mail server (Postfix) takes a handshake that is broken off for an error, and
        lets the next one wait.
        """
        if endpoint.starttls is not None:
            return None
        try:
            async with asyncio.timeout(_HANDSHAKE), _connected(endpoint) as connection:
                return x509.fingerprint(await connection.begin(endpoint.server_name))
        except (OSError, EOFError, OtherProtocol, Refused, NotShown, UnicodeEncodeError):
            return None


@asynccontextmanager
async def _connected(endpoint: Endpoint) -> AsyncIterator["_Connection"]:
    connection = _Connection()
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: connection, endpoint.address, endpoint.port)
    try:
        await connection.speak(endpoint)
        yield connection
    finally:
        await connection.close()


class _Connection(asyncio.Protocol):
    """A connection on its way to TLS, and through its handshake. Methods raise `OSError`, `EOFError`, and what dialogues do.

    Streams take as long as a handshake that is only begun: here, what has come is waited for, and that is all.
    """

    def __init__(self) -> None:
        self._transport = asyncio.WriteTransport()
        self._framing: Framing | None = None
        self._received = b""
        self._more, self._closed = asyncio.Event(), asyncio.Event()
        self._is_over = False
        self._error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Speak over this connection."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what comes."""
        self._received += data
        self._more.set()

    def eof_received(self) -> bool:
        """Nothing more will come; something may still be said."""
        self._is_over = True
        self._more.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come, nor can anything be said."""
        self._error = exc
        self.eof_received()
        self._closed.set()

    async def close(self) -> None:
        """Be done with it."""
        self._transport.close()
        await self._closed.wait()

    async def speak(self, endpoint: Endpoint) -> None:
        """Say what comes before TLS."""
        if endpoint.starttls is None:
            return
        dialogue = PROTOCOLS[endpoint.starttls].dialogue(endpoint.server_name)
        try:
            to_send = next(dialogue)
            while True:
                self._transport.write(to_send)
                to_send = dialogue.send(await self._arrived())
        except StopIteration as end:
            self._framing = end.value

    async def shake_hands(self, context: ssl.SSLContext, *, server_hostname: str) -> bytes:
        """Return the leaf that is shown, as DER."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname=server_hostname)
        while not _goes_on(tls):
            self._send(outgoing.read())
            incoming.write(self._unwrapped(await self._arrived()))
        with suppress(ssl.SSLError):
            tls.unwrap()  # says goodbye, and does not wait for an answer
        self._send(outgoing.read())
        der = tls.getpeercert(binary_form=True)
        if der is None:
            msg = "no certificate was sent"
            raise ConnectionError(msg)
        return der

    async def begin(self, server_name: str | None) -> bytes:
        """Return the leaf that is shown in clear, as DER, and leave it at that. Raises `NotShown` too."""
        self._send(client_hello(server_name))
        answer = b""
        while (leaf := leaf_in(answer)) is None:
            answer += await self._arrived()
        return leaf

    async def _arrived(self) -> bytes:
        while not self._received:
            if self._is_over:
                raise self._error or EOFError()
            self._more.clear()
            await self._more.wait()
        data, self._received = self._received, b""
        return data

    def _send(self, data: bytes) -> None:
        if data:
            self._transport.write(self._framing.wrap(data) if self._framing else data)

    def _unwrapped(self, data: bytes) -> bytes:
        return self._framing.unwrap(data) if self._framing else data


def _goes_on(tls: ssl.SSLObject) -> bool:
    """Take the handshake as far as it goes with what has arrived; return whether it is over."""
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What an endpoint shall serve."""

    endpoint: Endpoint
    fingerprint: str


async def until_served(
    wire: Wire, expected: Sequence[Expected], *, limit: timedelta, silent_limit: timedelta | None = None
) -> None:
    """Return when every endpoint was seen to serve its leaf, and to keep to it.

    Where one answers with another leaf, it has until `limit`; where none answers at all, until `silent_limit`: a server
    that had to be started anew (Tomcat, say) takes its time, and serves nothing wrong meanwhile.

    After a reload, old and new workers of a server (nginx, say) take turns for a moment: one
    handshake with the new leaf does not mean that the next one gets it too. The last look is always a handshake to its
    end; of those before it, one that sees the right leaf begin is enough.

    Raises `DeploymentError`: still_old where another one is served at the end, not_served where none is.
    """
    began = time.monotonic()
    in_a_row = 0
    while True:
        is_last = in_a_row == _IN_A_ROW - 1
        seen = await asyncio.gather(*(_seen(wire, each, is_last=is_last) for each in expected))
        wrong = [pair for pair in zip(expected, seen, strict=True) if pair[0].fingerprint != pair[1]]
        in_a_row = 0 if wrong else in_a_row + 1
        if in_a_row == _IN_A_ROW:
            return
        is_silent = all(leaf is None for _, leaf in wrong)
        patience = silent_limit if is_silent and silent_limit is not None else limit
        if wrong and time.monotonic() - began >= patience.total_seconds():
            raise _not_there(wrong[0][0].endpoint, seen=wrong[0][1])
        await asyncio.sleep(_PAUSE)


async def _seen(wire: Wire, expected: Expected, *, is_last: bool) -> str | None:
    if not is_last and await wire.shown(expected.endpoint) == expected.fingerprint:
        return expected.fingerprint
    return await wire.served(expected.endpoint)


def _not_there(endpoint: Endpoint, *, seen: str | None) -> DeploymentError:
    if seen is None:
        return DeploymentError(Failure.NOT_SERVED, f"{endpoint} made no TLS handshake.", step="verify")
    return DeploymentError(Failure.STILL_OLD, f"{endpoint} serves {seen}.", step="verify")
