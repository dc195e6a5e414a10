"""An EJBCA in memory, by its REST API over TLS with client certificates.

Written from "EJBCA REST Interface" and its OpenAPI (`GET /v1/ca`, `GET /v1/ca/{subject_dn}/certificate/download`,
`POST /v2/certificate/search`): a client certificate or a bearer token, JSON only, `criteria` from its list of
properties and operations, date bounds that are not taken in, at most 500 results, errors as `error_code` and
`error_message`. Certificates come as the Base64 of their Base64. It takes no other POST than the search.
"""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.processes import free_port
from tests.servers.tls import LOOPBACK, CertificateAuthority, Issued
from tests.servers.webhook import Answer, Request, _bytes

BASE = "/ejbca/ejbca-rest-api"
MOST = 500
ACTIVE, NOTIFIED, REVOKED = 20, 21, 40
_BOUNDS = {"ISSUED_DATE": "notBefore", "EXPIRE_DATE": "expireDate", "REVOCATION_DATE": "revocationDate"}


class Fault(Exception):
    """What EJBCA answers where it does not do what is asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass(kw_only=True)
class Authority:
    """One of its CAs, and what that issued."""

    name: str
    own: CertificateAuthority
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def subject_dn(self) -> str:
        """As EJBCA writes it."""
        return f"CN={self.name}"

    def issue(self, name: str, *, begins: datetime, lifetime: timedelta = timedelta(days=90)) -> Issued:
        """Issue one and keep it."""
        made = self.own.issue(name, not_before=begins, not_after=begins + lifetime)
        text = base64.b64encode(made.certificate.public_bytes(Encoding.DER))
        self.rows.append(
            {
                "serialNumber": f"{made.certificate.serial_number:X}",
                "issuerDN": self.subject_dn,
                "subjectDN": f"CN={name}",
                "status": ACTIVE,
                "notBefore": int(made.certificate.not_valid_before_utc.timestamp() * 1000),
                "expireDate": int(made.certificate.not_valid_after_utc.timestamp() * 1000),
                "revocationDate": -1,
                "base64Cert": base64.b64encode(text).decode(),
            }
        )
        return made

    def revoke(self, made: Issued) -> None:
        """Revoke one."""
        serial = f"{made.certificate.serial_number:X}"
        [row] = [row for row in self.rows if row["serialNumber"] == serial]
        row |= {"status": REVOKED, "revocationDate": int(datetime.now(UTC).timestamp() * 1000)}


class Ejbca:
    """A server at `api`; who comes with a certificate of `clients` or with `token` is a known administrator."""

    def __init__(self, directory: Path, *, needs_certificate: bool = True) -> None:
        self.tls, self.clients = CertificateAuthority("EJBCA's own TLS"), CertificateAuthority("Managers")
        self._context = self.tls.issue(*LOOPBACK).server_context(directory)
        self._context.load_verify_locations(cadata=self.clients.pem.decode())
        self._context.verify_mode = ssl.CERT_REQUIRED if needs_certificate else ssl.CERT_OPTIONAL
        self.port = free_port()
        self.token: str | None = None
        self.authorities: dict[str, Authority] = {}
        self.visible: set[str] = set()
        """Names of the CAs that the administrator's role may access."""
        self.searches: list[Mapping[str, Any]] = []
        self.stopping = threading.Event()
        self.is_stalled = False
        self._server: ThreadingHTTPServer | None = None

    @property
    def api(self) -> str:
        """Where its REST API begins."""
        return f"https://localhost:{self.port}{BASE}"

    def add(self, name: str) -> Authority:
        """Make a CA that the administrator may see."""
        made = self.authorities[name] = Authority(
            name=name, own=CertificateAuthority("Root").intermediate(name)
        )
        self.visible.add(name)
        return made

    def start(self) -> None:
        """Listen."""
        handler = type("Handler", (_Handler,), {"ejbca": self, "context": self._context})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="ejbca").start()

    def stop(self) -> None:
        """Stop listening, and let go of who waits."""
        self.stopping.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, request: Request, *, is_known: bool) -> Answer:
        """Answer a request of somebody who showed a certificate of `clients`, or of somebody else."""
        if self.is_stalled:
            self.stopping.wait()
        try:
            return self._answer(request, is_known=is_known)
        except Fault as fault:
            told = {"error_code": fault.status, "error_message": fault.message}
            return Answer(status=fault.status, body=json.dumps(told).encode())

    def _answer(self, request: Request, *, is_known: bool) -> Answer:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not is_known and (self.token is None or bearer != self.token):
            raise Fault(403, "Authentication failed: no client certificate or OAuth token provided.")
        path = request.path.split("?")[0].removeprefix(BASE)
        match request.method, [unquote(part) for part in path.split("/")[1:]]:
            case "GET", ["v1", "ca"]:
                return _json({"certificate_authorities": [self._info(name) for name in sorted(self.visible)]})
            case "GET", ["v1", "ca", subject, "certificate", "download"]:
                return Answer(body=self._download(subject))
            case "POST", ["v2", "certificate", "search"]:
                return _json(self._search(request))
        raise Fault(404, "HTTP 404 Not Found")

    def _info(self, name: str) -> Mapping[str, Any]:
        subject = self.authorities[name].subject_dn
        return {"id": 1, "name": name, "subject_dn": subject, "issuer_dn": "CN=Root", "external": False}

    def _download(self, subject: str) -> bytes:
        for name in self.visible:
            if self.authorities[name].subject_dn == subject:
                own = self.authorities[name].own
                assert own._parent is not None
                return own.pem + own._parent.pem
        raise Fault(404, f"CA with DN '{subject}' does not exist.")

    def _search(self, request: Request) -> Mapping[str, Any]:
        if request.headers.get("content-type") != "application/json":
            raise Fault(415, "HTTP 415 Unsupported Media Type")
        asked = json.loads(request.body)
        self.searches.append(asked)
        page = asked.get("pagination") or {}
        if not asked.get("criteria"):
            raise Fault(400, "Malformed request.")
        if page.get("page_size", 0) < 1 or page.get("current_page", 0) < 1:
            raise Fault(400, "Invalid page size or current page value.")
        rows = self._chosen(asked["criteria"])
        if (asked.get("sort") or {}).get("property") == "ISSUED_DATE":
            rows.sort(key=lambda row: int(row["notBefore"]))
        size = min(page["page_size"], MOST)
        start = size * (page["current_page"] - 1)
        summary = {"page_size": size, "current_page": page["current_page"]}
        return {"certificates": rows[start : start + size], "pagination_summary": summary}

    def _chosen(self, criteria: list[dict[str, str]]) -> list[dict[str, Any]]:
        named = {each["value"] for each in criteria if each["property"] == "CA"}
        if not named <= self.visible:
            raise Fault(400, "Invalid search criteria, unknown CA.")
        rows = [row for name in sorted(named or self.visible) for row in self.authorities[name].rows]
        for each in criteria:
            rows = [row for row in rows if _fits(row, **each)]
        return rows


class _Handler(BaseHTTPRequestHandler):
    """One connection. asyncio's TLS would close it without the alert that refuses a certificate."""

    ejbca: Ejbca
    context: ssl.SSLContext
    protocol_version = "HTTP/1.1"
    timeout = 30

    def setup(self) -> None:
        self.request = self.context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        super().setup()

    def handle(self) -> None:
        try:
            self.request.do_handshake()
        except OSError:  # an SSLError is one; the alert is sent
            with suppress(OSError), socket.socket(fileno=self.request.detach()) as plain:
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(4096):  # what is not read would become a reset that overtakes the alert
                    pass
            return
        with suppress(OSError):
            super().handle()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = httpx.Headers(list(self.headers.items()))
        request = Request(method=self.command, path=self.path, headers=headers, body=body)
        is_known = self.request.getpeercert(binary_form=True) is not None
        answer = self.ejbca.answer(request, is_known=is_known)
        self.wfile.write(_bytes(answer))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has
        pass


def _fits(row: Mapping[str, Any], *, property: str, operation: str, value: str) -> bool:  # noqa: A002 - EJBCA's word
    if property in _BOUNDS and operation in ("AFTER", "BEFORE"):
        bound = datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z").timestamp() * 1000
        return bool(
            row[_BOUNDS[property]] > bound if operation == "AFTER" else row[_BOUNDS[property]] < bound
        )
    if (property, operation, value) == ("STATUS", "EQUAL", "CERT_ACTIVE"):
        return row["status"] in (ACTIVE, NOTIFIED)
    if (property, operation) == ("CA", "EQUAL"):
        return True
    raise Fault(400, "Invalid search criteria content.")


def _json(told: Mapping[str, Any]) -> Answer:
    return Answer(headers={"content-type": "application/json"}, body=json.dumps(told).encode())
