"""On which terms: requests that were brought, keys that are used again, lifetimes that are cut."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from services.renewal import store
from services.renewal.actions.orders import NewOrder
from services.renewal.connectors import NotNow
from services.renewal.domain.orders import State
from services.renewal.domain.policy import Trust
from shared.access import Principal
from shared.errors import Conflict, Invalid
from shared.events.renewal import CertificateRenewed
from shared.x509 import key_fingerprint, load
from tests.renewal.workshop import CALLER, Scripted, Workshop


def request(key: ec.EllipticCurvePrivateKey, *names: str) -> str:
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(alternatives, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


async def bring(shop: Workshop, csr: str, *names: str) -> store.Order:
    new = NewOrder(names=names, profile="web", lineage_id="lineage", csr=csr)
    return await shop.orders.create(new, caller=CALLER, now=shop.time())


async def test_a_request_of_ones_own_is_used_as_it_is_and_its_key_never_comes_here(shop: Workshop) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    order = await bring(shop, request(key, "shop.example.test"))
    Scripted.script.append(NotNow("The challenge failed.", starts_over=True))
    await shop.work_off()
    shop.time.passes(timedelta(minutes=2))
    await shop.work_off()
    order = await shop.only()
    assert (order.state, order.private_key, order.names) == (State.RENEWED, None, ["shop.example.test"])
    [told] = await shop.events(CertificateRenewed)
    assert key_fingerprint(load(told.chain[0]).public_key()) == key_fingerprint(key.public_key())
    taker = Principal(
        id="provisioner",
        name="provisioner",
        permissions=frozenset({"keys:release"}),
        sealing_key=X25519PrivateKey.generate().public_key().public_bytes_raw(),
    )
    with pytest.raises(Conflict, match="never was here"):
        await shop.keys.release(order.id, deployment_id="d", caller=taker, now=shop.time())
    # The same key again is no new one.
    with pytest.raises(Invalid, match="has had before"):
        await bring(shop, request(key, "shop.example.test"))


async def test_a_request_that_the_policy_forbids_is_not_taken(small_shop: Workshop) -> None:
    p256, p384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    for csr, names, reason in (
        (request(p384, "shop.example.test"), (), "the profile wants ecdsa-p256"),
        (request(p256, "evil.test"), (), "not allowed"),
        (request(p256, "shop.example.test"), ("other.example.test",), "says something else"),
    ):
        with pytest.raises(Invalid, match=reason):
            await bring(small_shop, csr, *names)
    assert await small_shop.all() == []


async def test_keys_are_new_each_time_unless_the_profile_says_why_not(small_shop: Workshop) -> None:
    async def fingerprint() -> str:
        await small_shop.order()
        await small_shop.work_off()
        order = (await small_shop.all())[0]
        return key_fingerprint(x509.load_der_x509_csr(order.csr or b"").public_key())

    first, second = await fingerprint(), await fingerprint()
    assert first != second
    await small_shop.change(reuse_key=True, reuse_key_reason="The device pins it.")
    assert await fingerprint() == second
    _, steps = await small_shop.orders.get((await small_shop.all())[0].id, caller=CALLER)
    assert "The device pins it." in steps[0].text


async def test_a_public_authority_is_asked_for_what_the_day_allows_and_the_order_says_so(
    small_shop: Workshop,
) -> None:
    await small_shop.authority("public-ca", trust=Trust.PUBLIC)
    await small_shop.profile(
        "long", authority="public-ca", lifetime=timedelta(days=398), allowed_names=["*.example.com"]
    )
    await small_shop.order("www.example.com", profile="long")
    await small_shop.work_off()
    order = await small_shop.only()
    assert order.not_after is not None
    assert order.not_before is not None
    assert order.not_after - order.not_before < timedelta(days=200)
    _, steps = await small_shop.orders.get(order.id, caller=CALLER)
    assert "cut to" in steps[0].text
    await small_shop.profile("inner", authority="public-ca", allowed_names=["*.corp.test"])
    with pytest.raises(Invalid, match="internal"):
        await small_shop.order("a.corp.test", profile="inner", lineage_id="other")
