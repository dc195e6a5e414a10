"""How a simulated Windows host is changed: its stores, the readers of private keys, and what is bound to which certificate.

After Microsoft: "X509KeyStorageFlags", "X509Store", "Microsoft.Web.Administration.Binding", "netsh http update sslcert",
"Win32_TSGeneralSetting", "WinRM listener"; and the numbers of errors: 0x80070005 access denied, 0x80070056 a wrong password of a
PKCS#12, 0x80070070 the disk is full, 0x80070520 a certificate that is bound has no private key here.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from services.provisioner.connectors.devices import windows_scripts as scripts
from tests.servers.presenting import Pair
from tests.servers.tls import Issued

ADMINISTRATORS = frozenset({"NT AUTHORITY\\SYSTEM", "BUILTIN\\Administrators"})


@dataclass(kw_only=True)
class Kept:
    """A certificate with its key in a store of the machine."""

    der: bytes
    key: bytes = field(repr=False)
    name: str = ""
    """The friendly name."""
    readers: frozenset[str] = ADMINISTRATORS

    @property
    def thumbprint(self) -> str:
        """The SHA-1 of it, as Windows writes it."""
        return x509.load_der_x509_certificate(self.der).fingerprint(SHA1()).hex().upper()


class Refusal(Exception):
    """Windows says no."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number - (1 << 32)


class Changes:
    """What scripts change; bindings are by (use, site, binding)."""

    def __init__(self) -> None:
        self.stores: dict[str, list[Kept]] = {"My": [], "WebHosting": []}
        self.above: list[bytes] = []
        """The store of intermediates."""
        self.bindings: dict[tuple[str, str | None, str | None], tuple[str | None, str]] = {}
        self.is_administrator = True
        self.is_full = False
        self.refuses_bindings: str | None = None
        self.ignores_bindings = False
        """Says that it has bound another certificate, and goes on serving the one before."""
        self.imported: list[tuple[str, bytes]] = []
        """Passwords of the PKCS#12 that came, and these."""
        self._still: dict[tuple[str, str | None, str | None], tuple[str | None, str]] = {}

    def hold(
        self, issued: Issued, *, store: str = "My", name: str = "", readers: tuple[str, ...] = ()
    ) -> str:
        """Put a pair into a store; return its thumbprint."""
        der = issued.certificate.public_bytes(Encoding.DER)
        kept = Kept(der=der, key=issued.key_pem, name=name, readers=ADMINISTRATORS | set(readers))
        self.stores[store].append(kept)
        self.above += [each.public_bytes(Encoding.DER) for each in issued.issuers]
        return kept.thumbprint

    def knows(self, script: str) -> bool:
        """Return whether it is one of the scripts that a target of ours sends."""
        return script in {each.strip() for each in scripts.EVERY}

    def answer(self, script: str, asked: Mapping[str, Any], hidden: bytes) -> Mapping[str, Any]:
        """Do what a script does, and return what it tells."""
        doing = {
            scripts.STAGE.strip(): self._stage,
            scripts.READ.strip(): self._read,
            scripts.BIND.strip(): self._bind,
            scripts.SWEEP.strip(): self._sweep,
        }[script]
        if not self.is_administrator and doing != self._read:
            return _failed(Refusal(0x80070005, "Access is denied.\r\n"))
        try:
            return {"Done": True, **doing(asked, hidden)}
        except Refusal as refusal:
            return _failed(refusal)

    def _stage(self, asked: Mapping[str, Any], hidden: bytes) -> Mapping[str, Any]:
        present = self._found(asked["store"], asked["hash"])
        if present is None:
            if self.is_full:
                raise Refusal(0x80070070, "There is not enough space on the disk.\r\n")
            present = self._imported(hidden, name=asked["name"])
            assert present.thumbprint == asked["hash"]
            self.stores[asked["store"]].append(present)
            was = False
        else:
            was = True
        self.above += [base64.b64decode(each) for each in asked["chain"]]
        old = next(
            (each for kept in self.stores.values() for each in kept if each.thumbprint == asked["old"]), None
        )
        present.readers |= (old.readers if old else frozenset()) | set(asked["readers"])
        return {"Present": was}

    def _imported(self, hidden: bytes, *, name: str) -> Kept:
        word, _, pfx = base64.b64decode(hidden).partition(b"\n")
        content = base64.b64decode(pfx, validate=True)
        try:
            key, certificate, _ = pkcs12.load_key_and_certificates(content, word)
        except ValueError:
            raise Refusal(0x80070056, "The specified network password is not correct.\r\n") from None
        assert key is not None
        assert certificate is not None
        self.imported.append((word.decode(), content))
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Kept(der=certificate.public_bytes(Encoding.DER), key=pem, name=name)

    def _found(self, store: str, thumbprint: str | None) -> Kept | None:
        return next((each for each in self.stores[store] if each.thumbprint == thumbprint), None)

    def _read(self, asked: Mapping[str, Any], _hidden: bytes) -> Mapping[str, Any]:
        at = (asked["use"], asked["site"], asked["binding"])
        if at not in self.bindings:
            return {"Found": False, "Hash": None, "Store": "My", "Raw": None}
        thumbprint, store = self.bindings[at]
        held = self._found(store, thumbprint)
        raw = base64.b64encode(held.der).decode() if held else None
        return {"Found": True, "Hash": thumbprint, "Store": store, "Raw": raw}

    def _bind(self, asked: Mapping[str, Any], _hidden: bytes) -> Mapping[str, Any]:
        at = (asked["use"], asked["site"], asked["binding"])
        if self.refuses_bindings is not None:
            raise Refusal(0x80070057, self.refuses_bindings)
        if self._found(asked["store"], asked["hash"]) is None:
            raise Refusal(
                0x80070520,
                "A specified logon session does not exist. It may already have been terminated.\r\n",
            )
        if self.ignores_bindings:
            self._still.setdefault(at, self.bindings[at])
        self.bindings[at] = (asked["hash"], asked["store"])
        return {}

    def _sweep(self, asked: Mapping[str, Any], _hidden: bytes) -> Mapping[str, Any]:
        used = {thumbprint for thumbprint, _ in self.bindings.values()}
        going = [
            each
            for each in self.stores[asked["store"]]
            if each.name.startswith(asked["ours"]) and each.thumbprint not in {asked["keep"], *used}
        ]
        for each in going:
            self.stores[asked["store"]].remove(each)
        return {"Gone": [each.thumbprint for each in going]}

    def served(self, use: str, site: str | None, binding: str | None) -> Pair | None:
        """Return what Schannel shakes hands with: the leaf, and those above it in the store of intermediates."""
        at = (use, site, binding)
        thumbprint, store = (
            self._still.get(at, self.bindings[at]) if self.ignores_bindings else self.bindings[at]
        )
        held = self._found(store, thumbprint)
        if held is None:
            return None
        leaf = x509.load_der_x509_certificate(held.der)
        above = [x509.load_der_x509_certificate(each) for each in dict.fromkeys(self.above)]
        chain = [leaf, *(each for each in above if each.subject == leaf.issuer)]
        return Pair(chain=b"".join(each.public_bytes(Encoding.PEM) for each in chain), key=held.key)


def _failed(refusal: Refusal) -> Mapping[str, Any]:
    return {"Done": False, "Message": str(refusal), "Number": refusal.number}
