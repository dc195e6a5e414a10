"""Microsoft Teams, by the webhook of a workflow: an Adaptive Card in a chat or channel.

"Create incoming webhooks with Workflows for Microsoft Teams" (Microsoft Learn): a POST of a message with one card in its
attachments, answered by 202. Cards of the connectors of Office 365, which are retired, are not sent. Teams keeps no
identity of a message: a repeated notice has the same id in its card.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import Field

from services.notifier.connectors import Delivered, Gathered, Network, Part, Progress, Sent
from services.notifier.connectors.addresses import SecretUrl
from services.notifier.connectors.trust import trusting
from services.notifier.connectors.web import Api, fitted, outcome
from services.notifier.connectors.words import short
from services.notifier.domain.notices import Notice, Turn
from shared.events.notifier import Severity

_MOST = 24_000
"""Bytes of the card: Teams takes 28 KB of a message."""
_MOST_TITLE = 300
_COLOURS = {
    Severity.INFO: "accent",
    Severity.WARNING: "warning",
    Severity.ERROR: "attention",
    Severity.CRITICAL: "attention",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>~-])")


class Options(Gathered):
    """Whom to trust there; the address itself is a secret."""

    per_minute: int | None = Field(60, ge=1, le=60_000)
    """At most so many messages in a minute: workflows are throttled."""
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class Secrets(Part):
    """The address of the workflow: who knows it may post."""

    url: SecretUrl


class Teams:
    """A chat or channel in Teams."""

    kind: ClassVar[str] = "teams"
    summary: ClassVar[str] = "An Adaptive Card in Microsoft Teams (webhook of a workflow)."
    options_type: ClassVar[type[Part]] = Options
    secrets_type: ClassVar[type[Part]] = Secrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset()  # the secret is where it goes

    def __init__(self, *, url: str, api: Api) -> None:
        self._url = url
        self._api = api

    @classmethod
    def open(cls, options: Options, *, secrets: Secrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where the CA is not PEM."""
        tls = trusting(options.ca_pem, otherwise=network.tls)
        api = Api(name="Teams", network=network, tls=tls, headers={"Content-Type": "application/json"})
        return cls(url=secrets.url.get_secret_value(), api=api)

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Post the card."""
        return await outcome(self._send(notice, now=now), progress=progress)

    async def _send(self, notice: Notice, *, now: datetime) -> Delivered:
        content = json.dumps(message(notice), separators=(",", ":")).encode()
        answer = await self._api.ask("POST", self._url, now=now, content=content)
        return Delivered(answer=f"HTTP {answer.status}")


def message(notice: Notice) -> dict[str, Any]:
    """Return the message with its one card."""
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": _card(notice),
    }
    return {"type": "message", "attachments": [attachment]}


def _card(notice: Notice) -> dict[str, Any]:
    colour = "good" if notice.turn is Turn.RESOLVED else _COLOURS[notice.severity]
    title = {
        "type": "TextBlock",
        "text": _escaped(short(notice, most=_MOST_TITLE)),
        "size": "large",
        "weight": "bolder",
        "wrap": True,
        "color": colour,
    }
    # The longest facts are cut first, so that the card is never refused for its length.
    facts = json.loads(fitted({"facts": list(_facts(notice))}, most=_MOST, lists=("facts",)))["facts"]
    actions = [{"type": "Action.OpenUrl", "title": "Open it in Everleaf", "url": notice.link}]
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "id": notice.id,
        "fallbackText": short(notice, most=_MOST_TITLE),
        "msteams": {"width": "Full"},
        "body": [title, {"type": "FactSet", "facts": facts}],
        "actions": actions if notice.link else [],
    }


def _facts(notice: Notice) -> Iterator[dict[str, str]]:
    for fact in notice.facts():
        yield {"title": fact.label, "value": "\n\n".join(map(_escaped, fact.texts[:20]))[:2000]}


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)
