"""What Ingresses, Gateways and cert-manager's Certificates say of secrets, as uses of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.discovery.connectors.kubernetes.shapes import (
    Certificate,
    CertificateRequest,
    Gateway,
    GatewayListener,
    Ingress,
    Reference,
    ReferenceGrant,
)
from services.discovery.domain.holdings import Gap, Listener, Use
from services.discovery.domain.targets import is_address

HTTPS = 443
CERT_MANAGER = "cert-manager"
_GATEWAY_GROUP = "gateway.networking.k8s.io"
_CERTIFICATE_OF = "cert-manager.io/certificate-name"
_REVISION_OF = "cert-manager.io/certificate-revision"
_SHOWN = 300
"""Characters of what a controller says."""


def secret_path(namespace: str, name: str) -> str:
    """Return the path of a secret's holding."""
    return f"secrets/{namespace}/{name}"


def ingress_uses(ingress: Ingress) -> Iterator[Use]:
    """Yield a use for each secret that it names; without a host it answers for every name."""
    said = [each.ip or each.hostname for each in ingress.status.load_balancer.ingress]
    for tls in ingress.spec.tls:
        if tls.secret_name:
            yield Use(
                product="ingress",
                file=f"ingresses/{ingress.metadata.where}",
                listeners=_listeners(HTTPS, [address for address in said if address]),
                server_names=tuple(dict.fromkeys(host.lower() for host in tls.hosts if host)),
                certificate=secret_path(ingress.metadata.namespace, tls.secret_name),
                is_default=not tls.hosts,
            )


@dataclass(frozen=True, kw_only=True)
class Grants:
    """Which Gateways may name secrets of other namespaces."""

    given: tuple[ReferenceGrant, ...] = ()
    is_known: bool = True
    """False where they could not all be read: the controller's word counts then."""

    def permit(self, gateway: Gateway, listener: GatewayListener, *, namespace: str, name: str) -> bool:
        """Return whether a listener may use this secret (Gateway API, "ReferenceGrant")."""
        if namespace == gateway.metadata.namespace:
            return True
        if any(self._permits(grant, gateway, namespace=namespace, name=name) for grant in self.given):
            return True
        return not self.is_known and _is_resolved(gateway, listener)

    def _permits(self, grant: ReferenceGrant, gateway: Gateway, *, namespace: str, name: str) -> bool:
        is_from = any(
            (each.group, each.kind, each.namespace) == (_GATEWAY_GROUP, "Gateway", gateway.metadata.namespace)
            for each in grant.spec.from_
        )
        is_to = any(
            (each.group, each.kind) == ("", "Secret") and each.name in (None, name) for each in grant.spec.to
        )
        return grant.metadata.namespace == namespace and is_from and is_to


def gateway_uses(gateway: Gateway, grants: Grants) -> Iterator[Use | Gap]:
    """Yield a use for each secret of each listener, and a gap where it may not use the one that it names."""
    addresses = [each.value for each in gateway.status.addresses] if gateway.status else []
    for listener in gateway.spec.listeners:
        if listener.tls is None or listener.tls.mode == "Passthrough":
            continue
        for reference in listener.tls.certificate_refs:
            if not _is_secret(reference):
                continue
            namespace = reference.namespace or gateway.metadata.namespace
            use = Use(
                product="gateway",
                file=f"gateways/{gateway.metadata.where}/listeners/{listener.name}",
                listeners=_listeners(listener.port, addresses),
                server_names=(listener.hostname.lower(),) if listener.hostname else (),
                certificate=secret_path(namespace, reference.name),
                is_default=not listener.hostname,
            )
            may = grants.permit(gateway, listener, namespace=namespace, name=reference.name)
            yield use if may else _not_granted(use, namespace)


def certificate_use(certificate: Certificate) -> Use:
    """Return that cert-manager keeps a secret: nothing is served by that alone."""
    return Use(
        product=CERT_MANAGER,
        file=f"certificates/{certificate.metadata.where}",
        server_names=tuple(dict.fromkeys(name.lower() for name in certificate.spec.dns_names)),
        certificate=secret_path(certificate.metadata.namespace, certificate.spec.secret_name),
    )


def renewal_trouble(certificate: Certificate) -> Gap | None:
    """Return what cert-manager says where it has not issued, or failed to renew."""
    status = certificate.status
    where = f"certificates/{certificate.metadata.where}"
    step = f"kubectl describe certificate -n {certificate.metadata.namespace} {certificate.metadata.name}"
    ready = next((each for each in status.conditions if each.type == "Ready"), None) if status else None
    if status is not None and status.last_failure_time:
        count = status.failed_issuance_attempts or 1
        reason = (
            f"cert-manager failed to issue it, {count} times, the last time at {status.last_failure_time}."
        )
    elif ready is None or ready.status != "True":
        why = f" ({ready.reason}: {ready.message})" if ready else ""
        reason = f"cert-manager says that it is not ready{plain(why)}."
    else:
        return None
    return Gap(scope=where, reason=reason, next_step=step, is_absent=True)


def current_requests(
    certificates: Iterable[Certificate], requests: Iterable[CertificateRequest]
) -> Iterator[tuple[Certificate, CertificateRequest]]:
    """Yield each Certificate with the request that brought what its secret holds now."""
    by_revision = {
        (each.metadata.namespace, each.metadata.annotations.get(_CERTIFICATE_OF), _revision(each)): each
        for each in requests
        if each.status is not None and each.status.certificate
    }
    for certificate in certificates:
        revision = str(certificate.status.revision) if certificate.status else None
        found = by_revision.get((certificate.metadata.namespace, certificate.metadata.name, revision))
        if found is not None:
            yield certificate, found


def _revision(request: CertificateRequest) -> str | None:
    return request.metadata.annotations.get(_REVISION_OF)


def served_at(uses: Sequence[Use]) -> tuple[str, ...]:
    """Return the IP addresses of the load balancers that serve it."""
    named = (listener.address for use in uses for listener in use.listeners)
    return tuple(dict.fromkeys(address for address in named if address and is_address(address)))


def _listeners(port: int, addresses: Sequence[str]) -> tuple[Listener, ...]:
    if not addresses:
        return (Listener(port=port),)
    return tuple(Listener(port=port, address=address) for address in addresses)


def _is_secret(reference: Reference) -> bool:
    return reference.group in (None, "") and reference.kind in (None, "Secret")


def _is_resolved(gateway: Gateway, listener: GatewayListener) -> bool:
    said = gateway.status.listeners if gateway.status else []
    return any(
        condition.type == "ResolvedRefs" and condition.status == "True"
        for each in said
        if each.name == listener.name
        for condition in each.conditions
    )


def _not_granted(use: Use, namespace: str) -> Gap:
    return Gap(
        scope=use.certificate,
        reason=f"{use.file} names it, and no ReferenceGrant in {namespace} permits that.",
        next_step="Add a ReferenceGrant, or correct the Gateway.",
        is_absent=True,
    )


def plain(text: str) -> str:
    """Return what somebody else wrote as the beginning of one line."""
    return "".join(each if each.isprintable() else " " for each in text)[:_SHOWN]
