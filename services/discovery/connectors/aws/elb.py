"""Classic load balancers: one use for each TLS listener."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from services.discovery.connectors.aws.account import Account
from services.discovery.domain.holdings import Listener, Use
from shared.aws.errors import Declined
from shared.errors import NotFound

_PROTOCOL = "Protocol-"


async def uses(account: Account, region: str) -> AsyncGenerator[Use]:
    """Yield the certificate of every listener. Raises `Declined`."""
    balancers = account.listed(
        "elb", "describe_load_balancers", region=region, under="LoadBalancerDescriptions"
    )
    async for balancer in balancers:
        listening = [each for each in balancer["ListenerDescriptions"] if _certificate(each)]
        policies = await _policies(account, region, balancer["LoadBalancerName"]) if listening else {}
        for each in listening:
            named = [policies[name] for name in each.get("PolicyNames", ()) if name in policies]
            allowed = [name for policy in named for name in policy]
            yield Use(
                product="elb",
                file=account.arn(
                    "elasticloadbalancing", region, f"loadbalancer/{balancer['LoadBalancerName']}"
                ),
                listeners=(
                    Listener(port=each["Listener"]["LoadBalancerPort"], address=balancer.get("DNSName")),
                ),
                certificate=_certificate(each),
                protocols=tuple(
                    name.removeprefix(_PROTOCOL) for name in allowed if name.startswith(_PROTOCOL)
                ),
                ciphers=":".join(name for name in allowed if not name.startswith(_PROTOCOL))
                or ", ".join(each.get("PolicyNames", ()))
                or None,
                is_default=True,
            )


def _certificate(description: Mapping[str, Any]) -> str:
    return str(description["Listener"].get("SSLCertificateId") or "")


async def _policies(account: Account, region: str, balancer: str) -> dict[str, list[str]]:
    """Return what each policy of a balancer allows; nothing where that may not be read, which hides no certificate."""
    try:
        answer = await account.call(
            "elb", "describe_load_balancer_policies", region=region, LoadBalancerName=balancer
        )
    except (Declined, NotFound):
        return {}
    return {
        policy["PolicyName"]: list(_allowed(policy.get("PolicyAttributeDescriptions", ())))
        for policy in answer.get("PolicyDescriptions", ())
    }


def _allowed(attributes: Iterable[Mapping[str, str]]) -> Iterable[str]:
    return (each["AttributeName"] for each in attributes if each.get("AttributeValue") == "true")
