"""What is kept of a built-in authority: where its keys are, and the certificates below its root."""

import base64
from datetime import datetime

import anyio.to_thread
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.renewal.connectors import Identity, Part
from services.renewal.connectors.builtin import certificates
from services.renewal.connectors.builtin.certificates import Issuer
from services.renewal.connectors.builtin.options import BuiltinOptions
from services.renewal.connectors.builtin.signing import KeptKey, SigningKey, digest_for, fresh, kept, needed
from shared.ids import new_id
from shared.pkcs11 import Token

_SEQUENCE = b"\x30"


class Kept(Part):
    """The private part of an identity, as JSON."""

    key: KeptKey
    """What it issues with."""
    name: str = ""
    chain: tuple[str, ...] = ()
    """DER in base64: the certificate of that key, and those between it and the root; empty where the root issues itself."""
    root_key: KeptKey | None = None
    is_waiting: bool = False
    """Whether another authority has yet to sign its certificate."""


def read(identity: Identity) -> Kept:
    """Return what is kept; of an authority made before there were intermediates, that is the root's key alone."""
    if identity.private.startswith(_SEQUENCE):
        return Kept(key=KeptKey(pkcs8=identity.private.hex()))
    return Kept.model_validate_json(identity.private)


def written(what: Kept, *, roots: tuple[bytes, ...]) -> Identity:
    """Return the identity."""
    return Identity(private=what.model_dump_json(exclude_defaults=True).encode(), roots=roots)


def text(certificate: x509.Certificate) -> str:
    """Return a certificate as it is kept."""
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def chain_of(what: Kept) -> tuple[bytes, ...]:
    """Return what follows the leaf in a chain."""
    return tuple(base64.b64decode(each) for each in what.chain)


def founded(options: BuiltinOptions, *, name: str, token: Token | None, now: datetime) -> Identity:
    """Make keys and certificates; keys of RSA and of tokens take seconds. Raises `Invalid`."""
    key = _made(options, token=token)
    if options.signed_by_other:
        return written(Kept(key=kept(key), name=name, is_waiting=True), roots=())
    if not options.intermediate:
        own = _signed(certificates.root(key, options, name=name, now=now), key)
        return written(Kept(key=kept(key), name=name), roots=(own.public_bytes(Encoding.DER),))
    root_key = _made(options, token=token)
    root = _signed(certificates.root(root_key, options, name=f"{name} root", now=now), root_key)
    builder = certificates.intermediate(key, options, name=name, issuer=Issuer.of(root, url=None), now=now)
    below = _signed(builder, root_key)
    what = Kept(key=kept(key), name=name, chain=(text(below),), root_key=kept(root_key))
    return written(what, roots=(root.public_bytes(Encoding.DER),))


async def founded_beside(
    options: BuiltinOptions, *, name: str, token: Token | None, now: datetime
) -> Identity:
    """Make them beside the event loop."""
    return await anyio.to_thread.run_sync(lambda: founded(options, name=name, token=token, now=now))


def _made(options: BuiltinOptions, *, token: Token | None) -> SigningKey:
    if options.in_token:
        return needed(token).make_key(options.key_type, name=f"everleaf-authority-{new_id()}")
    return fresh(options.key_type)


def _signed(builder: x509.CertificateBuilder, key: SigningKey) -> x509.Certificate:
    return builder.sign(key, digest_for(key))
