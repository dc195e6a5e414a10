"""The PKI engine: issuers, and what they issued; `has_pages` makes it OpenBao's.

From "PKI secrets engine (API)" (https://developer.hashicorp.com/vault/api-docs/secret/pki): List certificates, Read
certificate, Read issuer, List issuers, Sign certificate, Revoke certificate; from OpenBao's `certs/detailed`, and its
`after` and `limit`. As the real ones it gives single certificates to anybody, cuts a `ttl` to the role's `max_ttl`,
revokes what is revoked again without a word, and takes names from the request where the role says so (the default).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.tls import CertificateAuthority, names_of
from tests.servers.tls import Issued as Made
from tests.servers.vault import Asked, Fault


@dataclass(frozen=True, kw_only=True)
class Role:
    """What may be signed: "Create/Update role" of the API's documentation."""

    allowed_domains: tuple[str, ...]
    allow_subdomains: bool = True
    allow_bare_domains: bool = False
    max_ttl: timedelta = timedelta(days=365)
    allow_ip_sans: bool = True

    def allows(self, name: str) -> bool:
        """Return whether a DNS name may be signed; a wildcard needs `allow_wildcard_certificates`, which is on."""
        bare = name.removeprefix("*.")
        return any(
            (self.allow_bare_domains and name == domain)
            or (self.allow_subdomains and (bare.endswith(f".{domain}") or (bare == domain and name != bare)))
            for domain in self.allowed_domains
        )


class Pki:
    """One mount of it."""

    unauthenticated: tuple[str, ...] = ("cert/*", "ca_chain", "issuers", "issuers/", "issuer/+/json")

    def __init__(self, *, has_pages: bool = False) -> None:
        self.has_pages = has_pages
        self.root = CertificateAuthority("Vault root")
        self.authority = self.root.intermediate("Vault issuer")
        self.kept: dict[str, str] = {}
        """PEM by serial, with hyphens, as the real one stores it."""
        self.revoked: dict[str, int] = {}
        self.roles: dict[str, Role] = {}

    def issue(self, name: str, *, ends_in: timedelta = timedelta(days=30)) -> Made:
        """Issue and keep one."""
        now = datetime.now(UTC)
        made = self.authority.issue(name, not_before=now - timedelta(days=60), not_after=now + ends_in)
        self.kept[serial(made)] = made.certificate_pem.decode().strip()
        return made

    def revoke(self, made: Made) -> None:
        """Revoke one; it stays in the list."""
        self.revoked[serial(made)] = int(datetime.now(UTC).timestamp())

    def answer(self, asked: Asked) -> Mapping[str, Any] | None:  # noqa: PLR0911 - one for each path
        """Answer what a reader may ask."""
        match asked.operation, asked.path.rstrip("/").split("/"):
            case "list", ["certs"]:
                return {"keys": [_said(each) for each in self._listed(asked)]}
            case "list", ["certs", "detailed"] if self.has_pages:
                listed = self._listed(asked)
                info = {_said(each): {"not_after": _ends(self.kept[each])} for each in listed}
                return {"keys": list(info), "key_info": info}
            case "list", ["issuers"]:
                return {"keys": ["1ae8ce9d"], "key_info": {"1ae8ce9d": {"issuer_name": ""}}}
            case "read", ["issuer", "1ae8ce9d", "json"]:
                own, *above = self._chain()
                return {"certificate": own, "ca_chain": [own, *above], "revocation_time": 0}
            case "read", ["cert", "ca_chain"]:
                return {"certificate": "\n".join(self._chain()), "revocation_time": 0}
            case "read", ["cert", number]:
                key = number.replace(":", "-").lower()
                if key not in self.kept:
                    return None
                return {"certificate": self.kept[key], "revocation_time": self.revoked.get(key, 0)}
            case "update", ["sign", role]:
                return self._sign(role, asked.body)
            case "update", ["revoke"]:
                return self._revoke(asked.body)
            case "read" | "list", _:
                raise Fault(404, "1 error occurred:\n\t* unsupported path\n\n")
        raise Fault(405, "1 error occurred:\n\t* unsupported operation\n\n")

    def _sign(self, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        role = self.roles.get(name)
        if role is None:
            raise Fault(400, f"unknown role: {name}")
        try:
            csr = x509.load_pem_x509_csr(str(body.get("csr", "")).encode())
        except ValueError as error:
            raise Fault(400, "certificate request could not be parsed") from error
        common_name = str(body.get("common_name", ""))
        if not common_name:
            raise Fault(
                400,
                "the common_name field is required, or must be provided in a CSR with use_csr_common_name",
            )
        for each in (common_name, *names_of(csr)):
            if not (role.allow_ip_sans if each[-1].isdigit() else role.allows(each)):
                raise Fault(400, f"common name {each} not allowed by this role")
        ttl = min(timedelta(seconds=int(str(body["ttl"]).removesuffix("s"))), role.max_ttl)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
        signed = self.authority.sign(csr, lifetime=ttl, subject=subject)
        key = hyphened(signed)
        self.kept[key] = signed.public_bytes(Encoding.PEM).decode().strip()
        return {
            "certificate": self.kept[key],
            "issuing_ca": self._chain()[0],
            "ca_chain": self._chain(),
            "serial_number": _said(key),
            "expiration": int(signed.not_valid_after_utc.timestamp()),
        }

    def _revoke(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        key = str(body.get("serial_number", "")).replace(":", "-").lower()
        if key not in self.kept:
            raise Fault(400, f"certificate with serial {_said(key)} not found.")
        self.revoked.setdefault(key, int(datetime.now(UTC).timestamp()))
        return {"revocation_time": self.revoked[key], "state": "revoked"}

    def _listed(self, asked: Asked) -> Sequence[str]:
        keys = sorted(self.kept)
        if not self.has_pages:
            if not keys:
                raise Fault(404)  # the real one's empty list
            return keys
        after, limit = asked.params.get("after", ""), int(asked.params.get("limit", 0))
        later = [key for key in keys if key > after]
        if not later:
            raise Fault(404)
        return later[:limit] if limit > 0 else later

    def _chain(self) -> list[str]:
        return [each.pem.decode().strip() for each in (self.authority, self.root)]


def serial(made: Made) -> str:
    """Return a serial as the store has it."""
    return hyphened(made.certificate)


def hyphened(certificate: x509.Certificate) -> str:
    """Return a serial as the store has it."""
    digits = f"{certificate.serial_number:x}"
    return bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2)).hex("-")


def _said(key: str) -> str:
    return key.replace("-", ":")


def _ends(pem: str) -> str:
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise Fault(400, f"failed to parse certificate: {error}") from error
    return certificate.not_valid_after_utc.isoformat().replace("+00:00", "Z")


def der(made: Made) -> bytes:
    """Return a certificate's DER."""
    return made.certificate.public_bytes(Encoding.DER)
