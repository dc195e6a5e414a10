"""Sectigo Certificate Manager's REST API for SSL certificates, in memory; it really signs.

Written from "SCM REST API", https://scm.devx.sectigo.com/docs/ssl-certificates and its reference of version 25.11: the
headers `login`, `password` and `customerUri`; `POST /ssl/v1/enroll` (`orgId`, `csr`, `certType`, `term`,
`subjAltNames`, `comments`), `GET /ssl/v1/{sslId}`, `GET /ssl/v1` (`commonName`, `size`, `position`),
`GET /ssl/v1/collect/{sslId}/{format}`, `POST /ssl/v1/revoke/serial/{serialNumber}` (`reasonCode`, `reason`); errors as
`code` and `description`.
"""

import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.api import Api, Asked, Told
from tests.servers.tls import CertificateAuthority, names_of

ORGANIZATION = 4711
PROFILE = 9001
TERMS = (30, 90, 199)
"""Days that the profile offers."""
REASONS = ("0", "1", "3", "4", "5")


@dataclass(kw_only=True)
class Enrolled:
    """One request."""

    asked: dict[str, Any]
    status: str = "Requested"
    certificate: x509.Certificate | None = None

    @property
    def names(self) -> list[str]:
        """What it is for."""
        return str(self.asked["subjAltNames"]).split(",")


@dataclass
class Sectigo:
    """One customer with an organization, a profile and an administrator."""

    context: ssl.SSLContext
    domains: tuple[str, ...] = ("example.test",)
    login: str = "everleaf"
    password: str = "correct-horse"
    holds: bool = False
    requests: dict[int, Enrolled] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)
        self.root = CertificateAuthority("Sectigo Test Root")
        self.authority = self.root.intermediate("Sectigo Test TLS CA")

    @property
    def url(self) -> str:
        """Where the API begins."""
        return f"{self.api.url}/api"

    def start(self) -> None:
        """Listen."""
        self.api.start()

    def stop(self) -> None:
        """Do not listen any more."""
        self.api.stop()

    def release(self) -> None:
        """Approve and issue all that waits."""
        for one in self.requests.values():
            if one.status == "Requested":
                self._issue(one)

    def _issue(self, one: Enrolled) -> None:
        csr = x509.load_pem_x509_csr(one.asked["csr"].encode())
        lifetime = timedelta(days=one.asked["term"])
        one.certificate = self.authority.sign(csr, *one.names, lifetime=lifetime, backdated=timedelta())
        one.status = "Issued"

    def _answer(self, asked: Asked) -> Told:  # noqa: PLR0911 - one for each route
        told = [asked.headers.get(name) for name in ("login", "password", "customeruri")]
        if told != [self.login, self.password, "example"]:
            return _error(401, -16, "Unknown user")
        match asked.method, asked.path.removeprefix("/api/ssl/v1").strip("/").split("/"):
            case "POST", ["enroll"]:
                return self._enrol(asked.json)
            case "GET", [""]:
                return self._list(asked)
            case "GET", ["collect", number, "pem"]:
                return self._collect(number)
            case "GET", [number]:
                return self._details(number)
            case "POST", ["revoke", "serial", serial]:
                return self._revoke(serial, asked.json)
        return _error(404, -1, "Not found")

    def _enrol(self, told: dict[str, Any]) -> Told:
        if told.get("orgId") != ORGANIZATION:
            return _error(400, -12, "The organization is not found or you are not permitted to use it.")
        if told.get("certType") != PROFILE:
            return _error(400, -19, "The certificate profile is not available for the organization.")
        if told.get("term") not in TERMS:
            return _error(400, -9, f"The term is not one of {', '.join(map(str, TERMS))} days.")
        csr = x509.load_pem_x509_csr(told["csr"].encode())
        one = Enrolled(asked=told)
        if set(one.names) != set(names_of(csr)) or not all(each.endswith(self.domains) for each in one.names):
            return _error(400, -14, "A domain is not delegated to the organization.")
        number = 5000 + len(self.requests)
        self.requests[number] = one
        if not self.holds:
            self._issue(one)
        return Told(document={"sslId": number, "renewId": "r" * 20})

    def _list(self, asked: Asked) -> Told:
        name, position = asked.query.get("commonName"), int(asked.query.get("position", 0))
        found = [number for number, one in self.requests.items() if name in (None, one.names[0])]
        page = found[position : position + int(asked.query.get("size", 200))]
        listed = [{"sslId": number, "commonName": self.requests[number].names[0]} for number in page]
        return Told(document=listed, headers={"X-Total-Count": str(len(found))})

    def _details(self, number: str) -> Told:
        one = self.requests.get(int(number)) if number.isdigit() else None
        if one is None:
            return _error(404, -105, "The certificate is not found.")
        told = {"sslId": int(number), "commonName": one.names[0], "comments": one.asked["comments"]}
        return Told(document={**told, "status": one.status, "orgId": ORGANIZATION})

    def _collect(self, number: str) -> Told:
        one = self.requests.get(int(number))
        if one is None or one.certificate is None:
            return _error(400, 0, "Being processed by Sectigo.")
        # The order of the certificates depends on the format.
        chain = (self.root.certificate, self.authority.certificate, one.certificate)
        body = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
        return Told(body=body, headers={"Content-Type": "application/x-pem-file"})

    def _revoke(self, serial: str, told: dict[str, Any]) -> Told:
        for one in self.requests.values():
            if one.certificate is None or one.certificate.serial_number != int(serial, 16):
                continue
            if told.get("reasonCode") not in REASONS or not told.get("reason"):
                return _error(400, -2, "The reason is missing or not one of those allowed.")
            if one.status == "Revoked":
                return _error(400, -102, "The certificate is already revoked.")
            one.status = "Revoked"
            return Told(status=204)
        return _error(404, -105, "The certificate is not found.")


def _error(status: int, code: int, description: str) -> Told:
    return Told(status=status, document={"code": code, "description": description})
