"""What a source holds, and what its configuration uses it for: the shapes that every kind of source answers in."""

import stat
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import cast

from services.discovery.domain.targets import is_address
from shared import partial

SSH = "ssh"
"""What a listener speaks that never speaks TLS: it shows certificates of OpenSSH's kind, and no scan asks it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """Where a server listens, as its configuration says."""

    port: int
    address: str | None = None
    """An IP address, or a host name as written; None for every address of the host."""
    starttls: str | None = None
    """The protocol spoken before TLS, in the words of `domain.targets`, or `SSH`; None for TLS from the first byte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """One certificate slot of a configuration: which listeners and server names use which files.

    A server with two certificates (RSA and ECDSA) has two. Paths are absolute paths on the host.
    """

    product: str
    """As `configuration.registry` names it."""
    file: str
    """The configuration file (or object) that says so, and the line in it (0 where there is none)."""
    line: int = 0
    start: str | None = None
    """The file that the product's configuration begins with."""
    listeners: tuple[Listener, ...] = ()
    server_names: tuple[str, ...] = ()
    """Lower case; wildcards as written. Empty where the listener serves it whatever name is asked for."""
    certificate: str
    """The path (or object) that holds the leaf."""
    key: str | None = None
    chain: str | None = None
    trusted_ca: str | None = None
    """What clients' certificates are verified against."""
    client_verification: str | None = None
    """`required` or `optional`; None where no client certificate is asked for."""
    protocols: tuple[str, ...] = ()
    """As the product writes them; empty where its default holds."""
    ciphers: str | None = None
    is_default: bool = False
    """It answers on its listeners where no name fits."""
    is_by_certificate: bool = False
    """It answers to the names in the certificate: the configuration need not repeat them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Something that could not be read, so that what lies under it is unknown: neither there nor gone."""

    scope: str
    """A path, or the beginning of paths, of the source; empty for all of it."""
    reason: str
    next_step: str
    is_absent: bool = False
    """It is known that nothing is there, though something else names it: nothing is hidden by it."""
    hides_names: bool = False
    """What it hides may name holdings that are known by nothing else: the files that a configuration uses."""

    def hides(self, path: str) -> bool:
        """Return whether what is at this path cannot be known because of it."""
        is_under = path == self.scope or path.startswith(self.scope.rstrip("/") + "/")
        return is_under and not self.is_absent


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What the configuration of one product says."""

    uses: tuple[Use, ...] = ()
    gaps: tuple[Gap, ...] = ()
    files: tuple[str, ...] = ()
    """Every configuration file that was read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What is known of a private key. The key itself never leaves where it is."""

    path: str
    spki_sha256: str | None = None
    """SHA-256 of its public half's SubjectPublicKeyInfo, lower-case hexadecimal; None where it could not be read."""
    is_match: bool | None = None
    """It belongs to the certificate; None where that is unknown."""
    mode: int | None = None
    owner: str | None = None
    is_exposed: bool = False
    """Others than its owner and group may read it."""
    is_replaceable: bool = False
    """Others than its owner and group may put another file in its place: they may write to it, or to its folder."""
    is_encrypted: bool = False


def is_replaceable(mode: int, *, folder: int) -> bool:
    """Return whether others may put another file in the place of one with this mode, in a folder with that one.

    In a folder with the sticky bit only owners may rename and remove files (open(2), path_resolution(7)).
    """
    may_rename = bool(folder & stat.S_IWOTH) and not folder & stat.S_ISVTX
    return bool(mode & stat.S_IWOTH) or may_rename


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """One certificate in a source: a file, a keystore entry, a cloud resource, an object of a device."""

    address: str
    """The host, account, cluster, vault or device that holds it."""
    path: str
    """The file or object in it: the same for the same slot, for ever."""
    chain: tuple[bytes, ...]
    """DER certificates, leaf first."""
    format: str
    """How it is kept there: pem or der for a file."""
    key: Key | None = None
    owner: str | None = None
    group: str | None = None
    mode: int | None = None
    uses: tuple[Use, ...] = ()
    in_use: bool | None = None
    """None where the source cannot tell."""
    addresses: tuple[str, ...] = ()
    """The IP addresses of the host that holds it; empty where it is no host."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A part of what a source holds."""

    holdings: tuple[Holding, ...] = ()
    gaps: tuple[Gap, ...] = ()
    position: str | None = None
    """Where reading goes on after this page; None where it is the last."""


def storable(holding: Holding) -> Holding:
    """Return a holding without NUL in its texts, which no database takes: whoever writes a certificate or a
    configuration can write one.
    """
    return cast("Holding", _without_nul(holding))


def _without_nul(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, tuple):
        return tuple(map(_without_nul, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{each.name: _without_nul(getattr(value, each.name)) for each in fields(value)}
        )
    return value


def with_names(holding: Holding) -> Holding:
    """Return a holding whose uses say the names that they take from the certificate."""
    if not any(use.is_by_certificate for use in holding.uses):
        return holding
    names = partial.read(holding.chain[0]).fields.names
    hosts = tuple(name for name in names if not is_address(name))
    uses = [replace(use, server_names=hosts) if use.is_by_certificate else use for use in holding.uses]
    return replace(holding, uses=tuple(uses))


def is_hidden(path: str, *, is_used: bool, gaps: Sequence[Gap]) -> bool:
    """Return whether a holding that was not seen may be there all the same: under a gap, or named by what a gap hides."""
    return any(gap.hides(path) or (is_used and gap.hides_names and not gap.is_absent) for gap in gaps)
