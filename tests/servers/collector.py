"""An HTTP collector of a SIEM, in memory, that takes events of OCSF 1.8.0 as its schema has them, and CEF as lines.

Written from "HTTP Event Collector" (`/services/collector/raw`, `Authorization: Splunk …`, 200 with `{"text": "Success", "code": 0}`)
of Splunk's documentation, the class `compliance_finding` of https://schema.ocsf.io/1.8.0, and ArcSight's "Implementing CEF".
"""

import json
import re
import ssl
from dataclasses import dataclass, field
from typing import Any

from tests.servers.api import Api, Asked, Told

CREDENTIAL = "Splunk 11111111-2222-3333-4444-555555555555"
PATH = "/services/collector/raw"
_REQUIRED = (
    "activity_id", "category_uid", "class_uid", "compliance", "finding_info", "metadata", "severity_id",
    "time", "type_uid",
)  # fmt: skip
_CEF = re.compile(r"CEF:0\|(?:(?:[^|\\]|\\[|\\])*\|){5}(?:10|[0-9])\|(?:[a-zA-Z0-9]+=.*)")


@dataclass
class Collector:
    """One collector."""

    context: ssl.SSLContext
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)

    def _answer(self, asked: Asked) -> Told:
        if asked.path != PATH:
            return Told(status=404, document={"text": "The requested URL was not found", "code": 404})
        if asked.headers.get("authorization") != CREDENTIAL:
            return Told(status=403, document={"text": "Invalid token", "code": 4})
        text = asked.body.decode()
        if text.startswith("CEF:"):
            if not _CEF.fullmatch(text):
                return Told(status=400, document={"text": "Invalid data format", "code": 6})
            self.lines.append(text)
        else:
            event = json.loads(text)
            if wrong := wrong_in(event):
                return Told(status=400, document={"text": wrong, "code": 6})
            self.events.append(event)
        return Told(document={"text": "Success", "code": 0})


def wrong_in(event: dict[str, Any]) -> str | None:
    """Return what the schema does not allow in an event."""
    missing = [name for name in _REQUIRED if event.get(name) is None]
    if missing:
        return f"missing: {', '.join(missing)}"
    if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
        return "type_uid is not class_uid * 100 + activity_id"
    if not {"uid", "title"} <= event["finding_info"].keys():
        return "finding_info has no uid or title"
    if not {"version", "product"} <= event["metadata"].keys():
        return "metadata has no version or product"
    times = (event["time"], event["finding_info"]["created_time"])
    return (
        None if all(isinstance(each, int) and each > 10**12 for each in times) else "times are milliseconds"
    )
