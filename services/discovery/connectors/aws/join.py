"""The join of certificates and what uses them, within one account.

A certificate of ACM is used in its own region, or from everywhere where it is in that of CloudFront; a server
certificate of IAM is used from any region.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from services.discovery.connectors.aws.settings import Service
from services.discovery.domain.holdings import Gap, Use
from services.discovery.domain.targets import is_address
from shared import x509
from shared.aws.errors import Declined
from shared.errors import Invalid

EDGE_REGION = "us-east-1"
"""Where the certificates of CloudFront and of edge-optimised domains are kept (CloudFront developer guide)."""
MOST_USES = 50_000
"""Of one account."""
_OWN_NAME = "elbv2"
"""Its listeners choose by the names of the certificates themselves, except the default one."""


@dataclass
class Using:
    """What an account's services use, by certificate; and what of that could not be read."""

    by_certificate: dict[str, list[Use]] = field(default_factory=lambda: defaultdict(list))
    gaps: list[Gap] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    """Regions in which a listing was refused."""
    count: int = 0

    def add(self, use: Use) -> None:
        """Keep one. Raises `Declined` where there are too many."""
        self.count += 1
        if self.count > MOST_USES:
            raise Declined(
                f"More than {MOST_USES} uses of certificates are in the account.",
                next_step="The rest is not read.",
            )
        self.by_certificate[use.certificate].append(use)

    def miss(self, gap: Gap, *, region: str, service: Service) -> None:
        """Keep that the uses of a service in a region are not known."""
        self.gaps.append(gap)
        self.unread.add(EDGE_REGION if service == "cloudfront" else region)
        if service == "apigateway":
            self.unread.add(EDGE_REGION)

    def of(self, *names: str, path: str, leaf: bytes) -> tuple[Use, ...]:
        """Return the uses of a certificate that services call by these names."""
        found = [use for name in names for use in self.by_certificate.get(name, ())]
        return tuple(_named(replace(use, certificate=path), leaf) for use in found)

    def may_miss(self, region: str) -> bool:
        """Return whether a use of a certificate of this region may be among what could not be read."""
        return region in self.unread

    def elsewhere(self, scopes: Iterable[str]) -> Iterator[Gap]:
        """Yield a gap for each certificate that something uses, and that is kept where nothing is read."""
        read = tuple(f"{scope}/" for scope in scopes)
        for name, uses in sorted(self.by_certificate.items()):
            if name.startswith("arn:") and not name.startswith(read):
                yield Gap(
                    scope=name,
                    reason=f"{uses[0].file} uses it, and where it is kept is not read.",
                    next_step="Name its service, region and account in the settings.",
                )

    def names_in(self, beginning: str) -> set[str]:
        """Return the certificates with such a beginning that something uses."""
        return {name for name in self.by_certificate if name.startswith(beginning)}


def unexplained(in_use_by: Sequence[str], *, path: str, account_id: str, uses: Sequence[Use]) -> list[Use]:
    """Return a use for each resource that ACM says uses a certificate, and that no service told of."""
    known = {name for use in uses for name in (use.file, _balancer(use.file))}
    has_domain = any(use.product == "apigateway" for use in uses)
    return [
        Use(product=arn.split(":")[2], file=arn, certificate=path)
        for arn in in_use_by
        # Behind a domain of API Gateway stands a balancer that belongs to AWS.
        if arn not in known and arn.count(":") > 4 and not (has_domain and arn.split(":")[4] != account_id)  # noqa: PLR2004 - an ARN has six parts
    ]


def _balancer(listener: str) -> str:
    """Return the ARN of the balancer of a listener: what ACM says is the balancer."""
    return listener.replace(":listener/", ":loadbalancer/").rpartition("/")[0]


def _named(use: Use, leaf: bytes) -> Use:
    if use.product != _OWN_NAME or use.is_default:
        return use
    with suppress(Invalid):
        names = x509.names(x509.load(leaf))
        return replace(use, server_names=tuple(name for name in names if not is_address(name)))
    return use
