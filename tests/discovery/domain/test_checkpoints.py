"""Checkpoints are parsed strictly, and signed by whom they should be."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from services.discovery.domain.checkpoints import (
    Checkpoint,
    LogWrong,
    key_id,
    read_checkpoint,
    read_log_key,
    tree_head,
)
from shared.errors import Invalid
from tests.servers.ct_log import CtLog

ROOT = b"\x05" * 32
LOG = CtLog()
KEY = LOG.key.public_key()
NOTE = LOG.checkpoint(70_000, ROOT)


def test_a_signed_checkpoint_is_read_with_its_time() -> None:
    checkpoint = read_checkpoint(NOTE, key=KEY)
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == ("ct.example.test/2026h2", 70_000, ROOT)
    assert checkpoint.signed_at is not None
    assert abs(checkpoint.signed_at - datetime.now(UTC)) < timedelta(hours=1)


def test_a_checkpoint_of_a_log_in_the_world_is_verified() -> None:
    """Let's Encrypt's test log Twig2026h1 as it was served: signed by two more of its keys, and with grease.

    The key is the one that can be computed from the signature, which the key ID in the note confirms.
    """
    note = """log.twig.ct.letsencrypt.org/2026h1
64279235
ewTUZ6fsXIRaHH7rNgAsZRRifCKEvbzqiuop49UnBcc=

\u2014 log.twig.ct.letsencrypt.org/2026h1 o+fqRRtSsx+TRCW3yMS4og==
\u2014 grease.invalid kt9/kevvRLAYuMh3t1jf/dxUydDYGbGTlN+veO/mcocZcGX2Dnyzv3wzoIzZcPfqlASlAsiVkuAb8+D6asGmkcBv
\u2014 log.twig.ct.letsencrypt.org/2026h1 7q00RAAAAZxgcF8sBAMARzBFAiEAns4sBI6bvFWM7tIZSrsOy6v1W06gxgCxZkZXEyqlJGYCIF++NROpHhRcvDOOzQO4pQmf/d+lVzJPcsRKJy9ffjVr
\u2014 log.twig.ct.letsencrypt.org/2026h1 Mt9KvMHmpQP5CKu2/PVfyKuZ2rpk5vNvWnq93gpTUYr/MoAJP/oqMamPNLJ24nLvmNbFUauKFL82AVbeQl+FGk+rjwk=
"""
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5xh2NJZD3AYbBgaMlzB/xrD2MDHNQPbm0SUzhXI+cMAc"
        "CknQoL1CA38su6Gi1TtXOGr+ntegPTWCf5SNILWSmQ=="
    )
    read = read_checkpoint(note.encode(), key=read_log_key(key, pointer=""))
    assert read.size == 64_279_235
    assert read.signed_at is not None
    assert read.signed_at.year == 2026


def test_without_a_key_the_signature_says_nothing() -> None:
    forged = LOG.checkpoint(70_000, ROOT, key=ec.generate_private_key(ec.SECP256R1()))
    assert read_checkpoint(forged, key=None).signed_at is None


def test_an_rsa_log_signs_too() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsigned = Checkpoint(origin="rsa.example", size=3, root=ROOT, note="")
    timestamp = (1_700_000_000_000).to_bytes(8)
    head = tree_head(unsigned, timestamp=timestamp)
    value = private.sign(head, padding.PKCS1v15(), hashes.SHA256())
    signature = key_id("rsa.example", key=private.public_key()) + timestamp + b"\x04\x01\x01\x00" + value
    note = f"rsa.example\n3\n{base64.b64encode(ROOT).decode()}\n\n\u2014 rsa.example {base64.b64encode(signature).decode()}\n"
    read = read_checkpoint(note.encode(), key=private.public_key())
    assert read.signed_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "note",
    [
        LOG.checkpoint(70_000, ROOT, key=ec.generate_private_key(ec.SECP256R1())),
        NOTE.replace(b"70000", b"70001"),
        NOTE.replace(base64.b64encode(ROOT), base64.b64encode(b"\x06" * 32)),
        NOTE.replace(b"ct.example.test/2026h2", b"other.example"),
        NOTE[: NOTE.index(b"\n\n") + 2],
    ],
    ids=["other key", "other size", "other root", "other name", "no signature"],
)
def test_what_the_log_has_not_signed_is_wrong(note: bytes) -> None:
    with pytest.raises(LogWrong, match="sign"):
        read_checkpoint(note, key=KEY)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\xff\xfe",
        b"<html>\n\n</html>",
        NOTE.replace(b"\n70000\n", b"\n070000\n"),
        NOTE.replace(b"\n70000\n", b"\n-1\n"),
        NOTE.replace(b"\n70000\n", b"\n9999999999999\n"),
        NOTE.replace(b"\n70000\n", "\n\u0667\u0660\n".encode()),
        NOTE.replace(base64.b64encode(ROOT), b"AAAA"),
        NOTE.replace(base64.b64encode(ROOT), b"?"),
        NOTE.replace(b"\n\n", b"\nextension\n\n"),
        NOTE.replace(b"ct.example", b"ct\x00example"),
        b"x" * 501 + NOTE,
    ],
)
def test_what_is_no_checkpoint_is_wrong(note: bytes) -> None:
    with pytest.raises(LogWrong):
        read_checkpoint(note, key=None)


@given(st.binary(max_size=300), st.integers(0, len(NOTE)), st.integers(0, len(NOTE)))
def test_no_bytes_raise_anything_else_or_pass_for_another_tree(piece: bytes, at: int, cut: int) -> None:
    for body in (piece, NOTE[:at] + piece + NOTE[at:], NOTE[:at] + piece + NOTE[max(at, cut) :]):
        try:
            read = read_checkpoint(body, key=KEY)
        except LogWrong:
            continue
        assert (read.size, read.root) == (70_000, ROOT)


def test_a_key_is_read_as_lists_and_as_files_have_it() -> None:
    pem = KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in (LOG.public_key, f" {LOG.public_key[:40]}\n{LOG.public_key[40:]} ", pem):
        assert read_log_key(text, pointer="/x") == KEY


@pytest.mark.parametrize(
    "text", ["", "AAAA", "?", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
)
def test_what_is_no_key_is_refused_with_the_pointer(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_log_key(text, pointer="/body/public_key")
    assert caught.value.faults[0].pointer == "/body/public_key"
