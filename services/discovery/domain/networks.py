"""Which host a source is on, and which network that is in: what the limits of reading count by."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_IPV4, _IPV6 = 24, 64


def host_of(settings: Mapping[str, Any]) -> str | None:
    """Return the host that is connected to for these settings: the first jump host, the host, or that of a URL."""
    jumps = settings.get("jumps") or ()
    found = jumps[0].get("host") if jumps else settings.get("host")
    if not found:
        urls = [value for value in settings.values() if isinstance(value, str) and "://" in value]
        found = _host(urls[0]) if urls else None
    return str(found).lower() if found else None


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def network_of(address: str) -> str | None:
    """Return the /24 (IPv6: /64) of an address; None for what is no address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    length = _IPV4 if ip.version == 4 else _IPV6  # noqa: PLR2004 - IP version 4
    return str(ipaddress.ip_network(f"{ip}/{length}", strict=False))
