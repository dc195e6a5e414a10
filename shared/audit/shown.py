"""How values are shown in the audit trail: no secret, nothing endless, and all of it JSON."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from pydantic_core import to_jsonable_python

HIDDEN = "(secret)"
MOST = 4_000
"""Characters of one value; of a longer one its digest is kept."""


def shown(value: Any) -> Any:
    """Return a value as the trail shows it."""
    if isinstance(value, bytes):
        return f"sha256:{sha256(value).hexdigest()}" if value else ""
    plain = to_jsonable_python(value, bytes_mode="hex", fallback=str)
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    if len(text) <= MOST:
        return plain
    return f"({len(text)} characters, sha256:{sha256(text.encode()).hexdigest()})"


def document(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return many values as the trail shows them."""
    return {name: shown(value) for name, value in values.items()}
