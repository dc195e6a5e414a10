r"""An entry of the audit trail as a SIEM reads it: RFC 5424 structured data, CEF version 0, or OCSF 1.8.0.

CEF as in ArcSight's "Implementing CEF": `\` and `|` are escaped in the header, `\`, `=` and line ends in the extension.
OCSF as class Entity Management (3004), https://schema.ocsf.io/1.8.0/classes/entity_management.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

VERSION = "1"
"""Of what our entries say, and not of the program: rules of a SIEM go by it."""
MOST = 8192
"""Octets of a message that receivers should take (RFC 5425 §4.3.1)."""
ENTERPRISE = 32473
"""The number for documentation (RFC 5612), in the name of the structured data."""
_NOTICE, _INFORMATIONAL = 5, 6
_BOM = b"\xef\xbb\xbf"
_MOST_VALUE = 500
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_OCSF_CLASS, _OCSF_OTHER = 3004, 99
_OCSF_ACTIVITIES = {"created": 1, "changed": 3, "edited": 3, "deleted": 4}
_PARAMETERS = {
    "number": "number",
    "source": "source",
    "actor": "actor_id",
    "actorName": "actor_name",
    "onBehalfOf": "on_behalf_of",
    "object": "object_id",
    "objectName": "object_name",
    "lineage": "lineage_id",
    "reason": "reason",
    "approval": "approval_id",
    "operation": "operation",
    "address": "address",
    "trace": "trace_id",
    "previous": "previous",
}


class Format(StrEnum):
    """How an entry is written down."""

    SYSLOG = "syslog"
    """Structured data of RFC 5424, and a line for people."""
    CEF = "cef"
    OCSF = "ocsf"


def message(line: str, *, form: Format, host: str, facility: int) -> bytes:
    """Return an entry as a syslog message; `line` is as the trail has it."""
    entry: Mapping[str, Any] = json.loads(line)
    at = datetime.fromisoformat(entry["at"]).astimezone(UTC)
    severity = _NOTICE if entry["action"].endswith(".deleted") else _INFORMATIONAL
    head = " ".join(
        [
            f"<{facility * 8 + severity}>1",
            f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
            _UNPRINTABLE.sub("", host)[:255] or "-",
            "everleaf",
            "-",
            _UNPRINTABLE.sub("", entry["action"])[:32],
        ]
    )
    if form is not Format.SYSLOG:
        body = cef(entry) if form is Format.CEF else json.dumps(ocsf(entry), separators=(",", ":"))
        return _cut(f"{head} - {body}".encode())
    data = " ".join(f'{name}="{_escaped(value)}"' for name, value in _parameters(entry))
    return _cut(f"{head} [audit@{ENTERPRISE} {data}] ".encode() + _BOM + _sentence(entry).encode())


def framed(content: bytes) -> bytes:
    """Return a message as it goes over the stream: its length in front (RFC 5425 §4.3)."""
    return b"%d %b" % (len(content), content)


def cef(entry: Mapping[str, Any]) -> str:
    """Return an entry as a CEF event."""
    fields = ("Everleaf", "Everleaf", VERSION, entry["action"], _sentence(entry), "3")
    extension = " ".join(f"{name}={_cef_value(value)}" for name, value in _cef_extension(entry))
    return "|".join(["CEF:0", *map(_cef_field, fields), extension])


def ocsf(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as an OCSF event."""
    activity = _OCSF_ACTIVITIES.get(entry["action"].rsplit(".", 1)[-1], _OCSF_OTHER)
    event: dict[str, Any] = {
        "category_uid": 3,
        "class_uid": _OCSF_CLASS,
        "activity_id": activity,
        "activity_name": entry["action"],
        "type_uid": _OCSF_CLASS * 100 + activity,
        "time": _milliseconds(entry),
        "severity_id": 1,
        "status_id": 1,
        "message": _sentence(entry),
        "comment": entry["reason"],
        "metadata": {
            "version": "1.8.0",
            "uid": entry["id"],
            "sequence": entry["number"],
            "correlation_uid": entry["trace_id"],
            "product": {"name": "Everleaf", "vendor_name": "Everleaf", "version": VERSION},
        },
        "actor": {"user": {"uid": entry["actor_id"], "name": entry["actor_name"]}},
        "entity": {"type": entry["object_kind"], "uid": entry["object_id"], "name": entry["object_name"]},
        "src_endpoint": {"ip": entry["address"]} if entry["address"] else None,
        "unmapped": {name: entry[name] for name in ("source", "operation", "approval_id", "before", "after")},
    }
    return {name: value for name, value in event.items() if value is not None}


def _sentence(entry: Mapping[str, Any]) -> str:
    name = entry["object_name"] or entry["object_id"]
    return f"{entry['action']}: {name}, by {entry['actor_name']}"


def _parameters(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, field in _PARAMETERS.items():
        if entry.get(field) is not None:
            yield name, str(entry[field])[:_MOST_VALUE]


def _cef_extension(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "rt", str(_milliseconds(entry))
    known = {
        "externalId": entry["id"],
        "act": entry["action"],
        "suid": entry["actor_id"],
        "suser": entry["actor_name"],
        "src": entry["address"],
        "requestClientApplication": entry["agent"],
        "request": entry["operation"],
        "reason": entry["reason"],
        "cs1": entry["object_id"],
        "cs2": entry["trace_id"],
        "cs3": entry["source"],
        "cn1": entry["number"],
    }
    yield from ((name, str(value)) for name, value in known.items() if value is not None)
    labels = {"cs1": "object", "cs2": "trace", "cs3": "service", "cn1": "number"}
    yield from ((f"{name}Label", label) for name, label in labels.items())


def _milliseconds(entry: Mapping[str, Any]) -> int:
    return int(datetime.fromisoformat(entry["at"]).timestamp() * 1000)


def _cut(content: bytes) -> bytes:
    return content[:MOST].decode(errors="ignore").encode()


def _escaped(value: str) -> str:
    """Escape what ends a value (RFC 5424 §6.3.3)."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _cef_field(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _cef_value(text: str) -> str:
    return text[:_MOST_VALUE].replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "")
