"""Signed requests as Standard Webhooks has them (https://www.standardwebhooks.com): the secret, and the headers."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import SecretStr

from shared.errors import Unauthenticated

TOLERANCE = timedelta(minutes=5)
"""How far a message's time may be from ours: an older one may be a replay."""
LONGEST_ID = 255
_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)


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


def signed(content: bytes, *, message_id: str, key: bytes, now: datetime) -> dict[str, str]:
    """Return the headers that sign a message: HMAC-SHA256 over `id.timestamp.body`."""
    timestamp = str(int(now.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": _signature(content, message_id=message_id, timestamp=timestamp, key=key),
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


def _signature(content: bytes, *, message_id: str, timestamp: str, key: bytes) -> str:
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + content, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"
