"""What a built-in authority says of revocation: CRLs (RFC 5280 §5), and answers to OCSP (RFC 6960, RFC 5019)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key
from cryptography.x509 import ocsp

from services.renewal.connectors import Responder, Revoked
from services.renewal.connectors.builtin.certificates import Issuer
from shared import der
from shared.events.renewal import RevocationReason
from shared.x509 import load

ANSWER_LIFETIME = timedelta(hours=1)
LONGEST_NONCE = 128
"""Octets (RFC 9654 §2.1)."""
_REASONS = {reason: x509.ReasonFlags(reason.value) for reason in RevocationReason}
_HASHES = (hashes.SHA1, hashes.SHA256, hashes.SHA384, hashes.SHA512)


def crl(
    revoked: Sequence[Revoked], *, issuer: Issuer, number: int, now: datetime, until: datetime
) -> x509.CertificateRevocationListBuilder:
    """Return a CRL to be signed: `number` is greater than that of every one before (RFC 5280 §5.2.3)."""
    builder = (
        x509.CertificateRevocationListBuilder(
            revoked_certificates=[_line(each) for each in revoked],
        )
        .issuer_name(issuer.subject)
        .last_update(now)
        .next_update(until)
        .add_extension(issuer.identifier, critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    return builder  # noqa: RET504 - a chain of calls reads better with a name


def _line(revoked: Revoked) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(serial_number=revoked.serial, revocation_date=revoked.at)
    if revoked.reason is not RevocationReason.UNSPECIFIED:  # RFC 5280 §5.3.1: leave that one out
        builder = builder.add_extension(x509.CRLReason(_REASONS[revoked.reason]), critical=False)
    return builder.build()


class Problem(StrEnum):
    """Why a request gets no answer (RFC 6960 §4.2.1)."""

    MALFORMED = "malformed"
    NOT_OURS = "unauthorized"
    NOT_NOW = "try later"


_STATUS = {
    Problem.MALFORMED: ocsp.OCSPResponseStatus.MALFORMED_REQUEST,
    Problem.NOT_OURS: ocsp.OCSPResponseStatus.UNAUTHORIZED,
    Problem.NOT_NOW: ocsp.OCSPResponseStatus.TRY_LATER,
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which certificate is asked about, in the asker's own hashes."""

    serial: int
    algorithm: hashes.HashAlgorithm
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    nonce: bytes | None


def read_question(request: bytes, *, issuer: bytes) -> Question | Problem:
    """Return what is asked; a signature on a request is not looked at, and one for several certificates not taken."""
    try:
        asked = ocsp.load_der_ocsp_request(request)
        question = Question(
            serial=asked.serial_number,
            algorithm=asked.hash_algorithm,
            issuer_name_hash=asked.issuer_name_hash,
            issuer_key_hash=asked.issuer_key_hash,
            nonce=_nonce(asked),
        )
    except (
        UnsupportedAlgorithm
    ):  # CertIDs hashed in a way that we do not know are of nothing that we have issued
        return Problem.NOT_OURS
    except (ValueError, NotImplementedError, x509.DuplicateExtension):
        return Problem.MALFORMED
    if question.nonce is not None and not 0 < len(question.nonce) <= LONGEST_NONCE:
        return Problem.MALFORMED
    return question if _is_about(question, issuer) else Problem.NOT_OURS


def _nonce(asked: ocsp.OCSPRequest) -> bytes | None:
    try:
        return asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None


def _is_about(question: Question, issuer: bytes) -> bool:
    """Return whether a CertID names this issuer, by its name and by the bits of its key (RFC 6960 §4.1.1)."""
    if not isinstance(question.algorithm, _HASHES):
        return False
    certificate = load(issuer)
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    _, bits = der.value(spki).inside()
    hashed = [
        _digest(part, question.algorithm) for part in (certificate.subject.public_bytes(), bits.content[1:])
    ]
    return hashed == [question.issuer_name_hash, question.issuer_key_hash]


def _digest(data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


def answer(
    question: Question, *, is_known: bool, revoked: Revoked | None, by: Responder, now: datetime
) -> bytes:
    """Return a signed response in DER: good, revoked or unknown."""
    certificate = load(by.certificate)
    status = ocsp.OCSPCertStatus.GOOD if is_known else ocsp.OCSPCertStatus.UNKNOWN
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            issuer_name_hash=question.issuer_name_hash,
            issuer_key_hash=question.issuer_key_hash,
            serial_number=question.serial,
            algorithm=question.algorithm,
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else status,
            this_update=now,
            next_update=min(now + ANSWER_LIFETIME, certificate.not_valid_after_utc),
            revocation_time=revoked.at if revoked else None,
            revocation_reason=_told_reason(revoked),
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
        .certificates([certificate])
    )
    if question.nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(question.nonce), critical=False)
    return builder.sign(_key(by), hashes.SHA256()).public_bytes(Encoding.DER)


def _told_reason(revoked: Revoked | None) -> x509.ReasonFlags | None:
    if revoked is None or revoked.reason is RevocationReason.UNSPECIFIED:
        return None
    return _REASONS[revoked.reason]


def _key(by: Responder) -> ec.EllipticCurvePrivateKey:
    key = load_der_private_key(by.private, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        msg = "a responder's key is ECDSA"
        raise TypeError(msg)
    return key


def no_answer(problem: Problem) -> bytes:
    """Return the unsigned response that says why there is no answer."""
    return ocsp.OCSPResponseBuilder.build_unsuccessful(_STATUS[problem]).public_bytes(Encoding.DER)
