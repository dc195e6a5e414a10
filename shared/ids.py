"""Identifiers: UUIDs of version 7 (RFC 9562 §5.7), so that newer rows sort after older ones."""

import os
import time
import uuid


def new_id() -> str:
    """Return a fresh UUIDv7 as 36 lower-case characters."""
    milliseconds = time.time_ns() // 1_000_000
    value = int.from_bytes(milliseconds.to_bytes(6, "big") + os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))
