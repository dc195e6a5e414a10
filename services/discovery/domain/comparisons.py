"""Configured against served: what a host is told to present at each listener, beside what it does present."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.discovery.domain.holdings import SSH, Key, Listener, Use
from services.discovery.domain.targets import Asked, is_address, parse_server_name
from shared.errors import Invalid

_LOCAL = {"localhost": "127.0.0.1", "ip6-localhost": "::1"}


class Finding(StrEnum):
    """What is wrong with a configured slot."""

    NOT_SERVED = "not-served"
    """Another certificate is served than the file holds: most often a forgotten reload."""
    NO_ANSWER = "no-answer"
    """Nothing speaks TLS where the configuration says that something listens."""
    UNREADABLE = "unreadable"
    """The file that is named cannot be read, or holds no certificate."""
    KEY_EXPOSED = "key-exposed"
    """Everybody on the host may read the private key."""
    KEY_REPLACEABLE = "key-replaceable"
    """Everybody on the host may put another private key in its place."""
    KEY_MISMATCH = "key-mismatch"
    """The key file holds the key of another certificate: the next reload will fail."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Configured:
    """A slot of a configuration, with what is in its files."""

    use: Use
    fingerprint: str | None = None
    """Of the leaf; None where the file cannot be read."""
    not_after: datetime | None = None
    key_type: str | None = None
    """`rsa` or `ecdsa`, where it is one of them."""
    names: tuple[str, ...] = ()
    """Those in the certificate."""
    key: Key | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One slot at one listener under one name."""

    configured: Configured
    listener: Listener
    server_name: str | None
    asked: bool
    """False where no question could be made of the listener and the name."""
    served: tuple[str, ...]
    """Fingerprints of the leaves that were presented there."""
    findings: tuple[Finding, ...]


Where = tuple[Listener, str | None]


def questions(slots: Sequence[Configured]) -> dict[Asked, Where]:
    """Return what to ask the network, each with the listener and name that it is asked for.

    Where a listener has several certificates for a name, it is also asked as a client that verifies only the one
    kind of key, so that each can be seen.
    """
    found: dict[Asked, Where] = {}
    for (listener, name), sharing in _by_place(slots).items():
        address, sni = _address(listener), _sni(name)
        if address is None or listener.starttls == SSH or (name is not None and sni is None):
            continue
        kinds = {slot.key_type for slot in sharing} if len(sharing) > 1 else set()
        for kind in (None, *sorted(kind for kind in kinds if kind)):
            asked = Asked(
                address=address,
                port=listener.port,
                server_name=sni,
                starttls=listener.starttls,
                key_type=kind,
            )
            found[asked] = (listener, name)
    return found


def compare(
    slots: Sequence[Configured], *, asked: Iterable[Where], served: Mapping[Where, Sequence[str]]
) -> Iterator[Comparison]:
    """Set what is configured beside the fingerprints that were served at each listener and name."""
    was_asked = set(asked)
    for (listener, name), sharing in _by_place(slots).items():
        for slot in sharing:
            place = (listener, name)
            fingerprints = tuple(dict.fromkeys(served.get(place, ())))
            yield Comparison(
                configured=slot,
                listener=listener,
                server_name=name,
                asked=place in was_asked,
                served=fingerprints,
                findings=tuple(_findings(slot, asked=place in was_asked, served=fingerprints)),
            )


def _by_place(slots: Sequence[Configured]) -> dict[Where, list[Configured]]:
    places: dict[Where, list[Configured]] = defaultdict(list)
    for slot in slots:
        for listener in slot.use.listeners:
            for name in _names(slot):
                places[listener, name].append(slot)
    return places


def _names(slot: Configured) -> tuple[str | None, ...]:
    if slot.use.server_names:
        return slot.use.server_names
    if slot.use.is_by_certificate and slot.names:
        return tuple(name for name in slot.names if not is_address(name)) or (None,)
    return (None,)


def _findings(slot: Configured, *, asked: bool, served: Sequence[str]) -> Iterator[Finding]:
    if slot.fingerprint is None:
        yield Finding.UNREADABLE
    elif served and slot.fingerprint not in served:
        yield Finding.NOT_SERVED
    if asked and not served:
        yield Finding.NO_ANSWER
    if slot.key and slot.key.is_exposed:
        yield Finding.KEY_EXPOSED
    if slot.key and slot.key.is_replaceable:
        yield Finding.KEY_REPLACEABLE
    if slot.key and slot.key.is_match is False:
        yield Finding.KEY_MISMATCH


def _address(listener: Listener) -> str | None:
    if listener.address is None:
        return "127.0.0.1"
    local = _LOCAL.get(listener.address, listener.address)
    return local if is_address(local) else None


def _sni(name: str | None) -> str | None:
    """Return a name that a client can ask for: one that fits a wildcard, none for a regular expression."""
    if name is None or name.startswith("~"):
        return None
    try:
        return parse_server_name(name.replace("*", "any"), pointer="")
    except Invalid:
        return None
