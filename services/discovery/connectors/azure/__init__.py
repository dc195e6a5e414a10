"""Azure Key Vault: the certificates of a vault, by its REST API."""

from services.discovery.connectors.azure.options import KeyVaultSettings
from services.discovery.connectors.azure.source import AzureKeyVault

__all__ = ["AzureKeyVault", "KeyVaultSettings"]
