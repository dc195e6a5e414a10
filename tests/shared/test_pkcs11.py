"""Keys in a real token (SoftHSM): they sign and wrap, and nothing gets them out."""

import os
from hashlib import sha256

import pkcs11
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from pkcs11 import Attribute, KeyType, ObjectClass

from shared import pkcs11 as module
from shared.errors import Conflict, Invalid, Unavailable
from shared.pkcs11 import EcTokenKey, RsaTokenKey, Token, TokenWrappingKey
from shared.sealing import CannotOpen, KeyEncryptionKey, Sealer
from tests.servers.softhsm import PIN, UNUSED, SoftHsm


def own(name: str) -> str:
    """Return a name that no other test gives a key."""
    test = os.environ["PYTEST_CURRENT_TEST"].partition(" ")[0]
    return f"{name} {sha256(test.encode()).hexdigest()[:12]}"


@pytest.mark.parametrize("kind", ["ecdsa-p256", "ecdsa-p384"])
def test_an_ecdsa_key_signs_as_any_other_does(token: Token, kind: str) -> None:
    key = token.make_key(kind, name=own("signing"))
    assert isinstance(key, EcTokenKey)
    signature = key.sign(b"data", ec.ECDSA(hashes.SHA256()))
    key.public_key().verify(signature, b"data", ec.ECDSA(hashes.SHA256()))


def test_an_rsa_key_signs_as_any_other_does(token: Token) -> None:
    key = token.make_key("rsa-2048", name=own("signing"))
    assert isinstance(key, RsaTokenKey)
    signature = key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
    key.public_key().verify(signature, b"data", padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(Invalid, match="PKCS#1"):
        key.sign(b"data", padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def test_a_key_is_sensitive_was_never_extractable_and_is_not_given_out(
    softhsm: SoftHsm, token: Token
) -> None:
    key = token.make_key("ecdsa-p256", name=own("signing"))
    with pytest.raises(Invalid, match="stays there"):
        key.private_bytes()
    session = pkcs11.lib(softhsm.module).get_token(token_label=token._label).open()
    private = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=own("signing"))
    assert [private[each] for each in (Attribute.SENSITIVE, Attribute.EXTRACTABLE)] == [True, False]
    assert private[Attribute.ALWAYS_SENSITIVE]
    assert private[Attribute.NEVER_EXTRACTABLE]
    with pytest.raises(pkcs11.AttributeSensitive):
        print(private[Attribute.VALUE])


def test_a_key_that_could_leave_the_token_is_destroyed_at_once(
    softhsm: SoftHsm, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaky = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True, Attribute.PRIVATE: True}
    monkeypatch.setattr(module, "_STAYS", leaky)
    with pytest.raises(Invalid, match="was destroyed"):
        token.make_key("ecdsa-p256", name=own("leaky"))
    session = pkcs11.lib(softhsm.module).get_token(token_label=token._label).open()
    assert list(session.get_objects({Attribute.LABEL: own("leaky")})) == []


def test_a_name_that_is_taken_a_kind_that_is_not_made_and_a_key_that_is_not_there(token: Token) -> None:
    token.make_key("ecdsa-p256", name=own("one"))
    with pytest.raises(Conflict, match="already"):
        token.make_key("ecdsa-p256", name=own("one"))
    with pytest.raises(Invalid, match="No ed25519 key"):
        token.make_key("ed25519", name=own("two"))
    with pytest.raises(Unavailable, match="does not have the key"):
        token.key(own("two"))


def test_a_wrong_pin_a_strange_token_and_a_module_that_is_none_say_what_to_check(softhsm: SoftHsm) -> None:
    for broken in (softhsm.open(UNUSED, pin="9999"), softhsm.open("nobody")):
        with pytest.raises(Unavailable, match="EVERLEAF_PKCS11_PIN") as told:
            broken.key("x")
        assert "9999" not in str(told.value)
    with pytest.raises(Unavailable, match="EVERLEAF_PKCS11_MODULE"):
        Token("/nowhere.so", label=UNUSED, pin=PIN).key("x")


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # the library's, for the session that is gone
def test_a_session_that_is_gone_is_opened_again(token: Token) -> None:
    key = token.make_key("ecdsa-p256", name=own("signing"))
    assert isinstance(key, EcTokenKey)
    token._session.close()
    assert key.sign(b"data", ec.ECDSA(hashes.SHA256()))


def test_a_key_encryption_key_in_the_token_seals_and_opens_and_another_does_not(token: Token) -> None:
    first, second = (TokenWrappingKey.load_or_make(token, own(name)) for name in ("kek-1", "kek-2"))
    sealed = Sealer([first]).seal(b"secret", row="r")
    again = TokenWrappingKey.load_or_make(token, own("kek-1"))
    assert again.id == first.id != second.id
    assert Sealer([second, again]).open(sealed, row="r") == b"secret"
    with pytest.raises(CannotOpen):
        Sealer([second]).open(sealed, row="r")
    with pytest.raises(ValueError, match="not wrapped"):
        first.unwrap(second.wrap(os.urandom(32)))


def test_secrets_move_from_a_key_in_a_file_to_one_in_the_token(token: Token) -> None:
    filed, kek = KeyEncryptionKey(b"f" * 32), TokenWrappingKey.load_or_make(token, own("kek"))
    sealed = Sealer([filed]).seal(b"secret", row="r")
    moved = Sealer([kek, filed]).rewrap(sealed)
    assert moved != sealed
    assert Sealer([kek]).open(moved, row="r") == b"secret"


def test_the_key_encryption_key_wraps_and_does_nothing_else(softhsm: SoftHsm, token: Token) -> None:
    TokenWrappingKey.load_or_make(token, own("kek"))
    session = pkcs11.lib(softhsm.module).get_token(token_label=token._label).open()
    kek = session.get_key(object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=own("kek"))
    assert [kek[each] for each in (Attribute.SENSITIVE, Attribute.EXTRACTABLE)] == [True, False]
    assert [kek[each] for each in (Attribute.ENCRYPT, Attribute.DECRYPT)] == [False, False]


def test_a_token_key_is_a_private_key_to_those_who_ask(token: Token) -> None:
    assert isinstance(token.make_key("ecdsa-p256", name=own("a")), ec.EllipticCurvePrivateKey)
    assert isinstance(token.make_key("rsa-2048", name=own("b")), rsa.RSAPrivateKey)
