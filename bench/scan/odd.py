"""Addresses that are no TLS servers: one that says nothing, one that greets as SSH does, one that drops the SYN.

A program of its own: `python odd.py PORT` reads lines `ADDRESS KIND` from stdin, prints `ready`, and serves until SIGTERM.
"""

import contextlib
import select
import socket
import sys

BANNER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"
BACKLOG = 4096


class Odd:
    """All of them on one epoll."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._poll = select.epoll()
        self._listeners: dict[int, tuple[socket.socket, bytes]] = {}
        self._connections: dict[int, socket.socket] = {}
        self._kept: list[socket.socket] = []

    def add(self, address: str, kind: str) -> None:
        """Take an address."""
        if kind == "filtered":
            self._fill(address)
            return
        listener = self._listen(address, backlog=BACKLOG)
        listener.setblocking(False)
        self._listeners[listener.fileno()] = (listener, BANNER if kind == "ssh" else b"")
        self._poll.register(listener.fileno(), select.EPOLLIN)

    def _fill(self, address: str) -> None:
        # A full accept queue: the kernel drops every further SYN, as a firewall would, and needs no rights for it.
        self._kept.append(self._listen(address, backlog=0))
        self._kept.append(socket.create_connection((address, self._port)))

    def _listen(self, address: str, *, backlog: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, self._port))
        listener.listen(backlog)
        return listener

    def serve(self) -> None:
        """Serve until the process is ended."""
        while True:
            for number, _ in self._poll.poll():
                if number in self._listeners:
                    self._accept(*self._listeners[number])
                else:
                    self._drain(number)

    def _accept(self, listener: socket.socket, greeting: bytes) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            self._connections[connection.fileno()] = connection
            self._poll.register(connection.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
            if greeting:
                connection.send(greeting)

    def _drain(self, number: int) -> None:
        with contextlib.suppress(OSError):
            if self._connections[number].recv(4096):
                return
        self._poll.unregister(number)
        self._connections.pop(number).close()


def main() -> None:
    """Read the addresses and serve them."""
    odd = Odd(int(sys.argv[1]))
    for line in sys.stdin:
        address, kind = line.split()
        odd.add(address, kind)
    print("ready", flush=True)
    odd.serve()


if __name__ == "__main__":
    main()
