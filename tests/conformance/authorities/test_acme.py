"""What an ACME authority does beside what every kind does, with a real ACME server by http-01 and by dns-01."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from services.renewal.connectors import Challenge, Issued, NotNow, Pending, Request
from services.renewal.connectors.acme import Acme, AcmeOptions, AcmeSecrets
from shared.errors import Invalid, Refused
from shared.events.renewal import RevocationReason
from shared.x509 import load
from tests.conformance.authorities.acme import (
    AcmeBench,
    Answers,
    directory,
    dns_bench,
    http_bench,
    placed_orders,
)
from tests.conformance.authorities.bench import Bench, on_loopback
from tests.servers.bind import Bind
from tests.servers.pebble import StartPebble, new_eab_key
from tests.servers.tls import CertificateAuthority


@pytest.fixture
async def acme(start_pebble: StartPebble, bind: Bind) -> AsyncIterator[AcmeBench]:
    """An ACME authority with http-01."""
    async with http_bench(start_pebble, bind) as opened:
        yield opened


@pytest.mark.parametrize("earlier", [2, 3, 7])
async def test_an_order_placed_before_is_found_on_any_page_of_the_accounts_orders(
    acme: AcmeBench, earlier: int
) -> None:
    """Pebble gives three orders a page (PEBBLE_WFE_ORDERS_PER_PAGE), the oldest first."""
    for number in range(earlier):
        await acme.issue(acme.request(f"earlier{number}.example.test"))
    request = acme.request("crash.example.test")
    async with acme.opened() as authority:  # it dies after this: that the order is placed is kept by nobody
        assert (await acme.step(authority, request, None, resumed=False)).step == "place"  # type: ignore[union-attr] # placing is never the last step
    acme.check(request, await acme.issue(request, resumed=True))
    assert await placed_orders(acme, "crash.example.test") == ["valid"]
    assert len(await placed_orders(acme)) == earlier + 1


async def test_the_chain_comes_leaf_first_and_without_the_root(start_pebble: StartPebble, bind: Bind) -> None:
    async with http_bench(start_pebble, bind, chain_length=2) as bench:
        request = bench.request("chain.example.test")
        chain = [load(der) for der in bench.check(request, await bench.issue(request))]
    assert len(chain) == 3
    for one, issuer in pairwise(chain):
        one.verify_directly_issued_by(issuer)
    assert chain[-1].subject != chain[-1].issuer


@pytest.mark.parametrize("chain_length", [1, 2])
async def test_a_chain_that_does_not_end_at_the_named_root_is_refused(
    start_pebble: StartPebble, bind: Bind, lab_ca: CertificateAuthority, chain_length: int
) -> None:
    async with http_bench(start_pebble, bind, chain_length=chain_length) as bench:
        assert bench.pebble is not None
        for pem, is_right in ((bench.pebble.roots()[0], True), (lab_ca.pem.decode(), False)):
            strict = replace(bench, options={**bench.options, "root_pem": pem})
            request = strict.request("root.example.test")
            told = await strict.issue(request)
            if is_right:
                assert strict.check(request, told)
                continue
            with pytest.raises(Refused, match="does not end at the authority's root"):
                strict.check(request, told)


def test_a_root_that_is_no_certificate_is_refused() -> None:
    options = AcmeOptions.model_validate({"directory_url": "https://ca.example.test", "root_pem": "x"})
    with pytest.raises(Invalid, match="root_pem holds no PEM"):
        Acme.found(options, secrets=AcmeSecrets(), name="x", now=datetime.now(UTC))


async def test_a_wildcard_is_issued_by_dns_and_refused_by_http(
    start_pebble: StartPebble, bind: Bind, acme: AcmeBench
) -> None:
    async with dns_bench(start_pebble, bind) as bench:
        request = bench.request("*.wild.example.test", "wild.example.test")
        bench.check(request, await bench.issue(request))
        assert not bench.left_over("wild.example.test")
    with pytest.raises(Refused, match="offers dns-01"):
        await acme.issue(acme.request("*.wild.example.test"))


async def test_a_failed_challenge_is_cleaned_up_and_begins_anew(
    start_pebble: StartPebble, bind: Bind
) -> None:
    async with http_bench(start_pebble, bind) as bench:
        silent = replace(bench, network=replace(bench.network, http01=Answers()))
        with pytest.raises(NotNow, match="unauthorized") as caught:
            await silent.issue(silent.request("silent.example.test"))
        assert caught.value.starts_over
        assert not silent.left_over("silent.example.test")


@pytest.fixture(params=[http_bench, dns_bench], ids=["http-01", "dns-01"])
async def showing(
    request: pytest.FixtureRequest, start_pebble: StartPebble, bind: Bind
) -> AsyncIterator[AcmeBench]:
    """An ACME authority with each challenge."""
    async with request.param(start_pebble, bind) as opened:
        yield opened


async def shown(bench: Bench, request: Request) -> bytes:
    """Go on until a challenge is shown; return what is kept."""
    step, state = "", None
    async with bench.opened() as authority:
        while step != "show":
            told = await bench.step(authority, request, state, resumed=False)
            assert isinstance(told, Pending)
            bench.keep(told)
            step, state = told.step, told.state
    assert state is not None
    assert bench.left_over(request.names[0])
    return state


async def test_a_challenge_that_cannot_be_answered_is_taken_away_and_shown_again_later(
    showing: AcmeBench,
) -> None:
    request = showing.request("answer.example.test")
    state = await shown(showing, request)
    away = replace(showing, options={k: v for k, v in showing.options.items() if k != "ca_pem"})
    away.identity = showing.identity
    async with away.opened() as authority:
        with pytest.raises(NotNow, match="cannot be reached"):
            await away.step(authority, request, state, resumed=False)
    assert not showing.left_over("answer.example.test")
    showing.check(request, await showing.issue(request, state, resumed=True))
    assert not showing.left_over("answer.example.test")
    assert await placed_orders(showing) == ["valid"]


async def test_a_challenge_is_taken_away_when_the_authority_has_forgotten_it(showing: AcmeBench) -> None:
    request = showing.request("forgotten.example.test")
    state = await shown(showing, request)
    assert showing.pebble is not None
    showing.pebble.stop()
    showing.pebble.start()
    async with showing.opened() as authority:
        told = await showing.step(authority, request, state, resumed=False)
    assert isinstance(told, Pending)
    assert told.step == "account"
    assert not showing.left_over("forgotten.example.test")


async def test_a_listener_that_cannot_be_reached_is_tried_again_with_a_new_order(
    start_pebble: StartPebble,
) -> None:
    pebble = start_pebble()
    network = on_loopback(http01=Answers())
    bench = Bench(
        kind=Acme, options=directory(pebble), secrets={}, challenge=Challenge.HTTP_01, network=network
    )
    with pytest.raises(NotNow, match="connection") as caught:
        await bench.issue(bench.request("closed.example.test"))
    assert caught.value.starts_over


async def test_an_external_account_is_bound_and_needed_where_the_authority_wants_it(
    start_pebble: StartPebble,
) -> None:
    mac = new_eab_key()
    pebble = start_pebble(eab={"kid-1": mac})
    network = on_loopback(http01=Answers())

    def bench(**given: Any) -> Bench:
        options = {**directory(pebble), **given.pop("options", {})}
        return Bench(
            kind=Acme,
            options=options,
            secrets=given.get("secrets", {}),
            challenge=Challenge.HTTP_01,
            network=network,
        )

    with pytest.raises(Refused, match="externalAccountRequired"):
        await bench().issue(bench().request("eab.example.test"))
    known = bench(options={"external_account": {"key_id": "kid-1"}}, secrets={"hmac": mac})
    async with known.opened() as authority:
        told = await known.step(authority, known.request("eab.example.test"), None, resumed=False)
    assert isinstance(told, Pending)
    assert told.step == "account"


async def test_an_authority_that_has_forgotten_everything_gets_account_and_order_anew(
    acme: AcmeBench,
) -> None:
    request = acme.request("again.example.test")
    await acme.issue(request)
    assert acme.pebble is not None
    acme.pebble.stop()
    acme.pebble.start()
    acme.check(request, await acme.issue(request))


async def test_two_orders_of_the_same_names_get_a_certificate_each(acme: AcmeBench) -> None:
    requests = [acme.request("same.example.test") for _ in range(2)]
    issued = [await acme.issue(request) for request in requests]
    for request, told in zip(requests, issued, strict=True):
        acme.check(request, told)


async def test_a_wrong_tsig_key_is_refused(start_pebble: StartPebble, bind: Bind) -> None:
    async with dns_bench(start_pebble, bind) as bench:
        wrong = replace(bench, secrets={"dns_secret": "d3Jvbmcgd3Jvbmcgd3Jvbmc="})
        with pytest.raises(Refused, match="refused to change"):
            await wrong.issue(wrong.request("tsig.example.test"))


async def test_addresses_are_shown_by_http_and_not_by_dns(
    acme: AcmeBench, start_pebble: StartPebble, bind: Bind
) -> None:
    """RFC 8738 §4 and §7."""
    request = acme.request("127.0.0.1", "with.example.test")
    acme.check(request, await acme.issue(request))
    async with dns_bench(start_pebble, bind) as bench:
        with pytest.raises(Refused, match="not dns-01"):
            await bench.issue(bench.request("127.0.0.1"))


async def test_the_chain_to_the_preferred_root_is_chosen_and_a_missing_one_is_said(
    start_pebble: StartPebble, bind: Bind
) -> None:
    async with http_bench(start_pebble, bind, alternate_roots=1) as bench:
        assert bench.pebble is not None
        for pem in bench.pebble.roots():
            wanted = x509.load_pem_x509_certificate(pem.encode())
            by_name = str(wanted.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
            by_fingerprint = {"root_pem": pem, "preferred_root": wanted.fingerprint(hashes.SHA256()).hex()}
            options = {"preferred_root": by_name} if pem == bench.pebble.roots()[0] else by_fingerprint
            strict = replace(bench, options={**bench.options, **options})
            request = strict.request("chain.example.test")
            chain = strict.check(request, await strict.issue(request))
            assert load(chain[-1]).issuer == wanted.subject
        other = replace(bench, options={**bench.options, "preferred_root": "Another root"})
        assert "offers no chain that ends at Another root" in " ".join(await texts_of(other))


async def texts_of(bench: Bench) -> list[str]:
    """Issue, and return what was said of the steps."""
    request, said, state = bench.request("texts.example.test"), [], None
    async with bench.opened() as authority:
        while isinstance(told := await bench.step(authority, request, state, resumed=False), Pending):
            bench.keep(told)
            said.append(told.text or "")
            await bench.wait(told)
            state = told.state
    bench.check(request, told)
    return said


async def test_an_order_comes_through_a_storm_of_refused_nonces(
    start_pebble: StartPebble, bind: Bind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine of ten good nonces are refused (RFC 8555 §6.5); where even many tries are not enough, it goes on later."""
    monkeypatch.setattr("services.renewal.connectors.acme.session._PAUSE", 0)
    async with http_bench(start_pebble, bind, noncereject=90) as bench:
        request, state, gave_up = bench.request("storm.example.test"), None, 0
        told: Pending | Issued | None = None
        while not isinstance(told, Issued):
            gave_up += 1
            with suppress(NotNow):
                async with bench.opened() as authority:
                    told = await bench.step(authority, request, state, resumed=state is not None)
                gave_up -= 1
                if isinstance(told, Pending):
                    bench.keep(told)
                    state = told.state
        bench.check(request, told)
    assert gave_up < 6


async def test_a_profile_that_is_not_offered_is_refused_or_left_out(acme: AcmeBench) -> None:
    acme.profile = "short"
    with pytest.raises(Refused, match="does not offer the profile 'short'") as caught:
        await acme.issue(acme.request("profile.example.test"))
    assert "it has no profiles" in caught.value.next_step
    easy = replace(acme, options={**acme.options, "profile_is_preferred": True})
    assert "short: it is left out" in " ".join(await texts_of(easy))


async def test_a_certificate_of_another_account_is_not_revoked(acme: AcmeBench) -> None:
    told = await acme.issue(acme.request("mine.example.test"))
    stranger = replace(acme)
    async with stranger.opened() as authority:
        with pytest.raises(Refused, match="not known to the authority"):
            await revoked(authority, told)
    await stranger.issue(stranger.request("other.example.test"))
    async with stranger.opened() as authority:
        with pytest.raises(Refused, match="unauthorized"):
            await revoked(authority, told)
    assert not await acme.is_revoked(told.chain[0])


async def revoked(authority: Any, told: Issued) -> None:
    reason = RevocationReason.SUPERSEDED
    await authority.revoke(told.chain[0], issuer=None, reason=reason, now=datetime.now(UTC))


async def change_key(bench: Bench, *, is_kept: bool = True, is_asked: bool = True) -> None:
    """Change the account's key as the action does, up to where it is interrupted."""
    bench.identity = replace(bench.identity, private=Acme.with_next_key(bench.identity.private))
    if is_asked:
        async with bench.opened() as authority:
            private = await authority.change_key()
        if is_kept:
            bench.identity = replace(bench.identity, private=private)


async def test_an_account_goes_on_with_a_fresh_key_and_the_old_one_is_void(acme: AcmeBench) -> None:
    told = await acme.issue(acme.request("before.example.test"))
    old = acme.identity
    await change_key(acme)
    assert acme.identity.private != old.private
    request = acme.request("after.example.test")
    acme.check(request, await acme.issue(request))
    assert await placed_orders(acme) == ["valid", "valid"]
    async with acme.opened() as authority:
        await revoked(authority, told)
    late = replace(acme)
    late.identity = old
    with pytest.raises(NotNow, match="another key by now") as caught:
        await late.issue(late.request("late.example.test"))
    assert not caught.value.starts_over


@pytest.mark.parametrize("is_asked", [True, False], ids=["after it was asked", "before it was asked"])
async def test_a_key_change_that_was_interrupted_leaves_an_account_that_works(
    acme: AcmeBench, *, is_asked: bool
) -> None:
    await acme.issue(acme.request("before.example.test"))
    await change_key(acme, is_kept=False, is_asked=is_asked)
    request = acme.request("between.example.test")
    acme.check(request, await acme.issue(request))
    await change_key(acme)
    request = acme.request("after.example.test")
    acme.check(request, await acme.issue(request))
    assert await placed_orders(acme) == ["valid"] * 3


async def test_a_key_change_that_was_interrupted_is_ended_by_doing_it_again(acme: AcmeBench) -> None:
    await acme.issue(acme.request("before.example.test"))
    await change_key(acme, is_kept=False)
    await change_key(acme)
    request = acme.request("after.example.test")
    acme.check(request, await acme.issue(request))


async def test_an_order_that_was_open_while_the_key_changed_goes_on_later(acme: AcmeBench) -> None:
    request, state = acme.request("open.example.test"), None
    async with acme.opened() as authority:
        for _ in range(2):
            told = await acme.step(authority, request, state, resumed=False)
            assert isinstance(told, Pending)
            acme.keep(told)
            state = told.state
        await change_key(acme)
        with pytest.raises(NotNow, match="another key by now"):
            await acme.step(authority, request, state, resumed=False)
    acme.check(request, await acme.issue(request, state, resumed=True))
    assert await placed_orders(acme) == ["valid"]


async def test_a_key_that_was_never_used_is_not_changed(acme: AcmeBench) -> None:
    before = acme.identity.private
    assert Acme.with_next_key(before) == before
    async with acme.opened() as authority:
        with pytest.raises(Refused, match="no account of ours yet"):
            await authority.change_key()
