"""What is kept of a certificate, also of one that nobody should have made."""

from dataclasses import dataclass, replace
from hashlib import sha256

from shared import x509
from shared.errors import EverleafError

MAX_INDEXED_NAME = 253
"""No DNS name is longer (RFC 1035 §2.3.4); what is longer is kept, but cannot be searched for."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The facts of a certificate, or the finding why there are none."""

    fingerprint: str
    facts: x509.CertificateFacts | None
    finding: str | None

    @property
    def title(self) -> str:
        """Return what people call the thing the certificate is for."""
        if self.facts is None:
            return "unreadable certificate"
        return (self.facts.names[0] if self.facts.names else self.facts.subject)[:500] or "unnamed"


def read(fingerprint: str, der: bytes | None) -> Reading:
    """Read a certificate; one that cannot be read becomes a finding, whatever is wrong with it."""
    if not der:
        return Reading(fingerprint=fingerprint, facts=None, finding="No bytes came with the certificate.")
    try:
        facts = x509.read(der)
    except EverleafError as error:
        return Reading(fingerprint=fingerprint, facts=None, finding=_storable(error.detail))
    except Exception as error:  # noqa: BLE001 - hostile bytes find every weakness of a parser; none may stop a batch
        finding = _storable(f"The certificate cannot be read ({type(error).__name__}: {error}).")
        return Reading(fingerprint=fingerprint, facts=None, finding=finding)
    return Reading(fingerprint=fingerprint, facts=_storable_facts(facts), finding=None)


def _storable_facts(facts: x509.CertificateFacts) -> x509.CertificateFacts:
    return replace(
        facts,
        subject=_storable(facts.subject),
        issuer=_storable(facts.issuer),
        names=tuple(sorted({_storable(name) for name in facts.names})),
        key_type=_storable(facts.key_type)[:50],
        signature_algorithm=_storable(facts.signature_algorithm)[:100],
    )


def _storable(text: str) -> str:
    """Return text that every database takes: PostgreSQL knows no NUL."""
    return text.replace("\x00", "\\x00")


def have_same_names(one: list[str], other: list[str]) -> bool:
    """Return whether two certificates are for the same thing: for exactly the same names, and for any at all."""
    return bool(one) and set(one) == set(other)


def chain_digest(fingerprints: list[str]) -> str:
    """Return one value that changes when the chain does."""
    return sha256("".join(fingerprints).encode()).hexdigest()


def reversed_name(name: str) -> str:
    """Return a name so written that all names below one domain lie side by side in an index."""
    return name[::-1]
