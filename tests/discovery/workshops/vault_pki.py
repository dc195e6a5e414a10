"""A Vault with two PKI engines, and a token that may list both."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.discovery.workshops import Workshop
from tests.servers.tls import LOOPBACK, CertificateAuthority, fingerprint
from tests.servers.vault import Vault
from tests.servers.vault.pki import Pki, serial

MOUNTS = ("pki", "pki_int")


class Vaulted:
    """One Vault; `put` issues from the one engine and the other in turn."""

    kind = "vault-pki"

    def __init__(self, vault: Vault, *, trusted_ca: str, has_pages: bool = False) -> None:
        self.vault = vault
        self.engines = {mount: Pki(has_pages=has_pages) for mount in MOUNTS}
        for mount, engine in self.engines.items():
            vault.mounts[mount] = engine
        vault.policies["reader"] = {
            path: ("list",) for mount in MOUNTS for path in (f"{mount}/certs", f"{mount}/certs/detailed")
        }
        self.settings: Mapping[str, Any] = {
            "url": vault.url,
            "mounts": list(MOUNTS),
            "trusted_ca": trusted_ca,
        }
        self.credential: Mapping[str, Any] = {"token": vault.new_token("reader")}
        self.wrong_credential: Mapping[str, Any] = {"token": "hvs.not-one-of-its-tokens"}
        self._issued = 0

    def put(self, count: int) -> Mapping[str, str]:
        """Issue so many more."""
        issued = {}
        for _ in range(count):
            mount = MOUNTS[self._issued % 2]
            made = self.engines[mount].issue(f"v{self._issued}.test")
            issued[path_of(mount, serial(made))] = fingerprint(made.certificate)
            self._issued += 1
        return issued

    def forbid(self) -> frozenset[str]:
        """Take the right to list the second engine away."""
        rules = self.vault.policies["reader"]
        self.vault.policies["reader"] = {
            path: able for path, able in rules.items() if path.startswith("pki/")
        }
        return frozenset(path_of("pki_int", key) for key in self.engines["pki_int"].kept)

    def state(self) -> object:
        """Return what the engines hold, and who may do what."""
        kept = {mount: (dict(engine.kept), dict(engine.revoked)) for mount, engine in self.engines.items()}
        return kept, dict(self.vault.policies), sorted(self.vault.tokens)

    def stall(self) -> None:
        """Read requests and say nothing."""
        self.vault.is_stalled = True

    def stop(self) -> None:
        """Stop the server."""
        self.vault.stop()


def path_of(mount: str, key: str) -> str:
    """Return the path of a holding."""
    return f"{mount}/issued/{int(key.replace('-', ''), 16):x}"


@asynccontextmanager
async def workshop(directory: Path, *, has_pages: bool = False) -> AsyncIterator[Workshop]:
    """Start a Vault."""
    authority = CertificateAuthority("Vault's own TLS")
    vault = Vault(context=authority.issue(*LOOPBACK).server_context(directory / "vault"))
    vault.start()
    try:
        yield Vaulted(vault, trusted_ca=authority.pem.decode(), has_pages=has_pages)
    finally:
        vault.stop()
