"""An EST server (RFC 7030, RFC 8951) that really issues; no Debian package and no PyPI package has one.

It checks what a real one would: the media type, base64, that the request is signed with its own key (§4.2.1), HTTP
Basic or a client certificate of its own CA (§3.2.3, §3.3.2); "later" is 202 with Retry-After (§4.2.3), a refusal is
plain text (§4.2.3), certificates come as a certs-only CMS message (§4.1.3). strongSwan's client is its judge in the tests.
"""

import base64
import binascii
import ssl
import threading
from collections.abc import Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tests.servers.processes import free_port
from tests.servers.tls import LOOPBACK, CertificateAuthority, names_of

BASE = "/.well-known/est"
_CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"


class Est:
    """A CA of two levels behind EST; takes the user `device` with `password`, and certificates of its own CA."""

    def __init__(self, directory: Path, *, lab_ca: CertificateAuthority, label: str = "") -> None:
        self.root = CertificateAuthority("EST root")
        self.own = self.root.intermediate("EST issuing CA")
        self.password = "correct horse"
        self.issued: list[x509.Certificate] = []
        self.domain = "example.test"
        self.is_holding = False
        self.is_open = True
        """Whether logins are taken."""
        self.answer: bytes | None = None
        """In place of the certificate, where it is to be something else."""
        self.port = free_port()
        self._label = f"/{label}" if label else ""
        self._context = lab_ca.issue(*LOOPBACK).server_context(directory)
        self._context.load_verify_locations(cadata=self.root.pem.decode() + self.own.pem.decode())
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """What everything but the label is below."""
        return f"https://localhost:{self.port}{BASE}"

    def start(self) -> None:
        """Listen."""
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        server.daemon_threads = True
        server.socket = self._context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._server, self._thread = server, threading.Thread(target=server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """Do not listen any more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def _operation(self, path: str) -> str:
        """Return what is wanted, of the one CA or of the one with the label, which are the same here."""
        return path.removeprefix(BASE).removeprefix(self._label).removeprefix("/")

    def get(self, path: str) -> tuple[int, str, bytes]:
        """Answer a GET: status, media type, body."""
        if self._operation(path) != "cacerts":
            return 404, "text/plain", b"no such operation"
        return 200, _CERTS_ONLY, _message([self.own.certificate, self.root.certificate])

    def enrol(self, path: str, *, media_type: str, body: bytes, is_known: bool) -> tuple[int, str, bytes]:
        """Answer a POST."""
        if self._operation(path) not in ("simpleenroll", "simplereenroll"):
            return 404, "text/plain", b"no such operation"
        if not (is_known and self.is_open):
            return 401, "text/plain", b"who are you?"
        if media_type != "application/pkcs10":
            return 415, "text/plain", b"application/pkcs10 is expected"
        try:
            csr = x509.load_der_x509_csr(base64.b64decode(body, validate=True))
        except (ValueError, binascii.Error):
            return 400, "text/plain", b"this is no request in base64"
        return self._decide(csr)

    def _decide(self, csr: x509.CertificateSigningRequest) -> tuple[int, str, bytes]:
        if not csr.is_signature_valid:
            return 400, "text/plain", b"the request is not signed with its key"
        names = names_of(csr)
        if not names or not all(name.endswith(self.domain) for name in names):
            return 400, "text/plain", f"only names below {self.domain}".encode()
        if self.is_holding:
            return 202, "text/plain", b"a person will look at it"
        made = self.own.sign(csr, *names, lifetime=timedelta(days=90))
        self.issued.append(made)
        return 200, _CERTS_ONLY, self.answer or _message([made])


def _message(certificates: Sequence[x509.Certificate]) -> bytes:
    # In one line: strongSwan takes no line breaks.
    return base64.b64encode(pkcs7.serialize_certificates(list(certificates), Encoding.DER))


def _handler(est: Est) -> type[BaseHTTPRequestHandler]:

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            self._send(*est.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            has_certificate = bool(self.connection.getpeercert())
            is_known = has_certificate or self.headers.get("authorization") == f"Basic {_basic(est)}"
            media_type = self.headers.get("content-type", "").partition(";")[0]
            self._send(*est.enrol(self.path, media_type=media_type, body=body, is_known=is_known))

        def _send(self, status: int, media_type: str, body: bytes) -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="est"')
            if status == 202:
                self.send_header("Retry-After", "30")
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Transfer-Encoding", "base64")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    return Handler


def _basic(est: Est) -> str:
    return base64.b64encode(f"device:{est.password}".encode()).decode()
