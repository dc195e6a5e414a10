"""What a certificate has to be before anyone is told of it, beside being what was asked for."""

import struct
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from services.renewal.actions.revocations import NewRevocation
from services.renewal.actions.validation import Validator
from services.renewal.domain.orders import State
from services.renewal.domain.policy import Trust
from services.renewal.domain.revocations import Start
from services.renewal.domain.validation import check_findings, check_logs, check_usage, check_word
from shared.clock import utc_now
from shared.errors import Conflict, Refused
from shared.events.renewal import CertificateRenewed, RenewalFailed, RevocationReason
from shared.lint import Finding, Severity
from shared.revocation.words import Revocation, Word
from tests.renewal.timestamps import extension_of
from tests.renewal.workshop import CALLER, Scripted, Workshop
from tests.servers.tls import CertificateAuthority

CA = CertificateAuthority("Root", now=utc_now())
FOREVER = utc_now() + timedelta(days=390)


def usage(**allowed: bool) -> x509.KeyUsage:
    every = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**{**every, **allowed})


def scts(*logs: int) -> x509.UnrecognizedExtension:
    """Return the extension with one timestamp of each log (RFC 6962 §3.2 and §3.3)."""
    each = [
        struct.pack(">B32sQHBBH", 0, bytes([log]) * 32, 1_790_000_000_000, 0, 4, 3, 8) + b"0" * 8
        for log in logs
    ]
    return extension_of(each)


@pytest.mark.parametrize(
    ("kind", "allowed", "is_right"),
    [
        ("ec", {"digital_signature": True}, True),
        ("ec", {"key_encipherment": True}, False),
        ("ec", {"digital_signature": True, "key_cert_sign": True}, False),
        ("rsa", {"key_encipherment": True}, True),
        ("rsa", {"content_commitment": True}, False),
    ],
)
def test_the_key_has_to_be_for_what_tls_does_with_it(
    kind: str, allowed: dict[str, bool], is_right: bool
) -> None:
    leaf = CA.issue("a.test", kind=kind, extensions=[usage(**allowed)]).certificate  # type: ignore[arg-type] # a literal
    if is_right:
        assert check_usage(leaf).check == "usage"
    else:
        with pytest.raises(Refused, match=r"\(RFC (8446 §4.4.2.2|5280 §4.2.1.9)\)"):
            check_usage(leaf)
    assert "anything" in check_usage(CA.issue("b.test").certificate).text


@pytest.mark.parametrize(
    ("logs", "is_long", "is_right"),
    [
        ((1, 2), False, True),
        ((1, 1), False, False),
        ((), False, False),
        ((1, 2), True, False),
        ((1, 2, 3), True, True),
    ],
)
def test_a_public_certificate_is_in_as_many_logs_as_browsers_want(
    logs: tuple[int, ...], is_long: bool, is_right: bool
) -> None:
    extensions = [scts(*logs)] if logs else []
    leaf = CA.issue("a.test", extensions=extensions, not_after=FOREVER if is_long else None).certificate
    assert check_logs(leaf, trust=Trust.PRIVATE) is None
    if is_right:
        assert check_logs(leaf, trust=Trust.PUBLIC) is not None
    else:
        with pytest.raises(Refused, match=f"in {len(set(logs))} CT logs that count.*Chrome CT policy"):
            check_logs(leaf, trust=Trust.PUBLIC)


def test_a_broken_must_is_refused_and_named_and_a_should_is_not() -> None:
    should = Finding(rule="cabf.should", severity=Severity.WARNING, evidence="")
    must = Finding(rule="cabf.must", severity=Severity.ERROR, evidence="the serial number")
    assert check_findings([should], rules="cabf_serverauth").check == "lint"
    with pytest.raises(Refused, match=r"cabf.must \(the serial number\) \(lint cabf_serverauth\)"):
        check_findings([should, must], rules="cabf_serverauth")


@pytest.mark.parametrize("state", list(Revocation))
def test_only_a_revocation_that_is_told_stands_in_the_way(state: Revocation) -> None:
    word = Word(state=state, evidence="So it says.", reason="keyCompromise")
    if state is Revocation.REVOKED:
        with pytest.raises(Refused, match=r"revoked already \(keyCompromise\)"):
            check_word(word)
    else:
        assert "So it says." in check_word(word).text


async def test_each_check_is_a_step_of_the_order(small_shop: Workshop) -> None:
    await small_shop.order()
    await small_shop.work_off()
    order, steps = await small_shop.orders.get((await small_shop.only()).id, caller=CALLER)
    assert order.state == State.RENEWED
    checks = [step.step.removeprefix("check ") for step in steps if step.step.startswith("check ")]
    assert checks == ["key", "names", "purpose", "validity", "chain", "usage", "revocation"]
    assert steps[-1].step == "renewed"
    [names] = [step.text for step in steps if step.step == "check names"]
    assert names == "It is for exactly the names that were asked for. (RFC 9525 §6.3)"


async def test_a_certificate_that_is_refused_is_told_to_nobody_and_kept_to_be_revoked(shop: Workshop) -> None:
    """A public authority that does not log, and keeps to no profile of the forum's."""
    await shop.authority("public", kind="scripted", trust=Trust.PUBLIC)
    await shop.profile("public", authority="public", allowed_names=["*.example.com"])
    placed = await shop.order("shop.example.com", profile="public")
    await shop.work_off()
    order, steps = await shop.orders.get(placed.id, caller=CALLER)
    assert order.state == State.FAILED
    assert "breaks rules of its class" in (order.last_error or "")
    assert "(lint cabf_serverauth)" in (order.last_error or "")
    assert "POST /v1/revocations" in (order.next_step or "")
    assert await shop.events(CertificateRenewed) == []
    [failed] = await shop.events(RenewalFailed)
    assert failed.next_attempt_at is None
    [rejected] = [step.text for step in steps if step.step == "rejected"]
    assert order.fingerprint is not None
    assert order.fingerprint in rejected
    assert "BEGIN CERTIFICATE" in rejected
    assert order.private_key is None
    with pytest.raises(Conflict, match="was not accepted"):
        await shop.orders.retry(order.id, caller=CALLER, now=shop.time())
    new = NewRevocation(
        fingerprint=None,
        order_id=order.id,
        reason=RevocationReason.CESSATION_OF_OPERATION,
        start=Start.NOW,
        explanation="It is not what a browser takes.",
    )
    await shop.revocations.create(new, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert Scripted.revoked == [(order.fingerprint, "cessationOfOperation")]


async def test_one_that_is_revoked_already_is_not_used(small_shop: Workshop) -> None:
    class Told:
        async def look(self, certificate: bytes, **_given: object) -> Word:
            return Word(state=Revocation.REVOKED, evidence="The responder says so.", reason="keyCompromise")

    means = small_shop.work._means
    small_shop.work._means = replace(means, validator=Validator(Told()))  # type: ignore[arg-type] # says what it is to say
    await small_shop.order()
    await small_shop.work_off()
    order = await small_shop.only()
    assert order.state == State.FAILED
    assert "revoked already (keyCompromise) (RFC 5280 §6.3)" in (order.last_error or "")
