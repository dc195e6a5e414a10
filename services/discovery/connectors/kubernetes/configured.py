"""What a cluster's objects beside its secrets say: who uses which secret, and what of that could not be read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from services.discovery.connectors.kubernetes import lists, shapes, uses
from services.discovery.connectors.kubernetes.lists import Absent, Lists, Resource
from services.discovery.connectors.kubernetes.shapes import Object
from services.discovery.connectors.web import NotPermitted
from services.discovery.domain.holdings import Gap, Use

OBJECTS_PER_PART = 250
MOST_OBJECTS = 20_000
"""Of one resource that are looked at."""
_O = TypeVar("_O", bound=Object)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """What cert-manager put into a secret, as its request says."""

    path: str
    encoded: str
    """PEM in base64."""


@dataclass(kw_only=True)
class Configured:
    """What the objects beside secrets say."""

    uses: dict[str, list[Use]] = field(default_factory=lambda: defaultdict(list))
    """By the path of the secret."""
    issued: tuple[Issued, ...] = ()
    """Read only where secrets are not."""
    gaps: list[Gap] = field(default_factory=list)

    def add(self, found: Iterable[Use | Gap | None]) -> None:
        """Sort what was found."""
        for each in found:
            if isinstance(each, Use):
                self.uses[each.certificate].append(each)
            elif each is not None:
                self.gaps.append(each)


async def read_configured(
    asked: Lists, *, namespaces: Sequence[str | None], with_requests: bool
) -> Configured:
    """Read them all; None among the namespaces stands for all of them."""
    told = Configured()
    reader = _Reader(asked, namespaces=namespaces, told=told)
    for ingress in await reader.objects(lists.INGRESSES, shapes.Ingress):
        told.add(uses.ingress_uses(ingress))
    gateways = await reader.objects(lists.GATEWAYS, shapes.Gateway)
    before = len(told.gaps)
    given = await reader.objects(lists.REFERENCE_GRANTS, shapes.ReferenceGrant)
    is_known = len(told.gaps) == before and None in namespaces
    grants = uses.Grants(given=tuple(given), is_known=is_known)
    for gateway in gateways:
        told.add(uses.gateway_uses(gateway, grants))
    certificates = await reader.objects(lists.CERTIFICATES, shapes.Certificate)
    told.add(map(uses.certificate_use, certificates))
    told.add(map(uses.renewal_trouble, certificates))
    if with_requests:
        requests = await reader.objects(lists.CERTIFICATE_REQUESTS, shapes.CertificateRequest)
        told.issued = tuple(_issued(certificates, requests))
    return told


def _issued(
    certificates: Sequence[shapes.Certificate], requests: Sequence[shapes.CertificateRequest]
) -> Iterator[Issued]:
    for certificate, request in uses.current_requests(certificates, requests):
        if request.status is not None and request.status.certificate:
            path = uses.secret_path(certificate.metadata.namespace, certificate.spec.secret_name)
            yield Issued(path=path, encoded=request.status.certificate)


class _Reader:
    """Lists whole resources, and keeps what may not be read as gaps."""

    def __init__(self, asked: Lists, *, namespaces: Sequence[str | None], told: Configured) -> None:
        self._lists = asked
        self._namespaces = namespaces
        self._told = told

    async def objects(self, resource: Resource, shape: type[_O]) -> list[_O]:
        """Return all objects of a resource."""
        found: list[_O] = []
        for namespace in self._namespaces:
            try:
                found += await self._of_namespace(resource, shape, namespace=namespace)
            except Absent:
                return found
            except NotPermitted as error:
                self._told.gaps.append(denied(resource, namespace, error))
            if len(found) >= MOST_OBJECTS:
                self._told.gaps.append(too_many(resource, MOST_OBJECTS))
                break
        return found[:MOST_OBJECTS]

    async def _of_namespace(
        self, resource: Resource, shape: type[_O], *, namespace: str | None
    ) -> Iterable[_O]:
        found: dict[str, _O] = {}
        parts = self._lists.parts(resource, namespace=namespace, limit=OBJECTS_PER_PART)
        async with aclosing(parts):
            async for part in parts:
                for each in shaped(part.items, shape, resource=resource):
                    if isinstance(each, Gap):
                        self._told.gaps.append(each)
                    else:
                        # By name: a list that had to begin anew tells some of them again.
                        found[each.metadata.where] = each
                if len(found) >= MOST_OBJECTS:
                    break
        return found.values()


def shaped(items: Sequence[Any], shape: type[_O], *, resource: Resource) -> Iterator[_O | Gap]:
    """Yield objects as what they should be, and a gap for each that is not."""
    for item in items:
        try:
            yield shape.model_validate(item)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = uses.plain(".".join(map(str, first["loc"])))
            yield Gap(
                scope=_scope_of(item, resource),
                reason=f"An object is not as the API defines it ({where}: {first['msg']})."[:500],
                next_step=f"Look at it with `kubectl get {resource.full_name} -o yaml`.",
            )


def _scope_of(item: Any, resource: Resource) -> str:
    try:
        return f"{resource.name}/{shapes.Object.model_validate(item).metadata.where}"
    except ValidationError:
        return resource.name


def denied(resource: Resource, namespace: str | None, error: NotPermitted) -> Gap:
    """Return the gap of a list that we may not have."""
    return Gap(
        scope=f"{resource.name}/{namespace}" if namespace else resource.name,
        reason=f"list {resource.full_name} in {namespace or 'all namespaces'} is denied. {error.detail}",
        next_step="Bind the role of docs/how-to/read-a-kubernetes-cluster.md, or name the namespaces in `namespaces`.",
    )


def too_many(resource: Resource, most: int) -> Gap:
    """Return the gap of a list that is longer than we read."""
    return Gap(
        scope=resource.name,
        reason=f"There are more than {most} {resource.full_name}.",
        next_step="Make several sources, each with some `namespaces`.",
    )


def missing(using: Mapping[str, Sequence[Use]], paths: Iterable[str]) -> Iterator[Gap]:
    """Yield a gap for each of these secrets, which are named and not there."""
    for path in paths:
        yield Gap(
            scope=path,
            reason=f"{using[path][0].file} names it, and there is no secret of type kubernetes.io/tls there.",
            next_step="Make the secret, or correct what names it.",
            is_absent=True,
        )
