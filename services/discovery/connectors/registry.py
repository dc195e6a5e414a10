"""Every way of looking."""

from services.discovery.connectors import Source
from services.discovery.connectors.network import Network

SOURCES: tuple[type[Source], ...] = (Network,)
