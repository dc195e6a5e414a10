"""Identifiers: UUIDs of version 7 (RFC 9562 §5.7), so that newer rows sort after older ones."""

import os
import time

_VARIANTS = {digit: "89ab"[at % 4] for at, digit in enumerate("0123456789abcdef")}
"""Hexadecimal digits that begin with the bits 10, by one that was drawn: that is the variant (§4.1), and two bits of chance."""


def new_id() -> str:
    """Return a fresh UUIDv7 as 36 lower-case characters."""
    at = f"{time.time_ns() // 1_000_000:012x}"
    chance = os.urandom(10).hex()
    variant = _VARIANTS[chance[18]]
    return f"{at[:8]}-{at[8:]}-7{chance[:3]}-{variant}{chance[3:6]}-{chance[6:18]}"
