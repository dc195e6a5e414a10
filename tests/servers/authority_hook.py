"""An authority of somebody's own behind a webhook, as docs/how-to/use-your-ca.md says how to write one.

It checks every signature as Standard Webhooks says (https://www.standardwebhooks.com: id, timestamp within five minutes,
`v1` in constant time), knows an order again by `webhook-id`, and answers with the chain, or with 202 and an address.
"""

import hmac
import ssl
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.api import Api, Asked, Told
from tests.servers.tls import CertificateAuthority, names_of

TOLERANCE = timedelta(minutes=5)


@dataclass
class AuthorityHook:
    """A receiver at `url` that issues for example.test."""

    context: ssl.SSLContext
    secret: bytes = b"\x07" * 32
    holds: bool = False
    by_address: bool = True
    """Whether it says "later" by 202 and an address, or by `pending` in its answer."""
    orders: dict[str, x509.Certificate | None] = field(default_factory=dict)
    revoked: set[bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)
        self.root = CertificateAuthority("Corporate Root")
        self.authority = self.root.intermediate("Corporate Issuing CA")
        self.requests: dict[str, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"{self.api.url}/everleaf?tenant=1"

    def start(self) -> None:
        """Listen."""
        self.api.start()

    def stop(self) -> None:
        """Do not listen any more."""
        self.api.stop()

    def release(self) -> None:
        """Issue all that waits."""
        self.holds = False
        for order in self.orders:
            self._issue(order)

    def _issue(self, order: str) -> None:
        if self.orders.get(order) is None:
            told = self.requests[order]
            csr = x509.load_pem_x509_csr(told["csr"].encode())
            self.orders[order] = self.authority.sign(csr, lifetime=timedelta(seconds=told["lifetime"]))

    def _is_signed(self, asked: Asked) -> bool:
        sent_at, order = asked.headers.get("webhook-timestamp", ""), asked.headers.get("webhook-id", "")
        if (
            not sent_at.isdigit()
            or abs(datetime.now(UTC).timestamp() - int(sent_at)) > TOLERANCE.total_seconds()
        ):
            return False
        digest = hmac.digest(self.secret, f"{order}.{sent_at}.".encode() + asked.body, "sha256")
        shown = [
            b64decode(each[3:]) for each in asked.headers["webhook-signature"].split() if each[:3] == "v1,"
        ]
        return any(hmac.compare_digest(digest, each) for each in shown)

    def _answer(self, asked: Asked) -> Told:  # noqa: PLR0911 - one for each answer
        if not self._is_signed(asked):
            return Told(status=401, document={"detail": "The signature is wrong."})
        if asked.method == "GET" and asked.path.startswith("/later/"):
            return self._told(asked.path.removeprefix("/later/"))
        if (asked.method, asked.path, asked.query) != ("POST", "/everleaf", {"tenant": "1"}):
            return Told(status=404)
        told = asked.json
        if told["type"] == "certificate.revoke":
            return self._revoke(told)
        if told["order"] != asked.headers["webhook-id"]:
            return Told(status=400, document={"detail": "The order is not that of the message."})
        names = names_of(x509.load_pem_x509_csr(told["csr"].encode()))
        if names != told["names"] or not all(name.endswith(".example.test") for name in names):
            return Told(status=422, document={"detail": f"We do not issue for {', '.join(names)}."})
        self.requests[told["order"]] = told
        self.orders.setdefault(told["order"], None)
        if not self.holds:
            self._issue(told["order"])
        return self._told(told["order"])

    def _told(self, order: str) -> Told:
        issued = self.orders[order]
        if issued is None and self.by_address:
            return Told(status=202, headers={"Location": f"/later/{order}", "Retry-After": "30"})
        if issued is None:
            return Told(status=202, document={"pending": f"ticket {order}", "retry_after": 30})
        chain = (issued, self.authority.certificate)
        return Told(document={"chain": "".join(each.public_bytes(Encoding.PEM).decode() for each in chain)})

    def _revoke(self, told: dict[str, Any]) -> Told:
        certificate = x509.load_pem_x509_certificate(told["certificate"].encode())
        if certificate not in self.orders.values():
            return Told(status=404, document={"detail": "It is none of ours."})
        self.revoked.add(certificate.public_bytes(Encoding.DER))
        return Told(status=204)

    def secret_text(self) -> str:
        """Return the secret as Everleaf is given it."""
        return f"whsec_{b64encode(self.secret).decode()}"
