"""What every channel has to do, asked of each against a real server: tell once, try later, give up, lose nothing."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest
from pydantic import SecretStr

from services.notifier import store
from services.notifier.actions.channels import ChannelChange
from services.notifier.connectors import Delivered, Later, Never
from services.notifier.connectors.registry import CHANNELS
from shared.events.inventory import Urgency
from shared.outbound import Policy
from shared.store import Database
from tests.notifier.workshop import CALLER, SIGNING_SECRET, WAITS, Workshop, email_options, expiring, replaced
from tests.servers.smtp import Smtp
from tests.servers.tls import CertificateAuthority
from tests.servers.webhook import Answer, Webhook


@dataclass(frozen=True, kw_only=True)
class Arrived:
    """What a receiver has got of one notice."""

    id: str
    text: str


class Receiver(Protocol):
    """The other end of a channel, and how it is made to misbehave."""

    kind: str

    def options(self, *, ca_pem: str | None = None) -> dict[str, object]:
        """Return the options of a channel to it."""

    def secrets(self) -> dict[str, str]:
        """Return the secrets of a channel to it."""

    def arrived(self) -> list[Arrived]:
        """Return what it has taken, in order."""

    def postpone(self) -> None:
        """Say `later` from now on."""

    def refuse(self) -> None:
        """Say `never` from now on."""

    def accept(self) -> None:
        """Take everything again."""

    def start(self) -> None:
        """Be there."""

    def stop(self) -> None:
        """Be away."""


@dataclass
class Mailbox:
    """A mail server as a receiver."""

    server: Smtp
    kind: str = "email"

    def options(self, *, ca_pem: str | None = None) -> dict[str, object]:
        return email_options(self.server, **({"ca_pem": ca_pem} if ca_pem else {}))

    def secrets(self) -> dict[str, str]:
        return {"password": self.server.password}

    def arrived(self) -> list[Arrived]:
        return [
            Arrived(
                id=mail.message["Message-ID"], text=f"{mail.message['Subject']}\n{mail.message.get_body()}"
            )
            for mail in self.server.inbox
        ]

    def postpone(self) -> None:
        self.server.refuse("operators@example.test", "451 4.3.0 try later")

    def refuse(self) -> None:
        self.server.refuse("operators@example.test", "550 5.1.1 no such user")

    def accept(self) -> None:
        self.server.accept("operators@example.test")

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()


@dataclass
class Hook:
    """A webhook receiver with TLS."""

    server: Webhook
    ca_pem: str
    kind: str = "webhook"
    refused_before: int = 0
    """How many requests had come when it began to accept again."""

    def options(self, *, ca_pem: str | None = None) -> dict[str, object]:
        return {"url": f"{self.server.url}/everleaf", "ca_pem": ca_pem or self.ca_pem}

    def secrets(self) -> dict[str, str]:
        return {"signing_secret": SIGNING_SECRET}

    def arrived(self) -> list[Arrived]:
        answered = self.server.requests[self.refused_before :]
        return [
            Arrived(id=request.headers["webhook-id"], text=json.dumps(json.loads(request.body)["data"]))
            for request in answered
        ]

    def postpone(self) -> None:
        self.server.default = Answer(status=503)

    def refuse(self) -> None:
        self.server.default = Answer(status=410)

    def accept(self) -> None:
        self.refused_before = len(self.server.requests)
        self.server.default = Answer()

    def start(self) -> None:
        self.server.start()

    def stop(self) -> None:
        self.server.stop()


@pytest.fixture(params=[kind.kind for kind in CHANNELS])
def receiver(request: pytest.FixtureRequest, lab_ca_pem: Path) -> Receiver:
    """One receiver for each kind there is; a kind without one fails here."""
    match request.param:
        case "email":
            return Mailbox(request.getfixturevalue("smtp"))
        case "webhook":
            server = request.getfixturevalue("start_webhook")(tls=True)
            return Hook(server, lab_ca_pem.read_text())
        case kind:
            raise NotImplementedError(f"write a receiver for {kind}")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Workshop]:
    """A notifier."""
    database = Database(f"sqlite:///{tmp_path}/notifier.db", source="notifier")
    yield await Workshop(database).set_up()
    await database.close()


async def channel(shop: Workshop, receiver: Receiver, *, ca_pem: str | None = None) -> store.Channel:
    """Make a channel to the receiver."""
    return await shop.channel(
        "ours", receiver.kind, receiver.options(ca_pem=ca_pem), secrets=receiver.secrets()
    )


async def test_a_notice_arrives_once_and_says_what_is_wrong(shop: Workshop, receiver: Receiver) -> None:
    await channel(shop, receiver)
    await shop.hear(expiring(Urgency.CRITICAL))
    assert [type(sent) for sent in await shop.work()] == [Delivered]
    assert await shop.work() == []
    (notice,) = receiver.arrived()
    for words in ("www.example.test expires in 3 days", "critical", "192.0.2.7:443"):
        assert words in notice.text or words.upper() in notice.text
    assert await shop.states() == {"ours": [(1, "delivered")]}


async def test_later_means_again_with_the_same_identity(shop: Workshop, receiver: Receiver) -> None:
    await channel(shop, receiver)
    receiver.postpone()
    await shop.hear(expiring())
    assert [type(sent) for sent in await shop.work()] == [Later]
    assert await shop.work() == [], "not before its time"
    receiver.accept()
    shop.clock.passes(WAITS[0] * 1.2)
    assert [type(sent) for sent in await shop.work()] == [Delivered]
    assert len(receiver.arrived()) == 1
    assert await shop.states() == {"ours": [(1, "delivered")]}


async def test_never_means_not_again_and_the_channel_is_reported(shop: Workshop, receiver: Receiver) -> None:
    await channel(shop, receiver)
    receiver.refuse()
    await shop.hear(expiring())
    assert [type(sent) for sent in await shop.work()] == [Never]
    receiver.accept()
    shop.clock.passes(timedelta(days=2))
    assert await shop.work() == []
    assert receiver.arrived() == []
    assert await shop.states() == {"ours": [(1, "failed")]}
    assert (await shop.alert(problem="channel-dead")).state == "open"


async def test_nothing_is_told_to_a_server_that_nobody_vouches_for(
    shop: Workshop, receiver: Receiver, lab_ca_pem: Path
) -> None:
    made = await channel(shop, receiver, ca_pem=CertificateAuthority("Another root").pem.decode())
    await shop.hear(expiring())
    (sent,) = await shop.work()
    assert isinstance(sent, Later)
    assert "verify failed" in sent.reason.lower()
    assert receiver.arrived() == []
    corrected = ChannelChange(
        options=receiver.options(ca_pem=lab_ca_pem.read_text()), secrets=_secret(receiver.secrets())
    )
    await shop.channels.change(made.id, change=corrected, caller=CALLER, now=shop.clock())
    shop.clock.passes(WAITS[0] * 1.2)
    assert [type(sent) for sent in await shop.work()] == [Delivered]


async def test_an_address_that_the_policy_does_not_permit_is_not_reached(
    shop: Workshop, receiver: Receiver
) -> None:
    await channel(shop, receiver)
    shop.channels._network = type(shop.channels._network)(policy=Policy(), tls=shop.channels._network.tls)
    await shop.hear(expiring())
    (sent,) = await shop.work()
    assert isinstance(sent, Later)
    assert "EVERLEAF_OUTBOUND_ALLOW" in sent.reason
    assert receiver.arrived() == []


async def test_a_server_that_is_away_for_a_while_loses_nothing_and_gets_nothing_twice(
    shop: Workshop, receiver: Receiver
) -> None:
    await channel(shop, receiver)
    receiver.stop()
    lineages = [f"lineage-{number}" for number in range(3)]
    await shop.hear(*(expiring(lineage_id=lineage) for lineage in lineages))
    assert {type(sent) for sent in await shop.work()} == {Later}
    await shop.hear(replaced(lineage_id="lineage-0"))
    shop.clock.passes(WAITS[0] * 1.2)
    assert {type(sent) for sent in await shop.work()} == {Later}
    receiver.start()
    shop.clock.passes(WAITS[1] * 1.2)
    assert {type(sent) for sent in await shop.work()} == {Delivered}
    ours = [notice for notice in receiver.arrived() if "channel" not in notice.text]
    assert len({notice.id for notice in ours}) == len(ours) == 4
    words = [notice.text for notice in ours if "was seen at every place" in notice.text]
    assert len(words) == 1
    assert "was seen at every place" not in ours[0].text, "what was told first arrives first"


async def test_a_test_says_what_the_server_answered(shop: Workshop, receiver: Receiver) -> None:
    made = await channel(shop, receiver)
    sent = await shop.channels.test(made.id, caller=CALLER, now=shop.clock())
    assert isinstance(sent, Delivered)
    assert "a test of the channel ours" in receiver.arrived()[0].text
    receiver.postpone()
    sent = await shop.channels.test(made.id, caller=CALLER, now=shop.clock())
    assert isinstance(sent, Later)
    assert "451" in sent.reason or "503" in sent.reason


async def test_a_repeated_notice_is_the_same_byte_for_byte_or_knows_itself(
    shop: Workshop, receiver: Receiver
) -> None:
    await channel(shop, receiver)
    await shop.hear(expiring())
    job = await shop.deliveries.claim(busy=[], now=shop.clock())
    assert job is not None
    await shop.deliveries.send(job, now=shop.clock())  # and the process dies before it is written down
    shop.clock.passes(timedelta(seconds=91))
    assert [type(sent) for sent in await shop.work()] == [Delivered]
    first, second = receiver.arrived()
    assert first == second


def _secret(values: dict[str, str]) -> dict[str, SecretStr]:
    return {name: SecretStr(value) for name, value in values.items()}
