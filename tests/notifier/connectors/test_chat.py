"""Chats: what is shown, that nothing in it is markup, and how a thread goes on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.notifier.connectors import Delivered, Later, Never, Progress, Sent
from services.notifier.connectors.slack import BotOptions, BotSecrets, SlackBot, message
from services.notifier.connectors.teams import message as card
from services.notifier.domain.alerts import Details
from services.notifier.domain.notices import Turn
from tests.notifier.notices import notice
from tests.notifier.workshop import NOON, network
from tests.servers.api import Told
from tests.servers.chats import CHANNEL, TOKEN, Slack
from tests.servers.tls import LOOPBACK, CertificateAuthority

HOSTILE = "<!channel> *b* [x](https://evil.test) <https://evil.test|y> & `c`"
LONG = Details(
    names=tuple(f"{'n' * 200}{n}.test" for n in range(50)), places=("p" * 3000,) * 50, place_count=99
)


@pytest.fixture
def slack(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[Slack]:
    """A workspace."""
    server = Slack(lab_ca.issue(*LOOPBACK).server_context(tmp_path / "slack"))
    server.api.start()
    yield server
    server.api.stop()


def bot(server: Slack, ca: CertificateAuthority, *, token: str = TOKEN, channel: str = CHANNEL) -> SlackBot:
    options = BotOptions(url=f"{server.api.url}/api", channel=channel, ca_pem=ca.pem.decode())
    return SlackBot.open(options, secrets=BotSecrets.model_validate({"token": token}), network=network())


async def send(to: SlackBot, progress: Progress | None = None, **other: Any) -> Sent:
    return await to.send(notice(**other), progress=progress or Progress(), now=NOON)


async def test_an_alert_is_one_thread_whose_head_says_how_it_stands(
    slack: Slack, lab_ca: CertificateAuthority
) -> None:
    to = bot(slack, lab_ca)
    first = await send(to)
    assert isinstance(first, Delivered)
    assert first.progress.ticket is not None
    last = await send(to, first.progress, number=2, turn=Turn.RESOLVED, headline="it is over")
    assert isinstance(last, Delivered)
    head, reply = slack.posted
    assert reply["thread_ts"] == head["ts"]
    [update] = slack.updated
    assert update["ts"] == head["ts"]
    assert "RESOLVED: it is over" in update["blocks"][0]["text"]["text"]
    assert head["metadata"]["event_payload"]["notice"] == notice().id


async def test_a_thread_whose_head_was_deleted_begins_anew(
    slack: Slack, lab_ca: CertificateAuthority
) -> None:
    to = bot(slack, lab_ca)
    first = await send(to)
    slack.posted.clear()
    assert isinstance(await send(to, first.progress, number=2, turn=Turn.RAISED), Delivered)
    assert "thread_ts" not in slack.posted[0]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"ok": False, "error": "invalid_auth"}, Later),
        ({"ok": False, "error": "fatal_error"}, Later),
        ({"ok": False, "error": "msg_too_long"}, Never),
        ({"ok": False, "error": "is_archived"}, Never),
        ([], Later),
    ],
)
async def test_what_slack_says_in_an_answer_that_is_a_success_counts(
    slack: Slack, lab_ca: CertificateAuthority, answer: Any, kind: type[Sent]
) -> None:
    slack.api.instead = Told(document=answer)
    sent = await send(bot(slack, lab_ca))
    assert isinstance(sent, kind)
    assert getattr(sent, "is_gone", False) == ("is_archived" in str(answer))


def test_nothing_in_a_message_is_markup_or_calls_everybody() -> None:
    text = json.dumps(message(notice(details=Details(owner=HOSTILE)))["blocks"][1])
    assert "<" not in text
    assert "&lt;!channel&gt;" in text


def test_nothing_in_a_card_is_markup() -> None:
    [attachment] = card(notice(details=Details(owner=HOSTILE)))["attachments"]
    [owner] = [
        each["value"] for each in attachment["content"]["body"][1]["facts"] if each["title"] == "Owner"
    ]
    assert "\\[x\\]\\(https://evil.test\\)" in owner
    assert "\\*b\\*" in owner


def test_messages_and_cards_are_never_too_long() -> None:
    blocks = message(notice(details=LONG, headline="h" * 400))["blocks"]
    assert len(blocks[0]["text"]["text"]) <= 150
    assert len(blocks[1]["text"]["text"]) <= 3000
    assert len(json.dumps(card(notice(details=LONG, headline="h" * 400)))) <= 28 * 1024


def test_a_resolved_alert_is_green() -> None:
    assert message(notice(turn=Turn.RESOLVED))["blocks"][0]["text"]["text"].startswith("🟢")
    [attachment] = card(notice(turn=Turn.RESOLVED))["attachments"]
    assert attachment["content"]["body"][0]["color"] == "good"
