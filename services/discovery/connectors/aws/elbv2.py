"""Application and network load balancers: one use for each certificate of each TLS listener."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from services.discovery.connectors.aws.account import Account
from services.discovery.domain.holdings import Listener, Use
from shared.aws.errors import Declined
from shared.errors import NotFound

_VERIFICATION = {"verify": "required", "passthrough": "optional"}


@dataclass
class _Policies:
    """The security policies of a region by name; asked for once, where a listener names one."""

    account: Account
    region: str
    found: dict[str, Mapping[str, Any]] | None = field(default=None)

    async def of(self, name: str | None) -> Mapping[str, Any]:
        if self.found is None:
            self.found = {}
            with suppress(Declined):  # its name is told then, and nothing of a certificate is hidden
                policies = self.account.listed(
                    "elbv2", "describe_ssl_policies", region=self.region, under="SslPolicies"
                )
                self.found = {policy["Name"]: policy async for policy in policies}
        return self.found.get(name or "", {})


async def uses(account: Account, region: str) -> AsyncGenerator[Use]:
    """Yield every certificate of every listener. Raises `Declined`."""
    policies = _Policies(account, region)
    balancers = account.listed("elbv2", "describe_load_balancers", region=region, under="LoadBalancers")
    async for balancer in balancers:
        with suppress(NotFound):  # it was deleted a moment ago
            async for listener in account.listed(
                "elbv2",
                "describe_listeners",
                region=region,
                under="Listeners",
                LoadBalancerArn=balancer["LoadBalancerArn"],
            ):
                if listener.get("Certificates"):
                    policy = await policies.of(listener.get("SslPolicy"))
                    for certificate, is_default in await _certificates(account, region, listener):
                        use = _use(listener, certificate=certificate, balancer=balancer, policy=policy)
                        yield replace(use, is_default=is_default)


async def _certificates(account: Account, region: str, listener: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return each certificate once, the default first: AWS names it twice where it is in the list, too."""
    found = account.listed(
        "elbv2",
        "describe_listener_certificates",
        region=region,
        under="Certificates",
        ListenerArn=listener["ListenerArn"],
    )
    certificates: dict[str, bool] = {}
    async for each in found:
        arn = each["CertificateArn"]
        certificates[arn] = certificates.get(arn, False) or bool(each.get("IsDefault"))
    return sorted(certificates.items(), key=lambda item: not item[1])


def _use(
    listener: Mapping[str, Any], *, certificate: str, balancer: Mapping[str, Any], policy: Mapping[str, Any]
) -> Use:
    ciphers = ":".join(cipher["Name"] for cipher in policy.get("Ciphers", ()))
    clients = listener.get("MutualAuthentication") or {}
    return Use(
        product="elbv2",
        file=listener["ListenerArn"],
        listeners=(Listener(port=listener["Port"], address=balancer.get("DNSName")),),
        certificate=certificate,
        trusted_ca=clients.get("TrustStoreArn"),
        client_verification=_VERIFICATION.get(clients.get("Mode", "")),
        protocols=tuple(policy.get("SslProtocols", ())),
        ciphers=ciphers or listener.get("SslPolicy"),
    )
