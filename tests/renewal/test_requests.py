"""Orders whose keys are made on the target: what waits, what is taken, and what becomes of the rest."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.renewal import store
from services.renewal.actions.requests import Requests
from services.renewal.domain.keys import KeyType, PrivateKey, new_key, new_request
from services.renewal.domain.orders import State
from services.renewal.domain.policy import Custody
from shared.access import Principal
from shared.approvals import Verdict
from shared.approvals.actions import Word
from shared.errors import Conflict, Invalid, NotFound
from shared.events.renewal import CertificateRenewed, RenewalFailed, RequestWanted, RequestWithdrawn
from tests.renewal.workshop import CALLER, OLD, Scripted, Workshop

NAME = "shop.example.test"
BRINGER = Principal(id="provisioner", name="provisioner", permissions=frozenset({"requests:bring"}))


def requests(shop: Workshop) -> Requests:
    return Requests(shop.database, ring=shop.rung)


def request(key: PrivateKey | None = None, names: Sequence[str] = (NAME,)) -> str:
    key = key or new_key(KeyType.ECDSA_P256)
    csr = x509.load_der_x509_csr(new_request(key, names))
    return csr.public_bytes(Encoding.PEM).decode()


async def waiting(shop: Workshop, **given: Any) -> store.Order:
    """Order by a profile whose keys are made on the target, and work until it waits."""
    await shop.profile("device", authority="house-ca", key_custody=Custody.TARGET, **given)
    await shop.order(profile="device")
    await shop.work_off()
    return await shop.only()


async def bring(shop: Workshop, order: store.Order, csr: str) -> store.Order:
    return await requests(shop).bring(order.id, csr, caller=BRINGER, now=shop.time())


async def test_the_request_comes_from_the_target_and_no_key_is_ever_here(shop: Workshop) -> None:
    order = await waiting(shop)
    assert (order.state, order.private_key, order.csr) == (State.AWAITING_REQUEST, None, None)
    [told] = await shop.events(RequestWanted)
    assert (told.order_id, told.names, told.key_type) == (order.id, [NAME], "ecdsa-p256")
    assert told.expires_at == order.request_until
    with pytest.raises(Conflict):
        await shop.order(profile="device")
    csr = request()
    await bring(shop, order, csr)
    await shop.work_off()
    row = await shop.only()
    assert (row.state, row.private_key) == (State.RENEWED, None)
    assert Scripted.requests == [x509.load_pem_x509_csr(csr.encode()).public_bytes(Encoding.DER)]
    [renewed] = await shop.events(CertificateRenewed)
    assert renewed.key_is_on_target
    sealed = Principal(**{**BRINGER.__dict__, "sealing_key": b"k" * 32})
    with pytest.raises(Conflict, match="on the target"):
        await shop.keys.release(order.id, deployment_id="d", caller=sealed, now=shop.time())


async def test_what_is_ordered_centrally_says_so(small_shop: Workshop) -> None:
    await small_shop.order()
    await small_shop.work_off()
    [renewed] = await small_shop.events(CertificateRenewed)
    assert not renewed.key_is_on_target
    order = await small_shop.only()
    with pytest.raises(Conflict, match="renewed"):
        await bring(small_shop, order, request())


@pytest.mark.parametrize(
    ("csr", "why"),
    [
        (request(names=[NAME, "evil.example.test"]), "evil.example.test"),
        (request(names=["other.example.test"]), "other.example.test"),
        (request(new_key(KeyType.RSA_2048)), "rsa-2048"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "cannot be read"),
    ],
)
async def test_a_wrong_request_is_refused_and_the_order_waits_and_says_why(
    small_shop: Workshop, csr: str, why: str
) -> None:
    order = await waiting(small_shop)
    with pytest.raises(Invalid, match=why):
        await bring(small_shop, order, csr)
    row, steps = await small_shop.orders.get(order.id, caller=CALLER)
    assert (row.state, row.given_csr) == (State.AWAITING_REQUEST, None)
    assert why in (row.last_error or "")
    assert why in steps[-1].text
    await bring(small_shop, order, request())
    await small_shop.work_off()
    assert (await small_shop.only()).state == State.RENEWED


async def test_a_key_that_the_lineage_has_had_is_refused(small_shop: Workshop) -> None:
    key = new_key(KeyType.ECDSA_P256)
    await bring(small_shop, await waiting(small_shop), request(key))
    await small_shop.work_off()
    await small_shop.order(profile="device")
    await small_shop.work_off()
    [again, _] = await small_shop.all()
    with pytest.raises(Invalid, match="has had before"):
        await bring(small_shop, again, request(key))


async def test_the_same_key_is_brought_again_after_an_answer_was_lost(small_shop: Workshop) -> None:
    order, key = await waiting(small_shop), new_key(KeyType.ECDSA_P256)
    first, second = request(key), request(key)
    assert first != second
    await bring(small_shop, order, first)
    await bring(small_shop, order, second)
    await small_shop.work_off()
    await bring(small_shop, order, second)
    with pytest.raises(Conflict):
        await bring(small_shop, order, request())
    assert len(Scripted.requests) == 1


async def test_without_a_request_in_time_the_order_fails_and_asks_anew_when_it_is_tried_again(
    shop: Workshop,
) -> None:
    order = await waiting(shop)
    shop.time.passes(timedelta(hours=23))
    await shop.work_off()
    assert (await shop.only()).state == State.AWAITING_REQUEST
    shop.time.passes(timedelta(hours=2))
    await shop.work_off()
    row = await shop.only()
    assert (row.state, row.request_until) == (State.FAILED, None)
    [told] = await shop.events(RenewalFailed)
    assert told.next_attempt_at is None
    assert "provisioner" in told.next_step
    await shop.orders.retry(order.id, caller=CALLER, now=shop.time())
    await shop.work_off()
    assert [each.order_id for each in await shop.events(RequestWanted)] == [order.id, order.id]
    await bring(shop, order, request())
    await shop.work_off()
    assert (await shop.only()).state == State.RENEWED


async def test_a_target_that_makes_no_keys_lets_the_order_fail_with_what_to_do(small_shop: Workshop) -> None:
    order = await waiting(small_shop)
    for is_final in (False, True):
        await requests(small_shop).refuse(
            order.id,
            reason="It has no openssl.",
            what_to_do="Install it.",
            is_final=is_final,
            caller=BRINGER,
            now=small_shop.time(),
        )
        assert (await small_shop.only()).state == (State.FAILED if is_final else State.AWAITING_REQUEST)
    told = await small_shop.events(RenewalFailed)
    assert [(each.reason, each.next_step) for each in told] == [("It has no openssl.", "Install it.")] * 2
    assert [each.next_attempt_at is None for each in told] == [False, True]


async def test_an_approval_binds_to_the_key_on_the_target(small_shop: Workshop) -> None:
    order = await waiting(small_shop, approvals_needed=1)
    assert order.state == State.AWAITING_REQUEST
    await bring(small_shop, order, request())
    await small_shop.work_off()
    assert (await small_shop.only()).state == State.AWAITING_APPROVAL
    assert Scripted.requests == []
    [asked] = await small_shop.approvals.page(after=None, limit=10, caller=CALLER)
    said = Word(verdict=Verdict.REFUSE, digest=asked.digest, reason="Not this week.")
    other = Principal(id="chief", name="Chief", roles=frozenset({"admin"}))
    await small_shop.approvals.decide(asked.id, said, caller=other, now=small_shop.time())
    row = await small_shop.only()
    assert (row.state, row.given_csr, row.request_until) == (State.FAILED, None, None)


async def test_an_order_that_is_not_needed_any_more_withdraws_what_it_wanted(small_shop: Workshop) -> None:
    await small_shop.profile("device", authority="house-ca", key_custody=Custody.TARGET)
    await small_shop.enrol([NAME], profile="device")
    await small_shop.expires()
    await small_shop.work_off()
    order = await small_shop.only()
    assert order.state == State.AWAITING_REQUEST
    await small_shop.replaced("f" * 64, old=OLD)
    [told] = await small_shop.events(RequestWithdrawn)
    assert told.order_id == order.id
    assert (await small_shop.only()).state == State.FAILED


async def test_a_profile_that_keeps_keys_here_again_withdraws_what_was_wanted(small_shop: Workshop) -> None:
    order = await waiting(small_shop)
    await small_shop.change("device", key_custody=Custody.CENTRAL)
    small_shop.time.passes(timedelta(hours=25))
    await small_shop.work_off()
    row = await small_shop.only()
    assert row.state == State.RENEWED
    assert row.private_key is not None
    assert [each.order_id for each in await small_shop.events(RequestWithdrawn)] == [order.id]
    [renewed] = await small_shop.events(CertificateRenewed)
    assert not renewed.key_is_on_target


async def test_who_does_not_see_the_lineage_brings_nothing(small_shop: Workshop) -> None:
    order = await waiting(small_shop)
    stranger = Principal(**{**BRINGER.__dict__, "groups": frozenset({"others"})})
    with pytest.raises(NotFound):
        await requests(small_shop).bring(order.id, request(), caller=stranger, now=small_shop.time())
