"""Keys that are made in a token (SoftHSM) and stay there: the order is served, and nobody gets the key."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.renewal.actions.token_keys import TokenKeys, made_at, new_key_name
from services.renewal.domain.keys import KeyType
from services.renewal.domain.orders import State
from services.renewal.domain.policy import Custody
from shared.access import Principal
from shared.errors import Conflict, Invalid, Refused
from shared.pkcs11 import Token, TokenKey
from shared.store import Database
from tests.renewal.workshop import RETENTION, Scripted, Workshop, take_scripted

PROVISIONER = Principal(
    id="provisioner",
    name="provisioner",
    permissions=frozenset({"keys:release"}),
    sealing_key=b"k" * 32,
)


@pytest.fixture
async def shop(tmp_path: Path, token: Token, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workshop]:
    """Renewal with a token."""
    take_scripted(monkeypatch)
    opened = Database(f"sqlite:///{tmp_path}/renewal.db", source="renewal")
    made = await Workshop(opened, token=token).set_up()
    await made.profile("hsm", authority="house-ca", key_custody=Custody.PKCS11)
    yield made
    await opened.close()


def public_half(of: x509.Certificate | TokenKey) -> bytes:
    return of.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("key_type", [KeyType.ECDSA_P256, KeyType.RSA_2048])
async def test_the_key_is_made_in_the_token_and_the_certificate_is_for_it(
    shop: Workshop, token: Token, key_type: KeyType
) -> None:
    await shop.change("hsm", key_custody=Custody.PKCS11, key_type=key_type)
    await shop.order(profile="hsm")
    await shop.work_off()
    order = await shop.only()
    assert (order.state, order.private_key) == (State.RENEWED, None)
    assert order.token_key is not None
    leaf = x509.load_der_x509_certificate(base64.b64decode((order.chain or [""])[0]))
    assert public_half(leaf) == public_half(token.key(order.token_key))


async def test_nobody_gets_a_key_that_is_in_the_token(shop: Workshop) -> None:
    await shop.order(profile="hsm")
    await shop.work_off()
    with pytest.raises(Conflict, match="in the token"):
        await shop.keys.release(
            (await shop.only()).id, deployment_id="d", caller=PROVISIONER, now=shop.time()
        )


async def test_what_no_order_has_any_more_is_destroyed_and_nothing_else(shop: Workshop, token: Token) -> None:
    sweeper = TokenKeys(shop.database, token)
    await shop.order(profile="hsm", lineage_id="kept")
    await shop.work_off()
    kept = (await shop.only()).token_key
    Scripted.script = [Refused("No.", next_step="Ask the CA.")]
    await shop.order(profile="hsm", lineage_id="failed")
    await shop.work_off()
    orphan = new_key_name()
    token.make_key("ecdsa-p256", name=orphan)
    assert await sweeper.sweep(shop.time()) is False
    assert {kept, orphan} <= set(token.names("everleaf-order-")), "it is too young to be nobody's"
    shop.time.passes(timedelta(hours=2))
    before = set(token.names("everleaf-order-"))
    await sweeper.sweep(shop.time())
    after = set(token.names("everleaf-order-"))
    assert kept in after
    assert orphan not in after
    assert len(before - after) >= 2, "that of the failed order too"


async def test_the_key_is_destroyed_when_a_newer_certificate_has_long_been_in_place(
    shop: Workshop, token: Token
) -> None:
    await shop.order(profile="hsm")
    await shop.work_off()
    first = await shop.only()
    shop.time.passes(timedelta(minutes=1))
    await shop.order(profile="hsm")
    await shop.work_off()
    second = (await shop.all())[0]
    await shop.replaced(second.fingerprint or "", old=first.fingerprint or "")
    shop.time.passes(RETENTION + timedelta(days=1))
    await shop.keys.delete_old(shop.time())
    await TokenKeys(shop.database, token).sweep(shop.time())
    names = token.names("everleaf-order-")
    assert second.token_key in names
    assert first.token_key not in names


async def test_a_profile_says_at_once_what_a_token_cannot_do(shop: Workshop) -> None:
    with pytest.raises(Invalid, match="No ed25519 key"):
        await shop.profile("ed", authority="house-ca", key_custody=Custody.PKCS11, key_type=KeyType.ED25519)


async def test_without_a_token_a_profile_says_what_to_set(small_shop: Workshop) -> None:
    with pytest.raises(Invalid, match="no PKCS#11 token") as refused:
        await small_shop.profile("none", authority="house-ca", key_custody=Custody.PKCS11)
    assert "EVERLEAF_PKCS11_MODULE" in refused.value.next_step


def test_a_name_says_when_the_key_was_made() -> None:
    at = made_at(new_key_name())
    assert at is not None
    assert made_at("everleaf-order-nonsense") is None
