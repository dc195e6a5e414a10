"""PagerDuty and Opsgenie, in memory: what gets people out of bed.

Written from "Events API v2" (`POST /v2/enqueue`: required members, lengths, severities; 202, 400 with `errors`) of PagerDuty's
developer documentation, and "Alert API" (`POST /v2/alerts`, `…/close`, `…/acknowledge`, `PUT …/priority`, `identifierType`; 202
with a `requestId`, 422 with `message`) of Opsgenie's.
"""

import ssl
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.servers.api import Api, Asked, Told

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
API_KEY = "eb243592-faa2-4ba2-a551-1afdf565c889"


@dataclass
class PagerDuty:
    """One service with one integration; `incidents` by `dedup_key`."""

    context: ssl.SSLContext
    events: list[dict[str, Any]] = field(default_factory=list)
    incidents: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)

    def _answer(self, asked: Asked) -> Told:
        if (asked.method, asked.path) != ("POST", "/v2/enqueue"):
            return Told(status=404, document={"error": "not found"})
        event = asked.json
        if wrong := _wrong(event):
            document = {"status": "invalid event", "message": "Event object is invalid", "errors": wrong}
            return Told(status=400, document=document)
        key, action = event["dedup_key"], event["event_action"]
        self.events.append(event)
        state = {"trigger": "triggered", "acknowledge": "acknowledged", "resolve": "resolved"}[action]
        if action == "trigger" or self.incidents.get(key) in ("triggered", "acknowledged"):
            self.incidents[key] = state
        document = {"status": "success", "message": "Event processed", "dedup_key": key}
        return Told(status=202, document=document)


def _wrong(event: dict[str, Any]) -> list[str]:
    wrong = []
    if event.get("routing_key") != ROUTING_KEY:
        wrong.append("'routing_key' is invalid")
    if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        wrong.append("'event_action' is invalid")
    if not 0 < len(event.get("dedup_key", "")) <= 255:
        wrong.append("'dedup_key' is invalid")
    if event.get("event_action") == "trigger":
        payload = event.get("payload", {})
        if not 0 < len(payload.get("summary", "")) <= 1024:
            wrong.append("'payload.summary' is invalid")
        if not payload.get("source"):
            wrong.append("'payload.source' is missing or blank")
        if payload.get("severity") not in ("critical", "error", "warning", "info"):
            wrong.append("'payload.severity' is invalid")
        datetime.fromisoformat(payload["timestamp"])
    return wrong


@dataclass(kw_only=True)
class Alert:
    """An alert of Opsgenie's."""

    values: dict[str, Any]
    status: str = "open"
    is_acknowledged: bool = False
    count: int = 1


@dataclass
class Opsgenie:
    """One account with one API integration; `alerts` by alias."""

    context: ssl.SSLContext
    alerts: dict[str, Alert] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """What was asked, of which alias, in which words."""

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)

    def _answer(self, asked: Asked) -> Told:
        if asked.headers.get("authorization") != f"GenieKey {API_KEY}":
            return Told(status=401, document={"message": "Could not authenticate"})
        match asked.method, asked.path.removeprefix("/v2/alerts").strip("/").split("/"):
            case "POST", [""]:
                return self._create(asked.json)
            case _, [alias, what] if asked.query == {"identifierType": "alias"}:
                return self._on(alias, what, asked.json)
        return Told(status=404, document={"message": "No such resource"})

    def _create(self, values: dict[str, Any]) -> Told:
        if not 0 < len(values.get("message", "")) <= 130:
            return Told(status=422, document={"message": "Request body is not processable: message"})
        if values["priority"] not in ("P1", "P2", "P3", "P4", "P5"):
            return Told(status=422, document={"message": "Request body is not processable: priority"})
        alias = values["alias"]
        known = self.alerts.get(alias)
        if known is not None and known.status == "open":
            known.count += 1
        else:
            self.alerts[alias] = Alert(values=values)
        return self._taken("create", alias, f"{values['message']}\n{values['description']}")

    def _on(self, alias: str, what: str, values: dict[str, Any]) -> Told:
        alert = self.alerts.get(alias)
        if alert is not None:  # the request is taken all the same: what comes of it is told elsewhere
            match what:
                case "close":
                    alert.status = "closed"
                case "acknowledge":
                    alert.is_acknowledged = True
                case "priority":
                    alert.values["priority"] = values["priority"]
        return self._taken(what, alias, values.get("note", ""))

    def _taken(self, what: str, alias: str, words: str) -> Told:
        self.requests.append((what, alias, words))
        document = {"result": "Request will be processed", "took": 0.1, "requestId": str(len(self.requests))}
        return Told(status=202, document=document)
