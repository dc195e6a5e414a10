"""Follows delegated names, and looks whether the servers of a zone give what was put there."""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import anyio
import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from pydantic import Field

from services.renewal.connectors import NotNow, Part
from services.renewal.connectors.dns.servers import PATTERN, Server, texts
from shared.outbound import Policy

MOST_HOPS = 10
LIFETIME = 15.0
ServerText = Annotated[str, Field(pattern=PATTERN, max_length=260, examples=["192.0.2.53:53"])]


class LookupOptions(Part):
    """How names are looked up, for dns-01."""

    resolver: ServerText | None = Field(
        None, description="Who is asked for CNAMEs and zones; by default what this host asks."
    )
    follow: bool = Field(True, description="Put the record where a CNAME of `_acme-challenge` leads to.")
    name_servers: list[ServerText] = Field(
        [],
        max_length=20,
        description="All of these have to give the record before the authority is told; by default the zone's own, or the one that takes our updates.",
    )
    wait: int | None = Field(
        None, ge=0, le=3600, description="Look at no server, and wait for so many seconds."
    )


@dataclass(frozen=True, kw_only=True)
class OwnZone:
    """The zone that takes our updates, and the server that does: it knows of them first."""

    name: str
    server: Server


class Lookup:
    """Looks names up."""

    def __init__(
        self, options: LookupOptions, *, own: OwnZone | None, policy: Policy, port: int = 53
    ) -> None:
        """`own` is asked where the options name nobody, and the servers of a zone at `port`."""
        self._options = options
        self._own = own
        self._policy = policy
        self._port = port
        self._targets: dict[str, str] = {}
        self._resolvers: dict[Server | None, dns.asyncresolver.Resolver] = {}
        self._addresses: dict[str, list[tuple[str, int]]] = {}

    async def target(self, name: str) -> str:
        """Return the absolute name that a name's CNAMEs lead to: itself, where there is none. Raises `NotNow`."""
        if not self._options.follow:
            return name
        if name not in self._targets:
            self._targets[name] = await self._followed(dns.name.from_text(name))
        return self._targets[name]

    async def _followed(self, name: dns.name.Name) -> str:
        for _ in range(MOST_HOPS):
            found = await self._resolve(name, "CNAME")
            if not found:
                return name.to_text()
            name = dns.name.from_text(str(found[0]))
        raise NotNow(f"The CNAMEs of {name} come to no end.")

    async def is_given(self, name: str, value: str, *, since: datetime, now: datetime) -> bool:
        """Return whether every server that answers gives the record that was put there. Raises `NotNow`."""
        if self._options.wait is not None:
            return now - since >= timedelta(seconds=self._options.wait)
        if name not in self._addresses:
            self._addresses[name] = await self._servers_of(dns.name.from_text(name))
        told: list[list[str] | None] = []

        async def ask(address: str, port: int) -> None:
            told.append(await texts(name, address=address, port=port))

        async with anyio.create_task_group() as tasks:
            for address, port in self._addresses[name]:
                tasks.start_soon(ask, address, port)
        answers = [each for each in told if each is not None]
        return bool(answers) and all(value in each for each in answers)

    async def _servers_of(self, name: dns.name.Name) -> list[tuple[str, int]]:
        servers = [Server.parse(text) for text in self._options.name_servers]
        if not servers and self._is_own(name) and self._own is not None:
            servers = [self._own.server]
        if servers:
            return [(await each.address(self._policy), each.port) for each in servers]
        zone = await self._zone_of(name)
        hosts = [dns.name.from_text(str(each)) for each in await self._resolve(zone, "NS")]
        found = [address for host in hosts for address in await self._addresses_of(host)]
        permitted = [each for each in found if self._policy.permits(ipaddress.ip_address(each))]
        if not permitted:
            raise NotNow(
                f"No name server of {zone} is where the outbound policy lets us look ({', '.join(found[:5]) or 'none found'}).",
                next_step="Name servers in `dns_lookup.name_servers`, or set `dns_lookup.wait` to look at none.",
            )
        return [(each, self._port) for each in permitted]

    async def _zone_of(self, name: dns.name.Name) -> dns.name.Name:
        """Return the nearest name above that has an SOA record: the zone's own."""
        while name != dns.name.root:
            if await self._resolve(name, "SOA"):
                return name
            name = name.parent()
        raise NotNow("The zone of the record cannot be found.")

    async def _addresses_of(self, host: dns.name.Name) -> list[str]:
        return [str(each) for kind in ("A", "AAAA") for each in await self._resolve(host, kind)]

    async def _resolve(self, name: dns.name.Name, kind: str) -> list[dns.rdata.Rdata]:
        """Return the records of a name; none where it has none, or is not there."""
        resolver = await self._resolver_for(name)
        try:
            answer = await resolver.resolve(name, kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            return []
        except (OSError, dns.exception.DNSException) as error:
            reason = type(error).__name__
            raise NotNow(
                f"{name} cannot be looked up ({reason}).",
                next_step="Name a resolver that answers in `dns_lookup.resolver`; it is tried again by itself.",
            ) from error
        own = [rrset for rrset in answer.response.answer if rrset.name == name]
        wanted = dns.rdatatype.from_text(kind)
        return [record for rrset in own if rrset.rdtype == wanted for record in rrset]

    def _is_own(self, name: dns.name.Name) -> bool:
        return self._own is not None and name.is_subdomain(dns.name.from_text(self._own.name))

    async def _resolver_for(self, name: dns.name.Name) -> dns.asyncresolver.Resolver:
        """Return who is asked for a name: whom the options name, or who has the zone, or whom this host asks."""
        server = Server.parse(self._options.resolver) if self._options.resolver else None
        if server is None and self._own is not None and self._is_own(name):
            server = self._own.server
        if server not in self._resolvers:
            self._resolvers[server] = _of_this_host() if server is None else await self._at(server)
        return self._resolvers[server]

    async def _at(self, server: Server) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [await server.address(self._policy)], server.port
        resolver.lifetime = LIFETIME
        return resolver


def _of_this_host() -> dns.asyncresolver.Resolver:
    try:
        resolver = dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration as error:
        raise NotNow("This host has no resolver.", next_step="Name one in `dns_lookup.resolver`.") from error
    resolver.lifetime = LIFETIME
    return resolver
