"""The keys that an authority signs with: sealed by who keeps them, or in a PKCS#11 token."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import anyio.to_thread
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from services.renewal.connectors import Part
from shared.errors import Invalid
from shared.pkcs11 import EcTokenKey, RsaTokenKey, Token

_MlDsa = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | _MlDsa
_EXPONENT = 65537


class KeyKind(StrEnum):
    """The kinds of key an authority can have."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ED25519 = "ed25519"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"


_MAKERS: dict[KeyKind, Callable[[], SigningKey]] = {
    KeyKind.ECDSA_P256: lambda: ec.generate_private_key(ec.SECP256R1()),
    KeyKind.ECDSA_P384: lambda: ec.generate_private_key(ec.SECP384R1()),
    KeyKind.RSA_3072: lambda: rsa.generate_private_key(_EXPONENT, 3072),
    KeyKind.RSA_4096: lambda: rsa.generate_private_key(_EXPONENT, 4096),
    KeyKind.ED25519: ed25519.Ed25519PrivateKey.generate,
    KeyKind.ML_DSA_44: mldsa.MLDSA44PrivateKey.generate,
    KeyKind.ML_DSA_65: mldsa.MLDSA65PrivateKey.generate,
    KeyKind.ML_DSA_87: mldsa.MLDSA87PrivateKey.generate,
}


class KeptKey(Part):
    """Where a key is: itself (PKCS#8 in DER, hexadecimal), or its name in the token."""

    pkcs8: str | None = None
    token: str | None = None


def fresh(kind: KeyKind) -> SigningKey:
    """Make a key; one of RSA takes seconds."""
    return _MAKERS[kind]()


def kept(key: SigningKey) -> KeptKey:
    """Return what is to be kept of a key: sealed at once by who keeps it."""
    if isinstance(key, EcTokenKey | RsaTokenKey):
        return KeptKey(token=key.name)
    return KeptKey(pkcs8=key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex())


def loaded(where: KeptKey, *, token: Token | None) -> SigningKey:
    """Return a kept key. Raises `Invalid` where it is in a token and there is none, `Unavailable` as the token does."""
    if where.token is not None:
        return needed(token).key(where.token)
    return from_pkcs8(bytes.fromhex(where.pkcs8 or ""))


def from_pkcs8(der: bytes) -> SigningKey:
    """Return a key of its PKCS#8 in DER."""
    key = load_der_private_key(der, None)
    if not isinstance(key, SigningKey):
        msg = f"not one of an authority's kinds of key: {type(key).__name__}"
        raise TypeError(msg)
    return key


def needed(token: Token | None) -> Token:
    """Return the token. Raises `Invalid` where there is none."""
    if token is None:
        raise Invalid(
            "There is no PKCS#11 token here.",
            next_step="Set EVERLEAF_PKCS11_MODULE, EVERLEAF_PKCS11_TOKEN and EVERLEAF_PKCS11_PIN_FILE.",
        )
    return token


def digest_for(key: SigningKey) -> hashes.SHA256 | hashes.SHA384 | None:
    """Return the hash that goes with a key; kinds that hash by themselves have none (RFC 8410, RFC 9881)."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return hashes.SHA384() if key.key_size > 256 else hashes.SHA256()  # noqa: PLR2004 - the size of P-256
    return hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None


async def signed(builder: Any, key: SigningKey) -> Any:
    """Return what a builder of `cryptography` makes, signed; a token is waited for beside the event loop."""
    if isinstance(key, EcTokenKey | RsaTokenKey):
        return await anyio.to_thread.run_sync(builder.sign, key, digest_for(key))
    return builder.sign(key, digest_for(key))
