"""The key-value engine, version 2, of a HashiCorp Vault or an OpenBao."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, Field

from services.discovery.connectors import Access, Check
from services.discovery.connectors.vault import (
    NAME,
    Vault,
    VaultCredential,
    VaultSettings,
    policy_line,
    vault,
)
from services.discovery.connectors.web import NotPermitted
from shared.errors import NotFound


class VaultKvSettings(VaultSettings):
    """Where Vault is, and which of its engines is read."""

    mount: str = Field(
        "secret", pattern=NAME, max_length=200, description="Where the engine is mounted.", examples=["kv"]
    )


class VaultKv:
    """One mount of the engine; a path is one inside it, without `data/`."""

    kind: ClassVar[str] = "vault-kv"
    summary: ClassVar[str] = "A key-value engine (version 2) of HashiCorp Vault or OpenBao."
    settings_type: ClassVar[type[BaseModel]] = VaultKvSettings
    credential_type: ClassVar[type[BaseModel]] = VaultCredential

    def __init__(self, vault: Vault, *, mount: str) -> None:
        self._vault = vault
        self._mount = mount

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access) -> AsyncIterator[Self]:
        """Log into Vault."""
        settings = cast("VaultKvSettings", access.settings)
        async with vault(access, settings, cast("VaultCredential", access.credential)) as opened:
            yield cls(opened, mount=settings.mount)

    async def check(self) -> Sequence[Check]:
        """Say what the token may, and how long."""
        told = await self._vault.whoami()
        policies = ", ".join(map(str, told.get("policies") or ())) or "none"
        seconds = told.get("ttl")
        ends = f"ends in {seconds} s" if isinstance(seconds, int) and seconds > 0 else "does not end"
        return [Check(name="token", ok=True, text=f"Its policies: {policies}. It {ends}.")]

    async def read(self, path: str) -> Mapping[str, Any]:
        """Return the members of the newest version."""
        whole = f"{self._mount}/data/{path.strip('/')}"
        try:
            told = await self._vault.read(whole)
        except NotPermitted as error:
            raise NotPermitted(
                f"{whole}: permission denied.",
                next_step=f"Give a policy of the login the line: {policy_line(whole, 'read')}",
            ) from error
        members = told.get("data") if told is not None else None
        if not isinstance(members, dict):
            raise NotFound(
                f"Nothing lies at {whole}, or its newest version was deleted.",
                next_step="Write it with `vault kv put`, or correct the path (which is one inside the mount) or `mount`.",
            )
        return members
