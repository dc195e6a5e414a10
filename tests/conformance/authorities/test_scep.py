"""What only SCEP does, with micromdm's real server and with answers that are not what they should be."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from services.renewal.connectors import NotNow, Pending
from services.renewal.connectors.scep import Scep, messages
from services.renewal.connectors.scep.messages import (
    MessageType,
    Reply,
    Sender,
    Status,
    Unreadable,
    ask,
    read,
)
from services.renewal.domain.keys import KeyType
from shared.errors import Refused
from tests.conformance.authorities.scep import ScepBench, scep_bench
from tests.servers.tls import CertificateAuthority


@pytest.fixture
async def bench(scep_depot: Path) -> AsyncIterator[ScepBench]:
    async with scep_bench(scep_depot) as opened:
        yield opened


async def test_only_rsa_keys_that_are_kept_here_can_be_asked_for(bench: ScepBench) -> None:
    elliptic = bench.request("ec.example.test", key_type=KeyType.ECDSA_P256)
    elsewhere = replace(bench.request("elsewhere.example.test"), anew=None)
    for request in (elliptic, elsewhere):
        with pytest.raises(Refused, match="RSA keys only"):
            await bench.issue(request)


async def test_the_password_is_in_what_is_sent_and_not_in_what_is_kept(bench: ScepBench) -> None:
    assert bench.server is not None
    request = bench.request("kept.example.test")
    await bench.issue(request)
    password = bench.server.challenge.encode()
    assert password not in request.csr
    assert request.anew is not None
    assert password in request.anew([(x509.oid.AttributeOID.CHALLENGE_PASSWORD, password)])


async def test_a_ca_that_does_not_come_from_the_root_is_not_written_to(
    bench: ScepBench, lab_ca: CertificateAuthority
) -> None:
    stranger = replace(bench, options={**bench.options, "root_pem": lab_ca.pem.decode()})
    with pytest.raises(Refused, match="does not come from the root"):
        await stranger.issue(stranger.request("root.example.test"))


async def test_an_answer_in_old_cryptography_is_taken_only_where_that_is_asked_for(bench: ScepBench) -> None:
    strict = replace(bench, options={**bench.options, "accept_weak": False})
    with pytest.raises(NotNow, match="accept_weak"):
        await strict.issue(strict.request("weak.example.test"))


async def test_a_server_that_is_away_is_asked_again_later(bench: ScepBench) -> None:
    assert bench.server is not None
    bench.server.stop()
    with pytest.raises(NotNow):
        await bench.issue(bench.request("away.example.test"))


async def test_what_waits_for_a_person_is_polled_for_by_its_transaction(
    bench: ScepBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This server decides at once, so its first answer is taken for "later"; it does not know the poll either."""
    sent: list[tuple[MessageType, str]] = []

    async def send(_self: Scep, kind: MessageType, _content: bytes, request: Any, **_given: Any) -> Reply:
        sent.append((kind, request.key))
        return Reply(status=Status.PENDING, failure=None)

    monkeypatch.setattr(Scep, "_send", send)
    request = bench.request("patience.example.test")
    async with bench.opened() as authority:
        told = await bench.step(authority, request, None, resumed=False)
        assert isinstance(told, Pending)
        assert told.retry_after
        again = await bench.step(authority, request, told.state, resumed=True)
        assert isinstance(again, Pending)
    assert sent == [(MessageType.PKCS_REQ, request.key), (MessageType.CERT_POLL, request.key)]


@pytest.fixture(scope="module")
def pair() -> tuple[Sender, Sender]:
    """Us and a CA, each an RSA key with a certificate of its own."""
    return _party("Everleaf"), _party("CA")


def _party(name: str) -> Sender:
    key = rsa.generate_private_key(65537, 2048)
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(named, named, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return Sender(key=key, certificate=certificate)


def test_a_message_is_for_the_ca_alone_and_is_signed(pair: tuple[Sender, Sender]) -> None:
    us, ca = pair
    question = ask(MessageType.PKCS_REQ, b"a request", sender=us, ca=ca.certificate, transaction="one")
    data, signer = messages._opened(question.der)
    envelope = bytes(data["encapContentInfo"]["eContent"])
    assert b"a request" not in question.der
    assert messages._decrypted(envelope, sender=ca, accept_weak=False) == b"a request"
    said = {str(each["attrType"]): bytes(each["attrValues"][0]) for each in signer["signedAttrs"]}
    messages._verify(signer, said, envelope, ca=(us.certificate,), known=messages._HASHES)
    with pytest.raises(Unreadable, match="not signed by the CA"):
        messages._verify(signer, said, envelope, ca=(ca.certificate,), known=messages._HASHES)
    with pytest.raises(Unreadable, match="not what was signed"):
        messages._verify(signer, said, envelope + b"x", ca=(us.certificate,), known=messages._HASHES)


def test_an_answer_that_is_none_or_ours_thrown_back_is_not_taken(pair: tuple[Sender, Sender]) -> None:
    us, ca = pair
    question = ask(MessageType.PKCS_REQ, b"a request", sender=us, ca=ca.certificate, transaction="one")
    for answer in (b"", b"nonsense", question.der[:100]):
        with pytest.raises(Unreadable, match="cannot be read"):
            read(answer, question=question, sender=us, ca=(ca.certificate,))
    with pytest.raises(Unreadable, match="no answer"):
        read(question.der, question=question, sender=us, ca=(us.certificate,))
