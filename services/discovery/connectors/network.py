"""Looks at network endpoints: connects, says hello, reads the first flight, and hangs up."""

import asyncio
import errno
import resource
import socket
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from operator import length_hint
from typing import ClassVar

import structlog

from services.discovery.connectors.tls_flight import Flight, Malformed, NotTls
from services.discovery.connectors.tls_hello import GROUPS, SUITES, VERSIONS, client_hello
from services.discovery.connectors.tls_keys import FIRST_OFFER, Keys
from services.discovery.domain.answers import Outcome
from services.discovery.domain.limits import Limits
from services.discovery.domain.sightings import Sighting
from services.discovery.domain.targets import Asked
from shared import x509
from shared.errors import Invalid

log = structlog.get_logger(__name__)

_READ = 65536
_HUNG_UP = "it hung up on the ClientHello"
_NO_APPLICATION_PROTOCOL = 120
_KEPT_FREE = 256
"""Files this process needs beside the sockets of its scans."""


class Sockets(asyncio.Semaphore):
    """The sockets that all scans of a process have open at a time: never more than the system gives."""

    def __init__(self, most: int = 10_000) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        super().__init__(max(16, min(most, files - _KEPT_FREE)))


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """`timeout` bounds each connection as a whole; `concurrency` is connections at a time."""

    timeout: timedelta = timedelta(seconds=3)
    concurrency: int = 500
    limits: Limits = field(default_factory=Limits)
    sockets: Sockets = field(default_factory=Sockets)


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What one hello offers: key shares for TLS 1.3 (none: 1.2 and older), and application protocols."""

    groups: tuple[int, ...] = FIRST_OFFER
    with_alpn: bool = True


class Closed(Exception):
    """The other side hung up before it had said anything."""


class Network:
    """Endpoints that are reached by TCP."""

    kind: ClassVar[str] = "network"

    def __init__(self, options: NetworkOptions) -> None:
        self._options = options
        self._keys = Keys()

    async def look(self, asked: Iterable[Asked]) -> AsyncGenerator[Sighting]:
        """Look at each endpoint, `concurrency` at a time, and yield what is seen as it is seen."""
        waiting = iter(asked)
        # Bounded, so that nobody looks far ahead of who keeps what is seen.
        seen: asyncio.Queue[Sighting | None] = asyncio.Queue(self._options.concurrency)

        async def lane() -> None:
            for one in waiting:
                await seen.put(await self._look_at(one))
            await seen.put(None)

        most = self._options.concurrency
        lanes = [asyncio.create_task(lane()) for _ in range(min(most, length_hint(asked, most)))]
        try:
            ended = 0
            while ended < len(lanes):
                sighting = await seen.get()
                if sighting is None:
                    ended += 1
                else:
                    yield sighting
        finally:
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def _look_at(self, asked: Asked) -> Sighting:
        if not self._options.limits.permits(asked.address):
            return Sighting(
                asked=asked, outcome=Outcome.EXCLUDED, reason="excluded, or denied by the operator"
            )
        try:
            return await self._best_of_offers(asked)
        except Exception as error:  # one odd place must not end the look at all others
            log.exception("look.failed", address=asked.address, port=asked.port)
            return Sighting(asked=asked, outcome=Outcome.FAILED, reason=f"{type(error).__name__} on our side")

    async def _best_of_offers(self, asked: Asked) -> Sighting:
        """Offer TLS 1.3 and 1.2; where that brings no certificate, what the answer suggests."""
        offer: Offer | None = Offer()
        best: Sighting | None = None
        while offer is not None:
            flight, sighting = await self._offer(asked, offer)
            if best is None or _worth(sighting) > _worth(best):
                best = sighting
            offer = self._next(offer, flight, sighting)
        assert best is not None  # noqa: S101 - for the type checker: one offer is always made
        return best

    def _next(self, offer: Offer, flight: Flight, sighting: Sighting) -> Offer | None:
        heard = sighting.outcome in (Outcome.TLS, Outcome.FAILED) and flight.has_heard
        if sighting.chain or not (heard or sighting.reason == _HUNG_UP):
            return None
        wanted = flight.group
        if flight.is_retry and wanted is not None and wanted not in offer.groups and self._keys.share(wanted):
            return replace(offer, groups=(wanted,))
        if flight.alert == _NO_APPLICATION_PROTOCOL and offer.with_alpn:
            return replace(offer, with_alpn=False)
        return Offer(groups=(), with_alpn=False) if offer.groups else None

    async def _offer(self, asked: Asked, offer: Offer) -> tuple[Flight, Sighting]:
        shares = [(group, self._keys.share(group) or b"") for group in offer.groups]
        hello = client_hello(server_name=asked.server_name, shares=shares, with_alpn=offer.with_alpn)
        flight = Flight(hello, self._keys)
        outcome, reason = await self._converse(asked, hello, flight)
        if flight.chain:  # whatever came after it
            outcome, reason = Outcome.TLS, ""
        return flight, _sighting(asked, flight, outcome=outcome, reason=reason)

    async def _converse(self, asked: Asked, hello: bytes, flight: Flight) -> tuple[Outcome, str]:
        try:
            async with self._options.sockets, asyncio.timeout(self._options.timeout.total_seconds()):
                await _exchange(asked, hello, flight)
        except TimeoutError:
            return Outcome.SILENT, "no answer in time"
        except NotTls:
            return Outcome.NO_TLS, "the answer is not TLS"
        except (Closed, ConnectionResetError, BrokenPipeError):
            return (
                (Outcome.FAILED, "the connection was reset")
                if flight.has_heard
                else (Outcome.NO_TLS, _HUNG_UP)
            )
        except Malformed as error:
            return Outcome.FAILED, str(error)
        except OSError as error:
            return _unreached(error)
        return Outcome.TLS, ""


def _unreached(error: OSError) -> tuple[Outcome, str]:
    reason = errno.errorcode.get(error.errno or 0, "")
    if error.errno == errno.ECONNREFUSED:
        return Outcome.REFUSED, "nobody listens on this port"
    if error.errno == errno.ETIMEDOUT:
        return Outcome.SILENT, "no answer in time"
    return Outcome.FAILED, f"{error.strerror or error} {reason}".strip()


def _worth(sighting: Sighting) -> int:
    """Say how much a sighting tells: a certificate most, then that TLS is spoken, then anything else."""
    return 2 if sighting.chain else 1 if sighting.outcome is Outcome.TLS else 0


async def _exchange(asked: Asked, hello: bytes, flight: Flight) -> None:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in asked.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, (asked.address, asked.port))
        await loop.sock_sendall(connection, hello)
        while True:
            data = await loop.sock_recv(connection, _READ)
            if not data:
                if flight.has_heard:
                    raise Malformed("the connection was closed in the middle of the answer")
                raise Closed
            if flight.feed(data):
                return


def _sighting(asked: Asked, flight: Flight, *, outcome: Outcome, reason: str) -> Sighting:
    if outcome is not Outcome.TLS:
        return Sighting(asked=asked, outcome=outcome, reason=reason)
    return Sighting(
        asked=asked,
        outcome=outcome,
        reason=_remark(flight),
        chain=flight.chain,
        tls_version=VERSIONS.get(flight.version or 0),
        cipher_suite=SUITES.get(flight.suite or 0),
        group=GROUPS.get(flight.group or 0),
        alpn=flight.alpn,
    )


def _remark(flight: Flight) -> str:
    if flight.chain:
        try:
            x509.load(flight.chain[0])
        except Invalid as error:
            return error.detail
        return ""
    if flight.alert is not None:
        return f"TLS alert {flight.alert}"
    if flight.is_retry:
        return f"TLS, but only with the group {GROUPS.get(flight.group or 0, flight.group)}"
    return "TLS, but no certificate was shown"
