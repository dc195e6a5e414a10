"""A TLS secret, changed in its place: whatever mounts or names it gets the new certificate.

The way back is what was read before the change, key and all; it is kept sealed until the deployment is over.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar, Self

from pydantic import BaseModel, Field, SecretStr

from services.provisioner.connectors import Access, Check, Part, Report, Slot
from services.provisioner.connectors.kubernetes.cluster import (
    OURS,
    Cluster,
    KubernetesOptions,
    Name,
    Namespace,
    Object,
    cluster_of,
    content_of,
    data_of,
    leaf_of,
    refuse_foreign,
    secret_path,
    tls_data,
    tls_secret,
)
from services.provisioner.connectors.pairs import Pair, changed_by_others, must_hold, pair_of
from services.provisioner.connectors.planning import Coming, PlannedCall, PlannedStep, in_steps
from services.provisioner.domain import Material
from shared.clouds.kubernetes import KubernetesCredential


class SecretSlot(Slot):
    """Which secret."""

    namespace: Namespace = Field(examples=["shop"])
    secret: Name = Field(
        description="Of the type kubernetes.io/tls; made where there is none.", examples=["front-tls"]
    )

    @property
    def key(self) -> str:
        """Return namespace and name."""
        return f"secrets/{self.namespace}/{self.secret}"

    @property
    def path(self) -> str:
        """Return where the API has it."""
        return secret_path(self.namespace, self.secret)


class SecretUndo(Part):
    """The new pair, and what the secret held before."""

    new: Pair
    before: SecretStr | None = None
    """Nothing where there was no secret."""


class KubernetesSecret:
    """A secret of the type kubernetes.io/tls."""

    kind: ClassVar[str] = "kubernetes-secret"
    summary: ClassVar[str] = "A TLS secret of a Kubernetes cluster, changed in its place."
    options_type: ClassVar[type[Part]] = KubernetesOptions
    credential_type: ClassVar[type[BaseModel]] = KubernetesCredential
    secrets_go_by: ClassVar[frozenset[str]] = Cluster.secrets_go_by
    slot_type: ClassVar[type[Slot]] = SecretSlot
    undo_type: ClassVar[type[Part]] = SecretUndo

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
        slot: SecretSlot,
        *,
        options: KubernetesOptions,  # noqa: ARG003 - they say no more than where it is
        coming: Coming,  # noqa: ARG003 - the secret keeps its name
    ) -> Sequence[PlannedStep]:
        """Say which requests would be sent."""
        put, post = f"PUT {slot.path}", f"POST {secret_path(slot.namespace)}"

        def calls(query: str) -> tuple[PlannedCall, ...]:
            return (
                PlannedCall(request=put + query, when="the secret is there"),
                PlannedCall(request=post + query, about=slot.secret, when="the secret is not there yet"),
            )

        return in_steps(
            stage=PlannedStep(
                step="stage",
                text=f"Ask whether the new {slot.key} would be taken.",
                calls=calls("?dryRun=All"),
            ),
            bind=(PlannedStep(step="bind", text=f"Write {slot.key}.", calls=calls("")),),
            read_back=f"Read {slot.key}.",
        )

    async def stage(self, slot: SecretSlot, *, material: Material, report: Report) -> SecretUndo:
        """Read the secret, and let the API say whether it would take the new one: nothing is changed."""
        new = pair_of(material)
        present = await self._cluster.find(slot.path, step="stage")
        if present is not None:
            refuse_foreign(present, what=slot.key)
        await self._put(slot, present, tls_data(new), step="stage", dry_run=True)
        report("stage", f"The cluster would take the new {slot.key} (dry run).")
        return SecretUndo(new=new, before=content_of(present) if present is not None else None)

    async def bind(self, slot: SecretSlot, *, undo: SecretUndo, report: Report) -> None:
        """Write the secret, where it is still as it was read."""
        present = await self._cluster.find(slot.path, step="bind")
        if _holds(present, tls_data(undo.new)):
            report("bind", f"{slot.key} holds the new certificate already.")
            return
        if not _is_as_before(present, undo):
            raise changed_by_others(slot.key, leaf_of(present), step="bind")
        await self._put(slot, present, tls_data(undo.new), step="bind")
        report("bind", f"Wrote {slot.key}.")

    async def _put(
        self,
        slot: SecretSlot,
        present: Object | None,
        data: dict[str, str],
        *,
        step: str,
        dry_run: bool = False,
    ) -> None:
        if present is None:
            document = tls_secret(slot.namespace, slot.secret, data, labels={OURS: "everleaf"})
            await self._cluster.create(secret_path(slot.namespace), document, step=step, dry_run=dry_run)
        else:
            changed = present | {"data": (present.get("data") or {}) | data}
            await self._cluster.replace(slot.path, changed, step=step, dry_run=dry_run)

    async def verify(self, slot: SecretSlot, *, fingerprint: str, report: Report) -> None:
        """Read the secret back."""
        must_hold(
            slot.key, leaf_of(await self._cluster.find(slot.path, step="read back")), fingerprint=fingerprint
        )
        report("read back", f"{slot.key} holds {fingerprint}.")

    async def restore(self, slot: SecretSlot, *, undo: SecretUndo, report: Report) -> None:
        """Write what was there before, or remove the secret that was not."""
        present = await self._cluster.find(slot.path, step="restore")
        if _is_as_before(present, undo):
            report("restore", f"{slot.key} is as before.")
            return
        if present is None or not _holds(present, tls_data(undo.new)):
            raise changed_by_others(slot.key, leaf_of(present), step="restore")
        if undo.before is None:
            await self._cluster.remove(slot.path, present, step="restore")
        else:
            await self._put(slot, present, data_of(undo.before), step="restore")
        report("restore", f"Put {slot.key} back as before.")

    async def clear(self, slot: SecretSlot) -> None:
        """Nothing was staged in the cluster."""

    async def tidy(self, *, undo: SecretUndo) -> None:
        """Nothing is kept in the cluster."""


def _holds(secret: Object | None, data: dict[str, str]) -> bool:
    held = (secret or {}).get("data") or {}
    return all(held.get(name) == value for name, value in data.items())


def _is_as_before(secret: Object | None, undo: SecretUndo) -> bool:
    if secret is None or undo.before is None:
        return secret is None and undo.before is None
    return _holds(secret, data_of(undo.before))
