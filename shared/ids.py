"""Identifiers: UUIDs of version 7 (RFC 9562 §5.7), so that newer rows sort after older ones."""

import os
import time

_MILLISECOND = 1_000_000
_VARIANTS = {digit: "89ab"[at % 4] for at, digit in enumerate("0123456789abcdef")}
"""Hexadecimal digits that begin with the bits 10, by one that was drawn: that is the variant (§4.1), and two bits of chance."""


def new_id() -> str:
    """Return a fresh UUIDv7 as 36 lower-case characters.

    Twelve bits tell the quarter of a microsecond (§6.2, method 3): many rows that are made at once sort as they were made.
    """
    milliseconds, rest = divmod(time.time_ns(), _MILLISECOND)
    at = f"{milliseconds:012x}"
    fraction = f"{(rest << 12) // _MILLISECOND:03x}"
    chance = os.urandom(8).hex()
    return f"{at[:8]}-{at[8:]}-7{fraction}-{_VARIANTS[chance[15]]}{chance[:3]}-{chance[3:15]}"
