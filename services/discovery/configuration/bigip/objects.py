"""BIG-IP's objects: which virtual server presents which certificate, by its SSL profiles and what they inherit.

Rules from F5's "BIG-IP System: SSL Administration" and tmsh reference (ltm virtual, ltm profile client-ssl), and from
K13452 for several client-ssl profiles on one virtual server. Both ways of reading a BIG-IP end here: its API and its files.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from services.discovery.configuration.reader import port_number
from services.discovery.domain.holdings import Listener, Use
from services.discovery.domain.targets import is_address

PRODUCT = "bigip"
NONE = ("", "none", "/Common/none")
"""How an empty value is written."""
_MOST_PARENTS = 32
_PORTS = {
    "https": 443,
    "http": 80,
    "ldaps": 636,
    "smtps": 465,
    "submission": 587,
    "imaps": 993,
    "pop3s": 995,
    "ftps": 990,
    "sip-tls": 5061,
    "domain-s": 853,
    "telnets": 992,
    "https-alt": 8443,
    "pcsync-https": 8443,
    "webcache": 8080,
}
"""Names of ports as tmsh writes them, of those that TLS is spoken on."""
_DESTINATION = re.compile(r"(?P<name>.+?)(?P<domain>%[0-9]+)?[.:](?P<port>[a-z0-9-]+)")
_VERSION = re.compile(r"no-(ssl|tls|dtls)(v[0-9.]+)?")
"""Options that switch a version of TLS off."""
_ONE_ADDRESS = ("any", "any6", "255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One entry of a profile's certificates: the full paths of the objects that it names."""

    certificate: str
    key: str | None = None
    chain: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """An SSL profile; what is None is as in its parent."""

    path: str
    is_client: bool
    """It speaks TLS with clients (client-ssl), and not with servers (server-ssl)."""
    parent: str | None = None
    inherits_pairs: bool | None = None
    pairs: tuple[Pair, ...] | None = None
    server_name: str | None = None
    is_sni_default: bool | None = None
    is_enabled: bool | None = None
    ciphers: str | None = None
    options: tuple[str, ...] | None = None
    trusted_ca: str | None = None
    peer_certificates: str | None = None
    """`ignore`, `request` or `require`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Virtual:
    """A virtual server."""

    path: str
    destination: str
    mask: str = "any"
    profiles: tuple[str, ...] = ()
    is_enabled: bool = True
    file: str = ""
    """Where it is configured, if not the object itself says so."""
    line: int = 0


BUILT_IN = (
    Profile(
        path="/Common/clientssl",
        is_client=True,
        pairs=(Pair(certificate="/Common/default.crt", key="/Common/default.key"),),
    ),
    *(
        Profile(path=f"/Common/{name}", is_client=True, parent="/Common/clientssl")
        for name in ("clientssl-insecure-compatible", "clientssl-secure", "crypto-server-default-clientssl")
    ),
    *(
        Profile(path=f"/Common/{name}", is_client=True, parent="/Common/clientssl")
        for name in ("splitsession-default-clientssl", "wom-default-clientssl", "clientssl-quic")
    ),
    Profile(path="/Common/serverssl", is_client=False, pairs=()),
)
"""Profiles that every BIG-IP has, and that its files do not name as long as nobody changed them."""


def by_path(profiles: Iterable[Profile]) -> dict[str, Profile]:
    """Return profiles by their path, beside those that are built in."""
    return {profile.path: profile for profile in (*BUILT_IN, *profiles)}


def effective(profile: Profile, profiles: Mapping[str, Profile]) -> Profile:
    """Return a profile with what it inherits; a circle of parents ends where it began."""
    line = [profile]
    while (parent := profiles.get(line[-1].parent or "")) and parent not in line:
        if len(line) >= _MOST_PARENTS:
            break
        line.append(parent)
    whole = line[-1]
    for child in reversed(line[:-1]):
        whole = _over(child, parent=whole)
    return whole


def _over(child: Profile, *, parent: Profile) -> Profile:
    own = {
        name: value
        for name in _INHERITED
        if (value := getattr(child, name)) is not None and not (name == "pairs" and child.inherits_pairs)
    }
    kept = replace(parent, path=child.path, parent=child.parent, is_client=child.is_client)
    return replace(kept, inherits_pairs=child.inherits_pairs, **own)


_INHERITED = (
    "pairs",
    "server_name",
    "is_sni_default",
    "is_enabled",
    "ciphers",
    "options",
    "trusted_ca",
    "peer_certificates",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """A pair of a profile on a virtual server."""

    virtual: Virtual
    profile: Profile
    pair: Pair
    listeners: tuple[Listener, ...]
    """Empty where it is switched off, serves no single address, or speaks to servers and not to clients."""
    is_default: bool

    @property
    def is_chosen_by_name(self) -> bool:
        """Whether the names in the certificate choose it, as its profile names none and another one is the default."""
        return self.profile.is_client and not self.is_default and not self.profile.server_name

    def use(self, *, names: Sequence[str] = ()) -> Use:
        """Return it as every source does; `names` are those in the certificate, where they choose it."""
        profile, name = self.profile, (self.profile.server_name or "").lower()
        required = {"require": "required", "request": "optional"}
        return Use(
            product=PRODUCT,
            file=self.virtual.file or f"{self.virtual.path} via {profile.path}",
            line=self.virtual.line,
            listeners=self.listeners,
            server_names=(name,) if name else tuple(names) if self.is_chosen_by_name else (),
            certificate=self.pair.certificate,
            key=self.pair.key,
            chain=self.pair.chain,
            trusted_ca=profile.trusted_ca or None,
            client_verification=required.get(profile.peer_certificates or "") if profile.is_client else None,
            protocols=tuple(filter(_VERSION.fullmatch, profile.options or ())),
            ciphers=profile.ciphers or None,
            is_default=self.is_default,
            is_by_certificate=self.is_chosen_by_name,
        )


def slots(
    virtuals: Iterable[Virtual], *, profiles: Mapping[str, Profile], addresses: Mapping[str, str]
) -> Iterator[Slot]:
    """Yield every pair of every profile of every virtual server.

    `addresses` are those of the virtual addresses that have names of their own, by their path.
    """
    whole = {path: effective(profile, profiles) for path, profile in profiles.items()}
    for virtual in virtuals:
        own = [whole[path] for path in virtual.profiles if path in whole]
        clients = [profile for profile in own if profile.is_client]
        where = tuple(_listeners(virtual, addresses=addresses))
        for profile in own:
            is_on = profile.is_client and profile.is_enabled is not False
            for pair in profile.pairs or ():
                yield Slot(
                    virtual=virtual,
                    profile=profile,
                    pair=pair,
                    listeners=where if is_on else (),
                    is_default=profile.is_client and (len(clients) == 1 or bool(profile.is_sni_default)),
                )


def _listeners(virtual: Virtual, *, addresses: Mapping[str, str]) -> Iterator[Listener]:
    found = _DESTINATION.fullmatch(virtual.destination)
    if not found or not virtual.is_enabled or virtual.mask not in _ONE_ADDRESS:
        return
    port = _PORTS.get(found["port"]) or port_number(found["port"])
    address = addresses.get(found["name"] + (found["domain"] or "")) or found["name"].rpartition("/")[2]
    address = address.partition("%")[0].lower()
    if port and is_address(address) and address not in ("0.0.0.0", "::"):  # noqa: S104 - nothing is bound here
        yield Listener(port=port, address=address)
