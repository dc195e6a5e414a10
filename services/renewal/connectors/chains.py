"""Chains of what an authority answers: in order, from whatever order it has, and matched with a request."""

import ipaddress
from collections.abc import Iterable, Sequence

from cryptography import x509 as parsed
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from shared import x509
from shared.errors import Invalid, Refused
from shared.events.renewal import RevocationReason

_UNUSABLE = (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm)
_LONGEST = 10
LONGEST_NAME = 64
"""X.520 ub-common-name."""


def chain_of(leaf: bytes, others: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the leaf and those of the others that sign it, one above the other; all in DER.

    Raises `Refused` where one is no certificate.
    """
    try:
        above = {der: x509.load(der) for der in others if der != leaf}
        chain, top = [leaf], x509.load(leaf)
    except Invalid as error:
        raise Refused(
            "A part of the chain is not a certificate.", next_step="Look at the authority; then try again."
        ) from error
    while len(chain) < _LONGEST:
        der = next((der for der, each in above.items() if der not in chain and signs(each, top)), None)
        if der is None:
            break
        chain.append(der)
        top = above[der]
    return tuple(chain)


def chain_of_pem(texts: Iterable[str]) -> tuple[bytes, ...]:
    """Return the chain of the first certificate in PEM texts, by those after it. Raises `Refused`."""
    ders = [der for text in texts for der in _ders(text)]
    if not ders:
        raise Refused(
            "The authority sent no certificate.", next_step="Look at the authority; then try again."
        )
    return chain_of(ders[0], ders[1:])


def chain_for(csr: bytes, bag: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the chain of the certificate for a request's key, from certificates (DER) in any order.

    Raises `Refused` where none is for that key.
    """
    ders = list(bag)
    leaf = next((der for der in ders if is_for(der, csr)), None)
    if leaf is None:
        raise Refused(
            "What the authority issued is not for our key.",
            next_step="Look at the authority; then try again.",
        )
    return chain_of(leaf, ders)


def chain_for_pem(csr: bytes, text: str) -> tuple[bytes, ...]:
    """Return the chain of the certificate for a request's key, from PEM in any order. Raises `Refused`."""
    return chain_for(csr, _ders(text))


def refused_reason(reason: RevocationReason, taken: Iterable[RevocationReason]) -> Refused:
    """Return the error for a reason that an authority does not revoke for."""
    return Refused(
        f"The authority does not revoke for the reason {reason}.",
        next_step=f"Choose one of: {', '.join(taken)}.",
    )


def _ders(text: str) -> Sequence[bytes]:
    try:
        return x509.from_pem(text)
    except Invalid as error:
        raise Refused(
            "The authority sent something else than PEM.", next_step="Look at the authority; then try again."
        ) from error


def is_for(certificate: bytes, csr: bytes) -> bool:
    """Return whether a certificate (DER) is for the key of a request (DER): no two orders have the same key."""
    try:
        key = x509.load(certificate).public_key()
    except (Invalid, *_UNUSABLE):
        return False
    return x509.key_fingerprint(key) == key_of(csr)


def key_of(csr: bytes) -> str:
    """Return the fingerprint of the key of a request (DER)."""
    return x509.key_fingerprint(parsed.load_der_x509_csr(csr).public_key())


def pem_of(csr: bytes) -> str:
    """Return a request (DER) in PEM."""
    return parsed.load_der_x509_csr(csr).public_bytes(Encoding.PEM).decode()


def serial_of(certificate: bytes) -> str:
    """Return the serial number of a certificate (DER) in lower-case hex, two digits for each byte."""
    number = x509.load(certificate).serial_number
    return number.to_bytes((number.bit_length() + 7) // 8 or 1).hex()


def common_name(names: Sequence[str]) -> str | None:
    """Return the name to put into a subject: the first DNS name that fits (X.520 ub-common-name); None for none."""
    return next((name for name in names if len(name) <= LONGEST_NAME and not is_address(name)), None)


def is_address(name: str) -> bool:
    """Return whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def roots_of(root_pem: str | None) -> tuple[bytes, ...]:
    """Return the roots that an option `root_pem` names, in DER. Raises `Invalid`."""
    if root_pem is None:
        return ()
    try:
        return tuple(x509.from_pem(root_pem))
    except Invalid as error:
        raise Invalid("root_pem holds no PEM certificate.", next_step="Send the whole PEM text.") from error


def signs(issuer: parsed.Certificate, one: parsed.Certificate) -> bool:
    """Return whether a certificate is signed by another, by its name and by its key."""
    try:
        one.verify_directly_issued_by(issuer)
    except _UNUSABLE:
        return False
    return True
