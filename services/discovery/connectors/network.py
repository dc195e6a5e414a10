"""Looks at network endpoints: connects, says hello, reads the first flight, and hangs up."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from services.discovery.connectors import Sighting
from services.discovery.connectors.tls_flight import Flight, Malformed, NotTls
from services.discovery.connectors.tls_hello import GROUPS, SUITES, VERSIONS, client_hello
from services.discovery.connectors.tls_keys import FIRST_OFFER, Keys
from services.discovery.domain.answers import Outcome
from services.discovery.domain.targets import Asked
from shared import x509
from shared.errors import Invalid

_READ = 65536
_REFUSALS = (errno.ECONNREFUSED,)


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """`timeout` bounds each connection as a whole; `concurrency` is connections at a time."""

    timeout: timedelta = timedelta(seconds=3)
    concurrency: int = 500


class Closed(Exception):
    """The other side hung up before it had said anything."""


class Network:
    """Endpoints that are reached by TCP."""

    kind: ClassVar[str] = "network"

    def __init__(self, options: NetworkOptions) -> None:
        self._options = options
        self._keys = Keys()

    async def look(self, asked: Sequence[Asked]) -> AsyncIterator[Sighting]:
        """Look at each endpoint, `concurrency` at a time, and yield what is seen as it is seen."""
        waiting = iter(asked)
        seen: asyncio.Queue[Sighting] = asyncio.Queue()

        async def lane() -> None:
            for one in waiting:
                await seen.put(await self._look_at(one))

        lanes = [asyncio.create_task(lane()) for _ in range(min(self._options.concurrency, len(asked)))]
        try:
            for _ in asked:
                yield await seen.get()
        finally:
            for task in lanes:
                task.cancel()
            await asyncio.gather(*lanes, return_exceptions=True)

    async def _look_at(self, asked: Asked) -> Sighting:
        try:
            return await self._best_of_hellos(asked)
        except TimeoutError:
            return Sighting(asked=asked, outcome=Outcome.SILENT, reason="no answer in time")
        except NotTls:
            return Sighting(asked=asked, outcome=Outcome.NO_TLS, reason="the answer is not TLS")
        except Closed:
            return Sighting(asked=asked, outcome=Outcome.NO_TLS, reason="it hung up on the ClientHello")
        except Malformed as error:
            return Sighting(asked=asked, outcome=Outcome.FAILED, reason=str(error))
        except OSError as error:
            outcome = Outcome.REFUSED if error.errno in _REFUSALS else Outcome.FAILED
            return Sighting(asked=asked, outcome=outcome, reason=error.strerror or str(error))

    async def _best_of_hellos(self, asked: Asked) -> Sighting:
        """Offer TLS 1.3 and 1.2; where that is not liked, the group asked for, then 1.2 and older only."""
        try:
            flight = await self._hello(asked, groups=FIRST_OFFER)
            wanted = flight.group
            if flight.is_retry and wanted is not None and self._keys.share(wanted):
                flight = await self._hello(asked, groups=(wanted,))
        except (Closed, ConnectionResetError):
            flight = await self._hello(asked, groups=())
        else:
            if not flight.chain:
                older = await self._hello(asked, groups=())
                flight = older if older.chain else flight
        return _sighting(asked, flight)

    async def _hello(self, asked: Asked, *, groups: Sequence[int]) -> Flight:
        shares = [(group, self._keys.share(group) or b"") for group in groups]
        hello = client_hello(server_name=asked.server_name, shares=shares)
        flight = Flight(hello, self._keys)
        async with asyncio.timeout(self._options.timeout.total_seconds()):
            await _converse(asked, hello, flight)
        return flight


async def _converse(asked: Asked, hello: bytes, flight: Flight) -> None:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in asked.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, (asked.address, asked.port))
        await loop.sock_sendall(connection, hello)
        heard = False
        while True:
            data = await loop.sock_recv(connection, _READ)
            if not data:
                if heard:
                    raise Malformed("the connection was closed in the middle of the answer")
                raise Closed
            heard = True
            if flight.feed(data):
                return


def _sighting(asked: Asked, flight: Flight) -> Sighting:
    reason = ""
    chain = flight.chain
    if flight.alert is not None:
        reason = f"TLS alert {flight.alert}"
    elif not chain:
        reason = "TLS, but no certificate was shown"
    else:
        try:
            x509.load(chain[0])
        except Invalid as error:
            reason = error.detail
    return Sighting(
        asked=asked,
        outcome=Outcome.TLS,
        reason=reason,
        chain=chain,
        tls_version=VERSIONS.get(flight.version or 0),
        cipher_suite=SUITES.get(flight.suite or 0),
        group=GROUPS.get(flight.group or 0),
        alpn=flight.alpn,
    )
