"""What an authority behind a webhook does beside what every kind does."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.renewal.connectors import NotNow, Pending
from services.renewal.connectors.webhook import WebhookSecrets
from tests.conformance.authorities.webhook import WebhookBench, webhook_bench
from tests.servers.api import Asked, Told
from tests.servers.tls import CertificateAuthority


@pytest.fixture
async def hook(tmp_path: Path, lab_ca: CertificateAuthority) -> AsyncIterator[WebhookBench]:
    """An authority behind a webhook."""
    async with webhook_bench(tmp_path, lab_ca) as opened:
        yield opened


async def test_later_is_said_in_the_answer_too_and_the_ticket_comes_back(hook: WebhookBench) -> None:
    assert hook.server is not None
    hook.server.by_address = False
    hook.hold()
    request = hook.request("www.example.test")
    async with hook.opened() as authority:
        told = await hook.step(authority, request, None, resumed=False)
    assert isinstance(told, Pending)
    assert told.retry_after == timedelta(seconds=30)
    hook.release()
    hook.check(request, await hook.issue(request, told.state))
    assert hook.server.api.asked[-1].json["pending"] == f"ticket {request.key}"


async def test_an_address_of_somebody_else_is_not_asked(hook: WebhookBench) -> None:
    assert hook.server is not None
    hook.hold()

    def elsewhere(_asked: Asked, _told: Told) -> Told:
        return Told(status=202, headers={"Location": "https://elsewhere.example.test/later"})

    hook.server.api.twist = elsewhere
    with pytest.raises(NotNow, match="another address"):
        await hook.issue(hook.request("www.example.test"))


@pytest.mark.parametrize("document", [{}, {"chain": "x", "pending": "y"}, {"certificate": "x"}])
async def test_an_answer_that_is_neither_of_the_two_says_what_is_expected(
    hook: WebhookBench, document: dict[str, str]
) -> None:
    assert hook.server is not None
    hook.server.api.twist = lambda _asked, told: replace(told, document=document)
    with pytest.raises(NotNow, match="not what is expected") as caught:
        await hook.issue(hook.request("www.example.test"))
    assert "chain" in caught.value.next_step


async def test_a_receiver_that_is_busy_says_when_to_come_again(hook: WebhookBench) -> None:
    assert hook.server is not None
    hook.server.api.twist = lambda _asked, _told: Told(status=429, headers={"Retry-After": "90"})
    with pytest.raises(NotNow) as caught:
        await hook.issue(hook.request("www.example.test"))
    assert caught.value.retry_after == timedelta(seconds=90)


def test_a_secret_that_is_too_short_is_not_taken() -> None:
    with pytest.raises(ValidationError, match="whsec_"):
        WebhookSecrets.model_validate({"signing_secret": "whsec_c2hvcnQ="})
