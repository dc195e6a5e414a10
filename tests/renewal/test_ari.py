"""A real ACME authority says when it would have a certificate renewed (RFC 9773), and its word goes before the lifetime."""

from datetime import timedelta

import pytest

from services.renewal.connectors import Challenge
from services.renewal.domain.orders import State
from services.renewal.domain.schedule import Reason
from tests.renewal.workshop import CALLER, Workshop
from tests.servers.acme2certifier import Acme2certifier, StartAcme2certifier

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def authority(start_acme2certifier: StartAcme2certifier) -> Acme2certifier:
    """It would have its certificates of 30 days renewed when a fifth of their life is over."""
    return start_acme2certifier(window_from=20)


async def enrolled(shop: Workshop, authority: Acme2certifier) -> None:
    options = {
        "directory_url": authority.dir_url,
        "ca_pem": authority.ca.pem.decode(),
        "contacts": ["mailto:pki@example.test"],
    }
    await shop.authority("a2c", kind="acme", options=options)
    await shop.profile("acme", authority="a2c", challenge=Challenge.HTTP_01)
    await shop.enrol(["shop.example.test"], profile="acme")
    await shop.schedules.renew_now("lineage", caller=CALLER, now=shop.time())
    await shop.work_off()


async def test_the_authoritys_window_pulls_a_renewal_forward_and_the_order_says_what_it_replaces(
    small_shop: Workshop, authority: Acme2certifier
) -> None:
    await enrolled(small_shop, authority)
    begin = small_shop.time()
    order = (await small_shop.all())[0]
    assert order.state == State.RENEWED, order.last_error
    row = await small_shop.schedule()
    assert row.reason == Reason.FRACTION
    assert abs(row.renew_at - (begin + 20 * DAY)) < DAY, "two thirds of 30 days"

    await small_shop.windows.look(small_shop.time())
    row = await small_shop.schedule()
    assert row.reason == Reason.ARI
    assert row.ari_start is not None
    assert row.ari_end is not None
    assert row.ari_start <= row.renew_at < row.ari_end
    # An instant of the window is chosen by lot (RFC 9773 §4.2): where it begins is what is sure.
    assert row.ari_start < begin + 19 * DAY, "sooner than by the lifetime alone"
    assert row.look_at is not None
    assert abs(row.look_at - (begin + timedelta(hours=1))) < timedelta(minutes=2), "as its Retry-After asks"

    small_shop.time.passes(row.renew_at - begin + timedelta(minutes=1))
    await small_shop.order_due()
    await small_shop.work_off()
    newer, older = await small_shop.all()
    assert (newer.state, newer.reason, newer.old_fingerprint) == (
        State.RENEWED,
        Reason.ARI,
        older.fingerprint,
    )
    assert "replaces" not in authority.ordered[-2]
    assert authority.ordered[-1]["replaces"]
