"""What step-ca does beside what every kind does: a real one is asked."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.renewal.connectors import Issued, NotNow, Pending
from services.renewal.domain.keys import KeyType, new_key, new_request
from shared.errors import Invalid, Refused
from shared.events.renewal import RevocationReason
from shared.x509 import read, to_pem
from tests.conformance.authorities.step_ca import StepCaBench, step_ca_bench
from tests.servers.step_ca import StepCa
from tests.servers.tls import LOOPBACK, CertificateAuthority, fingerprint
from tests.servers.webhook import Answer, Webhook

DAY = timedelta(hours=24)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[StepCaBench]:
    """A provisioner as it comes: for 24 hours at most."""
    async with step_ca_bench(tmp_path) as opened:
        yield opened


def _server(bench: StepCaBench) -> StepCa:
    assert bench.server is not None
    return bench.server


def _changed(bench: StepCaBench, **options: object) -> StepCaBench:
    told = {**bench.options, **options}
    return replace(bench, options={name: value for name, value in told.items() if value is not None})


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def test_a_day_is_issued_to_the_minute_and_names_and_addresses_are_in_it(bench: StepCaBench) -> None:
    request = bench.request("one.example.test", "*.two.example.test", "192.0.2.7", "2001:db8::7")
    facts = read(bench.check(request, await bench.issue(request))[0])
    assert DAY <= facts.not_after - facts.not_before <= DAY + timedelta(minutes=2)


async def test_a_name_that_is_too_long_for_a_subject_is_issued(bench: StepCaBench) -> None:
    request = bench.request(f"{'long' * 15}.{'er' * 5}.example.test")
    bench.check(request, await bench.issue(request))


async def test_more_than_the_provisioner_allows_is_refused_before_there_is_a_profile(
    bench: StepCaBench,
) -> None:
    bench.lifetime = timedelta(days=30)
    with pytest.raises(Invalid, match="30 days, 0:00:00 is more than the 1 day") as caught:
        bench.check_terms()
    assert "maxTLSCertDuration" in caught.value.next_step
    with pytest.raises(Refused, match="requested duration of 720h") as refused:
        await bench.issue(bench.request("long.example.test"))
    assert "claims" in refused.value.next_step


async def test_a_provisioner_that_allows_more_issues_for_longer(tmp_path: Path) -> None:
    async with step_ca_bench(tmp_path, maxTLSCertDuration="720h") as opened:
        bench = _changed(opened, max_lifetime="P30D")
        bench.lifetime = timedelta(days=30)
        bench.check_terms()
        request = bench.request("long.example.test")
        facts = read(bench.check(request, await bench.issue(request))[0])
        assert facts.not_after > datetime.now(UTC) + timedelta(days=29)


async def test_a_profile_is_no_word_of_step_ca(bench: StepCaBench) -> None:
    with pytest.raises(Invalid, match="has no profiles"):
        replace(bench, profile="web").check_terms()


async def test_an_answer_that_was_lost_is_said_before_there_is_a_second_certificate(
    bench: StepCaBench,
) -> None:
    request = bench.request("lost.example.test")
    await bench.issue(request)
    async with bench.opened() as authority:
        told = await bench.step(authority, request, None, resumed=True)
        assert isinstance(told, Pending)
        assert "a certificate that nobody has" in (told.text or "")
        assert await bench.count("lost.example.test") == 1
        assert isinstance(await bench.step(authority, request, told.state, resumed=False), Issued)
    assert await bench.count("lost.example.test") == 2


async def test_an_order_that_never_reached_it_is_issued_by_the_same_token(bench: StepCaBench) -> None:
    server, request = _server(bench), bench.request("away.example.test")
    server.stop()
    with pytest.raises(NotNow):
        await bench.issue(request)
    server.start()
    async with bench.opened() as authority:
        assert isinstance(await bench.step(authority, request, None, resumed=True), Issued)
    assert await bench.count("away.example.test") == 1


async def test_the_root_is_fetched_by_its_fingerprint(bench: StepCaBench) -> None:
    found = _changed(
        bench, root_pem=None, root_fingerprint=fingerprint(_server(bench).root.certificate).upper()
    )
    request = found.request("fetched.example.test")
    issued = await found.issue(request)
    found.check(request, issued)
    async with found.opened() as authority:
        await authority.revoke(
            issued.chain[0], issuer=issued.chain[1], reason=RevocationReason.SUPERSEDED, now=datetime.now(UTC)
        )
    assert await bench.is_revoked(issued.chain[0])


async def test_a_fingerprint_that_step_ca_does_not_know_gives_no_root(bench: StepCaBench) -> None:
    unknown = "ab" * 32
    with pytest.raises((Refused, NotNow), match=f"root/{unknown}"):
        await _changed(bench, root_pem=None, root_fingerprint=unknown).issue(bench.request("x.example.test"))


async def test_a_root_that_somebody_in_between_sends_is_not_taken(
    bench: StepCaBench, lab_ca: CertificateAuthority, tmp_path: Path
) -> None:
    between = Webhook(context=lab_ca.issue(*LOOPBACK).server_context(tmp_path / "between"))
    between.default = Answer(body=json.dumps({"ca": lab_ca.pem.decode()}).encode())
    between.start()
    try:
        own = fingerprint(_server(bench).root.certificate)
        misled = _changed(bench, url=between.url, root_pem=None, root_fingerprint=own)
        with pytest.raises(Refused, match="another fingerprint"):
            await misled.issue(bench.request("between.example.test"))
        assert [each.method for each in between.requests] == ["GET"]
    finally:
        between.stop()


async def test_another_root_is_not_trusted(bench: StepCaBench, lab_ca: CertificateAuthority) -> None:
    with pytest.raises(NotNow, match=r"(?i)certificate.verify.failed"):
        await _changed(bench, root_pem=lab_ca.pem.decode()).issue(bench.request("tls.example.test"))


async def test_a_chain_that_does_not_end_at_the_root_is_refused(
    bench: StepCaBench, lab_ca: CertificateAuthority
) -> None:
    """Its API has a certificate that we trust, and what it issues is of another root."""
    trusting = _changed(bench, root_pem=lab_ca.pem.decode(), trusted_ca=_server(bench).root.pem.decode())
    with pytest.raises(Refused, match="does not end at its root"):
        await trusting.issue(bench.request("root.example.test"))


async def test_without_a_root_there_is_no_authority(bench: StepCaBench) -> None:
    with pytest.raises(Invalid, match="root of step-ca is not named"):
        _changed(bench, root_pem=None)


async def test_what_is_revoked_is_renewed_no_more(bench: StepCaBench, tmp_path: Path) -> None:
    key = new_key(KeyType.ECDSA_P256)
    request = replace(bench.request("mtls.example.test"), csr=new_request(key, ["mtls.example.test"]))
    issued = await bench.issue(request)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    files = tmp_path / "own.pem", tmp_path / "own.key"
    files[0].write_text(to_pem(issued.chain))
    files[1].write_text(_pem(key))
    with _server(bench).client(files) as client:
        assert client.post("/1.0/renew").status_code == httpx.codes.CREATED
        async with bench.opened() as authority:
            await authority.revoke(
                issued.chain[0],
                issuer=issued.chain[1],
                reason=RevocationReason.KEY_COMPROMISE,
                now=datetime.now(UTC),
            )
        assert client.post("/1.0/renew").status_code == httpx.codes.UNAUTHORIZED


async def test_what_nobody_signed_for_it_is_not_revoked(
    bench: StepCaBench, stranger: Callable[[], tuple[bytes, bytes]]
) -> None:
    """step-ca itself would write down any serial number."""
    leaf, _ = stranger()
    ours = (await bench.issue(bench.request("ours.example.test"))).chain[1]
    async with bench.opened() as authority:
        for issuer in (None, ours):
            with pytest.raises(Refused, match="has not issued it"):
                await authority.revoke(
                    leaf, issuer=issuer, reason=RevocationReason.SUPERSEDED, now=datetime.now(UTC)
                )
    assert not await bench.is_revoked(leaf)


async def test_a_key_in_pem_is_called_by_the_option_or_by_its_thumbprint(bench: StepCaBench) -> None:
    server = _server(bench)
    named = replace(_changed(bench, key_id=server.key_id), secrets={"key": _pem(server.key)})
    request = named.request("pem.example.test")
    named.check(request, await named.issue(request))
    with pytest.raises(Refused, match="does not take our token"):
        await replace(bench, secrets={"key": _pem(server.key)}).issue(bench.request("pem.example.test"))


async def test_the_thumbprint_is_what_step_calls_a_key(tmp_path: Path) -> None:
    async with step_ca_bench(tmp_path) as bench:
        server = _server(bench)
        server.stop()
        server.key_id = server.thumbprint
        server.start()
        by_pem = replace(bench, secrets={"key": _pem(server.key)})
        request = by_pem.request("thumb.example.test")
        by_pem.check(request, await by_pem.issue(request))


async def test_an_issuer_that_a_newer_step_ca_lists_is_its_own(
    bench: StepCaBench, lab_ca: CertificateAuthority, tmp_path: Path
) -> None:
    """Two below the root; our step-ca is too old to list it (`GET /intermediates`), so that is answered for it."""
    upper = _server(bench).root.intermediate("upper")
    issuing = upper.intermediate("issuing")
    leaf = issuing.issue("deep.example.test").certificate.public_bytes(Encoding.DER)
    issuer = issuing.certificate.public_bytes(Encoding.DER)
    newer = Webhook(context=lab_ca.issue(*LOOPBACK).server_context(tmp_path / "newer"))
    newer.start()
    try:
        deep = _changed(bench, url=newer.url, trusted_ca=lab_ca.pem.decode())
        for listed, asked in (([], 1), ([issuing.pem.decode(), upper.pem.decode()], 2)):
            newer.requests.clear()
            newer.answer(Answer(body=json.dumps({"crts": listed}).encode()))
            with contextlib.suppress(Refused):
                async with deep.opened() as authority:
                    await authority.revoke(
                        leaf, issuer=issuer, reason=RevocationReason.SUPERSEDED, now=datetime.now(UTC)
                    )
            assert len(newer.requests) == asked
    finally:
        newer.stop()
