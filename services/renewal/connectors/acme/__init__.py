"""Any ACME authority (RFC 8555, RFC 9773), one step at a time."""

from services.renewal.connectors.acme.authority import Acme
from services.renewal.connectors.acme.options import AcmeOptions, AcmeSecrets

__all__ = ["Acme", "AcmeOptions", "AcmeSecrets"]
