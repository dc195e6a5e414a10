"""Linux hosts over SSH: certificate files, the keys beside them, and what the servers' configuration uses them for."""

from services.discovery.connectors.linux.options import LinuxCredential, LinuxSettings
from services.discovery.connectors.linux.source import LinuxHost

__all__ = ["LinuxCredential", "LinuxHost", "LinuxSettings"]
