"""What every kind of authority does: one suite, and one table that says who is on which bench."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from cryptography import x509

from services.renewal.connectors import Challenge, Issued, ListsIssued, NotNow, Pending, Request, Revokes
from services.renewal.connectors.registry import AUTHORITIES
from shared.errors import Invalid, Refused
from shared.events.renewal import RevocationReason
from shared.outbound import Policy
from shared.x509 import key_fingerprint, load
from tests.conformance.authorities import ROWS, each
from tests.conformance.authorities.bench import Bench, Power

HOUR = timedelta(hours=1)


def test_every_kind_has_a_bench() -> None:
    assert {row.kind for row in ROWS.values()} == set(AUTHORITIES)


@each()
async def test_what_is_issued_is_what_was_asked_for_and_nothing_is_left_behind(bench: Bench) -> None:
    request = bench.request("one.example.test", "two.example.test")
    told = await bench.issue(request)
    chain = bench.check(request, told)
    least = bench.lifetime - timedelta(days=10)
    assert load(chain[0]).not_valid_after_utc > datetime.now(UTC) + least
    assert not [name for name in request.names if bench.left_over(name)]


@each()
async def test_its_terms_are_checked_before_there_is_a_profile(bench: Bench) -> None:
    bench.check_terms()
    other = Challenge.HTTP_01 if bench.challenge is None else None
    with pytest.raises(Invalid, match="challenge"):
        replace(bench, challenge=other).check_terms()


@each()
async def test_each_certificate_has_the_key_of_its_own_request(bench: Bench) -> None:
    requests = [bench.request("key.example.test") for _ in range(2)]
    issued = [await bench.issue(request) for request in requests]
    keys = {key_fingerprint(load(told.chain[0]).public_key()) for told in issued}
    asked = {key_fingerprint(x509.load_der_x509_csr(request.csr).public_key()) for request in requests}
    assert keys == asked
    assert len(keys) == 2


@each()
async def test_the_chain_comes_leaf_first_and_without_the_root(bench: Bench) -> None:
    request = bench.request("chain.example.test")
    chain = [load(der) for der in bench.check(request, await bench.issue(request))]
    for one, issuer in pairwise(chain):
        one.verify_directly_issued_by(issuer)
    assert chain[-1].subject != chain[-1].issuer


@each()
async def test_an_order_abandoned_after_any_step_ends_in_exactly_one_certificate(bench: Bench) -> None:
    """At each step a process dies when it is done and not kept; another goes on from what was kept before."""
    request = bench.request("crash.example.test")
    bench.check(request, await _crashing(bench, request))
    if bench.can_count:
        assert 1 <= await bench.count("crash.example.test") <= bench.most
    assert not bench.left_over("crash.example.test")


async def _crashing(bench: Bench, request: Request) -> Issued:
    state: bytes | None = None
    for _ in range(100):
        async with bench.opened() as authority:  # it dies after this: what it did is kept by nobody
            await bench.step(authority, request, state, resumed=False)
        async with bench.opened() as authority:
            told = await bench.step(authority, request, state, resumed=True)
        if isinstance(told, Issued):
            return told
        bench.keep(told)
        await bench.wait(told)
        state = told.state
    raise AssertionError("it came to no end")


@each(Power.FINDS)
async def test_an_order_whose_answer_was_lost_is_found_when_it_is_finished(bench: Bench) -> None:
    request, other = bench.request("lost.example.test"), bench.request("lost.example.test")
    issued = await bench.issue(request)
    assert (await bench.issue(request, resumed=True)).chain[0] == issued.chain[0]
    assert await bench.count("lost.example.test") == 1
    bench.check(other, await bench.issue(other, resumed=True))


@each(Power.KEYED)
async def test_an_order_submitted_twice_with_one_key_ends_in_one_certificate(bench: Bench) -> None:
    request = bench.request("twice.example.test")
    issued = [await bench.issue(request) for _ in range(2)]
    assert issued[0].chain[0] == issued[1].chain[0]
    assert await bench.count("twice.example.test") == 1


@each(Power.HOLD)
async def test_what_waits_for_a_person_is_pending_and_then_issued(bench: Bench) -> None:
    bench.hold()
    request = bench.request("patience.example.test")
    told = await _until_it_waits(bench, request)
    again = await _until_it_waits(bench, request, told.state)
    bench.release()
    bench.check(request, await bench.issue(request, again.state))
    assert await bench.count("patience.example.test") == 1


@each(Power.HOLD, Power.FINDS_HELD)
async def test_what_waits_for_a_person_is_found_when_its_answer_was_lost(bench: Bench) -> None:
    bench.hold()
    request = bench.request("patience.example.test")
    await _until_it_waits(bench, request)
    told = await _until_it_waits(bench, request, resumed=True)
    bench.release()
    bench.check(request, await bench.issue(request, told.state))
    assert await bench.count("patience.example.test") == 1


async def _until_it_waits(
    bench: Bench, request: Request, state: bytes | None = None, *, resumed: bool = False
) -> Pending:
    async with bench.opened() as authority:
        while True:
            told = await bench.step(authority, request, state, resumed=resumed)
            assert isinstance(told, Pending)
            if told.retry_after:
                return told
            state, resumed = told.state, False


@each(Power.REFUSED)
async def test_names_that_the_authority_may_not_issue_for_are_refused(bench: Bench) -> None:
    with pytest.raises(Refused) as caught:
        await bench.issue(bench.request(*bench.refused))
    assert caught.value.next_step


@each(Power.EXPIRE)
async def test_a_login_that_is_taken_no_more_is_refused_and_says_what_to_do(bench: Bench) -> None:
    bench.expire()
    with pytest.raises(Refused) as caught:
        await bench.issue(bench.request("expired.example.test"))
    assert "credential" in caught.value.next_step
    for secret in bench.secret_texts():
        assert secret not in f"{caught.value!r} {caught.value}"


@each(Power.STOP)
async def test_an_authority_that_is_away_is_asked_again_later(bench: Bench) -> None:
    bench.stop()
    with pytest.raises(NotNow):
        await bench.issue(bench.request("away.example.test"))


@each(Power.STOP)
async def test_an_address_that_the_policy_does_not_permit_is_not_asked(bench: Bench) -> None:
    closed = replace(bench, network=replace(bench.network, policy=Policy()))
    with pytest.raises(NotNow, match="outbound policy"):
        await closed.issue(closed.request("policy.example.test"))


@each(Power.TLS)
async def test_an_authority_with_an_unknown_tls_root_is_not_trusted(bench: Bench) -> None:
    options = {name: told for name, told in bench.options.items() if name not in ("ca_pem", "trusted_ca")}
    stranger = replace(bench, options=options)
    with pytest.raises(NotNow, match=r"(?i)certificate.verify.failed"):
        await stranger.issue(stranger.request("tls.example.test"))


@each(with_method="revoke")
async def test_a_certificate_is_revoked_once_and_stays_so(bench: Bench) -> None:
    told = await bench.issue(bench.request("revoked.example.test"))
    async with bench.opened() as authority:
        assert isinstance(authority, Revokes)
        for reason in (RevocationReason.SUPERSEDED, RevocationReason.KEY_COMPROMISE):
            await authority.revoke(told.chain[0], issuer=told.chain[1], reason=reason, now=datetime.now(UTC))
    assert await bench.is_revoked(told.chain[0])


@each(with_method="revoke")
async def test_each_reason_is_taken_or_refused_with_those_to_choose_from(bench: Bench) -> None:
    taken = []
    async with bench.opened() as authority:
        for reason in RevocationReason:
            told = await bench.issue_by(authority, bench.request("reason.example.test"))
            refusal = await _refusal_to_revoke(authority, told, reason)
            assert await bench.is_revoked(told.chain[0]) == (refusal is None), reason
            if refusal is not None:
                assert RevocationReason.SUPERSEDED in refusal.next_step
                continue
            taken.append(reason)
    assert {RevocationReason.KEY_COMPROMISE, RevocationReason.SUPERSEDED} <= set(taken)


async def _refusal_to_revoke(authority: Any, told: Issued, reason: RevocationReason) -> Refused | None:
    try:
        await authority.revoke(told.chain[0], issuer=told.chain[1], reason=reason, now=datetime.now(UTC))
    except Refused as refusal:
        return refusal
    return None


@each(with_method="revoke")
async def test_a_certificate_of_somebody_else_is_not_revoked(
    bench: Bench, stranger: Callable[[], tuple[bytes, bytes]]
) -> None:
    leaf, issuer = stranger()
    async with bench.opened() as authority:
        with pytest.raises(Refused):
            await authority.revoke(
                leaf, issuer=issuer, reason=RevocationReason.SUPERSEDED, now=datetime.now(UTC)
            )


@each(with_method="issued_since")
async def test_what_was_issued_since_a_moment_is_listed(bench: Bench) -> None:
    issued = [await bench.issue(bench.request(f"list{number}.example.test")) for number in range(3)]
    assert await _listed(bench, datetime.now(UTC) - HOUR) >= {told.chain[0] for told in issued}
    assert not await _listed(bench, datetime.now(UTC) + HOUR)


async def _listed(bench: Bench, since: datetime) -> set[bytes]:
    async with bench.opened() as authority:
        assert isinstance(authority, ListsIssued)
        async with aclosing(authority.issued_since(since)) as listed:  # type: ignore[type-var] # each is a generator
            found = [one async for one in listed]
    assert [one.issued_at for one in found] == sorted(one.issued_at for one in found)
    assert all(one.issued_at >= since for one in found)
    return {one.certificate for one in found}
