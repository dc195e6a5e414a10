"""The chain: each entry is a line of JSON that holds its number and the SHA-256 of the line before."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

BEGINNING = "0" * 64
"""What the first entry follows."""


def line_of(document: Mapping[str, Any], *, number: int, previous: str) -> str:
    """Return an entry as it is kept, exported and hashed: these very characters, in UTF-8."""
    whole = {"number": number, "previous": previous, **document}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False)


def digest_of(line: str | bytes) -> str:
    """Return what the next entry refers to this one by."""
    return sha256(line.encode() if isinstance(line, str) else line).hexdigest()
