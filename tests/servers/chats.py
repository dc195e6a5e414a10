"""Slack and Microsoft Teams, in memory: they take what the real ones would, and keep it.

Written from "Sending messages using incoming webhooks", "chat.postMessage", "chat.update", "Message metadata" and "Block Kit"
(lengths) of Slack's documentation, and "Create incoming webhooks with Workflows" and the schema of Adaptive Cards of Microsoft's.
"""

import json
import ssl
from dataclasses import dataclass, field
from typing import Any

from tests.servers.api import Api, Asked, Told

TOKEN = "xoxb-a-test"
CHANNEL = "C012AB3CD"
HOOK = "/services/T0001/B0001/secret"
WORKFLOW = "/workflows/secret/triggers/manual/paths/invoke"
_LONGEST = {"header": 150, "section": 3000}


@dataclass
class Slack:
    """A workspace with one channel, an incoming webhook and an app in it."""

    context: ssl.SSLContext
    posted: list[dict[str, Any]] = field(default_factory=list)
    """Messages, with `ts` where an app has posted them."""
    updated: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)

    def _answer(self, asked: Asked) -> Told:
        if asked.path == HOOK:
            if not _is_message(asked.json):
                return Told(status=400, body=b"invalid_blocks")
            self.posted.append(asked.json)
            return Told(body=b"ok", headers={"Content-Type": "text/html"})
        return Told(document=self._call(asked.path.removeprefix("/api/"), asked))

    def _call(self, method: str, asked: Asked) -> dict[str, Any]:
        document = asked.json
        if asked.bearer != TOKEN:
            return {"ok": False, "error": "invalid_auth"}
        if document.get("channel") != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        if not _is_message(document) or not _is_metadata(document.get("metadata")):
            return {"ok": False, "error": "invalid_blocks"}
        if method == "chat.update":
            return self._update(document)
        if method != "chat.postMessage":
            return {"ok": False, "error": "unknown_method"}
        ts = f"1503435956.{len(self.posted):06}"
        self.posted.append({**document, "ts": ts})
        return {"ok": True, "channel": CHANNEL, "ts": ts}

    def _update(self, document: dict[str, Any]) -> dict[str, Any]:
        if document["ts"] not in [each["ts"] for each in self.posted]:
            return {"ok": False, "error": "message_not_found"}
        self.updated.append(document)
        return {"ok": True, "channel": CHANNEL, "ts": document["ts"]}


def _is_message(document: dict[str, Any]) -> bool:
    blocks = document.get("blocks", [])
    texts = [(each["type"], each["text"]["text"]) for each in blocks if "text" in each]
    fits = all(0 < len(text) <= _LONGEST[kind] for kind, text in texts)
    return bool(document.get("text")) and 0 < len(blocks) <= 50 and fits


def _is_metadata(metadata: Any) -> bool:
    payload = metadata["event_payload"]
    return set(metadata) == {"event_type", "event_payload"} and all(
        isinstance(each, str) for each in payload.values()
    )


@dataclass
class Teams:
    """A workflow that posts to a chat."""

    context: ssl.SSLContext
    cards: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = Api(self._answer, context=self.context)

    def _answer(self, asked: Asked) -> Told:
        if asked.path != WORKFLOW:
            return Told(
                status=404, document={"error": {"code": "WorkflowNotFound", "message": "no such workflow"}}
            )
        document = asked.json
        attachments = document.get("attachments", [])
        kinds = [each.get("contentType") for each in attachments]
        if document.get("type") != "message" or kinds != ["application/vnd.microsoft.card.adaptive"]:
            return Told(status=400, document={"error": {"code": "InvalidRequest", "message": "no card"}})
        card = attachments[0]["content"]
        if card["type"] != "AdaptiveCard" or len(json.dumps(document)) > 28 * 1024:
            return Told(
                status=413, document={"error": {"code": "RequestEntityTooLarge", "message": "too large"}}
            )
        self.cards.append(card)
        return Told(status=202, body=b"")
