"""Which vault is read, and which application asks."""

from pydantic import Field

from shared.clouds.key_vault import VaultSettings


class KeyVaultSettings(VaultSettings):
    """Which vault, and which application asks."""

    old_versions: bool = Field(
        False, description="Read also the versions that are not current any more: one question for each."
    )
