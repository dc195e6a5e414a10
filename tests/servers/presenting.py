"""A TLS listener on loopback that presents what a simulated device has bound at the moment: the effect, not its word for it."""

import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.processes import free_port
from tests.servers.tls import CertificateAuthority

HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a device would serve: a chain and a private key, in PEM, that may not go together."""

    chain: bytes
    key: bytes = field(repr=False)


Bound = Callable[[str | None], Pair | None]
"""Takes the server name that is asked for; returns what is bound for it."""


class Presenting:
    """Shakes hands on `port` with what `bound` returns; without anything, and with a wrong key, there is no handshake."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory()
        self._contexts: dict[Pair, ssl.SSLContext] = {}
        self._first = (
            CertificateAuthority("Nobody").issue("nobody.invalid").server_context(Path(self._folder.name))
        )
        self._first.sni_callback = self._choose
        self._server = socket.create_server((HOST, self.port))
        self._thread = threading.Thread(target=self._accept, name="presenting")
        self._thread.start()

    def close(self) -> None:
        """End listening."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        self._folder.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._server.accept()
            except OSError:
                return
            plain.settimeout(5)
            with (
                plain,
                contextlib.suppress(OSError),
                self._first.wrap_socket(plain, server_side=True) as secure,
            ):
                secure.recv(1)  # until it is closed: what is not read is a reset for the other side

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        pair = self._bound(name)
        context = self._context(pair) if pair is not None else None
        if context is None:
            return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
        connection.context = context
        return None

    def _context(self, pair: Pair) -> ssl.SSLContext | None:
        if pair not in self._contexts:
            folder = Path(self._folder.name)
            (folder / "chain.pem").write_bytes(pair.chain)
            (folder / "key.pem").write_bytes(pair.key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            try:
                context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
            except ssl.SSLError:
                return None
            self._contexts[pair] = context
        return self._contexts[pair]
