"""What stands between the services and what they stand on does to connections what it is told."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.chaos.wires import Wire
from tests.servers.fault_proxy import Slowness

MUCH = b"x" * 100_000


@contextmanager
def connected() -> Iterator[tuple[Wire, socket.socket, socket.socket]]:
    """Yield a wire with one connection: a client's end of it, and a server's."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        wire = Wire(server.getsockname()[1])
        with closing(wire), closing(socket.create_connection(("127.0.0.1", wire.port), timeout=60)) as client:
            accepted, _ = server.accept()
            accepted.settimeout(60)
            with closing(accepted):
                yield wire, client, accepted


def _received(end: socket.socket, count: int) -> bytes:
    with end.makefile("rb") as file:
        return file.read(count)


def test_a_slow_wire_lets_everything_through_drop_by_drop() -> None:
    with connected() as (wire, client, server):
        wire.slow(1.0, Slowness(latency=0.01, rate=5_000))
        client.sendall(MUCH)
        assert len(server.recv(len(MUCH))) <= 5_000  # all of it comes at once where the wire is not slow
        assert wire.hindered > 0


def test_what_a_slow_wire_has_held_back_comes_whole_when_it_is_fast_again() -> None:
    with connected() as (wire, client, server):
        wire.slow(0.2, Slowness(latency=0.01, rate=5_000))
        client.sendall(MUCH)
        assert _received(server, len(MUCH)) == MUCH


def test_a_silent_wire_says_what_it_has_held_back() -> None:
    with connected() as (wire, client, server):
        assert wire.hindered == 0
        wire.silence(0.2)
        client.sendall(b"hello")
        assert _received(server, 5) == b"hello"
        assert wire.hindered == 1


def test_a_cut_wire_has_no_connection_left() -> None:
    with connected() as (wire, client, _):
        client.sendall(b"hello")
        assert wire.connections > 0
        wire.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
