"""Keys in a PKCS#11 token (an HSM): made there, used there, and never read.

A key of a token is used like any other: it is a private key of `cryptography`, of which only signing works.
Every key is looked at after it was made: one that could leave the token is destroyed at once (PKCS#11 v3.1 §4.9).
"""

import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import Any, NoReturn, TypeVar

import pkcs11
import pkcs11.util.ec
import pkcs11.util.rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from shared.errors import Conflict, Invalid, Unavailable

T = TypeVar("T")
_DATA_KEY = 32
_STAYS = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}
_PROOF = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.NEVER_EXTRACTABLE: True}
_GONE = (
    pkcs11.exceptions.SessionHandleInvalid,
    pkcs11.exceptions.SessionClosed,
    pkcs11.exceptions.DeviceRemoved,
    pkcs11.exceptions.DeviceError,
    pkcs11.exceptions.UserNotLoggedIn,
)
_RSA_HASHES = {"sha256": Mechanism.SHA256_RSA_PKCS, "sha384": Mechanism.SHA384_RSA_PKCS}


class Token:
    """A token of a PKCS#11 module, logged in to when it is first needed; one call at a time."""

    def __init__(self, module: str, *, label: str, pin: str) -> None:
        self._module, self._label, self._pin = module, label, pin
        self._session: Any = None
        self._one = threading.Lock()

    def make_key(self, kind: str, *, name: str) -> "TokenKey":
        """Make a key pair (`ecdsa-p256`, `ecdsa-p384`, `rsa-2048`, `rsa-3072` or `rsa-4096`) that stays in the token.

        Raises `Invalid` where the token makes no such key, or one that could leave it.
        """
        if kind not in _KINDS:
            raise Invalid(
                f"No {kind} key is made in a token.",
                next_step=f"Choose one of {', '.join(_KINDS)}, or let the key be sealed.",
            )
        self._do(lambda session: _made(session, kind, name))
        return self.key(name)

    def key(self, name: str) -> "TokenKey":
        """Return a key pair of the token. Raises `Unavailable` where the token does not answer, or has none of the name."""
        public = load_der_public_key(self._do(lambda session: _public(session, name)))
        if isinstance(public, ec.EllipticCurvePublicKey):
            return EcTokenKey(self, name, public)
        if isinstance(public, rsa.RSAPublicKey):
            return RsaTokenKey(self, name, public)
        raise Unavailable(f"The key {name} is of a kind that is not used here.", next_step="Name another.")

    def names(self, prefix: str) -> list[str]:
        """Return the names of the private keys whose names begin so."""

        def work(session: Any) -> list[str]:
            found = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
            return [each.label for each in found if each.label.startswith(prefix)]

        return self._do(work)

    def destroy(self, name: str) -> None:
        """Destroy both halves of a key pair, as far as they are there."""

        def work(session: Any) -> None:
            for half in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
                for each in list(session.get_objects({Attribute.CLASS: half, Attribute.LABEL: name})):
                    each.destroy()

        self._do(work)

    def sign(self, name: str, data: bytes, mechanism: Mechanism) -> bytes:
        """Return the signature of the key over the data."""
        signed: bytes = self._do(
            lambda session: session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=name).sign(
                data, mechanism=mechanism
            )
        )
        return signed

    def _do(self, work: Callable[[Any], T]) -> T:
        with self._one:
            try:
                return self._tried(work)
            except pkcs11.exceptions.NoSuchKey as error:
                raise Unavailable(
                    f"The token {self._label} does not have the key.",
                    next_step="Connect the token that has it.",
                ) from error
            except pkcs11.exceptions.PKCS11Error as error:
                raise Unavailable(
                    f"The token {self._label} does not do it ({type(error).__name__}).",
                    next_step="Check EVERLEAF_PKCS11_MODULE, EVERLEAF_PKCS11_TOKEN and EVERLEAF_PKCS11_PIN.",
                ) from error

    def _tried(self, work: Callable[[Any], T]) -> T:
        """Do it; where the session is gone, once more with a new one."""
        try:
            return work(self._opened())
        except _GONE:
            self._session = None
            return work(self._opened())

    def _opened(self) -> Any:
        if self._session is None:
            token = pkcs11.lib(self._module).get_token(token_label=self._label)
            try:
                self._session = token.open(rw=True, user_pin=self._pin)
            except (
                pkcs11.exceptions.UserAlreadyLoggedIn
            ):  # another session of this process: it counts for all
                self._session = token.open(rw=True)
        return self._session


_KINDS: dict[str, tuple[KeyType, Any]] = {
    "ecdsa-p256": (KeyType.EC, "secp256r1"),
    "ecdsa-p384": (KeyType.EC, "secp384r1"),
    "rsa-2048": (KeyType.RSA, 2048),
    "rsa-3072": (KeyType.RSA, 3072),
    "rsa-4096": (KeyType.RSA, 4096),
}


def _made(session: Any, kind: str, name: str) -> None:
    """Make a pair and prove that its private half stays."""
    key_type, size = _KINDS[kind]
    asked = {"label": name, "id": secrets.token_bytes(16), "store": True, "private_template": _STAYS}
    with suppress(pkcs11.exceptions.NoSuchKey):
        session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=name)
        raise Conflict(f"The token has a key named {name} already.", next_step="Choose another name.")
    if key_type is KeyType.EC:
        curve = {Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters(size)}
        made = session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(**asked)
    else:
        made = session.generate_keypair(key_type, size, **asked)
    _prove(made)


def _prove(made: Any) -> None:
    private = made[-1]
    if all(private[attribute] == value for attribute, value in _PROOF.items()):
        return
    for each in made:
        each.destroy()
    raise Invalid(
        "The token made a key that could be taken out of it, so it was destroyed.",
        next_step="Set the token's policy so that keys are sensitive and not extractable.",
    )


def _public(session: Any, name: str) -> bytes:
    """Return the SubjectPublicKeyInfo (or, of RSA, the PKCS#1 key) of a pair."""
    public = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=name)
    if public.key_type is KeyType.EC:
        return bytes(pkcs11.util.ec.encode_ec_public_key(public))
    return bytes(pkcs11.util.rsa.encode_rsa_public_key(public))


class _Stays:
    """What cannot be done with a key that stays where it is."""

    def private_numbers(self) -> NoReturn:
        """Raise: there is nothing to read."""
        raise _stays()

    def private_bytes(self, *_: Any, **__: Any) -> NoReturn:
        """Raise: there is nothing to read."""
        raise _stays()

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, _memo: Any) -> Any:
        return self


def _stays() -> Invalid:
    return Invalid("The key is in a token and stays there.", next_step="Have the token sign instead.")


class EcTokenKey(_Stays, ec.EllipticCurvePrivateKey):
    """An ECDSA key of a token."""

    def __init__(self, token: Token, name: str, public: ec.EllipticCurvePublicKey) -> None:
        self._token, self._public = token, public
        self.name = name

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return its public half."""
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        """Its curve."""
        return self._public.curve

    @property
    def key_size(self) -> int:
        """Bits."""
        return self._public.key_size

    def exchange(self, algorithm: Any, peer_public_key: Any) -> NoReturn:
        """Raise: it only signs."""
        del algorithm, peer_public_key
        raise _stays()

    def sign(self, data: Any, signature_algorithm: Any) -> bytes:
        """Return an ECDSA signature in DER (RFC 3279 §2.2.3): the token gives r and s side by side."""
        algorithm = signature_algorithm.algorithm
        digest = bytes(data) if isinstance(algorithm, Prehashed) else _digest(data, algorithm)
        raw = self._token.sign(self.name, digest, Mechanism.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))


class RsaTokenKey(_Stays, rsa.RSAPrivateKey):
    """An RSA key of a token."""

    def __init__(self, token: Token, name: str, public: rsa.RSAPublicKey) -> None:
        self._token, self._public = token, public
        self.name = name

    def public_key(self) -> rsa.RSAPublicKey:
        """Return its public half."""
        return self._public

    @property
    def key_size(self) -> int:
        """Bits."""
        return self._public.key_size

    def decrypt(self, ciphertext: Any, padding: Any) -> NoReturn:
        """Raise: it only signs."""
        del ciphertext, padding
        raise _stays()

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        """Return a PKCS#1 v1.5 signature (RFC 8017 §8.2). Raises `Invalid` for another padding or hash."""
        mechanism = _RSA_HASHES.get(getattr(algorithm, "name", ""))
        if not isinstance(padding, _PKCS1) or mechanism is None:
            raise Invalid("The token signs PKCS#1 v1.5 with SHA-256 or SHA-384.", next_step="Ask for that.")
        return self._token.sign(self.name, bytes(data), mechanism)


_PKCS1 = padding.PKCS1v15
TokenKey = EcTokenKey | RsaTokenKey


def _digest(data: Any, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()


class TokenWrappingKey:
    """A key-encryption key (AES-256) of a token: it wraps data keys there, by AES key wrap (RFC 3394)."""

    def __init__(self, token: Token, name: str) -> None:
        self._token, self._name = token, name
        self._id = sha256(b"everleaf key-encryption key in a token" + self._identifier()).digest()[:8]

    @property
    def id(self) -> bytes:
        """8 bytes that name the key: made of the identifier that it has in the token."""
        return self._id

    @classmethod
    def load_or_make(cls, token: Token, name: str) -> "TokenWrappingKey":
        """Return the key of this name, made where the token has none. Raises `Unavailable` or `Invalid`."""
        token._do(lambda session: _wrapping_key(session, name))  # noqa: SLF001 - one module: the token is its own business
        return cls(token, name)

    def wrap(self, data_key: bytes) -> bytes:
        """Return the data key, wrapped (40 bytes)."""

        def work(session: Any) -> bytes:
            held = session.create_object(_held(data_key))
            try:
                return bytes(_kek(session, self._name).wrap_key(held, mechanism=Mechanism.AES_KEY_WRAP))
            finally:
                held.destroy()

        return self._token._do(work)  # noqa: SLF001 - see above

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return the data key. Raises `ValueError` where it was not wrapped by this one, or was changed."""

        def work(session: Any) -> bytes | None:
            try:
                held = _kek(session, self._name).unwrap_key(
                    ObjectClass.SECRET_KEY,
                    KeyType.AES,
                    wrapped,
                    mechanism=Mechanism.AES_KEY_WRAP,
                    template={
                        Attribute.SENSITIVE: False,
                        Attribute.EXTRACTABLE: True,
                        Attribute.TOKEN: False,
                    },
                )
            except (pkcs11.exceptions.WrappedKeyInvalid, pkcs11.exceptions.GeneralError, _INVALID):
                return None
            try:
                return bytes(held[Attribute.VALUE])
            finally:
                held.destroy()

        opened = self._token._do(work)  # noqa: SLF001 - see above
        if opened is None:
            msg = "not wrapped by this key"
            raise ValueError(msg)
        return opened

    def _identifier(self) -> bytes:
        return bytes(self._token._do(lambda session: _kek(session, self._name)[Attribute.ID]))  # noqa: SLF001 - see above


_INVALID = pkcs11.exceptions.EncryptedDataInvalid


def _held(data_key: bytes) -> dict[Any, Any]:
    return {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: KeyType.AES,
        Attribute.VALUE: data_key,
        Attribute.TOKEN: False,
        Attribute.EXTRACTABLE: True,
        Attribute.SENSITIVE: False,
    }


def _kek(session: Any, name: str) -> Any:
    return session.get_key(object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=name)


def _wrapping_key(session: Any, name: str) -> None:
    with suppress(pkcs11.exceptions.NoSuchKey):
        _kek(session, name)
        return
    made = session.generate_key(
        KeyType.AES,
        256,
        label=name,
        id=secrets.token_bytes(16),
        store=True,
        capabilities=pkcs11.MechanismFlag.WRAP | pkcs11.MechanismFlag.UNWRAP,
        template=_STAYS,
    )
    _prove((made,))
