"""DigiCert CertCentral's Services API as far as a buyer of TLS certificates uses it, in memory; it really signs.

Written from https://dev.digicert.com/certcentral-apis/services-api: "Order Basic OV" (`POST order/certificate/{product}`),
"Order info" (by number; `certificate.csr`, `date_issued`), "List orders" (`filters[…]`, `sort`, `limit`, `offset`),
"Download certificate" (`format/pem_all`), "Revoke certificate" (by serial number; 204 with `skip_approval`, else 201 and
a request that waits), "Authentication" (`X-DC-DEVKEY`), "Errors" (`errors[].code`, `message`), and the announcement that
public TLS certificates are valid for 199 days at most since 24 February 2026.
"""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.api import Api, Asked, Told
from tests.servers.tls import CertificateAuthority

PUBLIC = {"ssl_basic": True, "ssl_dv_geotrust_flex": False}
"""Products, and whether each needs an organization."""
MOST_DAYS = 199
ORGANIZATION = 112233
REASONS = ("unspecified", "key_compromise", "affiliation_changed", "superseded", "cessation_of_operation")


@dataclass(kw_only=True)
class Order:
    """One order, and its certificate."""

    number: int
    asked: dict[str, Any]
    created: datetime
    status: str = "pending"
    certificate: x509.Certificate | None = None
    is_revoked: bool = False

    @property
    def names(self) -> list[str]:
        """What it is for."""
        told = self.asked["certificate"]
        return [told["common_name"], *told.get("dns_names", [])]


@dataclass
class Digicert:
    """One account, with an API key and one validated organization."""

    context: ssl.SSLContext
    domains: tuple[str, ...] = ("example.test",)
    """Those that are validated: an order for another stays pending; it is rejected here at once, as a person would."""
    api_key: str = "K" * 48
    is_admin: bool = True
    holds: bool = False
    orders: list[Order] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)
        self.root = CertificateAuthority("DigiCert Test Root")
        self.authority = self.root.intermediate("DigiCert Test TLS CA")

    @property
    def url(self) -> str:
        """Where the API begins."""
        return f"{self.api.url}/services/v2"

    def start(self) -> None:
        """Listen."""
        self.api.start()

    def stop(self) -> None:
        """Do not listen any more."""
        self.api.stop()

    def release(self) -> None:
        """Issue all that waits."""
        for order in self.orders:
            if order.status == "pending":
                self._issue(order)

    def _issue(self, order: Order) -> None:
        csr = x509.load_pem_x509_csr(order.asked["certificate"]["csr"].encode())
        lifetime = timedelta(days=order.asked["order_validity"]["days"])
        order.certificate = self.authority.sign(csr, *order.names, lifetime=lifetime, backdated=timedelta())
        order.status = "issued"

    def _answer(self, asked: Asked) -> Told:  # noqa: PLR0911 - one for each route
        if asked.headers.get("x-dc-devkey") != self.api_key:
            return _error(401, "access_denied", "Unable to authenticate the given API key.")
        match asked.method, asked.path.removeprefix("/services/v2/").split("/"):
            case "POST", ["order", "certificate", product]:
                return self._place(product, asked)
            case "GET", ["order", "certificate"]:
                return self._list(asked)
            case "GET", ["order", "certificate", number]:
                return self._info(number)
            case "GET", ["certificate", number, "download", "format", "pem_all"]:
                return self._download(number)
            case "PUT", ["certificate", identifier, "revoke"]:
                return self._revoke(identifier, asked)
        return _error(404, "not_found|route", "The specified route was not found.")

    def _place(self, product: str, asked: Asked) -> Told:
        told = asked.json
        if (refusal := self._refusal(product, told)) is not None:
            return refusal
        order = Order(number=1000 + len(self.orders), asked=told, created=datetime.now(UTC))
        self.orders.append(order)
        if not self.holds:
            self._issue(order)
        requests = [{"id": order.number + 5000, "status": "approved"}]
        certificate = {"certificate_id": _certificate_id(order)} if order.certificate else {}
        return Told(status=201, document={"id": order.number, "requests": requests, **certificate})

    def _refusal(self, product: str, told: dict[str, Any]) -> Told | None:  # noqa: PLR0911 - one for each reason to refuse
        if product not in PUBLIC:
            return _error(404, "not_found|product", f"Product {product} is not found or not enabled.")
        certificate = told.get("certificate", {})
        for name in ("common_name", "csr", "signature_hash"):
            if not certificate.get(name):
                return _error(400, f"missing_param|certificate.{name}", f"{name} is required.")
        if PUBLIC[product] and told.get("organization", {}).get("id") != ORGANIZATION:
            return _error(
                400, "invalid_organization", "A validated organization is required for this product."
            )
        days = told.get("order_validity", {}).get("days", 0)
        if not 1 <= days <= MOST_DAYS:
            return _error(400, "invalid_validity", f"The validity must be between 1 and {MOST_DAYS} days.")
        try:
            x509.load_pem_x509_csr(certificate["csr"].encode())
        except ValueError:
            return _error(400, "invalid_csr", "The CSR could not be parsed.")
        names = [certificate["common_name"], *certificate.get("dns_names", [])]
        if not all(name.endswith(self.domains) for name in names):
            return _error(400, "domain_not_allowed", f"A domain of {', '.join(names)} cannot be validated.")
        return None

    def _list(self, asked: Asked) -> Told:
        found = list(self.orders)
        if (name := asked.query.get("filters[common_name]")) is not None:
            found = [order for order in found if order.names[0] == name]
        if (status := asked.query.get("filters[status]")) is not None:
            found = [order for order in found if order.status == status]
        if (created := asked.query.get("filters[date_created]")) is not None:
            least = datetime.fromisoformat(created.removeprefix(">=")).replace(tzinfo=UTC)
            found = [order for order in found if order.created >= least]
        if asked.query.get("sort") == "-date_created":
            found.reverse()
        offset, limit = int(asked.query.get("offset", 0)), min(int(asked.query.get("limit", 1000)), 1000)
        listed = [
            {"id": order.number, "status": order.status, "certificate": {"common_name": order.names[0]}}
            for order in found[offset : offset + limit]
        ]
        return Told(
            document={"orders": listed, "page": {"total": len(found), "limit": limit, "offset": offset}}
        )

    def _info(self, number: str) -> Told:
        order = next((order for order in self.orders if str(order.number) == number), None)
        if order is None:
            return _error(404, "not_found|order", "The specified order was not found.")
        certificate = {"common_name": order.names[0], "csr": order.asked["certificate"]["csr"]}
        if order.certificate is not None:
            certificate |= {
                "id": _certificate_id(order),
                "date_issued": order.certificate.not_valid_before_utc.isoformat(),
                "serial_number": f"{order.certificate.serial_number:X}",
            }
        return Told(document={"id": order.number, "status": order.status, "certificate": certificate})

    def _download(self, number: str) -> Told:
        order = next((order for order in self.orders if str(_certificate_id(order)) == number), None)
        if order is None or order.certificate is None:
            return _error(404, "not_found|certificate", "The specified certificate was not found.")
        chain = (order.certificate, self.authority.certificate, self.root.certificate)
        body = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
        return Told(body=body, headers={"Content-Type": "application/x-pem-file"})

    def _revoke(self, identifier: str, asked: Asked) -> Told:
        order = next(
            (
                one
                for one in self.orders
                if one.certificate and one.certificate.serial_number == int(identifier, 16)
            ),
            None,
        )
        if order is None:
            return _error(404, "not_found|certificate", "The specified certificate was not found.")
        told = asked.json
        if told.get("revocation_reason", "unspecified") not in REASONS:
            return _error(400, "invalid_revocation_reason", "The reason is not one of those allowed.")
        if order.is_revoked:
            return _error(400, "cert_already_revoked", "The certificate is already revoked.")
        if not told.get("skip_approval") or not self.is_admin:
            return Told(status=201, document={"id": 1, "type": "revoke", "status": "pending"})
        order.is_revoked = True
        return Told(status=204)


def _certificate_id(order: Order) -> int:
    return order.number + 100_000


def _error(status: int, code: str, message: str) -> Told:
    return Told(status=status, document={"errors": [{"code": code, "message": message}]})
