"""A time of day as a clock on the wall shows it: which zone it is meant in is said beside it."""

import re
from datetime import time
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?$"
"""Hours and minutes, and seconds where they are wanted; `time` of JSON Schema needs an offset (RFC 3339 §5.6)."""


def _without_offset(value: Any) -> Any:
    if isinstance(value, time) and value.tzinfo is None:
        return value
    if isinstance(value, str) and re.fullmatch(PATTERN, value):
        return value
    raise ValueError("It is not a time of day like 22:00 or 22:00:30, without an offset.")


LocalTime = Annotated[
    time, BeforeValidator(_without_offset), WithJsonSchema({"type": "string", "pattern": PATTERN})
]
