"""A JSON API over HTTP or HTTPS on loopback, in a thread: what each simulator of a vendor's API stands on."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.servers.processes import free_port


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request."""

    method: str
    path: str
    """Without the query, and unquoted."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    common_name: str | None
    """Of the client certificate, where one was shown."""
    peer: tuple[str, int] = ("", 0)
    """Who is at the other end: the same for all requests on a connection."""

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body or b"{}")

    @property
    def bearer(self) -> str | None:
        """The bearer token."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" and token else None


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is answered."""

    status: int = 200
    document: Any = None
    body: bytes | None = None
    """In place of a document."""
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Iterator[bytes] | None = None
    """In place of a document: what is sent as it comes, until it ends."""


Answering = Callable[[Asked], Told]


class Api:
    """Serves `answering`; every request is kept in `asked`."""

    def __init__(self, answering: Answering, *, context: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self.asked: list[Asked] = []
        self.twist: Callable[[Asked, Told], Told | bytes] | None = None
        """Sees each true answer, and may give another, or bytes as they are."""
        self.refuses: Callable[[Asked], Told | None] | None = None
        """Sees each request before it is done, and may answer it without doing anything."""
        self.instead: Told | None = None
        """Answered in place of everything, and nothing is done."""
        self._answering = answering
        self._context = context
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._stalled: socket.socket | None = None
        self.is_stopped = threading.Event()
        """Ends what is sent as it comes."""

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"{'https' if self._context else 'http'}://localhost:{self.port}"

    def start(self) -> None:
        """Listen."""
        self.is_stopped.clear()
        server = _Server(("127.0.0.1", self.port), _handler(self))
        if self._context is not None:
            # The handshake is done by the connection's own thread.
            server.socket = self._context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """Do not listen any more."""
        self.is_stopped.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None
        if self._stalled is not None:
            self._stalled.close()
            self._stalled = None

    def stall(self) -> None:
        """Accept connections and say nothing on them."""
        self.stop()
        self._stalled = socket.create_server(("127.0.0.1", self.port))

    def answer(self, asked: Asked) -> Told | bytes:
        """Answer one request."""
        self.asked.append(asked)
        told = self.refuses(asked) if self.refuses else None
        if told is not None:
            return told
        if self.instead is not None:
            return self.instead
        told = self._answering(asked)
        return self.twist(asked, told) if self.twist else told


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 50

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients leave when they like."""


def _handler(api: Api) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def _any(self) -> None:
            parts = urlsplit(self.path)
            told = api.answer(
                Asked(
                    method=self.command,
                    path=unquote(parts.path),
                    query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=self.rfile.read(int(self.headers.get("content-length") or 0)),
                    common_name=_common_name(self.connection),
                    peer=self.client_address[:2],
                )
            )
            if isinstance(told, bytes):
                self.wfile.write(told)
                self.close_connection = True
                return
            if told.stream is not None:
                self._send(told, told.stream)
                return
            body = told.body or (b"" if told.document is None else json.dumps(told.document).encode())
            self.send_response(told.status)
            for name, value in {"Content-Type": "application/json", **told.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def _send(self, told: Told, pieces: Iterator[bytes]) -> None:
            self.send_response(told.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with contextlib.suppress(OSError):
                for piece in pieces:
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _any  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


def _common_name(connection: object) -> str | None:
    shown = connection.getpeercert() if isinstance(connection, ssl.SSLSocket) else None
    names: dict[str, Any] = dict(each[0] for each in (shown or {}).get("subject", ()))  # type: ignore[misc]  # ssl's nested tuples
    return names.get("commonName")
