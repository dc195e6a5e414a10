"""What CertCentral does beside what every kind does."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.renewal.connectors import NotNow
from shared.errors import Refused
from shared.events.renewal import RevocationReason
from tests.conformance.authorities.digicert import DigicertBench, digicert_bench
from tests.servers.tls import CertificateAuthority


@pytest.fixture
async def digicert(tmp_path: Path, lab_ca: CertificateAuthority) -> AsyncIterator[DigicertBench]:
    """An account at CertCentral."""
    async with digicert_bench(tmp_path, lab_ca) as opened:
        yield opened


async def test_more_days_than_the_market_allows_are_refused_in_its_words(digicert: DigicertBench) -> None:
    digicert.lifetime = timedelta(days=200)
    with pytest.raises(Refused, match="between 1 and 199 days"):
        await digicert.issue(digicert.request("www.example.test"))


@pytest.mark.parametrize(
    ("changes", "profile", "said"),
    [({"organization_id": None}, None, "organization"), ({}, "ssl_unknown", "not enabled")],
)
async def test_what_is_missing_in_an_order_is_named(
    digicert: DigicertBench, changes: dict[str, object], profile: str | None, said: str
) -> None:
    digicert.options |= changes
    digicert.profile = profile
    digicert.__post_init__()
    with pytest.raises(Refused, match=said):
        await digicert.issue(digicert.request("www.example.test"))


async def test_a_revocation_that_waits_for_approval_is_not_taken_for_done(digicert: DigicertBench) -> None:
    assert digicert.server is not None
    told = await digicert.issue(digicert.request("www.example.test"))
    digicert.server.is_admin = False
    async with digicert.opened() as authority:
        with pytest.raises(NotNow, match="waits for approval"):
            await authority.revoke(
                told.chain[0], issuer=None, reason=RevocationReason.SUPERSEDED, now=datetime.now(UTC)
            )


async def test_an_order_that_was_rejected_has_failed(digicert: DigicertBench) -> None:
    assert digicert.server is not None
    digicert.hold()
    request = digicert.request("www.example.test")
    async with digicert.opened() as authority:
        told = await digicert.step(authority, request, None, resumed=False)
    digicert.server.orders[0].status = "rejected"
    with pytest.raises(Refused, match="is rejected at CertCentral"):
        await digicert.issue(request, told.state)  # type: ignore[union-attr] # an order is pending at first
