from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from services.provisioner.domain import (
    DeploymentError,
    Failure,
    Schedule,
    needs_a_person,
    next_step,
    pair,
    without_keys,
)
from tests.servers.tls import CertificateAuthority

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SCHEDULE = Schedule(waits=(MINUTE, 10 * MINUTE, HOUR, 6 * HOUR), attempts=8)


def test_a_deployment_is_tried_after_a_minute_ten_an_hour_and_then_every_six():
    waits = [SCHEDULE.next_attempt(attempt=attempt, now=NOW) for attempt in range(1, 9)]
    spans = [None if at is None else at - NOW for at in waits]
    assert spans == [MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, 6 * HOUR, 6 * HOUR, 6 * HOUR, None]


@given(st.integers(min_value=1, max_value=10_000))
def test_putting_back_is_never_given_up_and_never_slower_than_the_last_wait(attempt: int):
    at = SCHEDULE.next_repair(attempt=attempt, now=NOW)
    assert NOW < at <= NOW + 6 * HOUR


@given(st.integers(min_value=1, max_value=100))
def test_waits_for_putting_back_do_not_shrink(attempt: int):
    first = SCHEDULE.next_repair(attempt=attempt, now=NOW)
    assert first <= SCHEDULE.next_repair(attempt=attempt + 1, now=NOW)


@pytest.mark.parametrize("failure", list(Failure))
def test_every_failure_says_what_to_do(failure: Failure):
    assert next_step(failure).endswith(".")


def test_only_what_trying_again_makes_worse_waits_for_a_person():
    waiting = [failure for failure in Failure if needs_a_person(failure)]
    assert waiting == [Failure.HOST_KEY_CHANGED, Failure.PAIR_MISMATCH]


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_key_is_joined_with_its_certificate(lab_ca: CertificateAuthority, kind, encoding):
    issued = lab_ca.issue("shop.test", kind=kind)
    key = issued.key.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())
    material = pair([issued.certificate.public_bytes(Encoding.DER)], key)
    assert (material.key_pem, material.fingerprint) == (issued.key_pem, issued.fingerprint)


@pytest.mark.parametrize("kinds", [("ec", "ec"), ("ec", "rsa"), ("rsa", "ec"), ("rsa", "rsa")])
def test_a_key_of_another_certificate_is_refused(lab_ca: CertificateAuthority, kinds):
    certificate, key = (lab_ca.issue("shop.test", kind=kind) for kind in kinds)
    with pytest.raises(DeploymentError) as refused:
        pair([certificate.certificate.public_bytes(Encoding.DER)], key.key_pem)
    assert refused.value.failure is Failure.PAIR_MISMATCH


@pytest.mark.parametrize("rubbish", [b"", b"-----BEGIN nothing", b"\x30\x00", b"not a key"])
def test_what_is_no_key_is_refused_without_being_quoted(lab_ca: CertificateAuthority, rubbish: bytes):
    certificate = lab_ca.issue("shop.test").certificate.public_bytes(Encoding.DER)
    with pytest.raises(DeploymentError) as refused:
        pair([certificate], rubbish)
    assert str(refused.value).count("not a key") == 0


def test_material_and_keys_do_not_show(lab_ca: CertificateAuthority):
    issued = lab_ca.issue("shop.test")
    material = pair([issued.certificate.public_bytes(Encoding.DER)], issued.key_pem)
    assert "PRIVATE" not in repr(material)
    assert without_keys(f"cat: {issued.key_pem.decode()} end") == "cat: [private key]\n end"
    assert "MI" not in without_keys(issued.key_pem.decode()[:60])
