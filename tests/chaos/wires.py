"""The connections between the services and what they stand on, which can be cut and slowed while the test waits."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from tests.servers.fault_proxy import FaultProxy, Slowness


class Wire:
    """A proxy before a port, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxy = FaultProxy(("127.0.0.1", port))
        asyncio.run_coroutine_threadsafe(self._proxy.start(), self._loop).result(60)

    @property
    def port(self) -> int:
        """Where to connect to."""
        return self._proxy.port

    def lead_to(self, port: int) -> None:
        """Lead new connections to another port, and cut those there are."""

        def lead() -> None:
            self._proxy.upstream = ("127.0.0.1", port)
            self._proxy.cut()

        self._do(lead)

    @property
    def connections(self) -> int:
        """How many ends of connections are open."""
        return self._proxy.connections

    @property
    def hindered(self) -> int:
        """How many packets have met silence, or a slow line."""
        return self._proxy.hindered

    def cut(self) -> None:
        """Cut every connection."""
        self._do(self._proxy.cut)

    def slow(self, seconds: float, how: Slowness) -> None:
        """Hold each packet back, and let only so many bytes through in a second, for a while."""

        def slow() -> None:
            self._proxy.slow = how
            self._loop.call_later(seconds, setattr, self._proxy, "slow", None)

        self._do(slow)

    def silence(self, seconds: float) -> None:
        """Let nothing through for a while; nobody is told."""

        def silence() -> None:
            self._proxy.silent = True
            self._loop.call_later(seconds, setattr, self._proxy, "silent", False)

        self._do(silence)

    def close(self) -> None:
        """Stop the proxy and its thread."""
        asyncio.run_coroutine_threadsafe(self._proxy.stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    def _do(self, work: Callable[[], object]) -> None:
        done: Future[None] = Future()

        def run() -> None:
            work()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result(60)
