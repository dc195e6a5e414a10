"""A network device's management interface over HTTPS: what the simulators of such devices have in common."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.servers.processes import free_port
from tests.servers.tls import LOOPBACK, CertificateAuthority


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a client sent."""

    method: str
    path: str
    """Decoded, without the query."""
    query: str
    """As it was sent."""
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """By lower-case names."""
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What it is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Answering(Protocol):
    """The device behind the interface."""

    def answer(self, question: Question) -> Reply:
        """Answer one question; called from threads, one question at a time."""


class Interface:
    """HTTPS on a free port of 127.0.0.1, with a certificate of an authority of its own."""

    def __init__(self, device: Answering, directory: Path) -> None:
        authority = CertificateAuthority("Device CA")
        self.trusted_ca = authority.pem.decode()
        self.port = free_port()
        self.asked: list[Question] = []
        self.before: Callable[[Question], Reply | None] | None = None
        """Sees every question first; what it returns is answered in place of the truth."""
        self._context = authority.issue(*LOOPBACK).server_context(directory)
        self._device = device
        self._lock = threading.Lock()
        self._silent: socket.socket | None = None
        self._server: ThreadingHTTPServer | None = _server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="device")
        self._thread.start()

    @property
    def context(self) -> ssl.SSLContext:
        """What its side of TLS is made with."""
        return self._context

    def answer(self, question: Question) -> Reply:
        """Pass a question on to the device."""
        with self._lock:
            self.asked.append(question)
            reply = self.before(question) if self.before is not None else None
            return reply if reply is not None else self._device.answer(question)

    def stall(self) -> None:
        """Accept connections and say nothing on them."""
        self.stop()
        self._silent = socket.create_server(("127.0.0.1", self.port))

    def stop(self) -> None:
        """End listening."""
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None
        if self._silent is not None:
            self._silent.close()
            self._silent = None


def _server(interface: Interface) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Else headers and body would be two packets, the second of which waits for the acknowledgement of the first.
        wbufsize = -1
        disable_nagle_algorithm = True

        def do(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            question = Question(
                method=self.command,
                path=unquote(parts.path),
                query=parts.query,
                params=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
            reply = interface.answer(question)
            with contextlib.suppress(OSError):  # the client has left
                self.send_response(reply.status)
                for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815 - their parent's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that does not finish its handshake

    server = Server(("127.0.0.1", interface.port), Handler)
    # The handshake is made with the first read, in the connection's own thread.
    server.socket = interface.context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    return server
