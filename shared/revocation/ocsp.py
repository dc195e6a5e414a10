"""OCSP (RFC 6960): asks for one certificate, and believes only who may answer for it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from shared.extensions import extension
from shared.revocation.words import SKEW, Means, Revocation, Word, unreachable

_OLDEST = timedelta(days=7)
"""For an answer without `nextUpdate`: it claims to be the newest there is, and so would one that is replayed."""
_STATES = {
    ocsp.OCSPCertStatus.GOOD: Revocation.GOOD,
    ocsp.OCSPCertStatus.REVOKED: Revocation.REVOKED,
    ocsp.OCSPCertStatus.UNKNOWN: Revocation.UNKNOWN,
}
_SAYS = {
    Revocation.GOOD: "The responder says that it is good.",
    Revocation.REVOKED: "The responder says that it is revoked.",
    Revocation.UNKNOWN: "The responder does not know it.",
}


class Unbelievable(Exception):
    """An answer that must not be relied on; the text says why."""


def request_for(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """Return the DER of a request without a nonce: many responders sign in advance (RFC 5019 §2.1.1)."""
    # SHA-1 names the issuer and secures nothing; it is what every responder knows (RFC 5019 §2.1.1).
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303 - see above
    return builder.build().public_bytes(Encoding.DER)


def read_response(
    body: bytes, *, certificate: x509.Certificate, issuer: x509.Certificate, url: str, now: datetime
) -> Word:
    """Return what a response says of a certificate; one that may not be believed says nothing."""
    try:
        response = ocsp.load_der_ocsp_response(body)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return _refused(response.response_status, url=url)
        _check_signer(response, issuer=issuer, now=now)
        return _word(_about(response, certificate=certificate, issuer=issuer), url=url, now=now)
    except Unbelievable as error:
        return unreachable(str(error), means=Means.OCSP, url=url)
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
    ) as error:
        return unreachable(f"The answer cannot be read ({error}).", means=Means.OCSP, url=url)


def _refused(status: ocsp.OCSPResponseStatus, *, url: str) -> Word:
    said = f"The responder refused to answer ({status.name.lower().replace('_', ' ')})."
    if (
        status is ocsp.OCSPResponseStatus.UNAUTHORIZED
    ):  # it is not the one for this certificate: RFC 5019 §2.2.3
        return Word(state=Revocation.UNKNOWN, evidence=said, means=Means.OCSP, url=url)
    return unreachable(said, means=Means.OCSP, url=url)


def _about(
    response: ocsp.OCSPResponse, *, certificate: x509.Certificate, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse:
    for single in response.responses:
        same_number = single.serial_number == certificate.serial_number
        if same_number and _names(single, issuer=issuer):
            return single
    raise Unbelievable("The answer is about another certificate.")


def _names(single: ocsp.OCSPSingleResponse, *, issuer: x509.Certificate) -> bool:
    """Return whether a CertID names this issuer (RFC 6960 §4.1.1)."""
    algorithm = single.hash_algorithm
    name, key = issuer.subject.public_bytes(), _key_bits(issuer)
    return single.issuer_name_hash == _hash(name, algorithm) and single.issuer_key_hash == _hash(
        key, algorithm
    )


def _key_bits(certificate: x509.Certificate) -> bytes:
    """Return the value of the BIT STRING of a public key: of the SubjectPublicKeyInfo, what follows its algorithm."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    _, start, _ = _element(spki, 0)
    _, _, after_algorithm = _element(spki, start)
    _, start, end = _element(spki, after_algorithm)
    return spki[start + 1 : end]  # the first byte says how many bits are unused


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of a DER element, and where its value begins and ends (X.690 §8.1)."""
    length = der[at + 1]
    if length < 0x80:  # noqa: PLR2004 - the short form
        return der[at], at + 2, at + 2 + length
    size = length & 0x7F
    start = at + 2 + size
    return der[at], start, start + int.from_bytes(der[at + 2 : start], "big")


def _hash(value: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(value)
    return digest.finalize()


def _word(single: ocsp.OCSPSingleResponse, *, url: str, now: datetime) -> Word:
    if single.this_update_utc > now + SKEW:
        raise Unbelievable(f"The answer is from the future ({single.this_update_utc:%Y-%m-%d %H:%M} UTC).")
    if single.next_update_utc is not None and single.next_update_utc < now - SKEW:
        raise Unbelievable(f"The answer ended at {single.next_update_utc:%Y-%m-%d %H:%M} UTC.")
    if single.next_update_utc is None and single.this_update_utc < now - _OLDEST:
        raise Unbelievable(
            f"The answer is of {single.this_update_utc:%Y-%m-%d}, and does not say how long it holds."
        )
    state = _STATES[single.certificate_status]
    reason = single.revocation_reason
    return Word(
        state=state,
        evidence=_SAYS[state],
        means=Means.OCSP,
        url=url,
        this_update=single.this_update_utc,
        next_update=single.next_update_utc,
        revoked_at=single.revocation_time_utc,
        reason=(reason or x509.ReasonFlags.unspecified).value if state is Revocation.REVOKED else None,
    )


def _check_signer(response: ocsp.OCSPResponse, *, issuer: x509.Certificate, now: datetime) -> None:
    """Raise `Unbelievable` unless the issuer has signed, or one that it has delegated (RFC 6960 §4.2.2.2)."""
    why = "The answer is signed neither by the issuer nor by a responder that the issuer has appointed."
    for signer in _signers(response, issuer=issuer, now=now):
        if _has_signed(response, signer):
            return
    raise Unbelievable(why)


def _signers(
    response: ocsp.OCSPResponse, *, issuer: x509.Certificate, now: datetime
) -> Iterator[x509.Certificate]:
    yield issuer
    for each in response.certificates[:5]:
        if _is_delegate(each, issuer=issuer, now=now):
            yield each


def _is_delegate(each: x509.Certificate, *, issuer: x509.Certificate, now: datetime) -> bool:
    usage = extension(each, x509.ExtendedKeyUsage)
    if usage is None or ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        return False
    if not each.not_valid_before_utc - SKEW <= now <= each.not_valid_after_utc + SKEW:
        return False
    try:
        each.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _has_signed(response: ocsp.OCSPResponse, signer: x509.Certificate) -> bool:
    try:
        _verify(response, signer)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _verify(response: ocsp.OCSPResponse, signer: x509.Certificate) -> None:
    key, algorithm = signer.public_key(), response.signature_hash_algorithm
    signature, signed = response.signature, response.tbs_response_bytes
    if isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
        key.verify(signature, signed, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
        key.verify(signature, signed, ec.ECDSA(algorithm))
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        key.verify(signature, signed)
    else:
        raise UnsupportedAlgorithm("a signature that we cannot verify")
