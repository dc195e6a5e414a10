"""The bench of Vault's PKI engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from services.renewal.connectors.vault import VaultPki
from tests.conformance.authorities.bench import Bench, Fixtures, Power, Row, on_loopback, running
from tests.servers.tls import LOOPBACK, CertificateAuthority, names_of
from tests.servers.vault import Vault
from tests.servers.vault.pki import Pki, Role, hyphened

POLICY = {
    "pki/sign/web": ("update",),
    "pki/revoke": ("update",),
    "pki/certs": ("list",),
}


@dataclass
class VaultBench(Bench):
    """One with a Vault of its own."""

    vault: Vault | None = None


@asynccontextmanager
async def vault_bench(
    directory: Path, lab_ca: CertificateAuthority, *, by_role: bool = False
) -> AsyncIterator[VaultBench]:
    """Open a Vault with a role `web`, for subdomains of example.test; `by_role`: by AppRole, not by a token."""
    vault = Vault(context=lab_ca.issue(*LOOPBACK).server_context(directory))
    pki = vault.mounts["pki"] = Pki()
    pki.roles["web"] = Role(allowed_domains=("example.test",))
    vault.policies["everleaf"] = POLICY
    role_id, secret_id = vault.new_role("everleaf")
    token = vault.new_token("everleaf")

    async def count(name: str) -> int:
        return sum(
            name in names_of(x509.load_pem_x509_certificate(pem.encode())) for pem in pki.kept.values()
        )

    async def is_revoked(der: bytes) -> bool:
        return hyphened(x509.load_der_x509_certificate(der)) in pki.revoked

    def expire() -> None:
        vault.tokens.clear()
        vault.roles.clear()

    with running(vault):
        yield VaultBench(
            kind=VaultPki,
            options={
                "url": vault.url,
                "role": "web",
                "trusted_ca": lab_ca.pem.decode(),
                "root_pem": pki.root.pem.decode(),
            },
            secrets={"role_id": role_id, "secret_id": secret_id} if by_role else {"token": token},
            network=on_loopback(),
            refused=("www.example.org",),
            count=count,
            is_revoked=is_revoked,
            expire=expire,
            stop=lambda: setattr(vault, "is_sealed", True),
            vault=vault,
        )


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    async with vault_bench(fixtures("tmp_path"), fixtures("lab_ca")) as bench:
        yield bench


_POWERS = frozenset({Power.COUNT, Power.REFUSED, Power.EXPIRE, Power.STOP, Power.TLS, Power.FINDS})
ROWS = {"vault": Row(kind=VaultPki, open=_opened, powers=_POWERS)}
