"""From what a configuration says to a binding: the files, the commands, and the endpoints that prove it.

What a configuration says comes from the host that was read: a path goes into a command only quoted.
"""

import ipaddress
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.events.discovery import ConfiguredUse, Held, Listening

MOST_ENDPOINTS = 20


class State(StrEnum):
    """What has become of a proposal."""

    OPEN = "open"
    BOUND = "bound"
    """A binding has its slot."""
    GONE = "gone"
    """No configuration uses the file any more."""


@dataclass(frozen=True, kw_only=True)
class Commands:
    """How a server is told that its files have changed."""

    test: str | None
    reload: str


@dataclass(frozen=True, kw_only=True)
class Answering:
    """An endpoint that serves from the file."""

    address: str
    port: int
    server_name: str | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a binding of the file needs."""

    certificate_path: str
    key_path: str | None
    """Empty where the key follows the certificates in the same file."""
    test_command: str | None
    reload_command: str | None
    endpoints: tuple[Answering, ...]


_COMMANDS = {
    "nginx": Commands(test="nginx -t", reload="nginx -s reload"),
    "apache": Commands(test="apachectl configtest", reload="apachectl graceful"),
    "haproxy": Commands(test="haproxy -c -f {file}", reload="systemctl reload haproxy"),
    "postfix": Commands(test="postfix check", reload="postfix reload"),
    "dovecot": Commands(test="doveconf -n", reload="doveadm reload"),
    "postgresql": Commands(test=None, reload="systemctl reload postgresql"),
    "stunnel": Commands(test=None, reload="systemctl reload stunnel4"),
    "caddy": Commands(test="caddy validate --config {file}", reload="systemctl reload caddy"),
}
_KEY_FIRST = frozenset({"postfix"})
"""Whose combined files begin with the key."""


def products(held: Held) -> tuple[str, ...]:
    """Return the products that use the file, each once."""
    return tuple(dict.fromkeys(use.product for use in held.uses))


def obstacle(held: Held, *, path: str) -> str | None:
    """Return why none of our targets can put a new certificate there, or None."""
    return next(_obstacles(held, path=path), None)


def _obstacles(held: Held, *, path: str) -> Iterator[str]:
    if held.format != "pem" or not path.startswith("/"):
        yield f"It is kept as {held.format}: the kinds of target that there are write PEM files."
    unknown = [product for product in products(held) if product not in _COMMANDS]
    if unknown:
        yield f"No commands are known that make {unknown[0]} read its files again."
    keys = {use.key or path for use in held.uses}
    if len(keys) > 1:
        yield f"Its uses name different keys: {', '.join(sorted(keys))}."
    elif keys == {path} and _KEY_FIRST & set(products(held)):
        yield "Postfix wants the key before the certificates in one file; targets write it after them."
    chains = {use.chain for use in held.uses if use.chain not in (None, path)}
    if chains:
        yield f"Its chain is in a file of its own ({min(map(str, chains))}): targets write two files, not three."
    if held.is_abridged:
        yield "More uses it than was told."
    if not list(_direct(held)):
        yield "Everything that listens with it speaks another protocol before TLS: that is not looked at after a deployment."
    elif not held.addresses and not any(_own_address(listener) for listener, _ in _direct(held)):
        yield "The addresses of the host are not known."


def plan(held: Held, *, path: str, reached_at: str) -> Plan:
    """Return the binding of a file; `reached_at` is the name or address by which its host is reached."""
    key = next((use.key for use in held.uses if use.key not in (None, path)), None)
    commands = [(_COMMANDS[use.product], use.file) for use in held.uses if use.product in _COMMANDS]
    tests = [one.test.format(file=shlex.quote(file)) for one, file in commands if one.test is not None]
    reloads = [one.reload for one, _ in commands]
    return Plan(
        certificate_path=path,
        key_path=key,
        test_command=" && ".join(dict.fromkeys(tests)) or None,
        reload_command=" && ".join(dict.fromkeys(reloads)) or None,
        endpoints=tuple(dict.fromkeys(_endpoints(held, reached_at=reached_at)))[:MOST_ENDPOINTS],
    )


def _endpoints(held: Held, *, reached_at: str) -> Iterator[Answering]:
    usual = _address(held.addresses, reached_at=reached_at)
    for listener, use in _direct(held):
        address = _own_address(listener) or usual
        for name in _names(use) if address is not None else ():
            yield Answering(address=address or "", port=listener.port, server_name=name)


def _direct(held: Held) -> Iterator[tuple[Listening, ConfiguredUse]]:
    return ((listener, use) for use in held.uses for listener in use.listeners if listener.starttls is None)


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


def _address(addresses: Sequence[str], *, reached_at: str) -> str | None:
    """Return the address to look at: the one the host is reached by, else its first that others can reach too."""
    if reached_at in addresses:
        return reached_at
    usual = [each for each in addresses if not ipaddress.ip_address(each).is_loopback]
    return next(iter([*usual, *addresses]), None)
