"""Lists of Google Cloud's APIs, page by page, and which permission each of them needs."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from services.discovery.connectors.google.shapes import Listed, in_page
from services.discovery.connectors.web import NotPermitted
from services.discovery.domain.holdings import Gap
from shared.errors import Unavailable
from shared.tokens import Api

MOST_PAGES = 1000


@dataclass(frozen=True, kw_only=True)
class List:
    """One list: where it is (`{project}`, `{location}` and `{parent}` are filled in), and what we need to read it."""

    path: str
    under: str
    permission: str
    size: tuple[str, int]
    """The parameter that says how many are wanted, and how many we want."""
    more: tuple[tuple[str, str], ...] = ()


_SIZE = ("pageSize", 100)
_COMPUTE_SIZE = ("maxResults", 100)
_PARTIAL = (("returnPartialSuccess", "true"),)
CERTIFICATES = List(
    path="/v1/projects/{project}/locations/{location}/certificates",
    under="certificates",
    permission="certificatemanager.certs.list",
    size=_SIZE,
)
MAPS = List(
    path="/v1/projects/{project}/locations/global/certificateMaps",
    under="certificateMaps",
    permission="certificatemanager.certmaps.list",
    size=_SIZE,
)
ENTRIES = List(
    path="/v1/{parent}/certificateMapEntries",
    under="certificateMapEntries",
    permission="certificatemanager.certmapentries.list",
    size=_SIZE,
)
SSL_CERTIFICATES = List(
    path="/compute/v1/projects/{project}/aggregated/sslCertificates",
    under="sslCertificates",
    permission="compute.sslCertificates.list",
    size=_COMPUTE_SIZE,
    more=_PARTIAL,
)
HTTPS_PROXIES = List(
    path="/compute/v1/projects/{project}/aggregated/targetHttpsProxies",
    under="targetHttpsProxies",
    permission="compute.targetHttpsProxies.list",
    size=_COMPUTE_SIZE,
    more=_PARTIAL,
)
SSL_PROXIES = List(
    path="/compute/v1/projects/{project}/global/targetSslProxies",
    under="targetSslProxies",
    permission="compute.targetSslProxies.list",
    size=_COMPUTE_SIZE,
)
FORWARDING_RULES = List(
    path="/compute/v1/projects/{project}/aggregated/forwardingRules",
    under="forwardingRules",
    permission="compute.forwardingRules.list",
    size=_COMPUTE_SIZE,
    more=_PARTIAL,
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A page of a list."""

    items: tuple[Any, ...] = field(repr=False)
    token: str | None
    unreachable: tuple[str, ...] = ()
    """Locations and regions that gave no answer."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """The APIs of one project."""

    name: str
    location: str
    certificate_manager: Api
    compute: Api

    async def parts(
        self, what: List, *, parent: str = "", token: str | None = None, size: int | None = None
    ) -> AsyncGenerator[Part]:
        """Yield a list from a page token on. Raises `NotPermitted`."""
        path = what.path.format(project=self.name, location=self.location, parent=parent)
        api = self.compute if path.startswith("/compute/") else self.certificate_manager
        for _ in range(MOST_PAGES):
            params = {what.size[0]: str(size or what.size[1]), **dict(what.more)}
            told = await api.get(path, params=params | ({"pageToken": token} if token else {}))
            try:
                listed = Listed.model_validate(told)
            except ValidationError as error:
                raise Unavailable(
                    f"{path}: the answer is no list.", next_step="Check that the address is Google's."
                ) from error
            token = listed.next_page_token or None
            items = tuple(in_page(told, under=what.under))
            unreachable = (*listed.unreachable, *listed.unreachables)
            yield Part(items=items, token=token, unreachable=unreachable)
            if token is None:
                return
        raise Unavailable(f"{path}: the list has no end.", next_step="Check that the address is Google's.")


def denied(what: List, error: NotPermitted, *, scope: str) -> Gap:
    """Return the gap of a list that we may not have."""
    return Gap(
        scope=scope,
        reason=f"{what.permission} is denied. {error.detail}",
        next_step=f"Give the service account a role with {what.permission}: docs/how-to/read-cloud-stores.md names two.",
    )
