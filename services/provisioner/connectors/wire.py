"""What is really served: a TLS handshake with an endpoint, and the fingerprint of the leaf it sends."""

import asyncio
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.provisioner.domain import DeploymentError, Failure
from shared import x509

_PAUSE = 0.15
_IN_A_ROW = 3
_HANDSHAKE = 5


class Endpoint(BaseModel):
    """An address and port that serve a certificate, and the SNI name to ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(description="An IP address.", examples=["192.0.2.10"])
    port: int = Field(ge=1, le=65535, examples=[443])
    server_name: str | None = Field(None, max_length=253, examples=["shop.example.com"])

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return str(ip_address(value))

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}" + (f" ({self.server_name})" if self.server_name else "")


class Wire(Protocol):
    """Looks at endpoints."""

    async def served(self, endpoint: Endpoint) -> str | None:
        """Return the fingerprint of the leaf that is served, or None where there is no handshake."""


class Handshakes:
    """Looks at endpoints by TLS handshakes. They are not verified: the leaf is compared, not trusted."""

    def __init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    async def served(self, endpoint: Endpoint) -> str | None:
        """Return the fingerprint of the leaf that is served, or None where there is no handshake."""
        try:
            async with asyncio.timeout(_HANDSHAKE):
                return x509.fingerprint(await self._leaf(endpoint))
        except (OSError, EOFError):
            return None

    async def _leaf(self, endpoint: Endpoint) -> bytes:
        # An address as the name means that no SNI is sent (RFC 6066 §3 allows only host names).
        _, writer = await asyncio.open_connection(
            endpoint.address,
            endpoint.port,
            ssl=self._context,
            server_hostname=endpoint.server_name or endpoint.address,
        )
        try:
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        if der is None:
            msg = "no certificate was sent"
            raise ConnectionError(msg)
        return bytes(der)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What an endpoint shall serve."""

    endpoint: Endpoint
    fingerprint: str


async def until_served(wire: Wire, expected: Sequence[Expected], *, limit: timedelta) -> None:
    """Return when every endpoint was seen to serve its leaf, and to keep to it.

    After a reload, old and new workers of a server (nginx, say) take turns for a moment: one
    handshake with the new leaf does not mean that the next one gets it too.

    Raises `DeploymentError`: still_old where another one is served at the end, not_served where none is.
    """
    deadline = time.monotonic() + limit.total_seconds()
    in_a_row = 0
    while True:
        seen = await asyncio.gather(*(wire.served(each.endpoint) for each in expected))
        wrong = [pair for pair in zip(expected, seen, strict=True) if pair[0].fingerprint != pair[1]]
        in_a_row = 0 if wrong else in_a_row + 1
        if in_a_row == _IN_A_ROW:
            return
        if wrong and time.monotonic() >= deadline:
            raise _not_there(wrong[0][0].endpoint, seen=wrong[0][1])
        await asyncio.sleep(_PAUSE)


def _not_there(endpoint: Endpoint, *, seen: str | None) -> DeploymentError:
    if seen is None:
        return DeploymentError(Failure.NOT_SERVED, f"{endpoint} made no TLS handshake.", step="verify")
    return DeploymentError(Failure.STILL_OLD, f"{endpoint} serves {seen}.", step="verify")
