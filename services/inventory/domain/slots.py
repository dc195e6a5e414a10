"""Configured beside served: what a host's configuration says that it presents, and what it was seen to present.

The two are read at different times. A difference is one only where each side was looked at since the other has
changed: else a renewal that one side has not shown yet would be taken for a forgotten reload.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.events.discovery import ConfiguredUse, Held, Listening

MOST_LABELS = 20
"""Of a name that wildcards are looked for above."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What an endpoint serves now."""

    place_id: str
    address: str
    port: int
    server_name: str | None
    starttls: str | None
    fingerprint: str
    key_type: str | None
    """Of the certificate."""
    not_before: datetime | None
    """Of the certificate."""
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, kw_only=True)
class Stored:
    """What a store holds now."""

    place_id: str
    host: str
    """Who holds it."""
    path: str
    fingerprint: str
    key_type: str | None
    not_before: datetime | None
    held: Held
    is_named: bool
    """A configuration there names it."""
    first_seen: datetime
    """Since when it has held this certificate."""
    read_at: datetime
    """When that was told last."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One listener and server name that a certificate is configured for, and what was seen there."""

    store: str
    """The key of the place that holds the certificate."""
    fingerprint: str
    """The certificate that is configured."""
    product: str
    file: str
    line: int
    port: int
    address: str | None
    starttls: str | None
    server_name: str | None
    key: str | None
    """The file of its key, and of its chain where that is another one."""
    chain: str | None
    protocols: tuple[str, ...]
    """As the product writes them; empty where its default holds. So are the ciphers."""
    ciphers: str | None
    served: tuple[Seen, ...]
    """Empty where no scan has looked there."""
    is_served: bool | None
    """Empty where that is unknown: nobody looked since, or only a certificate for other clients was seen."""
    to_look_at: tuple[str, ...] = ()
    """Endpoints that must be looked at again before it is known."""
    is_waiting: bool = False
    """The store must be read again before it is known."""


class Endpoints:
    """What was seen, to be found by where it is and which name was asked for."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        self._by_name: dict[tuple[int, str | None, str | None], list[Seen]] = {}
        self._by_port: dict[tuple[int, str | None], list[Seen]] = {}
        for each in seen:
            name = each.server_name.lower() if each.server_name is not None else None
            self._by_name.setdefault((each.port, each.starttls, name), []).append(each)
            self._by_port.setdefault((each.port, each.starttls), []).append(each)

    def at(self, listener: Listening, name: str | None, *, addresses: Sequence[str]) -> tuple[Seen, ...]:
        """Return what was seen where a listener is configured for a name."""
        if name is not None and name.startswith("*."):
            there = [
                seen
                for seen in self._by_port.get((listener.port, listener.starttls), ())
                if seen.server_name is not None and seen.server_name.lower().endswith(name[1:])
            ]
        else:
            there = self._by_name.get((listener.port, listener.starttls, name), [])
        return tuple(
            seen for seen in there if seen.address in addresses and _listens(listener.address, seen.address)
        )


def slots(stored: Stored, endpoints: Endpoints) -> Iterator[Slot]:
    """Set each configured listener and name beside the endpoints of the same host."""
    for use in stored.held.uses:
        for listener in use.listeners:
            for name in names_of(use):
                yield _slot(stored, use, listener, name, endpoints)


def _slot(
    stored: Stored, use: ConfiguredUse, listener: Listening, name: str | None, endpoints: Endpoints
) -> Slot:
    served = endpoints.at(listener, name, addresses=stored.held.addresses)
    if not served and name is not None:
        # A scan does not tell of a name that shows what is shown without one.
        nameless = endpoints.at(listener, None, addresses=stored.held.addresses)
        served = tuple(seen for seen in nameless if seen.fingerprint == stored.fingerprint)
    comparison = _compare(served, stored)
    return Slot(
        store=f"store://{stored.host}/{stored.path}",
        fingerprint=stored.fingerprint,
        product=use.product,
        file=use.file,
        line=use.line,
        port=listener.port,
        address=listener.address,
        starttls=listener.starttls,
        server_name=name,
        key=use.key,
        chain=use.chain,
        protocols=tuple(use.protocols),
        ciphers=use.ciphers,
        served=served,
        is_served=comparison.is_served,
        to_look_at=comparison.to_look_at,
        is_waiting=comparison.is_waiting,
    )


def names_of(use: ConfiguredUse) -> tuple[str | None, ...]:
    """Return the names that a use answers to; None is for where no name is asked for."""
    return (*use.server_names, None) if use.is_default or not use.server_names else tuple(use.server_names)


def wanted_names(name: str | None) -> list[str]:
    """Return how a configuration may write the name that was asked for, wildcards included; `""` for none."""
    if name is None:
        return [""]
    labels = name.lower().split(".")[-MOST_LABELS:]
    return [name.lower(), *("*." + ".".join(labels[number:]) for number in range(1, len(labels)))]


def _listens(configured: str | None, address: str) -> bool:
    """Return whether a listener covers one of its host's addresses; one given by a name may be any of them."""
    try:
        own = ipaddress.ip_address(configured or "::")
    except ValueError:
        return True
    return own.is_unspecified or str(own) == address


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    is_served: bool | None
    to_look_at: tuple[str, ...] = ()
    is_waiting: bool = False


def _compare(served: Sequence[Seen], stored: Stored) -> _Comparison:
    """Compare, address by address: where one of them differs for certain, that is what counts."""
    by_address: dict[str, list[Seen]] = {}
    for seen in served:
        by_address.setdefault(seen.address, []).append(seen)
    answers = [_at_one(beside, stored) for beside in by_address.values()]
    said = [answer.is_served for answer in answers]
    return _Comparison(
        is_served=False if False in said else (True if True in said else None),
        to_look_at=tuple(place for answer in answers for place in answer.to_look_at),
        is_waiting=any(answer.is_waiting for answer in answers),
    )


def _at_one(served: Sequence[Seen], stored: Stored) -> _Comparison:
    """A server with certificates of two kinds of key chooses by what the client can verify."""
    if any(seen.fingerprint == stored.fingerprint for seen in served):
        return _Comparison(is_served=True)
    others = [seen for seen in served if seen.key_type == stored.key_type]
    to_look_at = tuple(seen.place_id for seen in others if seen.last_seen < stored.first_seen)
    is_waiting = any(_may_be_stored_by_now(seen, stored) for seen in others)
    if not others or to_look_at or is_waiting:
        return _Comparison(is_served=None, to_look_at=to_look_at, is_waiting=is_waiting)
    return _Comparison(is_served=False)


def _may_be_stored_by_now(seen: Seen, stored: Stored) -> bool:
    """A newer certificate that came up after the store was read was most likely put into the store before."""
    if seen.first_seen <= stored.read_at or seen.not_before is None or stored.not_before is None:
        return False
    return seen.not_before > stored.not_before
