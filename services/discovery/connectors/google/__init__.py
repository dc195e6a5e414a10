"""Google Cloud: Certificate Manager, the older certificates of Compute Engine, and the load balancers that use them."""

from services.discovery.connectors.google.source import GoogleCertificates

__all__ = ["GoogleCertificates"]
