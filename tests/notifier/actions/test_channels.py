"""Channels: checked before they are kept, their secrets sealed and never redirected."""

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from services.notifier import store
from services.notifier.actions.channels import ChannelChange
from services.notifier.actions.rules import RuleText
from services.notifier.connectors import Delivered, Later
from shared.errors import Conflict, Invalid, NotFound, Stale
from tests.notifier.workshop import CALLER, SIGNING_SECRET, Workshop, email_options, expiring
from tests.servers.smtp import Smtp
from tests.servers.webhook import Webhook


async def test_secrets_are_sealed_to_their_row(shop: Workshop, webhook: Webhook) -> None:
    one, other = await shop.webhook(webhook, "one"), await shop.webhook(webhook, "other")
    assert SIGNING_SECRET.encode() not in one.secrets
    async with shop.database.transaction() as tx:
        await tx.session.execute(
            sa.update(store.Channel).where(sa.column("id") == other.id).values(secrets=one.secrets)
        )
    sent = await shop.channels.test(other.id, caller=CALLER, now=shop.clock())
    assert isinstance(sent, Later)
    assert "sealed secret" in sent.reason


@pytest.mark.parametrize("changed", ["host", "port", "security", "username"])
async def test_a_password_is_not_sent_to_another_server_unless_it_is_given_again(
    small_shop: Workshop, smtp: Smtp, changed: str
) -> None:
    made = await small_shop.email(smtp)
    another = {"host": "evil.test", "port": 2525, "security": "tls", "username": "other"}[changed]
    options = email_options(smtp, **{changed: another})
    with pytest.raises(Invalid, match=changed):
        await small_shop.channels.change(
            made.id, change=ChannelChange(options=options), caller=CALLER, now=small_shop.clock()
        )
    change = ChannelChange(options=options, secrets={"password": SecretStr("another")})
    row = await small_shop.channels.change(made.id, change=change, caller=CALLER, now=small_shop.clock())
    assert row.options[changed] == another


async def test_recipients_can_be_changed_without_the_password(small_shop: Workshop, smtp: Smtp) -> None:
    made = await small_shop.email(smtp)
    options = email_options(smtp, to=["others@example.test"])
    change = ChannelChange(options=options)
    await small_shop.channels.change(made.id, change=change, caller=CALLER, now=small_shop.clock())
    sent = await small_shop.channels.test(made.id, caller=CALLER, now=small_shop.clock())
    assert isinstance(sent, Delivered)
    assert smtp.inbox[0].recipients == ("others@example.test",)


async def test_a_name_is_taken_once(shop: Workshop, webhook: Webhook) -> None:
    await shop.webhook(webhook, "one")
    other = await shop.webhook(webhook, "other")
    with pytest.raises(Conflict, match="one"):
        await shop.webhook(webhook, "one")
    change = ChannelChange(name="one")
    with pytest.raises(Conflict, match="one"):
        await shop.channels.change(other.id, change=change, caller=CALLER, now=shop.clock())


async def test_a_change_of_what_has_changed_is_refused(shop: Workshop, webhook: Webhook) -> None:
    made = await shop.webhook(webhook)
    change = ChannelChange(enabled=False, expected=1)
    await shop.channels.change(made.id, change=change, caller=CALLER, now=shop.clock())
    with pytest.raises(Stale):
        await shop.channels.change(made.id, change=change, caller=CALLER, now=shop.clock())


async def test_a_channel_that_is_off_is_told_nothing(shop: Workshop, webhook: Webhook) -> None:
    made = await shop.webhook(webhook)
    change = ChannelChange(enabled=False)
    await shop.channels.change(made.id, change=change, caller=CALLER, now=shop.clock())
    await shop.hear(expiring())
    assert await shop.work() == []
    assert await shop.states() == {}


async def test_removing_a_channel_ends_what_was_to_go_through_it(shop: Workshop, webhook: Webhook) -> None:
    made = await shop.webhook(webhook)
    await shop.hear(expiring())
    await shop.channels.delete(made.id, caller=CALLER)
    assert await shop.work() == []
    (row,) = await shop.deliveries.page(only={}, after=None, limit=10, caller=CALLER)
    assert (row.state, row.last_error) == ("failed", "The channel was removed.")
    with pytest.raises(NotFound):
        await shop.channels.get(made.id, caller=CALLER)


async def test_a_channel_that_a_rule_names_is_not_removed(shop: Workshop, webhook: Webhook) -> None:
    made = await shop.webhook(webhook)
    text = RuleText(name="ours", min_severity="error", problems=[], channels=[made.id])
    await shop.rules.create(text, caller=CALLER, now=shop.clock())
    with pytest.raises(Conflict, match="ours"):
        await shop.channels.delete(made.id, caller=CALLER)
