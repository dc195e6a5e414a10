"""Configured beside served: what a host's configuration says that it presents, and what it was seen to present."""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.events.discovery import ConfiguredUse, Held, Listening


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What an endpoint serves now."""

    address: str
    port: int
    server_name: str | None
    starttls: str | None
    fingerprint: str
    key_type: str | None
    """Of the certificate."""
    last_seen: datetime


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One listener and server name that a certificate is configured for, and what was seen there."""

    product: str
    file: str
    line: int
    port: int
    address: str | None
    starttls: str | None
    server_name: str | None
    served: tuple[Seen, ...]
    """Empty where no scan has looked there."""
    is_served: bool | None
    """Empty where that is unknown: nobody looked, or only a certificate for other clients was seen."""


def slots(held: Held, *, fingerprint: str, key_type: str | None, endpoints: Sequence[Seen]) -> Iterator[Slot]:
    """Set each configured listener and name beside the endpoints of the same host."""
    for use in held.uses:
        for listener in use.listeners:
            for name in _names(use):
                served = tuple(
                    seen for seen in endpoints if _is_at(seen, listener, name, addresses=held.addresses)
                )
                yield Slot(
                    product=use.product,
                    file=use.file,
                    line=use.line,
                    port=listener.port,
                    address=listener.address,
                    starttls=listener.starttls,
                    server_name=name,
                    served=served,
                    is_served=_is_served(served, fingerprint=fingerprint, key_type=key_type),
                )


def ports(held: Held) -> Iterator[int]:
    """Yield the ports that its configuration names."""
    return (listener.port for use in held.uses for listener in use.listeners)


def _names(use: ConfiguredUse) -> tuple[str | None, ...]:
    return (*use.server_names, None) if use.is_default or not use.server_names else tuple(use.server_names)


def _is_at(seen: Seen, listener: Listening, name: str | None, *, addresses: Sequence[str]) -> bool:
    return (
        (seen.port, seen.starttls) == (listener.port, listener.starttls)
        and seen.address in addresses
        and _listens(listener.address, seen.address)
        and _fits(name, seen.server_name)
    )


def _listens(configured: str | None, address: str) -> bool:
    """Return whether a listener covers one of its host's addresses; one given by a name may be any of them."""
    try:
        own = ipaddress.ip_address(configured or "::")
    except ValueError:
        return True
    return own.is_unspecified or str(own) == address


def _fits(name: str | None, asked: str | None) -> bool:
    if name is None or asked is None:
        return name == asked
    is_below = name.startswith("*.") and asked.lower().endswith(name[1:])
    return is_below or asked.lower() == name


def _is_served(served: Sequence[Seen], *, fingerprint: str, key_type: str | None) -> bool | None:
    """A server with certificates of two kinds of key chooses by what the client can verify."""
    by_address: dict[str, list[Seen]] = {}
    for seen in served:
        by_address.setdefault(seen.address, []).append(seen)
    answers = [_at_one(beside, fingerprint=fingerprint, key_type=key_type) for beside in by_address.values()]
    if False in answers:
        return False
    return True if True in answers else None


def _at_one(served: Sequence[Seen], *, fingerprint: str, key_type: str | None) -> bool | None:
    if any(seen.fingerprint == fingerprint for seen in served):
        return True
    return False if any(seen.key_type == key_type for seen in served) else None
