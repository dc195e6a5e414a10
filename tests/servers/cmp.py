"""A CMP server (RFC 9810, RFC 9483) that really issues; OpenSSL's mock has one fixed answer, and its client is this one's judge.

What it is asked is read by the ASN.1 module of RFC 9480, so that a message that only we understand is refused. It checks
protection, transaction and nonces, that a request is signed with its own key, the names, and that a certificate is
confirmed by its hash: what is not confirmed does not count as issued. It may let wait, and it revokes.
"""

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from pyasn1.codec.der.decoder import decode
from pyasn1.codec.der.encoder import encode
from pyasn1_alt_modules import rfc9480

from services.renewal.connectors.cmp.messages import FAILURES, Body, Dialogue, ask
from services.renewal.connectors.cmp.protection import NotProtected, Protection, SharedSecret
from services.renewal.connectors.cmp.writing import bits, explicit, integer, sequence, tagged
from tests.servers.processes import free_port
from tests.servers.tls import CertificateAuthority, names_of

PATH = "/.well-known/cmp/p/servers"
_UTF8 = 0x0C
_HASHES = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


@dataclass
class _Open:
    """A transaction that is not over."""

    csr: x509.CertificateSigningRequest
    nonce: bytes
    certificate: x509.Certificate | None = None


@dataclass
class Cmp:
    """A CA of two levels behind CMP."""

    domain: str = "example.test"
    is_holding: bool = False
    is_open: bool = True
    """Whether the secret is taken."""
    certificates: list[x509.Certificate] = field(default_factory=list)
    """What was issued and confirmed."""
    revoked: dict[int, int] = field(default_factory=dict)
    """Reasons by serial numbers."""
    protection: Protection | None = None
    """In place of the secret: what signs its answers and knows who asks."""

    def __post_init__(self) -> None:
        self.root = CertificateAuthority("CMP root")
        self.own = self.root.intermediate("CMP issuing CA")
        self.reference, self.secret = "platform", "between us"
        self.port = free_port()
        self._open: dict[bytes, _Open] = {}
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    def start(self) -> None:
        """Listen."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """Do not listen any more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = self._thread = None

    def answer(self, message: bytes) -> bytes:
        """Answer one message."""
        told, _ = decode(message, asn1Spec=rfc9480.PKIMessage())
        header = told["header"]
        transaction, nonce = bytes(header["transactionID"]), bytes(header["senderNonce"])
        protection = self.protection or SharedSecret(
            reference=self.reference.encode(), secret=self.secret.encode()
        )
        try:
            self._verify(told, protection)
            body, content = self._do(told, transaction)
        except NotProtected:
            body, content = Body.ERROR, sequence(_status(2, "who are you?", "badMessageCheck"))
        except Refusal as refusal:
            body, content = Body.ERROR, sequence(_status(2, refusal.text, refusal.failure))
        dialogue = Dialogue(transaction=transaction, their_nonce=nonce)
        question = ask(body, content, protection=protection, dialogue=dialogue, now=datetime.now(UTC))
        if transaction in self._open:
            self._open[transaction].nonce = question.nonce
        return question.der

    def _verify(self, told: Any, protection: Protection) -> None:
        protected = rfc9480.ProtectedPart()
        protected["header"], protected["body"] = told["header"], told["body"]
        extra = [bytes(encode(each)) for each in told["extraCerts"]] if told["extraCerts"].isValue else []
        algorithm = bytes(encode(told["header"]["protectionAlg"]))
        # Its own tag is explicit, and not part of what it is.
        protection.verify(
            _plain(algorithm), bytes(encode(protected)), told["protection"].asOctets(), certificates=extra
        )
        if not self.is_open:
            raise NotProtected

    def _do(self, told: Any, transaction: bytes) -> tuple[Body, bytes]:
        name = told["body"].getName()
        if name == "p10cr":
            if transaction in self._open:
                raise Refusal("the transaction is there", "transactionIdInUse")
            return self._request(_plain(bytes(encode(told["body"]["p10cr"]))), transaction)
        if name == "rr":
            return self._revoke(told["body"]["rr"][0])
        opened = self._open.get(transaction)
        if opened is None:
            raise Refusal("there is no such transaction", "badRequest")
        if bytes(told["header"]["recipNonce"]) != opened.nonce:
            raise Refusal("that is not my nonce", "badRecipientNonce")
        if name == "pollReq":
            return self._poll(opened)
        if name == "certConf":
            return self._confirm(told["body"]["certConf"][0], transaction, opened)
        raise Refusal(f"{name} is not known here", "badRequest")

    def _request(self, der: bytes, transaction: bytes) -> tuple[Body, bytes]:
        csr = x509.load_der_x509_csr(der)
        if not csr.is_signature_valid:
            raise Refusal("the request is not signed with its key", "badPOP")
        if not all(name.endswith(self.domain) for name in names_of(csr)):
            raise Refusal(f"only names below {self.domain}", "badCertTemplate")
        opened = self._open[transaction] = _Open(csr, nonce=b"")
        return self._decide(opened)

    def _decide(self, opened: _Open) -> tuple[Body, bytes]:
        if self.is_holding:
            return Body.CP, sequence(sequence(sequence(integer(-1), _status(3, "a person will look at it"))))
        opened.certificate = self.own.sign(opened.csr, lifetime=timedelta(days=90))
        der = opened.certificate.public_bytes(Encoding.DER)
        public = explicit(1, sequence(self.own.certificate.public_bytes(Encoding.DER)))
        response = sequence(integer(-1), _status(0), sequence(explicit(0, der)))
        return Body.CP, sequence(public, sequence(response))

    def _poll(self, opened: _Open) -> tuple[Body, bytes]:
        if self.is_holding:
            return Body.POLL_REP, sequence(sequence(integer(-1), integer(30)))
        return self._decide(opened)

    def _confirm(self, status: Any, transaction: bytes, opened: _Open) -> tuple[Body, bytes]:
        certificate = opened.certificate
        if certificate is None or certificate.signature_hash_algorithm is None:
            raise Refusal("there is nothing to confirm", "badRequest")
        wanted = certificate.fingerprint(_HASHES[certificate.signature_hash_algorithm.name])
        if bytes(status["certHash"]) != wanted:
            raise Refusal("that is not the hash of it", "badCertId")
        self.certificates.append(certificate)
        del self._open[transaction]
        return Body.PKI_CONF, tagged(0x05)

    def _revoke(self, details: Any) -> tuple[Body, bytes]:
        serial = int(details["certDetails"]["serialNumber"])
        if serial not in {each.serial_number for each in self.certificates}:
            return Body.RP, sequence(sequence(_status(2, "there is no such certificate", "badCertId")))
        if serial in self.revoked:
            return Body.RP, sequence(sequence(_status(2, "it is revoked", "certRevoked")))
        reason, _ = decode(bytes(details["crlEntryDetails"][0]["extnValue"]))
        self.revoked[serial] = int(reason)
        return Body.RP, sequence(sequence(_status(0)))


class Refusal(Exception):
    """What is answered with an error."""

    def __init__(self, text: str, failure: str) -> None:
        super().__init__(text)
        self.text, self.failure = text, failure


def _status(number: int, text: str = "", failure: str = "") -> bytes:
    words = sequence(tagged(_UTF8, text.encode())) if text else b""
    return sequence(integer(number), words, _failure(failure) if failure else b"")


def _failure(name: str) -> bytes:
    bit = FAILURES.index(name)
    content = bytearray(bit // 8 + 1)
    content[bit // 8] = 0x80 >> bit % 8
    return bits(bytes(content))


def _plain(explicitly: bytes) -> bytes:
    """Return what is in an explicit tag."""
    return explicitly[2 if explicitly[1] < 0x80 else 2 + (explicitly[1] & 0x7F) :]


def _handler(server: Cmp) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            is_right = self.path == PATH and self.headers.get("content-type") == "application/pkixcmp"
            answer = server.answer(body) if is_right else b""
            self.send_response(200 if is_right else 404)
            self.send_header("Content-Type", "application/pkixcmp")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    return Handler
