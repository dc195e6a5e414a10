"""Chats, by their simulators."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.notifier.connectors.slack import Slack as SlackChannel
from services.notifier.connectors.slack import SlackBot
from services.notifier.connectors.teams import Teams as TeamsChannel
from tests.conformance.channels.bench import Arrived, Fixtures, OverHttp, Receiver, Row
from tests.servers.chats import CHANNEL, HOOK, TOKEN, WORKFLOW, Slack, Teams
from tests.servers.tls import LOOPBACK


@contextmanager
def _slack(fixtures: Fixtures, directory: Path, *, is_bot: bool = False) -> Iterator[Receiver]:
    server = Slack(fixtures("lab_ca").issue(*LOOPBACK).server_context(directory / "slack"))

    def arrived() -> list[Arrived]:
        return [
            Arrived(id=each["blocks"][0]["block_id"], text=json.dumps(each["blocks"]))
            for each in server.posted
        ]

    receiver = OverHttp(
        "slack-bot" if is_bot else "slack",
        server.api,
        fixtures("lab_ca_pem").read_text(),
        arrived,
        given={
            "per_minute": None,
            **({"url": f"{server.api.url}/api", "channel": CHANNEL} if is_bot else {}),
        },
        shared={"token": TOKEN} if is_bot else {"url": server.api.url + HOOK},
    )
    receiver.start()
    yield receiver
    receiver.stop()


@contextmanager
def _teams(fixtures: Fixtures, directory: Path) -> Iterator[Receiver]:
    server = Teams(fixtures("lab_ca").issue(*LOOPBACK).server_context(directory / "teams"))

    def arrived() -> list[Arrived]:
        return [Arrived(id=each["id"], text=json.dumps(each).replace("\\\\", "")) for each in server.cards]

    receiver = OverHttp(
        "teams",
        server.api,
        fixtures("lab_ca_pem").read_text(),
        arrived,
        given={"per_minute": None},
        shared={"url": server.api.url + WORKFLOW},
    )
    receiver.start()
    yield receiver
    receiver.stop()


ROWS = {
    "slack": Row(kind=SlackChannel, open=_slack),
    "slack-bot": Row(
        kind=SlackBot, open=lambda fixtures, directory: _slack(fixtures, directory, is_bot=True)
    ),
    "teams": Row(kind=TeamsChannel, open=_teams),
}
