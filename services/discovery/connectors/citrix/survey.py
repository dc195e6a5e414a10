"""All that is configured on a Citrix ADC and has to do with certificates, before any of them is looked at.

Shapes from Citrix's NITRO API reference, configuration: ssl (sslcertkey, sslvserver, sslprofile and their bindings), lb, cs,
vpn, authentication (virtual servers), ns (nspartition).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.discovery.connectors.web import NotPermitted
from services.discovery.domain.holdings import Gap, Key, Listener, Use
from services.discovery.domain.targets import is_address, is_port
from shared.appliances.nitro import POLICY, Session
from shared.errors import NotFound

PRODUCT = "citrix-adc"
FOLDER = "/nsconfig/ssl"
PAIRS = "sslcertkey"
_VIRTUAL_SERVERS = ("lbvserver", "csvserver", "vpnvserver", "authenticationvserver")
_ELSEWHERE = {
    "sslservice_sslcertkey_binding": ("sslservice", "servicename"),
    "sslservicegroup_sslcertkey_binding": ("sslservicegroup", "servicegroupname"),
    "sslprofile_sslcertkey_binding": ("sslprofile", "name"),
}
"""Bindings to what does not listen at an address of its own, with the kind and the name of that."""
_RESOURCES = (PAIRS, *_VIRTUAL_SERVERS, "sslprofile", "sslvserver", "nspartition")
_BINDINGS = ("sslvserver_sslcertkey_binding", *_ELSEWHERE)
_CIPHERS = "sslvserver_sslciphersuite_binding"
_Told = dict[str, list[dict[str, Any]]]
"""Resources by their kind."""
_VERSIONS = ("ssl3", "tls1", "tls11", "tls12", "tls13")
_VERIFICATION = {"mandatory": "required", "optional": "optional"}
_ANY_PORT = 65535
"""How `*` is told."""
_MOST_LINKS = 8
_LONGEST = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A certificate-key pair; paths are those of files on the appliance."""

    name: str
    file: str
    key: Key | None
    form: str
    """`PEM`, `DER` or `PFX`."""
    issuer: str | None
    """The pair that it is linked to."""

    @property
    def path(self) -> str:
        """Where the holding is."""
        return f"{PAIRS}/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """A pair that is bound to something."""

    use: Use
    is_chosen_by_name: bool
    """It is presented where one of the names in the certificate is asked for (SNI)."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is on the appliance."""

    pairs: dict[str, Pair]
    bindings: dict[str, list[Binding]]
    """By the name of the pair."""
    used: frozenset[str]
    """Names of pairs that are bound, also as CAs, or sent as a part of the chain of one that is."""
    gaps: tuple[Gap, ...]

    def is_used(self, pair: Pair) -> bool | None:
        """Return whether a pair is in use: unknown where not everything could be read."""
        return True if pair.name in self.used else None if self.gaps else False

    def links(self, pair: Pair) -> list[Pair]:
        """Return the pairs that are sent after this one; a circle of links ends."""
        found = [pair]
        while (issuer := self.pairs.get(found[-1].issuer or "")) and issuer not in found:
            if len(found) > _MOST_LINKS:
                break
            found.append(issuer)
        return found[1:]


async def survey(session: Session) -> Survey:
    """Ask for everything but the certificates themselves. Raises `Refused` and `Unavailable`."""
    told: _Told = {}
    gaps: list[Gap] = []
    asked = [(name, session.all) for name in _RESOURCES] + [
        (name, session.bindings) for name in (*_BINDINGS, _CIPHERS)
    ]
    for resource, ask in asked:
        try:
            told[resource] = await ask(resource)
        except NotPermitted as error:
            gaps.append(Gap(scope=resource, reason=error.detail, next_step=POLICY))
        except NotFound:
            pass  # the version has no such resource
    return _surveyed(defaultdict(list, told), gaps=gaps)


def _surveyed(told: _Told, *, gaps: Sequence[Gap]) -> Survey:
    """Put together what was told; what could not be asked for is as if there were none of it."""
    pairs = {pair.name: pair for item in told[PAIRS] if (pair := _pair(item)) is not None}
    found: dict[str, list[Binding]] = defaultdict(list)
    for name, binding in (*_served(told, pairs), *_shown_to_servers(told, pairs)):
        found[name].append(binding)
    bound = {_text(item, "certkeyname") for resource in _BINDINGS for item in told[resource]} - {""}
    nameless = len(pairs) < len({str(item.get("certkey")) for item in told[PAIRS]})
    whole = Survey(
        pairs=pairs,
        bindings=dict(found),
        used=frozenset(bound),
        gaps=(*gaps, *([_NAMELESS] if nameless else []), *_partitions(told["nspartition"])),
    )
    chained = {link.name for name in bound if name in pairs for link in whole.links(pairs[name])}
    return replace(whole, used=frozenset(bound | chained))


def _served(told: _Told, pairs: Mapping[str, Pair]) -> Iterator[tuple[str, Binding]]:
    """Yield the pairs that virtual servers present."""
    virtuals = {
        _text(item, "name"): _Virtual(kind=kind, item=item)
        for kind in _VIRTUAL_SERVERS
        for item in told[kind]
    }
    profiles = {_text(item, "name"): item for item in told["sslprofile"]}
    parameters = {_text(item, "vservername"): item for item in told["sslvserver"]}
    ciphers: dict[str, list[str]] = defaultdict(list)
    for item in told[_CIPHERS]:
        ciphers[_text(item, "vservername")].append(_text(item, "ciphername"))
    bound = told["sslvserver_sslcertkey_binding"]
    trusted = {
        _text(item, "vservername"): f"{PAIRS}/{_text(item, 'certkeyname')}"
        for item in bound
        if item.get("ca") is True
    }
    for item in bound:
        server, name = _text(item, "vservername"), _text(item, "certkeyname")
        if item.get("ca") is True or name not in pairs:
            continue
        own = parameters.get(server, {})
        yield (
            name,
            _binding(
                item,
                pair=pairs[name],
                virtual=virtuals.get(server, _Virtual(kind="sslvserver", item={})),
                parameters=profiles.get(_text(own, "sslprofile"), own),
                ciphers=ciphers.get(server, ()),
                trusted_ca=trusted.get(server),
            ),
        )


def _shown_to_servers(told: _Told, pairs: Mapping[str, Pair]) -> Iterator[tuple[str, Binding]]:
    """Yield the pairs of what does not listen at an address of its own."""
    for resource, (kind, name_field) in _ELSEWHERE.items():
        for item in told[resource]:
            name = _text(item, "certkeyname")
            if item.get("ca") is not True and name in pairs:
                use = _use(pairs[name], file=f"{kind}/{_text(item, name_field)}")
                yield name, Binding(use=use, is_chosen_by_name=False)


_NAMELESS = Gap(
    scope=PAIRS,
    reason="Some certificate-key pairs have no plain name or file.",
    next_step="Rename them.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Virtual:
    """A virtual server, as it is told."""

    kind: str
    item: Mapping[str, Any]

    def listeners(self) -> Iterator[Listener]:
        """Yield where it listens; one that is switched off, or only reached through another one, does not."""
        address, port = _text(self.item, "ipv46").lower(), self.item.get("port")
        kind, state = _text(self.item, "servicetype"), _text(self.item, "curstate")
        is_on = state != "OUT OF SERVICE" and not kind.startswith(("DTLS", "QUIC", "HTTP_QUIC"))
        is_one = is_address(address) and address not in ("0.0.0.0", "::")  # noqa: S104 - nothing is bound here
        if is_on and is_one and isinstance(port, int) and is_port(port) and port != _ANY_PORT:
            yield Listener(port=port, address=address)


def _binding(
    item: Mapping[str, Any],
    *,
    pair: Pair,
    virtual: _Virtual,
    parameters: Mapping[str, Any],
    ciphers: Sequence[str],
    trusted_ca: str | None,
) -> Binding:
    is_sni = item.get("snicert") is True
    is_on = not is_sni or _text(parameters, "snienable") != "DISABLED"
    asks = _text(parameters, "clientauth") == "ENABLED"
    use = _use(
        pair,
        file=f"{virtual.kind}/{_text(item, 'vservername')}",
        listeners=tuple(virtual.listeners()) if is_on else (),
        trusted_ca=trusted_ca,
        client_verification=_VERIFICATION.get(_text(parameters, "clientcert").lower()) if asks else None,
        protocols=tuple(
            f"{version} {state}" for version in _VERSIONS if (state := _text(parameters, version).lower())
        ),
        ciphers=":".join(ciphers) or None,
        is_default=not is_sni,
    )
    return Binding(use=use, is_chosen_by_name=is_sni)


def _use(pair: Pair, *, file: str, **more: Any) -> Use:
    return Use(
        product=PRODUCT,
        file=file,
        certificate=pair.path,
        key=pair.key.path if pair.key else None,
        chain=f"{PAIRS}/{pair.issuer}" if pair.issuer else None,
        **more,
    )


def _pair(item: Mapping[str, Any]) -> Pair | None:
    name, file, key = _text(item, "certkey"), _text(item, "cert"), _text(item, "key")
    if not name or "/" in name or not file:
        return None
    is_encrypted = bool(item.get("passcrypt"))
    return Pair(
        name=name,
        file=_absolute(file),
        key=Key(path=_absolute(key), is_encrypted=is_encrypted) if key else None,
        form=_text(item, "inform") or "PEM",
        issuer=_text(item, "linkcertkeyname") or None,
    )


def _absolute(file: str) -> str:
    return file if file.startswith("/") else f"{FOLDER}/{file}"


def _partitions(items: Sequence[Mapping[str, Any]]) -> Iterator[Gap]:
    """Yield a gap for each partition but the one that is looked into: a session is in one of them."""
    for name in sorted(filter(None, (_text(item, "partitionname") for item in items))):
        if name != "default":
            yield Gap(
                scope=f"nspartition/{name}",
                reason=f"The admin partition {name} is not looked into.",
                next_step="Add a source whose user is bound to that partition.",
            )


def _text(item: Mapping[str, Any], name: str) -> str:
    """Return a plain text, an empty one where there is none."""
    value = item.get(name)
    return value if isinstance(value, str) and len(value) <= _LONGEST and value.isprintable() else ""
