"""The messages of SCEP (RFC 8894 §3): a question in a signed envelope that only the CA opens, and its answer to us alone.

AES-256 and SHA-256 are what we write. What old servers answer in (SHA-1, DES) is read where that is asked for.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from pyasn1.codec.ber.decoder import decode as decode_ber
from pyasn1.codec.der.decoder import decode
from pyasn1.codec.der.encoder import encode
from pyasn1.error import PyAsn1Error
from pyasn1.type import char, univ
from pyasn1_alt_modules import rfc5652, rfc8894

_SHA256 = univ.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_RSA = univ.ObjectIdentifier("1.2.840.113549.1.1.1")
_CONTENT_TYPE = univ.ObjectIdentifier("1.2.840.113549.1.9.3")
_DIGEST = univ.ObjectIdentifier("1.2.840.113549.1.9.4")
_NONCE = 16
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}


_OLD_HASHES: dict[str, hashes.HashAlgorithm] = {**_HASHES, "1.3.14.3.2.26": hashes.SHA1()}  # noqa: S303 - on request only


_CIPHERS = {"2.16.840.1.101.3.4.1.2": algorithms.AES128, "2.16.840.1.101.3.4.1.42": algorithms.AES256}
_OLD_CIPHERS = ("1.3.14.3.2.7", "1.2.840.113549.3.7")
_DES_KEY = 8


class MessageType(StrEnum):
    """What a message is (RFC 8894 §3.2.1.2)."""

    CERT_REP = "3"
    PKCS_REQ = "19"
    CERT_POLL = "20"


class Status(StrEnum):
    """How a question was answered (RFC 8894 §3.2.1.3)."""

    SUCCESS = "0"
    FAILURE = "2"
    PENDING = "3"


FAILURES = {
    "0": "badAlg: it does not know an algorithm of ours",
    "1": "badMessageCheck: it does not accept the signature of the message",
    "2": "badRequest: it does not permit this; the challenge password may be wrong or used up",
    "3": "badTime: its clock and ours differ too much",
    "4": "badCertId: it has no such certificate",
}
"""What `failInfo` says (RFC 8894 §3.2.1.4.5)."""


class Unreadable(Exception):
    """A message that is none, is not from the CA, or is not the answer to ours."""


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Who we are to the CA: an RSA key of the authority's own, and a certificate that it has signed itself."""

    key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate


@dataclass(frozen=True, kw_only=True)
class Question:
    """A message to the CA, and what its answer has to repeat."""

    der: bytes
    transaction: str
    nonce: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the CA has answered."""

    status: Status
    failure: str | None
    certificates: tuple[bytes, ...] = ()


def ask(
    kind: MessageType, content: bytes, *, sender: Sender, ca: x509.Certificate, transaction: str
) -> Question:
    """Return a message with this content (DER) for the CA; `transaction` is at most 64 printable characters."""
    envelope = (
        pkcs7.PKCS7EnvelopeBuilder()
        .set_data(content)
        .add_recipient(ca)
        .set_content_encryption_algorithm(algorithms.AES256)
        .encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    )
    nonce = secrets.token_bytes(_NONCE)
    attributes = [
        _attribute(_CONTENT_TYPE, rfc5652.id_data),
        _attribute(_DIGEST, univ.OctetString(hashlib.sha256(envelope).digest())),
        _attribute(rfc8894.id_messageType, char.PrintableString(kind.value)),
        _attribute(rfc8894.id_senderNonce, univ.OctetString(nonce)),
        _attribute(rfc8894.id_transactionID, char.PrintableString(transaction)),
    ]
    return Question(der=_signed(envelope, attributes, sender), transaction=transaction, nonce=nonce)


def issuer_and_subject(issuer: x509.Name, subject: x509.Name) -> bytes:
    """Return what a poll names (RFC 8894 §3.3.3), in DER."""
    named = rfc8894.IssuerAndSubject()
    for name, value in (("issuer", issuer), ("subject", subject)):
        named[name] = decode(value.public_bytes(), asn1Spec=named[name].clone())[0]
    return bytes(encode(named))


def _attribute(oid: univ.ObjectIdentifier, value: Any) -> rfc5652.Attribute:
    attribute = rfc5652.Attribute()
    attribute["attrType"] = oid
    attribute["attrValues"].append(univ.Any(encode(value)))
    return attribute


def _signed(content: bytes, attributes: list[rfc5652.Attribute], sender: Sender) -> bytes:
    signer = rfc5652.SignerInfo()
    signer["version"] = 1
    identifier = signer["sid"]["issuerAndSerialNumber"]
    identifier["issuer"] = decode(sender.certificate.issuer.public_bytes(), asn1Spec=identifier["issuer"])[0]
    identifier["serialNumber"] = sender.certificate.serial_number
    signer["digestAlgorithm"]["algorithm"] = _SHA256
    signer["signedAttrs"].extend(attributes)
    signer["signatureAlgorithm"]["algorithm"] = _RSA
    signer["signatureAlgorithm"]["parameters"] = univ.Any(encode(univ.Null("")))
    signature = sender.key.sign(_to_be_signed(signer), padding.PKCS1v15(), hashes.SHA256())
    signer["signature"] = signature

    data = rfc5652.SignedData()
    data["version"] = 1
    digest = rfc5652.DigestAlgorithmIdentifier()
    digest["algorithm"] = _SHA256
    data["digestAlgorithms"].append(digest)
    data["encapContentInfo"]["eContentType"] = rfc5652.id_data
    data["encapContentInfo"]["eContent"] = content
    choice = rfc5652.CertificateChoices()
    own = sender.certificate.public_bytes(Encoding.DER)
    choice["certificate"] = decode(own, asn1Spec=choice["certificate"])[0]
    data["certificates"].append(choice)
    data["signerInfos"].append(signer)
    return _wrapped(rfc5652.id_signedData, data)


def _wrapped(kind: univ.ObjectIdentifier, content: Any) -> bytes:
    message = rfc5652.ContentInfo()
    message["contentType"] = kind
    message["content"] = univ.Any(encode(content))
    return bytes(encode(message))


def _to_be_signed(signer: rfc5652.SignerInfo) -> bytes:
    # What is signed is the SET OF itself, not the [0] that stands for it in the message (RFC 5652 §5.4).
    return b"\x31" + bytes(encode(signer["signedAttrs"]))[1:]


def read(
    answer: bytes,
    *,
    question: Question,
    sender: Sender,
    ca: tuple[x509.Certificate, ...],
    accept_weak: bool = False,
) -> Reply:
    """Return what the CA has answered to a question. Raises `Unreadable`."""
    try:
        data, signer = _opened(answer)
        content = bytes(data["encapContentInfo"]["eContent"])
        said = {str(each["attrType"]): bytes(each["attrValues"][0]) for each in signer["signedAttrs"]}
        _verify(signer, said, content, ca=ca, known=_OLD_HASHES if accept_weak else _HASHES)
        _require_answer(said, question)
        status = Status(_text(said, rfc8894.id_pkiStatus))
        if status is not Status.SUCCESS:
            failure = said.get(str(rfc8894.id_failInfo))
            return Reply(status=status, failure=str(decode(failure)[0]) if failure else None)
        plain = _decrypted(content, sender=sender, accept_weak=accept_weak)
        told = pkcs7.load_der_pkcs7_certificates(plain)
    except (PyAsn1Error, ValueError, KeyError, IndexError, UnsupportedAlgorithm) as error:
        raise Unreadable(f"it cannot be read ({type(error).__name__})") from error
    return Reply(
        status=status, failure=None, certificates=tuple(each.public_bytes(Encoding.DER) for each in told)
    )


def _decrypted(content: bytes, *, sender: Sender, accept_weak: bool) -> bytes:
    """Return what is in an envelope (RFC 5652 §6) that is addressed to us. Raises `Unreadable`, or `ValueError`."""
    message, _ = decode(content, asn1Spec=rfc5652.ContentInfo())
    # The encrypted content may come in pieces, which DER does not know.
    envelope, _ = decode_ber(bytes(message["content"]), asn1Spec=rfc5652.EnvelopedData())
    receiver = envelope["recipientInfos"][0]["ktri"]
    secret = sender.key.decrypt(bytes(receiver["encryptedKey"]), padding.PKCS1v15())
    encrypted = envelope["encryptedContentInfo"]
    kind = str(encrypted["contentEncryptionAlgorithm"]["algorithm"])
    if kind in _CIPHERS:
        algorithm: Any = _CIPHERS[kind](secret)
    elif kind in _OLD_CIPHERS and accept_weak:
        # DES is 3DES with one key three times.
        algorithm = TripleDES(secret * 3 if len(secret) == _DES_KEY else secret)
    else:
        raise Unreadable(
            "it is encrypted with a cipher that is not taken any more; see the option `accept_weak`"
        )
    vector = bytes(decode(bytes(encrypted["contentEncryptionAlgorithm"]["parameters"]))[0])
    reading = Cipher(algorithm, CBC(vector)).decryptor()
    padded = reading.update(bytes(encrypted["encryptedContent"])) + reading.finalize()
    unpadding = PKCS7(algorithm.block_size).unpadder()
    return unpadding.update(padded) + unpadding.finalize()


def _opened(answer: bytes) -> tuple[Any, Any]:
    message, _ = decode(answer, asn1Spec=rfc5652.ContentInfo())
    data, _ = decode(bytes(message["content"]), asn1Spec=rfc5652.SignedData())
    return data, data["signerInfos"][0]


def _text(said: dict[str, bytes], oid: univ.ObjectIdentifier) -> str:
    return str(decode(said[str(oid)])[0])


def _verify(
    signer: Any,
    said: dict[str, bytes],
    content: bytes,
    *,
    ca: tuple[x509.Certificate, ...],
    known: Mapping[str, hashes.HashAlgorithm],
) -> None:
    algorithm = known.get(str(signer["digestAlgorithm"]["algorithm"]))
    if algorithm is None:
        raise Unreadable(
            "it is signed with a digest that is not taken any more; see the option `accept_weak`"
        )
    digest = hashes.Hash(algorithm)
    digest.update(content)
    if bytes(decode(said[str(_DIGEST)])[0]) != digest.finalize():
        raise Unreadable("its content is not what was signed")
    for each in ca:
        key = each.public_key()
        try:
            if isinstance(key, rsa.RSAPublicKey):
                key.verify(bytes(signer["signature"]), _to_be_signed(signer), padding.PKCS1v15(), algorithm)
                return
        except InvalidSignature:
            continue
    raise Unreadable("it is not signed by the CA")


def _require_answer(said: dict[str, bytes], question: Question) -> None:
    if _text(said, rfc8894.id_messageType) != MessageType.CERT_REP:
        raise Unreadable("it is no answer")
    is_ours = _text(said, rfc8894.id_transactionID) == question.transaction
    if not is_ours or bytes(decode(said[str(rfc8894.id_recipientNonce)])[0]) != question.nonce:
        raise Unreadable("it answers something else")
