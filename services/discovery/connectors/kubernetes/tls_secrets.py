"""A TLS secret, or cert-manager's record of what it put into one, as a holding.

The API returns a Secret whole, its private key included. Of the key nothing is kept but the hash of its public half.
"""

import base64
import binascii
import warnings
from collections.abc import Mapping, Sequence
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from services.discovery.connectors.kubernetes.configured import Issued
from services.discovery.connectors.kubernetes.shapes import Secret, secret_value
from services.discovery.connectors.kubernetes.uses import CERT_MANAGER, secret_path, served_at
from services.discovery.domain.holdings import Gap, Holding, Key, Use
from shared import x509
from shared.errors import Invalid

TLS = "kubernetes.io/tls"
FORMAT = "kubernetes-secret"
Using = Mapping[str, Sequence[Use]]
"""Uses by the path of the secret."""
MOST_CERTIFICATES = 32
"""Of one chain that are taken."""


def of_secret(secret: Secret, *, address: str, uses: Using) -> Holding | Gap:
    """Return what a secret holds, or why that cannot be told."""
    path = secret_path(secret.metadata.namespace, secret.metadata.name)
    encoded = secret_value(secret, "tls.crt")
    if not encoded:
        return _nothing(path)
    try:
        chain = chain_of(encoded)
    except Invalid as error:
        return _unreadable(path, error.detail)
    key = _key(secret_value(secret, "tls.key"), leaf=chain[0], path=f"{path}/tls.key")
    return _holding(path, chain=chain, address=address, uses=uses.get(path, ()), form=FORMAT, key=key)


def of_issued(issued: Issued, *, address: str, uses: Using) -> Holding | Gap:
    """Return what cert-manager put into a secret: the same place, known without its key."""
    try:
        chain = chain_of(issued.encoded)
    except Invalid as error:
        return _unreadable(issued.path, error.detail)
    using = uses.get(issued.path, ())
    return _holding(issued.path, chain=chain, address=address, uses=using, form=CERT_MANAGER, key=None)


def chain_of(encoded: str) -> tuple[bytes, ...]:
    """Return the certificates of PEM in base64, as DER. Raises `Invalid`."""
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise Invalid("It is not PEM in base64.", next_step="Put PEM into it.") from None
    chain = tuple(x509.from_pem(text)[:MOST_CERTIFICATES])
    for each in chain:
        x509.load(each)
    return chain


def _unreadable(path: str, why: str) -> Gap:
    return Gap(scope=path, reason=f"Its certificate cannot be read: {why}", next_step="Correct the object.")


def _holding(
    path: str, *, chain: tuple[bytes, ...], address: str, uses: Sequence[Use], form: str, key: Key | None
) -> Holding:
    return Holding(
        address=address,
        path=path,
        chain=chain,
        format=form,
        key=key,
        uses=tuple(uses),
        # Pods may mount any secret, and other controllers name them too: unused is not known here.
        in_use=True if any(use.product != CERT_MANAGER for use in uses) else None,
        addresses=served_at(uses),
    )


def _key(encoded: str, *, leaf: bytes, path: str) -> Key | None:
    if not encoded:
        return None
    public = _public_hash(encoded)
    if public is None:
        return Key(path=path)
    try:
        is_match = x509.read(leaf).key_fingerprint == public
    except Invalid:
        is_match = None
    return Key(path=path, spki_sha256=public, is_match=is_match)


def _public_hash(encoded: str) -> str | None:
    """Return the SHA-256 of the public half; the key itself ends here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # weak keys are looked at too
            key = load_pem_private_key(
                base64.b64decode(encoded, validate=True), password=None, unsafe_skip_rsa_key_validation=True
            )
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return sha256(public).hexdigest()


def _nothing(path: str) -> Gap:
    return Gap(
        scope=path,
        reason="The secret holds no certificate yet.",
        next_step="Look why nothing was issued.",
        is_absent=True,
    )
