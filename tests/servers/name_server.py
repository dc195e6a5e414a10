"""A small name server, in threads: it gives whatever records a test's functions say there are, by UDP and by TCP.

It answers as one that has every zone it is asked for (RFC 1034 §4.3.2): a CNAME with what it leads to, an empty answer
with the zone's SOA where a name is not there. Name servers are where it is; every other name is 127.0.0.1.
"""

import contextlib
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset

from tests.servers.processes import free_port

Texts = Callable[[str], Sequence[str]]
"""From a name without a last dot to the values of its TXT records."""


class NameServer:
    """Listens on `port` of `host`; `cnames` and `is_silent` may be changed while it runs."""

    def __init__(
        self, texts: Texts, *, zone: str = "example.test", host: str = "127.0.0.1", port: int | None = None
    ) -> None:
        self.host = host
        self.port = port or free_port()
        self.cnames: dict[str, str] = {}
        self.is_silent = False
        self.asked: list[tuple[str, str]] = []
        self.zone = zone
        self._texts = texts
        self._servers: list[socketserver.BaseServer] = []

    @property
    def address(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Listen."""
        at = (self.host, self.port)
        self._servers = [_Udp(at, _udp_handler(self)), _Tcp(at, _tcp_handler(self))]
        for each in self._servers:
            threading.Thread(target=each.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Do not listen any more."""
        for each in self._servers:
            each.shutdown()
            each.server_close()
        self._servers = []

    def answer(self, wire: bytes) -> bytes | None:
        """Answer one question, or say nothing."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = (
            question.name.to_text(omit_final_dot=True).lower(),
            dns.rdatatype.to_text(question.rdtype),
        )
        self.asked.append((name, kind))
        if self.is_silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        for _ in range(10):
            if name not in self.cnames:
                break
            response.answer.append(_records(name, "CNAME", [self.cnames[name] + "."]))
            name = self.cnames[name]
        if kind != "CNAME":
            response.answer += self._records_of(name, kind)
        if not response.answer:
            response.authority += self._soa()
        return response.to_wire()

    def _records_of(self, name: str, kind: str) -> list[dns.rrset.RRset]:
        values: dict[str, Sequence[str]] = {
            "TXT": [f'"{text}"' for text in self._texts(name)] if kind == "TXT" else [],
            "A": [self.host if name.startswith("ns") else "127.0.0.1"],
            "NS": [f"ns1.{self.zone}.", f"ns2.{self.zone}."] if name == self.zone else [],
        }
        if kind == "SOA" and name == self.zone:
            return self._soa()
        found = values.get(kind, [])
        return [_records(name, kind, found)] if found else []

    def _soa(self) -> list[dns.rrset.RRset]:
        return [_records(self.zone, "SOA", [f"ns1.{self.zone}. admin.{self.zone}. 1 60 60 60 60"])]


def _records(name: str, kind: str, values: Sequence[str]) -> dns.rrset.RRset:
    return dns.rrset.from_text(dns.name.from_text(name), 1, "IN", kind, *values)


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def _udp_handler(server: NameServer) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, connection = self.request
            with contextlib.suppress(dns.exception.DNSException, OSError):
                if (answer := server.answer(wire)) is not None:
                    connection.sendto(answer, self.client_address)

    return Handler


def _tcp_handler(server: NameServer) -> type[socketserver.BaseRequestHandler]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(dns.exception.DNSException, OSError, struct.error):
                (length,) = struct.unpack("!H", self.request.recv(2))
                if (answer := server.answer(self.request.recv(length))) is not None:
                    self.request.sendall(struct.pack("!H", len(answer)) + answer)

    return Handler


@contextlib.contextmanager
def serving(texts: Texts, **options: Any) -> Iterator[NameServer]:
    """Run one, with the options of `NameServer`."""
    server = NameServer(texts, **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
