"""The parts of a cluster's objects that we read; everything else in them is passed over.

Field names are those of the APIs: core/v1, networking.k8s.io/v1, gateway.networking.k8s.io/v1 and
cert-manager.io/v1. What the API writes as null is empty.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints
from pydantic.alias_generators import to_camel

T = TypeVar("T")


def _or(empty: Callable[[], object]) -> BeforeValidator:
    return BeforeValidator(lambda value: empty() if value is None else value)


Name = Annotated[str, StringConstraints(pattern=r"^[0-9a-z]([0-9a-z.-]*[0-9a-z])?$", max_length=253)]
"""A DNS subdomain, as the API demands of names."""
_Named = Annotated[str, StringConstraints(pattern=r"^[^/\x00-\x1f]*$", max_length=253)]
"""What should be a name."""
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=1000)]
"""One line; some databases take no control characters."""
Many = Annotated[list[T], _or(list), Field(default_factory=list, max_length=10_000)]


class Shape(BaseModel):
    """A part of an object."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel)


class Metadata(Shape):
    """What every object has."""

    name: Name
    namespace: Name
    annotations: Annotated[dict[str, str], _or(dict)] = Field(default_factory=dict)

    @property
    def where(self) -> str:
        """Return namespace and name, as paths have them."""
        return f"{self.namespace}/{self.name}"


class Object(Shape):
    """Something with a name."""

    metadata: Metadata


class Secret(Object):
    """A Secret of type kubernetes.io/tls."""

    type: str
    data: Annotated[dict[str, SecretStr], _or(dict)] = Field(default_factory=dict, repr=False)


class _Balancer(Shape):
    ip: Text | None = None
    hostname: Text | None = None


class _LoadBalancer(Shape):
    ingress: Many[_Balancer]


class _IngressStatus(Shape):
    load_balancer: Annotated[_LoadBalancer, _or(dict)] = Field(
        default_factory=lambda: _LoadBalancer(ingress=[])
    )


class _IngressTls(Shape):
    hosts: Many[Text]
    secret_name: _Named | None = None


class _IngressSpec(Shape):
    tls: Many[_IngressTls]


class Ingress(Object):
    """What lets HTTP into the cluster."""

    spec: _IngressSpec
    status: Annotated[_IngressStatus, _or(dict)] = Field(default_factory=_IngressStatus)


class Condition(Shape):
    """What a controller says of an object."""

    type: Text
    status: Text
    reason: Annotated[str, _or(str)] = ""
    message: Annotated[str, _or(str)] = ""


class Reference(Shape):
    """What a Gateway names; empty group and kind Secret where it says nothing else."""

    name: _Named
    namespace: _Named | None = None
    group: str | None = None
    kind: str | None = None


class _GatewayTls(Shape):
    mode: str | None = None
    certificate_refs: Many[Reference]


class GatewayListener(Shape):
    """One listener of a Gateway."""

    name: Text
    port: int = Field(ge=1, le=65535)
    hostname: Text | None = None
    tls: _GatewayTls | None = None


class _GatewaySpec(Shape):
    listeners: Many[GatewayListener]


class _Address(Shape):
    value: Text


class ListenerStatus(Shape):
    """What the controller says of one listener."""

    name: Text
    conditions: Many[Condition]


class _GatewayStatus(Shape):
    addresses: Many[_Address]
    listeners: Many[ListenerStatus]


class Gateway(Object):
    """What lets traffic into the cluster, by the Gateway API."""

    spec: _GatewaySpec
    status: _GatewayStatus | None = None


class _Granted(Shape):
    group: str
    kind: str
    namespace: str | None = None
    name: str | None = None


class _GrantSpec(Shape):
    from_: Annotated[Many[_Granted], Field(alias="from")]
    to: Many[_Granted]


class ReferenceGrant(Object):
    """Lets objects of another namespace name those of this one."""

    spec: _GrantSpec


class _CertificateSpec(Shape):
    secret_name: Name
    dns_names: Many[Text]


class _CertificateStatus(Shape):
    conditions: Many[Condition]
    revision: int | None = None
    last_failure_time: Text | None = None
    failed_issuance_attempts: int | None = None


class Certificate(Object):
    """What cert-manager keeps renewed in a secret."""

    spec: _CertificateSpec
    status: _CertificateStatus | None = None


class _RequestStatus(Shape):
    conditions: Many[Condition]
    certificate: str | None = None


class CertificateRequest(Object):
    """One issuance by cert-manager: the certificate is in its status, the key is not."""

    status: _RequestStatus | None = None


def secret_value(secret: Secret, name: str) -> str:
    """Return one value of a secret, in base64; empty where there is none."""
    value: Any = secret.data.get(name)
    return value.get_secret_value() if value is not None else ""
