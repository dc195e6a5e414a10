"""One certificate of a path: who it is for, who has issued it, and what RFC 5280 lets it issue."""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from shared.errors import Invalid
from shared.extensions import access_urls, extension
from shared.x509 import fingerprint, load

_NETWORK = (ipaddress.IPv4Network, ipaddress.IPv6Network)
_ADDRESS = (ipaddress.IPv4Address, ipaddress.IPv6Address)
_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    }
)
"""An extension that is critical and none of these makes a path invalid (RFC 5280 §6.1.4 o)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Link:
    """A certificate that may be part of a path."""

    fingerprint: str
    der: bytes
    certificate: x509.Certificate
    subject: str
    """SHA-256 of the DER of the name, in lower-case hexadecimal."""
    issuer: str
    not_before: datetime
    not_after: datetime
    store: str | None = None
    """The trust store that it is a root of."""

    @property
    def title(self) -> str:
        """Return the name people know it by."""
        return self.certificate.subject.rfc4514_string() or self.fingerprint

    @property
    def issuer_title(self) -> str:
        """Return the name of who has issued it."""
        return self.certificate.issuer.rfc4514_string() or "an issuer without a name"

    def is_signed_by(self, other: "Link") -> bool:
        """Return whether another certificate's key has signed this one; names are compared too."""
        try:
            self.certificate.verify_directly_issued_by(other.certificate)
        except (*_UNREADABLE, InvalidSignature):
            return False
        return True

    def is_valid_at(self, at: datetime) -> bool:
        """Return whether an instant lies within its dates."""
        return self.not_before <= at <= self.not_after


def link(der: bytes, *, store: str | None = None) -> Link | None:
    """Return a certificate as a link, or None where it cannot be read."""
    try:
        certificate = load(der)
        return Link(
            fingerprint=fingerprint(der),
            der=der,
            certificate=certificate,
            subject=name_digest(certificate.subject),
            issuer=name_digest(certificate.issuer),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            store=store,
        )
    except (Invalid, *_UNREADABLE):
        return None


def name_digest(name: x509.Name) -> str:
    """Return what a name is looked up by."""
    return sha256(name.public_bytes()).hexdigest()


def issuer_urls(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return where the certificate of its issuer is said to be (RFC 5280 §4.2.2.1, caIssuers)."""
    return access_urls(certificate, AuthorityInformationAccessOID.CA_ISSUERS)


def faults(path: Sequence[Link]) -> Iterator[str]:
    """Yield what RFC 5280 §6.1.4 has against a path, leaf first; a root in a trust store is taken as it is (§6.1.1 d)."""
    leaf = path[0]
    for each in path:
        if each.store is None:
            yield from _unknown_critical(each)
    between = 0
    for each in path[1:]:
        if each.store is None:
            yield from _may_not_issue(each, between=between)
        yield from _outside_constraints(leaf, each)
        between += each.subject != each.issuer


def _unknown_critical(each: Link) -> Iterator[str]:
    try:
        unknown = [
            e.oid.dotted_string
            for e in each.certificate.extensions
            if e.critical and e.oid not in _UNDERSTOOD
        ]
    except _UNREADABLE as error:
        yield f"The extensions of {each.title} cannot be read ({error})."
        return
    if unknown:
        yield f"{each.title} has critical extensions that nobody here understands: {', '.join(unknown)}."


def _may_not_issue(each: Link, *, between: int) -> Iterator[str]:
    try:
        constraints = extension(each.certificate, x509.BasicConstraints)
        usage = extension(each.certificate, x509.KeyUsage)
    except ValueError:
        return  # told as unreadable
    if constraints is None or not constraints.ca:
        yield f"{each.title} is no authority, and has issued."
    elif constraints.path_length is not None and constraints.path_length < between:
        yield f"{each.title} allows {constraints.path_length} authorities below it, and there are {between}."
    if usage is not None and not usage.key_cert_sign:
        yield f"The key of {each.title} is not for signing certificates."


def _outside_constraints(leaf: Link, authority: Link) -> Iterator[str]:
    """Hold the DNS names and addresses of a leaf against the name constraints of an authority (RFC 5280 §4.2.1.10)."""
    try:
        limits = extension(authority.certificate, x509.NameConstraints)
        names = extension(leaf.certificate, x509.SubjectAlternativeName) if limits is not None else None
    except ValueError:
        return
    if limits is None or names is None:
        return
    for name in names:
        permitted = [tree for tree in limits.permitted_subtrees or () if type(tree) is type(name)]
        excluded = [tree for tree in limits.excluded_subtrees or () if type(tree) is type(name)]
        if any(_is_within(name, tree) for tree in excluded):
            yield f"{authority.title} may not issue for {name.value}."
        elif permitted and not any(_is_within(name, tree) for tree in permitted):
            yield f"{authority.title} may issue for other names only than {name.value}."


def _is_within(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    if isinstance(name, x509.DNSName) and isinstance(tree, x509.DNSName):
        domain, below = tree.value.lower().lstrip("."), name.value.lower()
        return not domain or below == domain or below.endswith(f".{domain}")
    if isinstance(name, x509.IPAddress) and isinstance(tree, x509.IPAddress):
        network, address = tree.value, name.value
        if not isinstance(network, _NETWORK) or not isinstance(address, _ADDRESS):
            return False
        return address.version == network.version and address in network
    return bool(name == tree)
