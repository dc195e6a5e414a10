"""What certificate maps and load balancers say of certificates, as uses of them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from services.discovery.connectors.google import lists
from services.discovery.connectors.google.lists import List, Project, denied
from services.discovery.connectors.google.shapes import (
    CertificateMap,
    ForwardingRule,
    MapEntry,
    Shape,
    TargetProxy,
    relative,
)
from services.discovery.connectors.web import NotPermitted
from services.discovery.domain.holdings import Gap, Listener, Use
from services.discovery.domain.targets import is_address
from shared.errors import NotFound

MOST_OBJECTS = 20_000
"""Of one list that are looked at."""
MOST_PORTS = 20
"""Of one forwarding rule."""
_S = TypeVar("_S", bound=Shape)


@dataclass(kw_only=True)
class Configured:
    """What uses which certificate, by its name."""

    uses: dict[str, list[Use]] = field(default_factory=lambda: defaultdict(list))
    gaps: list[Gap] = field(default_factory=list)
    is_complete: bool = True
    """Everything that could use a certificate of a load balancer was read."""

    def add(self, uses: Iterable[Use]) -> None:
        """Sort uses by certificate."""
        for use in uses:
            self.uses[use.certificate].append(use)


async def read_configured(project: Project, *, with_compute: bool) -> Configured:
    """Read all that uses certificates; what may not be read is a gap."""
    told = Configured(is_complete=with_compute)
    maps = await _objects(project, lists.MAPS, CertificateMap, told)
    for each in maps:
        entries = await _objects(project, lists.ENTRIES, MapEntry, told, parent=each.name)
        told.add(use for entry in entries for use in _of_entry(entry, each))
    if with_compute:
        rules = await _objects(project, lists.FORWARDING_RULES, ForwardingRule, told)
        led = _listeners_by_target(rules)
        for what, product in (
            (lists.HTTPS_PROXIES, "target-https-proxy"),
            (lists.SSL_PROXIES, "target-ssl-proxy"),
        ):
            proxies = await _objects(project, what, TargetProxy, told)
            told.add(use for proxy in proxies for use in _of_proxy(proxy, product, led))
    return told


async def _objects(
    project: Project, what: List, shape: type[_S], told: Configured, *, parent: str = ""
) -> list[_S]:
    found: list[_S] = []
    scope = parent or f"projects/{project.name}/{what.under}"
    try:
        async with aclosing(project.parts(what, parent=parent)) as parts:
            async for part in parts:
                for item in part.items:
                    try:
                        found.append(shape.model_validate(item))
                    except ValidationError:
                        _hide(told, scope, f"One of {what.under} is not as its API defines it.")
                for place in part.unreachable:
                    _hide(told, scope, f"{what.under}: {place} did not answer.")
                if len(found) >= MOST_OBJECTS:
                    _hide(told, scope, f"There are more than {MOST_OBJECTS} {what.under}.")
                    break
    except NotPermitted as error:
        told.is_complete = False
        told.gaps.append(denied(what, error, scope=scope))
    except NotFound:
        return []  # the map was deleted meanwhile
    return found


def _hide(told: Configured, scope: str, reason: str) -> None:
    told.is_complete = False
    told.gaps.append(Gap(scope=scope, reason=reason, next_step="Read it again later."))


def _of_entry(entry: MapEntry, of: CertificateMap) -> Iterator[Use]:
    listeners = tuple(
        Listener(port=port, address=config.ip_address or None)
        for target in of.gclb_targets
        for config in target.ip_configs
        for port in config.ports
    )
    for certificate in entry.certificates:
        yield Use(
            product="certificate-map",
            file=entry.name,
            listeners=listeners,
            server_names=(entry.hostname.lower(),) if entry.hostname else (),
            certificate=str(relative(certificate)),
            is_default=entry.matcher == "PRIMARY",
        )


def _of_proxy(proxy: TargetProxy, product: str, led: dict[str, list[Listener]]) -> Iterator[Use]:
    if proxy.certificate_map:
        return  # it takes the place of the proxy's own certificates; its entries are uses themselves
    for number, certificate in enumerate(proxy.ssl_certificates):
        yield Use(
            product=product,
            file=proxy.self_link,
            listeners=tuple(led.get(proxy.self_link, ())),
            certificate=certificate,
            is_default=number == 0,
        )


def _listeners_by_target(rules: Sequence[ForwardingRule]) -> dict[str, list[Listener]]:
    led: dict[str, list[Listener]] = defaultdict(list)
    for rule in rules:
        if rule.target:
            led[rule.target] += [
                Listener(port=port, address=rule.ip_address or None) for port in _ports(rule)
            ]
    return led


def _ports(rule: ForwardingRule) -> Sequence[int]:
    if rule.ports:
        return [int(port) for port in rule.ports if port.isascii() and port.isdigit()][:MOST_PORTS]
    with suppress(ValueError):
        first, _, last = (rule.port_range or "").partition("-")
        return range(int(first), int(last or first) + 1)[:MOST_PORTS]
    return ()


def served_at(uses: Sequence[Use]) -> tuple[str, ...]:
    """Return the IP addresses of the load balancers that serve it."""
    named = (listener.address for use in uses for listener in use.listeners)
    return tuple(dict.fromkeys(address for address in named if address and is_address(address)))
