"""How sources reach a Vault: by `shared.vault`, within the limits of their run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.discovery.connectors import Access
from services.discovery.connectors.web import web_api
from shared.vault import NAME, Vault, VaultCredential, VaultSettings, logged_in, policy_line

__all__ = ["NAME", "Vault", "VaultCredential", "VaultSettings", "policy_line", "vault"]


@asynccontextmanager
async def vault(access: Access, settings: VaultSettings, credential: VaultCredential) -> AsyncIterator[Vault]:
    """Open a Vault for one piece of work, and log in."""
    async with (
        web_api(access, settings.url, trusted_ca=settings.trusted_ca) as api,
        logged_in(api, settings, credential) as opened,
    ):
        yield opened
