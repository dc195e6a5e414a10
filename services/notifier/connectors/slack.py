"""Slack: by an incoming webhook, or as an app that keeps the messages about one alert in one thread.

"Sending messages using incoming webhooks", "chat.postMessage", "chat.update", "Message metadata" and "Rate limits" of
Slack's documentation: about a message a second, 429 with `Retry-After`; methods answer 200 with `ok` and an `error`. Slack
keeps no identity of a message for us: a repeated notice has the same `block_id` and, from the app, the same metadata.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Self

from pydantic import Field, SecretStr

from services.notifier.connectors import (
    Delivered,
    Gathered,
    Later,
    Network,
    Never,
    Part,
    Progress,
    Sent,
)
from services.notifier.connectors.addresses import SecretUrl, Url
from services.notifier.connectors.trust import trusting
from services.notifier.connectors.web import Api, NotTaken, outcome
from services.notifier.connectors.words import short
from services.notifier.domain.notices import Notice, Turn
from services.notifier.domain.text import clean
from services.notifier.domain.tickets import Ticket, TicketState

_MOST_HEADER = 150
_MOST_TEXT = 3000
_MOST_ROWS = 20
_SIGNS = {"critical": "🔴", "error": "🟠", "warning": "🟡", "info": "🔵"}
_ITS_FAULT = ("invalid_blocks", "msg_too_long", "no_text", "invalid_arguments")
"""Errors that another try would get again; most others can be put right there."""
_OF_THE_PAST = ("message_not_found", "thread_not_found", "cant_update_message", "edit_window_closed")
"""What was told first cannot be changed any more: it was deleted, or is too old."""

_PER_MINUTE = 60


class WebhookOptions(Gathered):
    """Whom to trust there; the address itself is a secret."""

    per_minute: int | None = Field(_PER_MINUTE, ge=1, le=60_000)
    """At most so many messages in a minute: Slack takes one a second."""
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class WebhookSecrets(Part):
    """The address of the webhook: who knows it may post."""

    url: SecretUrl


class Slack:
    """A channel in Slack, by an incoming webhook."""

    kind: ClassVar[str] = "slack"
    summary: ClassVar[str] = "A message in Slack (incoming webhook)."
    options_type: ClassVar[type[Part]] = WebhookOptions
    secrets_type: ClassVar[type[Part]] = WebhookSecrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset()  # the secret is where it goes

    def __init__(self, *, url: str, api: Api) -> None:
        self._url = url
        self._api = api

    @classmethod
    def open(cls, options: WebhookOptions, *, secrets: WebhookSecrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where the CA is not PEM."""
        tls = trusting(options.ca_pem, otherwise=network.tls)
        return cls(
            url=secrets.url.get_secret_value(),
            api=Api(name="Slack", network=network, tls=tls, headers={}),
        )

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Post the message."""
        return await outcome(self._send(notice, now=now), progress=progress)

    async def _send(self, notice: Notice, *, now: datetime) -> Delivered:
        answer = await self._api.ask("POST", self._url, now=now, json=message(notice))
        return Delivered(answer=f"HTTP {answer.status}")


class BotOptions(Gathered):
    """Which channel."""

    channel: str = Field(pattern=r"^[A-Z0-9]{5,30}$", examples=["C012AB3CD"])
    """Its id; the app must be a member of it."""
    per_minute: int | None = Field(_PER_MINUTE, ge=1, le=60_000)
    """At most so many messages in a minute: Slack takes one a second."""
    url: Url = "https://slack.com/api"
    ca_pem: str | None = Field(None, max_length=100_000)
    """Trust only these certificate authorities (PEM); by default, those the system trusts."""


class BotSecrets(Part):
    """The token of the app, with the scope `chat:write`."""

    token: SecretStr = Field(min_length=10, max_length=500)


class SlackBot:
    """A channel in Slack that an app posts to: one thread for each alert, whose head says how it stands."""

    kind: ClassVar[str] = "slack-bot"
    summary: ClassVar[str] = "A thread in Slack for each alert (an app's token)."
    options_type: ClassVar[type[Part]] = BotOptions
    secrets_type: ClassVar[type[Part]] = BotSecrets
    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"url", "ca_pem"})

    def __init__(self, options: BotOptions, *, api: Api) -> None:
        self._options = options
        self._api = api

    @classmethod
    def open(cls, options: BotOptions, *, secrets: BotSecrets, network: Network) -> Self:
        """Prepare the channel. Raises `Invalid` where the CA is not PEM."""
        tls = trusting(options.ca_pem, otherwise=network.tls)
        headers = {"Authorization": f"Bearer {secrets.token.get_secret_value()}"}
        return cls(options, api=Api(name="Slack", network=network, tls=tls, headers=headers))

    async def send(self, notice: Notice, *, progress: Progress, now: datetime) -> Sent:
        """Begin the thread of the alert, or go on in it."""
        return await outcome(self._send(notice, progress=progress, now=now), progress=progress)

    async def _send(self, notice: Notice, *, progress: Progress, now: datetime) -> Delivered:
        if progress.ticket is None:
            ticket = await self._begin(notice, now=now)
        else:
            ticket = progress.ticket
            await self._go_on(notice, ticket, now=now)
        return Delivered(answer=f"Message {ticket.ref}.", progress=Progress(ticket=ticket))

    async def _begin(self, notice: Notice, *, now: datetime) -> Ticket:
        told = await self._call("chat.postMessage", now=now, **self._message(notice))
        return Ticket(key=str(told["ts"]), ref=str(told["ts"]), state=_state(notice))

    async def _go_on(self, notice: Notice, ticket: Ticket, *, now: datetime) -> None:
        changed = await self._call(
            "chat.update", now=now, tolerated=_OF_THE_PAST, ts=ticket.ref, **self._message(notice)
        )
        reply = {**self._message(notice), **({"thread_ts": ticket.ref} if changed["ok"] else {})}
        await self._call("chat.postMessage", now=now, **reply)

    def _message(self, notice: Notice) -> dict[str, Any]:
        payload = {"notice": notice.id, "alert": notice.alert_id, "turn": str(notice.number)}
        return {
            "channel": self._options.channel,
            "metadata": {"event_type": "everleaf_alert", "event_payload": payload},
            "unfurl_links": False,
            **message(notice),
        }

    async def _call(
        self, method: str, *, now: datetime, tolerated: tuple[str, ...] = (), **document: Any
    ) -> dict[str, Any]:
        url = f"{self._options.url.rstrip('/')}/{method}"
        answer = (await self._api.ask("POST", url, now=now, json=document)).json()
        told: dict[str, Any] = answer if isinstance(answer, dict) else {}
        error = str(told.get("error", "no reason"))
        if told.get("ok") is not True and error not in tolerated:
            raise NotTaken(_meaning(clean(f"Slack: {method}: {error}."), error=error))
        return {"ok": False, **told}


def _meaning(reason: str, *, error: str) -> Later | Never:
    if error == "is_archived":
        return Never(reason=reason, is_gone=True)
    return Never(reason=reason) if error in _ITS_FAULT else Later(reason=reason)


def _state(notice: Notice) -> TicketState:
    return TicketState.CLOSED if notice.turn is Turn.RESOLVED else TicketState.OPEN


def message(notice: Notice) -> dict[str, Any]:
    """Return the message in Block Kit, and as the text that notifications show."""
    sign = "🟢" if notice.turn is Turn.RESOLVED else _SIGNS[notice.severity]
    header = clean(f"{sign} {notice.title}", most=_MOST_HEADER)
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "block_id": notice.id,
            "text": {"type": "plain_text", "text": header, "emoji": True},
        },
        {"type": "section", "text": {"type": "mrkdwn", "text": _body(notice)}},
    ]
    if notice.link:
        button = {
            "type": "button",
            "text": {"type": "plain_text", "text": "Open it in Everleaf"},
            "url": notice.link,
        }
        blocks.append({"type": "actions", "elements": [button]})
    return {"text": _escaped(short(notice, most=_MOST_TEXT)), "blocks": blocks}


def _body(notice: Notice) -> str:
    # Cut at the end of a line: a cut inside a line could leave half an escape.
    lines, length = [], 0
    for line in _lines(notice):
        length += len(line) + 1
        if length > _MOST_TEXT:
            break
        lines.append(line)
    return "\n".join(lines)


def _lines(notice: Notice) -> Iterator[str]:
    for fact in notice.facts():
        first, *more = fact.texts[:_MOST_ROWS]
        yield f"*{fact.label}:* {_escaped(first)}"
        yield from (f"    {_escaped(each)}" for each in more)


def _escaped(text: str) -> str:
    """Return text that Slack shows as it is (the three characters that its documentation has escaped)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
