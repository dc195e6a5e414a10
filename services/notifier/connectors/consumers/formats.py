"""An entry of the audit trail as a SIEM reads it: RFC 5424 structured data, CEF version 0, or OCSF 1.8.0.

OCSF as class Entity Management (3004), https://schema.ocsf.io/1.8.0/classes/entity_management.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from services.notifier.connectors.siem import Format, rfc5424
from services.notifier.connectors.siem.cef import event as cef_event
from services.notifier.connectors.snmp.mib import DOCUMENTATION

VERSION = "1"
"""Of what our entries say, and not of the program: rules of a SIEM go by it."""
_NOTICE, _INFORMATIONAL = 5, 6
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


def message(line: str, *, form: Format, host: str, facility: int) -> bytes:
    """Return an entry as a syslog message; `line` is as the trail has it."""
    entry: Mapping[str, Any] = json.loads(line)
    at = datetime.fromisoformat(entry["at"])
    severity = _NOTICE if entry["action"].endswith(".deleted") else _INFORMATIONAL
    priority = facility * 8 + severity
    start = rfc5424.head(priority, at=at, host=host, kind=entry["action"])
    if form is not Format.SYSLOG:
        body = cef(entry) if form is Format.CEF else json.dumps(ocsf(entry), separators=(",", ":"))
        return rfc5424.cut(f"{start} - {body}".encode())
    return rfc5424.telling(start, f"audit@{DOCUMENTATION}", _parameters(entry), text=_sentence(entry))


def cef(entry: Mapping[str, Any]) -> str:
    """Return an entry as a CEF event."""
    extension = _cef_extension(entry)
    return cef_event(VERSION, entry["action"], _sentence(entry), severity=3, extension=extension)


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
            yield name, str(entry[field])


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
