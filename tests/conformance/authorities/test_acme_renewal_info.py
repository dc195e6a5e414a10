"""Renewal information, `replaces`, profiles and bound accounts, with a real server that has them: acme2certifier."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.renewal.connectors import Challenge, NotNow, TellsWhen, Window
from services.renewal.connectors.acme import Acme
from services.renewal.connectors.acme.renewal_info import certificate_id
from shared.errors import Refused
from shared.x509 import load
from tests.conformance.authorities.acme import AcmeBench, Answers
from tests.conformance.authorities.bench import Bench, on_loopback
from tests.servers.acme2certifier import Acme2certifier, StartAcme2certifier
from tests.servers.api import Asked, Told
from tests.servers.pebble import StartPebble, new_eab_key
from tests.servers.tls import CertificateAuthority

KEY_ID, MAC = "team-1", new_eab_key()


@pytest.fixture(scope="module")
def server(start_acme2certifier: StartAcme2certifier) -> Acme2certifier:
    return start_acme2certifier(profiles=("short", "long"), eab={KEY_ID: MAC})


@pytest.fixture
def bench(server: Acme2certifier) -> AcmeBench:
    """An account of its own."""
    server.front.twist = None
    return bench_at(server, external_account={"key_id": KEY_ID})


def bench_at(server: Acme2certifier, **options: Any) -> AcmeBench:
    return AcmeBench(
        kind=Acme,
        options={
            "directory_url": server.dir_url,
            "ca_pem": server.ca.pem.decode(),
            "contacts": ["mailto:pki@example.test"],
            **options,
        },
        secrets={"hmac": MAC} if options else {},
        challenge=Challenge.HTTP_01,
        network=on_loopback(http01=Answers()),
    )


async def issued(bench: Bench, name: str, **changes: Any) -> bytes:
    request = replace(bench.request(name), **changes)
    return bench.check(request, await bench.issue(request))[0]


async def window(bench: Bench, certificate: bytes, *, later: timedelta = timedelta()) -> Window | None:
    async with bench.opened() as authority:
        assert isinstance(authority, TellsWhen)
        return await authority.renewal_window(certificate, now=datetime.now(UTC) + later)


async def test_the_window_of_a_certificate_is_asked_for_and_a_bound_account_was_needed(
    server: Acme2certifier, bench: AcmeBench
) -> None:
    certificate = await issued(bench, "window.example.test")
    told = await window(bench, certificate)
    assert told is not None
    assert (
        load(certificate).not_valid_before_utc
        < told.start
        < told.end
        <= load(certificate).not_valid_after_utc
    )
    assert told.ask_again_after == timedelta(hours=1)
    asked = [each for each in server.front.asked if "renewal-info" in each.path]
    assert asked[-1].method == "GET"
    assert asked[-1].path.endswith(f"/{certificate_id(certificate)}")
    with pytest.raises(Refused, match="externalAccountRequired"):
        await bench_at(server).issue(bench.request("unbound.example.test"))


async def test_nobody_is_asked_for_a_certificate_that_has_expired(
    server: Acme2certifier, bench: AcmeBench
) -> None:
    certificate = await issued(bench, "expired.example.test")
    before = len(server.front.asked)
    assert await window(bench, certificate, later=timedelta(days=31)) is None
    assert not [each for each in server.front.asked[before:] if "renewal-info" in each.path]


async def test_an_authority_without_renewal_information_tells_none(
    start_pebble: StartPebble, lab_ca: CertificateAuthority, bench: AcmeBench
) -> None:
    pebble = start_pebble()
    other = replace(
        bench,
        options={"directory_url": pebble.dir_url, "ca_pem": pebble.ca_pem.read_text()},
        secrets={},
        pebble=pebble,
    )
    assert await window(other, await issued(bench, "none.example.test")) is None


def answering(path: str, told: Told) -> Callable[[Asked, Told | bytes], Told | bytes]:
    return lambda asked, true: told if path in asked.path else true


OLD = {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}
NEW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("told", "wait"),
    [
        (Told(document={"suggestedWindow": OLD}, headers={"Retry-After": "60"}), timedelta(hours=6)),
        (Told(document={"unexpected": True}), timedelta(hours=6)),
        (Told(status=404, document={"type": "about:blank"}), timedelta(hours=6)),
        (Told(status=503, document={}, headers={"Retry-After": "120"}), timedelta(seconds=120)),
        (Told(status=500, document={}), None),
    ],
    ids=["ends before it begins", "no window", "unknown", "busy", "broken"],
)
async def test_no_usable_answer_is_asked_for_again_at_its_time(
    server: Acme2certifier, bench: AcmeBench, told: Told, wait: timedelta | None
) -> None:
    """RFC 9773 §4.3.3."""
    certificate = await issued(bench, "again.example.test")
    server.front.twist = answering("renewal-info", told)
    with pytest.raises(NotNow) as caught:
        await window(bench, certificate)
    assert caught.value.retry_after == wait


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "1"}, timedelta(minutes=1)),
        ({"Retry-After": "9999999"}, timedelta(days=1)),
        ({}, timedelta(hours=6)),
    ],
    ids=["too soon", "too late", "not said"],
)
async def test_when_to_ask_again_is_what_the_authority_says_within_reason(
    server: Acme2certifier, bench: AcmeBench, headers: dict[str, str], wait: timedelta
) -> None:
    certificate = await issued(bench, "again.example.test")
    document = {"suggestedWindow": NEW, "explanationURL": "https://ca.example.test/why"}
    server.front.twist = answering("renewal-info", Told(document=document, headers=headers))
    told = await window(bench, certificate)
    assert told is not None
    assert told.ask_again_after == wait
    assert told.explanation_url == "https://ca.example.test/why"


async def test_an_order_says_what_it_replaces_and_once_replaced_it_does_not(
    server: Acme2certifier, bench: AcmeBench
) -> None:
    """RFC 9773 §5."""
    old = await issued(bench, "replaced.example.test")
    before = len(server.ordered)
    await issued(bench, "replaced.example.test", replaces=old)
    await issued(bench, "replaced.example.test", replaces=old)
    said = [order.get("replaces") for order in server.ordered[before:]]
    assert said == [certificate_id(old), certificate_id(old), None]


async def test_no_order_fails_because_the_authority_has_something_against_what_it_replaces(
    server: Acme2certifier, bench: AcmeBench
) -> None:
    old = await issued(bench, "courtesy.example.test")
    problem = {"type": "urn:ietf:params:acme:error:malformed", "detail": "no such certificate of yours"}

    def refusing(asked: Asked, true: Told | bytes) -> Told | bytes:
        has_it = "neworder" in asked.path and "replaces" in server.ordered[-1]
        return Told(status=400, document=problem) if has_it else true

    server.front.twist = refusing
    await issued(bench, "courtesy.example.test", replaces=old)
    assert "replaces" not in server.ordered[-1]


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_an_order_is_placed_anew_where_the_list_of_orders_is_named_and_not_there(
    server: Acme2certifier, bench: AcmeBench, status: int
) -> None:
    await issued(bench, "list.example.test")
    account = {"status": "valid", "orders": f"{server.front.url}/orders/1"}
    none = Told(status=status, document={"type": "urn:ietf:params:acme:error:malformed"})

    def listing(asked: Asked, true: Told | bytes) -> Told | bytes:
        if asked.path.endswith("/orders/1"):
            return with_nonce(true, none)
        return with_nonce(true, Told(document=account)) if "/acct/" in asked.path else true

    server.front.twist = listing
    request = bench.request("list.example.test")
    bench.check(request, await bench.issue(request, resumed=True))
    assert any(asked.path.endswith("/orders/1") for asked in server.front.asked)


def with_nonce(true: Told | bytes, told: Told) -> Told:
    """Give the server's own nonce with another answer, where it gave one."""
    lines = true.split(b"\r\n\r\n")[0].decode().splitlines() if isinstance(true, bytes) else []
    nonces = [line.partition(": ")[2] for line in lines if line.lower().startswith("replay-nonce")]
    return replace(told, headers={"Replay-Nonce": nonces[0]} if nonces else {})


async def test_a_profile_is_asked_for_and_one_that_there_is_not_names_those_there_are(
    server: Acme2certifier, bench: AcmeBench
) -> None:
    bench.profile = "short"
    await issued(bench, "profile.example.test")
    assert server.ordered[-1]["profile"] == "short"
    bench.profile = "tiny"
    with pytest.raises(Refused, match="does not offer the profile 'tiny'") as caught:
        await issued(bench, "profile.example.test")
    assert "long, short" in caught.value.next_step


async def test_a_limit_of_the_authority_is_waited_for_as_long_as_it_says(
    server: Acme2certifier, bench: AcmeBench
) -> None:
    problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates"}
    told = Told(status=429, document=problem, headers={"Retry-After": "7200"})
    await asyncio.to_thread(server.front.asked.clear)
    server.front.twist = answering("neworder", told)
    with pytest.raises(NotNow, match="rateLimited: too many certificates") as caught:
        await bench.issue(bench.request("limit.example.test"))
    assert caught.value.retry_after == timedelta(hours=2)
