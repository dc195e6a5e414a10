"""The PKI engine: issuers, and what they issued; `has_pages` makes it OpenBao's.

From "PKI secrets engine (API)": List certificates, Read certificate, Read issuer, List issuers; from OpenBao's
`certs/detailed`, and its `after` and `limit`. As the real ones it gives single certificates to anybody.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.tls import CertificateAuthority
from tests.servers.tls import Issued as Made
from tests.servers.vault import Asked, Fault


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
            case "read" | "list", _:
                raise Fault(404, "1 error occurred:\n\t* unsupported path\n\n")
        raise Fault(405, "1 error occurred:\n\t* unsupported operation\n\n")

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
    digits = f"{made.certificate.serial_number:x}"
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
