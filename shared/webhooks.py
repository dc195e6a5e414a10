"""Signed requests as Standard Webhooks has them (https://www.standardwebhooks.com): the secret, and the headers."""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from shared.errors import Unauthenticated

TOLERANCE = timedelta(minutes=5)
"""How far a message's time may be from ours: an older one may be a replay."""
LONGEST_ID = 255
_PREFIX = "whsec_"
_PRIVATE = "whsk_"
_SECRET_BYTES = range(24, 65)
_SEED_BYTES = (32, 64)
"""An Ed25519 key: its seed (RFC 8032 §5.1.5), or the seed and the public key after it, as some libraries write it."""

Signer = bytes | Ed25519PrivateKey
"""What signs: a secret that the receiver has too (`v1`), or a key whose public half it has (`v1a`)."""


def key_of(secret: SecretStr) -> bytes:
    """Return the bytes of a signing secret, `whsec_` and 24 to 64 bytes in base64. Raises `ValueError`."""
    text = secret.get_secret_value()
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(_PREFIX) or len(key) not in _SECRET_BYTES:
        msg = "write whsec_ and 24 to 64 random bytes in base64, as of `openssl rand -base64 32`"
        raise ValueError(msg)
    return key


def signer_of(secret: SecretStr) -> Signer:
    """Return what a secret signs with: `whsec_` as for `key_of`, or `whsk_` and an Ed25519 key. Raises `ValueError`."""
    text = secret.get_secret_value()
    if not text.startswith(_PRIVATE):
        return key_of(secret)
    try:
        key = base64.b64decode(text.removeprefix(_PRIVATE), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in _SEED_BYTES:
        msg = "write whsk_ and the 32 bytes of an Ed25519 key in base64, as of `openssl rand -base64 32`"
        raise ValueError(msg)
    return Ed25519PrivateKey.from_private_bytes(key[:32])


def signed(
    content: bytes, *, message_id: str, key: Signer, now: datetime, also: Sequence[Signer] = ()
) -> dict[str, str]:
    """Return the headers that sign a message: over `id.timestamp.body`, with each key.

    Who changes a key signs with the old one too, until every receiver has the new.
    """
    timestamp = str(int(now.timestamp()))
    told = {"message_id": message_id, "timestamp": timestamp}
    signatures = [_signature(content, **told, key=each) for each in (key, *also)]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def verified(content: bytes, headers: Mapping[str, str], *, key: bytes, now: datetime) -> str:
    """Return the id of a message that is signed with this key, and of now. Raises `Unauthenticated`.

    A sender that changes its key signs with both: one good `v1` signature of several is enough.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    expected = _signature(content, message_id=message_id, timestamp=timestamp, key=key)
    given = headers.get("webhook-signature", "").split(" ")
    is_signed = any(hmac.compare_digest(expected.encode(), each.encode()) for each in given)
    if not is_signed or not 0 < len(message_id) <= LONGEST_ID:
        raise Unauthenticated(
            "The message is not signed with the secret of this hook.",
            next_step="Sign `webhook-id.webhook-timestamp.body` with it, as Standard Webhooks has it.",
        )
    _check_time(timestamp, now=now)
    return message_id


def _check_time(timestamp: str, *, now: datetime) -> None:
    seconds = int(timestamp) if timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12 else 0  # noqa: PLR2004 - no clock shows more
    if abs(now.timestamp() - seconds) > TOLERANCE.total_seconds():
        raise Unauthenticated(
            "The message is not of now.",
            next_step="Send it within five minutes of `webhook-timestamp`, and compare the clocks.",
        )


def _signature(content: bytes, *, message_id: str, timestamp: str, key: Signer) -> str:
    message = f"{message_id}.{timestamp}.".encode() + content
    if isinstance(key, bytes):
        return f"v1,{base64.b64encode(hmac.digest(key, message, 'sha256')).decode()}"
    return f"v1a,{base64.b64encode(key.sign(message)).decode()}"
