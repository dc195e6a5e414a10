"""A vault of certificates, and the Entra ID that lets an application into it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.discovery.workshops import Workshop
from tests.servers.azure import EntraId, KeyVault
from tests.servers.tls import LOOPBACK, CertificateAuthority

TENANT = "11111111-2222-4333-8444-555555555555"
CLIENT = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"


class Vault:
    """One vault; `put` keeps certificates in it."""

    kind = "azure-key-vault"

    def __init__(self, vault: KeyVault, entra: EntraId, *, authority: CertificateAuthority) -> None:
        self.vault = vault
        self.entra = entra
        self.authority = authority
        self._count = 0
        self.settings: Mapping[str, Any] = {
            "vault": vault.api.url,
            "tenant": TENANT,
            "client_id": CLIENT,
            "authority": entra.api.url,
            "trusted_ca": authority.pem.decode(),
        }
        self.credential: Mapping[str, Any] = {"client_secret": entra.secret}
        self.wrong_credential: Mapping[str, Any] = {"client_secret": "8Q~somebody-elses-secret"}

    def put(self, count: int) -> Mapping[str, str]:
        """Keep so many certificates more."""
        made = {}
        for _ in range(count):
            name = f"site-{self._count:04}"
            issued = self.authority.issue(f"{name}.test")
            self.vault.put(name, issued)
            made[f"certificates/{name}"] = issued.fingerprint
            self._count += 1
        return made

    def forbid(self) -> frozenset[str]:
        """Take the role on every other certificate."""
        names = {f"site-{number:04}" for number in range(0, self._count, 2)}
        self.vault.rights.denied = names
        return frozenset(f"certificates/{name}" for name in names)

    def state(self) -> object:
        """Return all that is kept, and how often a write was tried."""
        return self.vault.state()

    def stall(self) -> None:
        """Accept connections and say nothing."""
        self.vault.api.stall()

    def stop(self) -> None:
        """Do not answer."""
        self.vault.api.stop()


@asynccontextmanager
async def workshop(directory: Path) -> AsyncIterator[Workshop]:
    """Start a vault and an Entra ID."""
    authority = CertificateAuthority("azure")
    context = authority.issue(*LOOPBACK).server_context(directory / "azure")
    entra = EntraId(context=context, tenant=TENANT, client_id=CLIENT)
    vault = KeyVault(entra, context=context)
    entra.api.start()
    vault.api.start()
    try:
        yield Vault(vault, entra, authority=authority)
    finally:
        vault.api.stop()
        entra.api.stop()
