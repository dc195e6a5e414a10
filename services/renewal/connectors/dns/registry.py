"""Every kind of service that keeps zones for dns-01."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from services.renewal.connectors import Network
from services.renewal.connectors.dns import Records
from services.renewal.connectors.dns.acme_dns import AcmeDns, AcmeDnsOptions
from services.renewal.connectors.dns.cloudflare import Cloudflare, CloudflareOptions
from services.renewal.connectors.dns.command import Command, CommandOptions
from services.renewal.connectors.dns.lookup import OwnZone
from services.renewal.connectors.dns.rfc2136 import Rfc2136Options, Zone
from services.renewal.connectors.dns.route53 import Route53Options, open_route53
from services.renewal.connectors.dns.servers import Server
from services.renewal.connectors.programs import program_at
from services.renewal.connectors.web import authority_api
from shared.outbound import Policy

AnyOptions = Rfc2136Options | Route53Options | CloudflareOptions | AcmeDnsOptions | CommandOptions


def _with_kind(value: Any) -> Any:
    """Take what was written when there was one kind, and it was called a provider."""
    if isinstance(value, dict) and "kind" not in value:
        return {"kind": value.get("provider", "rfc2136")} | {
            name: part for name, part in value.items() if name != "provider"
        }
    return value


DnsOptions = Annotated[
    Annotated[AnyOptions, Field(discriminator="kind")],
    BeforeValidator(_with_kind),
]


def check_dns(options: AnyOptions, *, secret: str | None) -> None:
    """Raise `Invalid` where the secret is not one for these options."""
    if isinstance(options, Rfc2136Options):
        Zone(options, secret=secret or "", policy=Policy())


def check_network(options: AnyOptions, *, network: Network) -> None:
    """Raise `Invalid` where what is needed on this machine is not there."""
    if isinstance(options, CommandOptions):
        program_at(network, options.program)


def own_zone(options: AnyOptions) -> OwnZone | None:
    """Return the zone that is known without asking anybody, where the kind names one."""
    if not isinstance(options, Rfc2136Options):
        return None
    return OwnZone(name=options.zone, server=Server(options.server, options.port))


@asynccontextmanager
async def open_records(
    options: AnyOptions, *, secret: str | None, network: Network
) -> AsyncIterator[Records]:
    """Open a zone's service for the work on one order."""
    known = secret or ""
    match options:
        case Rfc2136Options():
            yield Zone(options, secret=known, policy=network.policy)
        case CommandOptions():
            yield Command(program_at(network, options.program), secret=secret)
        case Route53Options():
            async with open_route53(options, secret=known, network=network) as route53:
                yield route53
        case CloudflareOptions():
            headers = {"Authorization": f"Bearer {known}"}
            async with authority_api(
                network, options.api_url, headers=headers, trusted_ca=options.ca_pem
            ) as api:
                yield Cloudflare(options, api=api)
        case AcmeDnsOptions():
            headers = {"X-Api-User": options.username, "X-Api-Key": known}
            async with authority_api(network, options.url, headers=headers, trusted_ca=options.ca_pem) as api:
                yield AcmeDns(options, api=api)
