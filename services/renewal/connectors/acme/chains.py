"""Chooses among the chains that an authority offers for one certificate (RFC 8555 §7.4.2)."""

import re
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from services.renewal.connectors.acme.session import Answer, Session
from shared import x509 as shared_x509
from shared.errors import Invalid, Refused

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class PreferredRoot:
    """A root, by its common name, its whole subject (RFC 4514), or its SHA-256 fingerprint in hex."""

    def __init__(self, wanted: str, *, roots: Sequence[bytes]) -> None:
        """`roots` (DER) are known to us: a chain comes without its root, which its fingerprint alone would not find."""
        self._wanted = wanted.strip()
        compact = self._wanted.replace(":", "").lower()
        self._fingerprint = compact if _FINGERPRINT.fullmatch(compact) else None
        self._roots = roots

    def __str__(self) -> str:
        return self._wanted

    def is_end_of(self, chain: Sequence[bytes]) -> bool:
        """Return whether a chain (DER, leaf first) ends at it."""
        last = shared_x509.load(chain[-1])
        if self._fingerprint is None:
            return self._is_named(last.issuer)
        ends = [root for root in self._roots if _is_issued_by(last, shared_x509.load(root))]
        return any(shared_x509.fingerprint(each) == self._fingerprint for each in (*chain, *ends))

    def _is_named(self, name: x509.Name) -> bool:
        common = [str(each.value) for each in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
        return self._wanted in (*common, name.rfc4514_string())


async def preferred_url(
    session: Session, first: Answer, *, url: str, root: PreferredRoot
) -> tuple[str, str | None]:
    """Return where the chain is that ends at the root; with a text where there is none, and `url` has to do."""
    if root.is_end_of(read_chain(first)):
        return url, None
    for other in first.alternates:
        if root.is_end_of(read_chain(await session.get(other))):
            return other, f"The chain that ends at {root} is chosen."
    return url, f"The authority offers no chain that ends at {root}: its own choice is taken."


def read_chain(answer: Answer) -> tuple[bytes, ...]:
    """Return a downloaded chain, leaf first. Raises `Refused`."""
    try:
        return tuple(shared_x509.from_pem(answer.content.decode("ascii")))
    except (Invalid, UnicodeDecodeError) as error:
        raise Refused(
            "What the authority issued is not a PEM chain (RFC 8555 §9.1).",
            next_step="Look at the authority; then try the order again.",
        ) from error


def _is_issued_by(one: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
