"""What may be written as the address of a receiver."""

import ipaddress
from typing import Annotated

import httpx
from pydantic import AfterValidator, Field, SecretStr


def _safe(value: str) -> str:
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL as error:
        msg = "not a URL"
        raise ValueError(msg) from error
    if not url.host or url.scheme not in ("https", "http"):
        msg = "write https://host/path"
        raise ValueError(msg)
    if url.userinfo:
        msg = "user and password do not belong in a URL"
        raise ValueError(msg)
    if url.scheme == "http" and not _is_this_machine(url.host):
        msg = "use https; http is only for this very machine"
        raise ValueError(msg)
    return value


def _safe_secret(value: SecretStr) -> SecretStr:
    _safe(value.get_secret_value())
    return value


Url = Annotated[str, Field(max_length=2000), AfterValidator(_safe)]
"""https; http only to this very machine."""
SecretUrl = Annotated[SecretStr, Field(max_length=2000), AfterValidator(_safe_secret)]
"""The same, where whoever knows the address may send to it."""


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
