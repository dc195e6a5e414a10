"""The frame of the document, written piece by piece."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

MEDIA_TYPE = "application/vnd.cyclonedx+json"
Component = Mapping[str, Any]


class Spec(StrEnum):
    """The versions of CycloneDX that are written."""

    V1_6 = "1.6"
    V1_7 = "1.7"


def head(*, spec: Spec, serial: str, at: datetime, query: str) -> str:
    """Return the document up to its first component. `serial` is a UUID, `query` says what was asked for."""
    properties = [
        {"name": "everleaf:query", "value": query},
        {"name": "everleaf:fingerprint", "value": "SHA-256 of the whole DER, its signature included"},
    ]
    document = {
        "$schema": f"http://cyclonedx.org/schema/bom-{spec}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": spec,
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": instant(at),
            "tools": {"components": [{"type": "application", "name": "everleaf"}]},
            "properties": properties,
        },
    }
    return written(document)[:-1] + ',"components":['


def next_list() -> str:
    """Return what stands between the components and what depends on what."""
    return '],"dependencies":['


def end() -> str:
    """Return the end of the document."""
    return "]}"


def joined(parts: Iterable[Component], *, is_first: bool) -> Iterator[str]:
    """Write parts of a list; whether they are the first of it decides about the comma before them."""
    for part in parts:
        yield written(part) if is_first else "," + written(part)
        is_first = False


def written(value: Any) -> str:
    """Write JSON without a space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def instant(at: datetime) -> str:
    """Write an instant in UTC (RFC 3339)."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")
