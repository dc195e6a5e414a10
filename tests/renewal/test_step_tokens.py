"""The key of a provisioner of step-ca, and the tokens that it signs."""

import json
from datetime import UTC, datetime

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from jwt.algorithms import ECAlgorithm
from pydantic import SecretStr

from services.renewal.connectors.step_tokens import ProvisionerKey
from shared.errors import Invalid

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def _pem(key: Key, encryption: KeySerializationEncryption | None = None) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


@pytest.mark.parametrize(
    ("curve", "algorithm"), [(ec.SECP256R1(), "ES256"), (ec.SECP384R1(), "ES384"), (ec.SECP521R1(), "ES512")]
)
def test_a_token_says_who_signs_for_whom_and_ends_after_five_minutes(
    curve: ec.EllipticCurve, algorithm: str
) -> None:
    private = ec.generate_private_key(curve)
    token = ProvisionerKey.read(SecretStr(_pem(private)), key_id="key 1").token(
        issuer="ops",
        audience="https://ca.example.test/1.0/sign",
        subject="www.example.test",
        token_id="once",
        now=NOW,
        claims={"sans": ["www.example.test"]},
    )
    told = jwt.decode_complete(
        token,
        private.public_key(),
        algorithms=[algorithm],
        options={"verify_exp": False, "verify_nbf": False, "verify_aud": False},
    )
    assert told["header"] == {"alg": algorithm, "kid": "key 1", "typ": "JWT"}
    began = int(NOW.timestamp())
    assert told["payload"] == {
        "iss": "ops",
        "aud": "https://ca.example.test/1.0/sign",
        "sub": "www.example.test",
        "jti": "once",
        "nbf": began,
        "exp": began + 300,
        "sans": ["www.example.test"],
    }


def test_a_key_is_called_by_the_option_then_by_its_jwk_then_by_its_thumbprint() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    jwk = ECAlgorithm.to_jwk(private, as_dict=True)
    by_thumbprint = ProvisionerKey.read(SecretStr(_pem(private)), key_id=None).key_id
    assert ProvisionerKey.read(SecretStr(json.dumps(jwk)), key_id=None).key_id == by_thumbprint
    named = SecretStr(json.dumps({**jwk, "kid": "own"}))
    assert ProvisionerKey.read(named, key_id=None).key_id == "own"
    assert ProvisionerKey.read(named, key_id="told").key_id == "told"


@pytest.mark.parametrize(
    "key",
    [
        "secret-word",
        '{"secret-word": 1}',
        '{"kty": "EC", "crv": "P-256", "x": "secret-word"}',
        json.dumps({"protected": "e30", "ciphertext": "secret-word"}),
        json.dumps({"kty": "oct", "k": "c2VjcmV0"}),
        json.dumps(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)),
        _pem(rsa.generate_private_key(65537, 2048)),
        _pem(ec.generate_private_key(ec.SECP256K1())),
        _pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"secret-word")),
        '{"kty": ' + "[" * 100_000,
    ],
    # Their lengths would differ from one process to the next.
    ids=[
        "a word",
        "some JSON",
        "half a key",
        "an encrypted JWK",
        "a symmetric key",
        "a public key",
        "RSA",
        "another curve",
        "an encrypted PEM",
        "deep JSON",
    ],
)
def test_a_key_that_is_none_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(Invalid, match="cannot be used") as caught:
        ProvisionerKey.read(SecretStr(key), key_id=None)
    assert "step crypto jwe decrypt" in caught.value.next_step
    assert "secret-word" not in f"{caught.value!r} {caught.value}"
    assert caught.value.__cause__ is None
