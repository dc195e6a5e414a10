"""An EJBCA in memory, by its REST API over TLS with client certificates.

Written from "EJBCA REST Interface" and its OpenAPI (`GET /v1/ca`, `GET /v1/ca/{subject_dn}/certificate/download`,
`POST /v2/certificate/search`): a client certificate or a bearer token, JSON only, `criteria` from its list of
properties and operations, date bounds that are not taken in, at most 500 results, errors as `error_code` and
`error_message`. Certificates come as the Base64 of their Base64. Enrolment, approval and revocation are from
`CertificateRestResource.java` of EJBCA Community (https://github.com/Keyfactor/ejbca-ce): 201 with the certificate as
Base64, 202 while an approval is waited for, 400 for what a profile does not take, 409 for what is revoked already.
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
from urllib.parse import parse_qs, unquote

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.processes import free_port
from tests.servers.tls import LOOPBACK, CertificateAuthority, Issued, names_of
from tests.servers.webhook import Answer, Request, _bytes

BASE = "/ejbca/ejbca-rest-api"
MOST = 500
ACTIVE, NOTIFIED, REVOKED = 20, 21, 40
REASONS = frozenset(
    {
        "UNSPECIFIED",
        "KEY_COMPROMISE",
        "CA_COMPROMISE",
        "AFFILIATION_CHANGED",
        "SUPERSEDED",
        "CESSATION_OF_OPERATION",
        "CERTIFICATE_HOLD",
        "REMOVE_FROM_CRL",
        "PRIVILEGES_WITHDRAWN",
        "AA_COMPROMISE",
    }
)
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
    profiles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Certificate profiles, and the end of the names that each one takes."""
    needs_approval: bool = False
    waiting: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What was asked for, by the number of the approval request."""

    @property
    def subject_dn(self) -> str:
        """As EJBCA writes it."""
        return f"CN={self.name}"

    def issue(self, name: str, *, begins: datetime, lifetime: timedelta = timedelta(days=90)) -> Issued:
        """Issue one and keep it."""
        made = self.own.issue(name, not_before=begins, not_after=begins + lifetime)
        self.keep(made.certificate, username=name)
        return made

    def keep(self, certificate: x509.Certificate, *, username: str) -> None:
        """Keep what was issued."""
        text = base64.b64encode(certificate.public_bytes(Encoding.DER))
        self.rows.append(
            {
                "serialNumber": f"{certificate.serial_number:X}",
                "username": username,
                "issuerDN": self.subject_dn,
                "subjectDN": certificate.subject.rfc4514_string(),
                "status": ACTIVE,
                "notBefore": int(certificate.not_valid_before_utc.timestamp() * 1000),
                "expireDate": int(certificate.not_valid_after_utc.timestamp() * 1000),
                "revocationDate": -1,
                "base64Cert": base64.b64encode(text).decode(),
            }
        )

    def enrol(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """Issue for an end entity."""
        csr = x509.load_pem_x509_csr(asked["certificate_request"].encode())
        made = self.own.sign(csr, lifetime=timedelta(days=90), backdated=timedelta())
        self.keep(made, username=asked["username"])
        chain = [base64.b64encode(each).decode() for each in self.chain()]
        told = {"certificate": base64.b64encode(made.public_bytes(Encoding.DER)).decode()}
        return {**told, "serial_number": f"{made.serial_number:X}", "response_format": "DER"} | (
            {"certificate_chain": chain} if asked.get("include_chain") else {}
        )

    def chain(self) -> list[bytes]:
        """Return its own certificate and its root's, in DER."""
        assert self.own._parent is not None
        return [each.certificate.public_bytes(Encoding.DER) for each in (self.own, self.own._parent)]

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
            case "POST", ["v1", "certificate", "pkcs10enroll"]:
                return self._enrol(json.loads(request.body))
            case "POST", ["v1", "certificate", number, "finalize"] if number.isdigit():
                return self._finalize(int(number), json.loads(request.body))
            case "PUT", ["v1", "certificate", issuer, serial, "revoke"]:
                reason = parse_qs(request.path.partition("?")[2]).get("reason", [""])[0]
                return _json(self._revoke(issuer, serial, reason))
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

    def _enrol(self, asked: Mapping[str, Any]) -> Answer:
        authority = self.authorities.get(asked["certificate_authority_name"])
        if authority is None or authority.name not in self.visible:
            raise Fault(400, f"CA with name {asked['certificate_authority_name']} doesn't exist")
        if asked["end_entity_profile_name"] != "Servers":
            raise Fault(
                400, f"End entity profile with name {asked['end_entity_profile_name']} doesn't exist."
            )
        ends = authority.profiles.get(asked["certificate_profile_name"])
        if ends is None:
            raise Fault(400, "Certificate profile name doesn't exist.")
        csr = x509.load_pem_x509_csr(asked["certificate_request"].encode())
        if not list(csr.subject):
            raise Fault(400, "Subject DN field 'CN' must exist.")
        if not asked.get("username") or not asked.get("password"):
            raise Fault(400, "Username or password is missing.")
        if not all(name.endswith(ends) for name in names_of(csr)):
            raise Fault(400, f"Subject alternative name {names_of(csr)} does not match the profile.")
        if authority.needs_approval:
            number = 1_000_000 + len(authority.waiting)
            authority.waiting[number] = {**asked, "is_approved": False}
            raise Fault(202, f"Approval request with ID {number} was added, and waits for approval.")
        return _json(authority.enrol(asked), status=201)

    def _finalize(self, number: int, told: Mapping[str, Any]) -> Answer:
        for authority in self.authorities.values():
            asked = authority.waiting.get(number)
            if asked is None:
                continue
            if not asked["is_approved"]:
                raise Fault(202, f"Request with Id '{number}' is still waiting for approval")
            if told.get("password") != asked["password"]:
                raise Fault(400, "Wrong username or password.")
            del authority.waiting[number]
            return _json(authority.enrol({**asked, "include_chain": False}), status=201)
        raise Fault(400, f"Could not find request with Id '{number}'")

    def _revoke(self, issuer: str, serial: str, reason: str) -> Mapping[str, Any]:
        if reason not in REASONS:
            raise Fault(400, "Invalid revocation reason.")
        for authority in self.authorities.values():
            for row in authority.rows if authority.subject_dn == issuer else ():
                if int(row["serialNumber"], 16) != int(serial, 16):
                    continue
                if row["status"] == REVOKED:
                    raise Fault(
                        409, f"Certificate with issuer: {issuer} and serial {serial} is revoked already."
                    )
                row |= {"status": REVOKED, "revocationDate": int(datetime.now(UTC).timestamp() * 1000)}
                return {"issuer_dn": issuer, "serial_number": serial, "revoked": True}
        raise Fault(404, f"Certificate with issuer {issuer} and serial {serial} not found.")

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

    def do_PUT(self) -> None:
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
    if (property, operation) == ("QUERY", "EQUAL"):
        return value in (row["username"], row["subjectDN"], row["serialNumber"])
    raise Fault(400, "Invalid search criteria content.")


def _json(told: Mapping[str, Any], *, status: int = 200) -> Answer:
    return Answer(status=status, headers={"content-type": "application/json"}, body=json.dumps(told).encode())
