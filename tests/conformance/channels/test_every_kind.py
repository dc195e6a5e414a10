"""What every channel has to do, asked of each against its receiver: tell once, try later, give up, lose nothing."""

from datetime import timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr

from services.notifier import store
from services.notifier.actions.channels import ChannelChange
from services.notifier.connectors import Delivered, Later, Never
from services.notifier.connectors.registry import CHANNELS
from shared.events.inventory import Urgency
from shared.outbound import Policy
from tests.conformance.channels import ROWS, each
from tests.conformance.channels.bench import OverHttp, Power, Receiver
from tests.notifier.workshop import CALLER, WAITS, Workshop, expiring, replaced
from tests.servers.api import Told
from tests.servers.tls import CertificateAuthority


def test_every_kind_has_a_receiver() -> None:
    assert {row.kind for row in ROWS.values()} == set(CHANNELS)


async def channel(shop: Workshop, receiver: Receiver, *, ca_pem: str | None = None) -> store.Channel:
    """Make a channel to the receiver."""
    return await shop.channel(
        "ours", receiver.kind, receiver.options(ca_pem=ca_pem), secrets=receiver.secrets()
    )


@each()
async def test_a_notice_arrives_once_and_says_what_is_wrong(shop: Workshop, receiver: Receiver) -> None:
    await channel(shop, receiver)
    await shop.hear(expiring(Urgency.CRITICAL))
    assert [type(sent) for sent in await shop.work()] == [Delivered]
    assert await shop.work() == []
    (notice,) = receiver.arrived()
    for words in ("www.example.test expires in 3 days", "critical", "192.0.2.7:443"):
        assert words.casefold() in notice.text.casefold()
    assert await shop.states() == {"ours": [(1, "delivered")]}


@each()
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


@each(Power.REFUSE)
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


@each(Power.TLS)
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


@each()
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


@each()
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


@each(Power.SAY_WHY)
async def test_a_test_says_what_the_server_answered(shop: Workshop, receiver: Receiver) -> None:
    made = await channel(shop, receiver)
    sent = await shop.channels.test(made.id, caller=CALLER, now=shop.clock())
    assert isinstance(sent, Delivered)
    assert "a test of the channel ours" in receiver.arrived()[0].text
    assert "open" not in {ticket.state for ticket in await shop.tickets_kept()}, (
        "a test leaves no work behind"
    )
    receiver.postpone()
    sent = await shop.channels.test(made.id, caller=CALLER, now=shop.clock())
    assert isinstance(sent, Later)
    assert "451" in sent.reason or "503" in sent.reason


@each()
async def test_a_repeated_notice_is_the_same_byte_for_byte_or_knows_itself(
    shop: Workshop, receiver: Receiver
) -> None:
    await channel(shop, receiver)
    await shop.hear(expiring())
    job = await shop.claim()
    await shop.deliveries.send(job, now=shop.clock())  # and the process dies before it is written down
    shop.clock.passes(timedelta(seconds=91))
    assert [type(sent) for sent in await shop.work()] == [Delivered]
    arrived = receiver.arrived()
    # Where the other side keeps identities, it has it once; else it can tell that it is the same.
    assert 1 <= len(arrived) <= 2
    assert len(set(arrived)) == 1


def _secret(values: dict[str, str]) -> dict[str, SecretStr]:
    return {name: SecretStr(value) for name, value in values.items()}


@each(Power.SAY_WHY)
async def test_the_wait_that_is_asked_for_is_kept_by_the_whole_channel(
    shop: Workshop, receiver: Receiver
) -> None:
    if not isinstance(receiver, OverHttp):
        return  # SMTP has no word for it; that of webhooks is in tests/notifier/connectors/test_webhook.py
    await channel(shop, receiver)
    receiver.api.instead = Told(status=429, headers={"Retry-After": "600"}, document={})
    await shop.hear(expiring(), expiring(lineage_id="lineage-2"))
    assert [type(sent) for sent in await shop.work()] == [Later], "the second is not even tried"
    receiver.accept()
    shop.clock.passes(timedelta(seconds=590))
    assert await shop.work() == []
    shop.clock.passes(timedelta(seconds=100))
    assert [type(sent) for sent in await shop.work()] == [Delivered, Delivered]


@each(Power.SAY_WHY)
async def test_no_secret_is_in_what_is_said_of_a_failure(shop: Workshop, receiver: Receiver) -> None:
    made = await channel(shop, receiver)
    receiver.postpone()
    sent = await shop.channels.test(made.id, caller=CALLER, now=shop.clock())
    assert isinstance(sent, Later)
    receiver.stop()
    away = await shop.channels.test(made.id, caller=CALLER, now=shop.clock())
    assert isinstance(away, Later)
    for secret in receiver.secrets().values():
        assert secret not in sent.reason + away.reason + str(made.options)
        assert httpx.URL(secret).path not in away.reason if secret.startswith("https") else True
