"""Custom domain names of API Gateway, of REST APIs (v1) and of HTTP and WebSocket APIs (v2)."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from services.discovery.connectors.aws.account import Account
from services.discovery.domain.holdings import Listener, Use

_HTTPS = 443


async def uses(account: Account, region: str) -> AsyncGenerator[Use]:
    """Yield the certificate of every domain name; one that both versions list comes once. Raises `Declined`."""
    seen = set()
    async for item in account.listed("apigateway", "get_domain_names", region=region, under="items"):
        for use in _first(account, region, item):
            seen.add((use.server_names, use.certificate))
            yield use
    async for item in account.listed("apigatewayv2", "get_domain_names", region=region, under="Items"):
        for use in _second(account, region, item):
            if (use.server_names, use.certificate) not in seen:
                yield use


def _first(account: Account, region: str, item: Mapping[str, Any]) -> Iterator[Use]:
    """Yield what version 1 says: a domain may be served at the edge, in the region, or both."""
    name, arn = item["domainName"], item.get("domainNameArn")
    truststore = (item.get("mutualTlsAuthentication") or {}).get("truststoreUri")
    for certificate, address in (
        (item.get("certificateArn"), item.get("distributionDomainName")),
        (item.get("regionalCertificateArn"), item.get("regionalDomainName")),
    ):
        if certificate:
            yield _use(
                name,
                arn=arn or _arn(account, region, name),
                certificate=certificate,
                address=address,
                policy=item.get("securityPolicy"),
                truststore=truststore,
            )


def _second(account: Account, region: str, item: Mapping[str, Any]) -> Iterator[Use]:
    name, arn = item["DomainName"], item.get("DomainNameArn")
    truststore = (item.get("MutualTlsAuthentication") or {}).get("TruststoreUri")
    for each in item.get("DomainNameConfigurations", ()):
        if each.get("CertificateArn"):
            yield _use(
                name,
                arn=arn or _arn(account, region, name),
                certificate=each["CertificateArn"],
                address=each.get("ApiGatewayDomainName"),
                policy=each.get("SecurityPolicy"),
                truststore=truststore,
            )


def _arn(account: Account, region: str, name: str) -> str:
    return f"arn:{account.partition}:apigateway:{region}::/domainnames/{name}"


def _use(
    name: str,
    *,
    arn: str,
    certificate: str,
    address: str | None,
    policy: str | None,
    truststore: str | None,
) -> Use:
    return Use(
        product="apigateway",
        file=arn,
        # Until it is deployed it has no address: that of its own name is where it will be reached.
        listeners=(Listener(port=_HTTPS, address=address or name),),
        server_names=(name.lower(),),
        certificate=certificate,
        trusted_ca=truststore,
        client_verification="required" if truststore else None,
        protocols=(policy,) if policy else (),
    )
