"""From what a configuration says to a binding: the files, the commands, and the endpoints that prove it."""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from services.provisioner.domain.commands import commands
from services.provisioner.domain.device_slots import DeviceSlot, device_obstacles, device_slot, is_device
from shared.events.discovery import ConfiguredUse, Held, Listening
from shared.starttls import PROTOCOLS

MOST_ENDPOINTS = 20
PEM = "pem"
STORES = frozenset({"pkcs12", "jks", "jceks"})
"""Formats whose entries have names: the last part of the path."""


class State(StrEnum):
    """What has become of a proposal."""

    OPEN = "open"
    BOUND = "bound"
    """A binding has its slot."""
    GONE = "gone"
    """No configuration uses the file any more."""


@dataclass(frozen=True, kw_only=True)
class Answering:
    """An endpoint that serves from the file."""

    address: str
    port: int
    server_name: str | None
    starttls: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a binding of the file needs."""

    certificate_path: str
    key_path: str | None
    """Empty where the key is in the same file."""
    chain_path: str | None
    """Where the intermediates are in a file of their own."""
    chain: bool
    """Whether the intermediates follow the leaf."""
    key_first: bool
    format: str
    alias: str | None
    """Of the entry of a keystore."""
    test_command: str | None
    reload_command: str | None
    endpoints: tuple[Answering, ...]
    device: DeviceSlot | None = None
    """Where it is held by a device: its slot, in place of files."""


_KEY_FIRST = frozenset({"postfix"})
"""Whose combined files begin with the key (postconf(5), smtpd_tls_chain_files)."""


def products(held: Held) -> tuple[str, ...]:
    """Return the products that use the file, each once."""
    return tuple(dict.fromkeys(use.product for use in held.uses))


def obstacle(
    held: Held, *, path: str, host: str, has_reload: bool = False, has_endpoints: bool = False
) -> str | None:
    """Return why none of our targets can put a new certificate there, or None.

    `host` is where its source is reached. Who says how to reload, or what to look at, need not be told that it is unknown.
    """
    on_device = is_device(held)
    reasons = [*(device_obstacles if on_device else _of_files)(held, path=path)]
    if not has_reload and not on_device:
        reasons += _of_commands(held)
    if not has_endpoints:
        reasons += _of_endpoints(held, host=host)
    return next(iter(reasons), None)


def _of_files(held: Held, *, path: str) -> Iterator[str]:
    if held.format not in {PEM, *STORES} or not path.startswith("/"):
        yield f"It is kept as {held.format}, and which slot of a target that is cannot be told."
    elif held.format == PEM:
        keys = {use.key or path for use in held.uses}
        if len(keys) > 1:
            yield f"Its uses name different keys: {', '.join(sorted(keys))}."
        orders = {use.product in _KEY_FIRST for use in held.uses}
        if keys == {path} and len(orders) > 1:
            yield "Postfix wants the key before the certificates in one file, and another product uses it too."
        chains = _chains(held, path=path)
        if len(chains) > 1:
            yield f"Its uses name different files with its chain: {', '.join(sorted(chains))}."
    if held.is_abridged:
        yield "More uses it than was told."


def _of_commands(held: Held) -> Iterator[str]:
    unknown = [use.product for use in held.uses if commands(use) is None]
    if unknown:
        yield f"No commands are known that make {unknown[0]} read its files again."


def _of_endpoints(held: Held, *, host: str) -> Iterator[str]:
    spoken = list(_spoken(held))
    if not spoken:
        yield "Nothing that is known listens with it: there is nothing to look at after a deployment."
    elif all(_is_inside(listener, host=host) for listener, _ in spoken):
        yield "Only the host itself can reach what listens with it: it cannot be looked at after a deployment."
    elif not held.addresses and not any(_own_address(listener) for listener, _ in spoken):
        yield "The addresses of the host are not known."


def plan(held: Held, *, path: str, reached_at: str) -> Plan:
    """Return the binding of a file; `reached_at` is the name or address by which its host is reached."""
    if is_device(held):
        return _device_plan(held, path=path, reached_at=reached_at)
    file, alias = path, None
    if held.format in STORES:
        file, _, quoted = path.rpartition("/")
        alias = unquote(quoted)
    key = next((use.key for use in held.uses if use.key not in (None, file)), None)
    chains = _chains(held, path=file)
    is_key_first = held.format == PEM and key is None and bool(_KEY_FIRST & set(products(held)))
    known = [each for each in map(commands, held.uses) if each is not None]
    return Plan(
        certificate_path=file,
        key_path=key,
        chain_path=min(chains, default=None),
        # Who names no file for the chain looks for it behind the leaf.
        chain=not chains or any(use.chain in (None, file) for use in held.uses),
        key_first=is_key_first,
        format=held.format,
        alias=alias,
        test_command=" && ".join(dict.fromkeys(each.test for each in known if each.test)) or None,
        reload_command=" && ".join(dict.fromkeys(each.reload for each in known)) or None,
        endpoints=tuple(dict.fromkeys(_endpoints(held, reached_at=reached_at)))[:MOST_ENDPOINTS],
    )


def _device_plan(held: Held, *, path: str, reached_at: str) -> Plan:
    return Plan(
        certificate_path=path,
        key_path=None,
        chain_path=None,
        chain=True,
        key_first=False,
        format=held.format,
        alias=None,
        test_command=None,
        reload_command=None,
        endpoints=tuple(dict.fromkeys(_endpoints(held, reached_at=reached_at)))[:MOST_ENDPOINTS],
        device=device_slot(held, path=path),
    )


def names_chain(held: Held, *, path: str, chain: str) -> bool:
    """Return whether a file with a certificate is, or is used with, this file of a chain."""
    return not is_device(held) and (path == chain or chain in _chains(held, path=path))


def _chains(held: Held, *, path: str) -> set[str]:
    return {use.chain for use in held.uses if use.chain is not None and use.chain != path}


def _endpoints(held: Held, *, reached_at: str) -> Iterator[Answering]:
    usual = _address(held.addresses, reached_at=reached_at)
    for listener, use in _spoken(held):
        if _is_inside(listener, host=reached_at):
            continue
        address = _own_address(listener) or usual
        for name in _names(use) if address is not None else ():
            yield Answering(
                address=address or "", port=listener.port, server_name=name, starttls=listener.starttls
            )


def _spoken(held: Held) -> Iterator[tuple[Listening, ConfiguredUse]]:
    """Yield the listeners that we can speak with until they show their certificate."""
    return (
        (listener, use)
        for use in held.uses
        for listener in use.listeners
        if listener.starttls is None or listener.starttls in PROTOCOLS
    )


def _names(use: ConfiguredUse) -> Sequence[str | None]:
    # Any name under a wildcard is answered by it.
    names = [f"www{name[1:]}" if name.startswith("*.") else name for name in use.server_names]
    return names or [None]


def _own_address(listener: Listening) -> str | None:
    try:
        address = ipaddress.ip_address(listener.address or "")
    except ValueError:
        return None
    return None if address.is_unspecified else str(address)


def _is_inside(listener: Listening, *, host: str) -> bool:
    """Return whether only the host itself can connect there; asked from here, another one would answer."""
    return _is_loopback(listener.address or "") and not _is_loopback(host)


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _address(addresses: Sequence[str], *, reached_at: str) -> str | None:
    """Return the address to look at: the one the host is reached by, else its first that others can reach too."""
    if reached_at in addresses:
        return reached_at
    usual = [each for each in addresses if not ipaddress.ip_address(each).is_loopback]
    return next(iter([*usual, *addresses]), None)
