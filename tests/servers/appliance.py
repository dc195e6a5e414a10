"""What the simulators of devices share: HTTPS on loopback, requests as they came, and falling silent.

Each request is handed to `answer`, which a device overrides; one at a time may change the device, so it is under a lock.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.servers.processes import free_port
from tests.servers.tls import CertificateAuthority


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request; `query` and `form` with one value a name, header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> Mapping[str, str]:
        """The body, where it is a form."""
        is_form = self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True)) if is_form else {}


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer."""

    status: int = 200
    body: bytes = b""
    type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Appliance:
    """A device's web interface at `url`; `ca` (PEM) is to be trusted for it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        authority = CertificateAuthority("Web interfaces")
        self.ca = authority.pem.decode()
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.requests: list[Asked] = []
        self.writes = 0
        """Requests that would have changed something."""
        self.connections: set[socket.socket] = set()
        self._context = authority.issue("127.0.0.1").server_context(directory / "web")
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._silent: socket.socket | None = None

    def answer(self, asked: Asked) -> Said:
        """Return the answer of the device."""
        raise NotImplementedError

    def start(self) -> None:
        """Listen."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = False
        # Handshakes belong into the threads of the connections: one that hangs must not keep others out.
        self._server.socket = self._context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="appliance")
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            for connection in tuple(self.connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._server.server_close()
            self._server = self._thread = None

    def stall(self) -> None:
        """Accept connections and say nothing on them, until it is closed."""
        self.stop()
        self._silent = socket.create_server(("127.0.0.1", self.port))

    def close(self) -> None:
        """End everything."""
        self.stop()
        if self._silent is not None:
            self._silent.close()

    def handle(self, asked: Asked) -> Said:
        """Answer one request, and keep it."""
        with self._lock:
            self.requests.append(asked)
            return self.answer(asked)


def _handler(appliance: Appliance) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open, as a device's do
        timeout = 5
        wbufsize = -1
        disable_nagle_algorithm = True

        def setup(self) -> None:
            appliance.connections.add(self.request)
            super().setup()

        def finish(self) -> None:
            super().finish()
            appliance.connections.discard(self.request)

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the client has left, or spoke no TLS
                super().handle()

        def do_any(self) -> None:
            url = urlsplit(self.path)
            said = appliance.handle(
                Asked(
                    method=self.command,
                    path=url.path,
                    query=dict(parse_qsl(url.query, keep_blank_values=True)),
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                )
            )
            with contextlib.suppress(OSError):  # the client has left
                self.send_response(said.status)
                self.send_header("Content-Type", said.type)
                self.send_header("Content-Length", str(len(said.body)))
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said.body)

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):  # any method is answered, if only with a refusal
                return self.do_any
            raise AttributeError(name)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's name
            pass

    return Handler
