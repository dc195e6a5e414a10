"""The parts of Google Cloud's resources that we read, with the names of their REST references; the rest is passed over."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=2000)]
"""One line; some databases take no control characters."""
_NAME = r"^projects/[^\x00-\x20\x7f]+$"
_PAGE_TOKEN = r"^[!#-\[\]-~]{0,1800}$"  # noqa: S105 - a pattern
"""A page token, which is kept with the position of a run: printable, with nothing that JSON would escape."""


class Shape(BaseModel):
    """A part of a resource."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class Named(Shape):
    """A resource with its full name."""

    name: str = Field(pattern=_NAME, max_length=900)


class Listed(Shape):
    """A page of a list: what is in it is under a name of its own, which differs from list to list."""

    next_page_token: str | None = Field(None, pattern=_PAGE_TOKEN)
    unreachable: Annotated[list[Text], Field(max_length=1000)] = []
    """Of Certificate Manager: locations."""
    unreachables: Annotated[list[Text], Field(max_length=1000)] = []
    """Of Compute Engine: regions."""


class _Issue(Shape):
    reason: Text = ""


class _Managed(Shape):
    state: Text = ""
    provisioning_issue: _Issue = _Issue()


class _UsedBy(Shape):
    name: Text = ""


class Certificate(Named):
    """Of Certificate Manager."""

    pem_certificate: str | None = None
    managed: _Managed | None = None
    scope: Text = "DEFAULT"
    used_by: list[_UsedBy] = []


class _IpConfig(Shape):
    ip_address: Text = ""
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = []


class _GclbTarget(Shape):
    ip_configs: list[_IpConfig] = []


class CertificateMap(Named):
    """Of Certificate Manager: what target proxies refer to."""

    gclb_targets: list[_GclbTarget] = []


class MapEntry(Named):
    """Of a certificate map."""

    hostname: Text | None = None
    matcher: Text | None = None
    certificates: list[Text] = []


def relative(url: object) -> object:
    """Return the name in a resource's address: what begins with `projects/`."""
    _, found, rest = str(url).partition("projects/")
    return found + rest


Link = Annotated[Text, BeforeValidator(relative), Field(max_length=900)]


class _ComputeManaged(Shape):
    status: Text = ""


class SslCertificate(Shape):
    """Of Compute Engine."""

    self_link: Annotated[Link, Field(pattern=_NAME)]
    certificate: str | None = None
    managed: _ComputeManaged | None = None


class TargetProxy(Shape):
    """A target HTTPS or SSL proxy."""

    self_link: Link
    ssl_certificates: list[Link] = []
    certificate_map: Link | None = None


class ForwardingRule(Shape):
    """What leads an address and its ports to a target."""

    ip_address: Annotated[Text, Field(alias="IPAddress")] = ""
    port_range: Text | None = None
    ports: list[Text] = []
    target: Link | None = None


def in_page(told: Any, *, under: str) -> list[Any]:
    """Return what a page has, also where it sorts it by region (an aggregated list)."""
    if not isinstance(told, dict):
        return []
    found = told.get(under)
    if isinstance(found, list):
        return found
    scopes = told.get("items")
    if isinstance(scopes, list):
        return scopes
    if not isinstance(scopes, dict):
        return []
    lists = (scope.get(under) for scope in scopes.values() if isinstance(scope, dict))
    return [each for found in lists if isinstance(found, list) for each in found]
