"""Knocks against real sockets: what the kernel lets us do with those that were refused."""

import errno
import select
import socket

from services.discovery.scanner.door import Door
from tests.servers.processes import free_port


def test_a_refused_socket_knocks_again_and_talks_at_the_next_door() -> None:
    door, closed = Door(), free_port()
    spare = None
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(3):
            opened, code = door.knock("127.0.0.1", closed)
            assert (opened, code) == (None, errno.ECONNREFUSED)
            (again,) = door._spare_v4
            assert spare in (None, again)
            spare = again
        opened, code = door.knock(*listener.getsockname())
        assert (opened, code) == (spare, 0)
        assert opened is not None
        connection, _ = listener.accept()
        with connection:
            opened.send(b"hello")
            assert connection.recv(10) == b"hello"
        opened.close()
    door.close()


def test_a_socket_whose_refusal_came_late_is_as_good_as_new() -> None:
    door, closed = Door(), free_port()
    late = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with select.epoll() as epoll:
        epoll.register(late.fileno(), select.EPOLLOUT)
        assert late.connect_ex(("127.0.0.1", closed)) == errno.EINPROGRESS
        assert epoll.poll(1)
        door.take_back(late, late.connect_ex(("127.0.0.1", closed)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        opened, code = door.knock(*listener.getsockname())
        assert (opened, code) == (late, 0)
    late.close()
    door.close()


def test_an_address_that_cannot_be_reached_says_why_and_costs_no_socket() -> None:
    door = Door()
    assert door.knock("::ffff:0.0.0.0%none", 1)[0] is None
    assert door.knock("255.255.255.255", 1) == (None, errno.ENETUNREACH)
    assert not door._spare_v4
    door.close()
