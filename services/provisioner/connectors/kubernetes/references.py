"""An Ingress or a Gateway, made to name another secret: the old one stays beside until the deployment is over.

So the way back is the old name, and needs no key. By the references of networking.k8s.io/v1 Ingress (`spec.tls`) and
gateway.networking.k8s.io/v1 Gateway (`listeners[].tls.certificateRefs`).
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, ClassVar, Generic, Self, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, Field

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.kubernetes.cluster import (
    OURS,
    Cluster,
    KubernetesOptions,
    Name,
    Namespace,
    Object,
    cluster_of,
    leaf_of,
    secret_path,
    tls_data,
    tls_secret,
)
from services.provisioner.connectors.pairs import changed_by_others, must_hold, pair_of
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.domain import DeploymentError, Failure, Material
from shared.clouds.kubernetes import KubernetesCredential

_SLOT = "everleaf.io/slot"
_LONGEST = 200
_OF_FINGERPRINT = 12


class ReferenceSlot(Slot):
    """A place in an object that names a secret of its own namespace."""

    namespace: Namespace = Field(examples=["shop"])
    name: Name = Field(examples=["front"])

    @property
    def path(self) -> str:
        """Return where the API has the object."""
        raise NotImplementedError

    def entry(self, document: Object) -> tuple[dict[str, Any], str] | None:
        """Return what names the secret, and the member by which it does; None where there is no such place."""
        raise NotImplementedError

    @property
    def label(self) -> str:
        """Return what the secrets that were made for this place are found by."""
        return sha256(self.key.encode()).hexdigest()[:32]


class IngressSlot(ReferenceSlot):
    """The entry of an Ingress's `spec.tls` for a host."""

    host: str = Field(min_length=1, max_length=253, examples=["shop.example.com"])

    @property
    def key(self) -> str:
        """Return object and host."""
        return f"ingresses/{self.namespace}/{self.name}/{self.host.lower()}"

    @property
    def path(self) -> str:
        """Return where the API has it."""
        return f"/apis/networking.k8s.io/v1/namespaces/{quote(self.namespace)}/ingresses/{quote(self.name)}"

    def entry(self, document: Object) -> tuple[dict[str, Any], str] | None:
        """Return the entry that has the host."""
        for each in document.get("spec", {}).get("tls") or []:
            if self.host.lower() in [host.lower() for host in each.get("hosts") or []]:
                return each, "secretName"
        return None


class GatewaySlot(ReferenceSlot):
    """A certificate reference of a Gateway's listener."""

    listener: str = Field(min_length=1, max_length=253, examples=["https"])
    position: int = Field(0, ge=0, le=63, description="Which of its certificateRefs, where it has several.")

    @property
    def key(self) -> str:
        """Return object, listener and position."""
        return f"gateways/{self.namespace}/{self.name}/{self.listener}/{self.position}"

    @property
    def path(self) -> str:
        """Return where the API has it."""
        group = "/apis/gateway.networking.k8s.io/v1"
        return f"{group}/namespaces/{quote(self.namespace)}/gateways/{quote(self.name)}"

    def entry(self, document: Object) -> tuple[dict[str, Any], str] | None:
        """Return the reference, where it is one to a secret of the Gateway's own namespace."""
        for each in document.get("spec", {}).get("listeners") or []:
            references = (each.get("tls") or {}).get("certificateRefs") or []
            if each.get("name") == self.listener and self.position < len(references):
                found: dict[str, Any] = references[self.position]
                is_secret = found.get("kind", "Secret") == "Secret" and not found.get("group")
                is_near = found.get("namespace", self.namespace) == self.namespace
                return (found, "name") if is_secret and is_near else None
        return None


S = TypeVar("S", bound=ReferenceSlot)


class ReferenceUndo(Part):
    """The new secret, and the name of the one that was named before."""

    namespace: str
    label: str
    secret: str
    before: str


class _References(Generic[S]):
    """Objects that name secrets."""

    options_type: ClassVar[type[Part]] = KubernetesOptions
    credential_type: ClassVar[type[BaseModel]] = KubernetesCredential
    secrets_go_by: ClassVar[frozenset[str]] = Cluster.secrets_go_by
    undo_type: ClassVar[type[Part]] = ReferenceUndo

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    @classmethod
    @asynccontextmanager
    async def open(cls, access: Access, *, options: KubernetesOptions) -> AsyncIterator[Self]:
        """Open the cluster's API."""
        async with cluster_of(access, options) as cluster:
            yield cls(cluster)

    async def check(self) -> Sequence[Check]:
        """Ask the cluster for its version."""
        return [await self._cluster.version()]

    @classmethod
    def plan(
        cls,
        slot: S,
        *,
        options: KubernetesOptions,  # noqa: ARG003 - they say no more than where it is
        coming: Coming,
    ) -> Sequence[PlannedStep]:
        """Say which requests would be sent."""
        name = _secret_name(slot, coming.part(_OF_FINGERPRINT))
        secrets, older = secret_path(slot.namespace), "the secret that is named now was made from here"
        make = PlannedCall(request=f"POST {secrets}", about=name, when="it is not there yet")
        return in_steps(
            stage=PlannedStep(step="stage", text=f"Make the secret {slot.namespace}/{name}.", calls=(make,)),
            bind=(
                PlannedStep(
                    step="bind",
                    text=f"Let {slot.key} name it.",
                    calls=(PlannedCall(request=f"PUT {slot.path}", about=f"it names {name}"),),
                ),
            ),
            read_back=f"Ask which secret {slot.key} names, and read that.",
            tidy=(PlannedCall(request=f"DELETE {secrets}/{{older}}", when=older),),
        )

    async def stage(self, slot: S, *, material: Material, report: Report) -> ReferenceUndo:
        """Make the new secret, which nothing names yet."""
        _, before = await self._named(slot, step="stage")
        name = _secret_name(slot, material.fingerprint[:_OF_FINGERPRINT])
        path, data = secret_path(slot.namespace, name), tls_data(pair_of(material))
        if await self._cluster.find(path, step="stage") is None:
            document = tls_secret(slot.namespace, name, data, labels={OURS: "everleaf", _SLOT: slot.label})
            await self._cluster.create(secret_path(slot.namespace), document, step="stage")
        report("stage", f"Made the secret {slot.namespace}/{name}.")
        return ReferenceUndo(namespace=slot.namespace, label=slot.label, secret=name, before=before)

    async def bind(self, slot: S, *, undo: ReferenceUndo, report: Report) -> None:
        """Let the object name the new secret."""
        await self._name(slot, undo.secret, instead_of=undo.before, step="bind")
        report("bind", f"{slot.key} names {undo.secret}.")

    async def verify(self, slot: S, *, fingerprint: str, report: Report) -> None:
        """Read the object back, and the secret that it names."""
        _, name = await self._named(slot, step="read back")
        secret = await self._cluster.find(secret_path(slot.namespace, name), step="read back")
        must_hold(f"{name}, which {slot.key} names,", leaf_of(secret), fingerprint=fingerprint)
        report("read back", f"{slot.key} names {name}, which holds {fingerprint}.")

    async def restore(self, slot: S, *, undo: ReferenceUndo, report: Report) -> None:
        """Let the object name the old secret again, and remove the new one."""
        await self._name(slot, undo.before, instead_of=undo.secret, step="restore")
        if undo.secret != undo.before:
            await self._drop(undo.namespace, undo.secret, label=undo.label, step="restore")
        report("restore", f"{slot.key} names {undo.before} again.")

    async def clear(self, slot: S) -> None:
        """Remove the secrets that were made for this place and that it does not name."""
        _, named = await self._named(slot, step="clear")
        selector = f"{_SLOT}={slot.label}"
        for each in await self._cluster.listed(
            secret_path(slot.namespace), step="clear", labelSelector=selector
        ):
            name = each["metadata"]["name"]
            if name != named:
                await self._cluster.remove(secret_path(slot.namespace, name), each, step="clear")

    async def tidy(self, *, undo: ReferenceUndo) -> None:
        """Remove the old secret, where we have made it for this place: others may name one of somebody else's."""
        if undo.before != undo.secret:
            await self._drop(undo.namespace, undo.before, label=undo.label, step="tidy")

    async def _named(self, slot: S, *, step: str) -> tuple[Object, str]:
        """Return the object, and the name of the secret that it names in this place."""
        document = await self._cluster.get(slot.path, step=step)
        entry = slot.entry(document)
        name = entry[0].get(entry[1]) if entry is not None else None
        if not name:
            raise DeploymentError(
                Failure.NOT_FOUND, f"{slot.key}: nothing there names a secret of its namespace.", step=step
            )
        return document, str(name)

    async def _name(self, slot: S, name: str, *, instead_of: str, step: str) -> None:
        document, present = await self._named(slot, step=step)
        if present == name:
            return
        if present != instead_of:
            raise changed_by_others(slot.key, f"of {present}", step=step)
        entry = slot.entry(document)
        if entry is not None:
            entry[0][entry[1]] = name
        await self._cluster.replace(slot.path, document, step=step)

    async def _drop(self, namespace: str, name: str, *, label: str, step: str) -> None:
        path = secret_path(namespace, name)
        secret = await self._cluster.find(path, step=step)
        if secret is not None and (secret["metadata"].get("labels") or {}).get(_SLOT) == label:
            await self._cluster.remove(path, secret, step=step)


def _secret_name(slot: ReferenceSlot, part: str) -> str:
    return f"{slot.name[:_LONGEST]}-{slot.label[:8]}-{part}"


class KubernetesIngress(_References[IngressSlot]):
    """An Ingress."""

    kind: ClassVar[str] = "kubernetes-ingress"
    summary: ClassVar[str] = "An Ingress of a Kubernetes cluster: it names a new TLS secret for a host."
    slot_type: ClassVar[type[Slot]] = IngressSlot


class KubernetesGateway(_References[GatewaySlot]):
    """A Gateway."""

    kind: ClassVar[str] = "kubernetes-gateway"
    summary: ClassVar[str] = "A Gateway of a Kubernetes cluster: its listener names a new TLS secret."
    slot_type: ClassVar[type[Slot]] = GatewaySlot
