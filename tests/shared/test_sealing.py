import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Invalid
from shared.sealing import KEY_BYTES, CannotOpen, KeyEncryptionKey, Sealer, open_with, seal_to

OLD, NEW = KeyEncryptionKey(b"o" * KEY_BYTES), KeyEncryptionKey(b"n" * KEY_BYTES)
SEALER = Sealer([NEW])
SECRET = b"-----BEGIN PRIVATE KEY-----"
ROW = "renewal/orders/1/key"
PRIVATE = X25519PrivateKey.generate()
PUBLIC = PRIVATE.public_key().public_bytes_raw()


@given(secret=st.binary(max_size=5000), row=st.text(max_size=50))
def test_what_was_sealed_opens(secret: bytes, row: str):
    try:
        row.encode()
    except UnicodeEncodeError:
        return
    assert SEALER.open(SEALER.seal(secret, row=row), row=row) == secret


def test_the_same_secret_is_sealed_differently_each_time_and_never_shown():
    first, second = SEALER.seal(SECRET, row=ROW), SEALER.seal(SECRET, row=ROW)
    assert first != second
    assert SECRET not in first


def test_a_ciphertext_copied_to_another_row_does_not_open():
    with pytest.raises(CannotOpen):
        SEALER.open(SEALER.seal(SECRET, row=ROW), row="renewal/orders/2/key")


@given(st.data())
def test_a_ciphertext_with_any_bit_flipped_does_not_open(data: st.DataObject):
    sealed = bytearray(SEALER.seal(SECRET, row=ROW))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(CannotOpen):
        SEALER.open(bytes(sealed), row=ROW)


@given(st.binary(max_size=200))
def test_garbage_does_not_open(garbage: bytes):
    with pytest.raises(CannotOpen):
        SEALER.open(garbage, row=ROW)
    with pytest.raises(CannotOpen):
        open_with(PRIVATE.private_bytes_raw(), garbage, purpose="deployment 1")


@given(st.integers(0, 80))
def test_a_truncated_ciphertext_does_not_open(kept: int):
    with pytest.raises(CannotOpen):
        SEALER.open(SEALER.seal(SECRET, row=ROW)[:kept], row=ROW)


def test_an_unknown_key_does_not_open_and_the_error_tells_nothing_secret():
    with pytest.raises(CannotOpen) as raised:
        Sealer([OLD]).open(SEALER.seal(SECRET, row=ROW), row=ROW)
    assert OLD.key.hex() not in str(raised.value)
    assert NEW.key.hex() not in str(raised.value)


def test_after_a_change_of_keys_the_old_still_opens_and_the_new_seals():
    before = Sealer([OLD]).seal(SECRET, row=ROW)
    changed = Sealer([NEW, OLD])
    assert changed.open(before, row=ROW) == SECRET
    assert Sealer([NEW]).open(changed.seal(SECRET, row=ROW), row=ROW) == SECRET


def test_a_key_does_not_show_itself():
    assert repr(NEW.key) not in repr(NEW)
    assert NEW.key.hex() not in repr(NEW)
    assert NEW.key not in NEW.id
    assert repr(NEW.key) not in repr(vars(SEALER))


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path):
    path = tmp_path / "kek"
    made = KeyEncryptionKey.load_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KeyEncryptionKey.load_or_make(path) == made
    assert [entry.name for entry in tmp_path.iterdir()] == ["kek"]


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path):
    with ThreadPoolExecutor(16) as threads:
        keys = set(threads.map(KeyEncryptionKey.load_or_make, [tmp_path / "kek"] * 64))
    assert len(keys) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["kek"]


@pytest.mark.parametrize("content", [b"", b"abc", b"zz" * 32, b"ab" * 31, b"ab" * 33, b"\xff" * 64])
def test_a_key_file_that_holds_something_else_is_refused_without_quoting_it(tmp_path: Path, content: bytes):
    path = tmp_path / "kek"
    path.write_bytes(content)
    with pytest.raises(Invalid, match="key-encryption key") as raised:
        KeyEncryptionKey.load_or_make(path)
    assert not content or repr(content)[2:-1] not in str(raised.value)


def test_a_key_file_that_cannot_be_made_is_one_clear_line(tmp_path: Path):
    with pytest.raises(Invalid, match="cannot be used: No such file"):
        KeyEncryptionKey.load_or_make(tmp_path / "no folder" / "kek")


def test_what_is_sealed_to_a_receiver_opens_with_its_key_and_purpose():
    sealed = seal_to(PUBLIC, SECRET, purpose="deployment 1")
    assert SECRET not in sealed
    assert open_with(PRIVATE.private_bytes_raw(), sealed, purpose="deployment 1") == SECRET


def test_another_purpose_does_not_open_it():
    with pytest.raises(CannotOpen):
        open_with(PRIVATE.private_bytes_raw(), seal_to(PUBLIC, SECRET, purpose="one"), purpose="two")


def test_another_receiver_does_not_open_it():
    other = X25519PrivateKey.generate().private_bytes_raw()
    with pytest.raises(CannotOpen):
        open_with(other, seal_to(PUBLIC, SECRET, purpose="one"), purpose="one")


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 33, bytes(32)])
def test_a_public_key_that_is_none_is_refused(key: bytes):
    with pytest.raises(Invalid, match="not an X25519 key"):
        seal_to(key, SECRET, purpose="one")
