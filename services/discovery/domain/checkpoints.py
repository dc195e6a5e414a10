"""What a log says its tree is: a checkpoint, and whether the log has signed it (c2sp.org/static-ct-api)."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from services.discovery.domain.merkle import HASH_SIZE
from shared.errors import Fault, Invalid, Refused

MOST_ENTRIES = 2**40
"""An entry's number is 40 bits wide (c2sp.org/static-ct-api, "SCT Extension")."""
MOST_ORIGIN = 500
_MARK = "\u2014 "
"""Begins a signature line of a signed note (c2sp.org/signed-note)."""
_TREE_HEAD = b"\x05"
"""The type of a note signature that is an RFC 6962 tree head's."""
_KEY_ID_SIZE = 4
_LINES = 3
_SIZE_DIGITS = 13
_SHA256 = 4
_SIGNATURES = {"ecdsa": 3, "rsa": 1}
"""`SignatureAlgorithm` (RFC 5246 §7.4.1.4.1), as RFC 6962 §2.1.4 has it."""

LogKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class LogWrong(Refused):
    """A log shows what cannot be right: nothing of it is taken over."""

    title = "The log shows what cannot be right"
    slug = "log-wrong"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, next_step="Check the log's address and key; it is asked again in a while.")


class LogForked(LogWrong):
    """A log shows a tree that contradicts the one it has shown before: it misbehaves, or was replaced."""

    title = "The log contradicts itself"
    slug = "log-forked"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The size and root hash of a log's tree."""

    origin: str
    size: int
    root: bytes
    note: str
    """The checkpoint as it was served: where it contradicts another one, the proof of it."""
    signed_at: datetime | None = None
    """When the log signed it; None where its key is not known."""


def read_checkpoint(body: bytes, *, key: LogKey | None) -> Checkpoint:
    """Parse a checkpoint and, where the log's key is known, verify it. Raises `LogWrong`."""
    note = _text(body)
    text, blank, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    if not blank or len(lines) != _LINES or not 0 < len(lines[0]) <= MOST_ORIGIN:
        raise LogWrong("The checkpoint is not a signed note of three lines.")
    checkpoint = Checkpoint(origin=lines[0], size=_size(lines[1]), root=_root(lines[2]), note=note)
    if key is None:
        return checkpoint
    return _verified(checkpoint, signatures, key)


def _text(body: bytes) -> str:
    """Decode a note: no control characters but the newline (c2sp.org/signed-note, "Format")."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise LogWrong("The checkpoint is not text.") from error
    if any(character < " " and character != "\n" for character in text):
        raise LogWrong("The checkpoint holds control characters.")
    return text


def _size(line: str) -> int:
    is_number = line.isascii() and line.isdigit() and len(line) <= _SIZE_DIGITS and str(int(line)) == line
    if not is_number or int(line) > MOST_ENTRIES:
        raise LogWrong("The checkpoint's tree size is not a number that a log can have.")
    return int(line)


def _root(line: str) -> bytes:
    root = _decoded(line)
    if root is None or len(root) != HASH_SIZE:
        raise LogWrong("The checkpoint's root is not a SHA-256 hash in base64.")
    return root


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _verified(checkpoint: Checkpoint, signatures: str, key: LogKey) -> Checkpoint:
    """Return it with the time of the first signature that is the log's and good. Raises `LogWrong`."""
    prefix = key_id(checkpoint.origin, key=key)
    for line in signatures.split("\n"):
        name, _, encoded = line.removeprefix(_MARK).rpartition(" ")
        signature = _decoded(encoded)
        is_ours = line.startswith(_MARK) and name == checkpoint.origin
        if is_ours and signature is not None and signature.startswith(prefix):
            return _signed(checkpoint, signature[_KEY_ID_SIZE:], key)
    raise LogWrong("The checkpoint is not signed with the log's key.")


def _signed(checkpoint: Checkpoint, signature: bytes, key: LogKey) -> Checkpoint:
    """Hold an `RFC6962NoteSignature` against the key: a timestamp, and a `digitally-signed` of TLS 1.2."""
    timestamp, algorithm, length, value = signature[:8], signature[8:10], signature[10:12], signature[12:]
    kind = "rsa" if isinstance(key, rsa.RSAPublicKey) else "ecdsa"
    if algorithm != bytes([_SHA256, _SIGNATURES[kind]]) or int.from_bytes(length) != len(value):
        raise LogWrong("The checkpoint's signature is not one of RFC 6962.")
    try:
        _verify(key, value, tree_head(checkpoint, timestamp=timestamp))
    except InvalidSignature as error:
        raise LogWrong("The checkpoint's signature is not the log's.") from error
    return Checkpoint(
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root,
        note=checkpoint.note,
        signed_at=_instant(int.from_bytes(timestamp)),
    )


def _instant(milliseconds: int) -> datetime:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise LogWrong("The checkpoint's time is none.") from error


def tree_head(checkpoint: Checkpoint, *, timestamp: bytes) -> bytes:
    """Return the bytes that a log signs: `TreeHeadSignature` (RFC 6962 §3.5); the time is 8 bytes."""
    return b"\x00\x01" + timestamp + checkpoint.size.to_bytes(8) + checkpoint.root


def key_id(name: str, *, key: LogKey) -> bytes:
    """Return the four bytes that name a log's key in a note."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    log_id = sha256(der).digest()
    return sha256(name.encode() + b"\n" + _TREE_HEAD + log_id).digest()[:_KEY_ID_SIZE]


def _verify(key: LogKey, signature: bytes, message: bytes) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    else:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))


def read_log_key(text: str, *, pointer: str) -> LogKey:
    """Read a log's public key, PEM or the base64 of log lists. Raises `Invalid` with the pointer."""
    try:
        if "-----BEGIN" in text:
            key = load_pem_public_key(text.encode())
        else:
            key = load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _not_a_key(pointer) from error
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise _not_a_key(pointer)
    return key


def _not_a_key(pointer: str) -> Invalid:
    message = "not an ECDSA or RSA public key, in PEM or as base64 of its DER"
    return Invalid(
        "The log's public key cannot be read.",
        next_step="Copy the key of the log's entry in a log list.",
        faults=[Fault(pointer=pointer, message=message)],
    )
