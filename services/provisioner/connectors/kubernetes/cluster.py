"""The API of a cluster, as far as certificates are put there: objects are read, written under guard, and removed.

By "Kubernetes API Concepts" (updates with `resourceVersion`, dry run, preconditions of deletions) and the reference of
core/v1 Secret. What is written is what was read with a few members exchanged, so nothing of others is lost.
"""

import base64
import binascii
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

from pydantic import Field, SecretStr

from services.provisioner.connectors import Access, Check, Part
from services.provisioner.connectors.pairs import Pair, leaf_in
from services.provisioner.connectors.web import failures, plain_api
from services.provisioner.domain import DeploymentError, Failure
from shared.clouds.kubernetes import (
    ClusterSettings,
    KubernetesCredential,
    context_of,
    login_of,
    service_account,
)
from shared.errors import NotFound
from shared.tokens import Api, RenewingApi

SECRETS = "/api/v1/namespaces/{namespace}/secrets"
TLS = "kubernetes.io/tls"
OURS = "app.kubernetes.io/managed-by"
_CERT_MANAGER = "cert-manager.io/certificate-name"
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)]
Namespace = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Object = dict[str, Any]


class KubernetesOptions(ClusterSettings, Part):
    """Where the API of a cluster is."""


class Cluster:
    """One cluster, logged into. Methods raise `DeploymentError`."""

    secrets_go_by: ClassVar[frozenset[str]] = frozenset({"server", "trusted_ca", "context", "in_cluster"})

    def __init__(self, api: Api) -> None:
        self._api = api

    async def version(self) -> Check:
        """Ask who answers: that needs no right."""
        told = await self._asked("GET", "/version", step="connect")
        return Check(
            name="api", ok=True, text=f"Kubernetes {told.get('gitVersion', 'of an unknown version')}."
        )

    async def find(self, path: str, *, step: str) -> Object | None:
        """Return an object, or None where there is none."""
        try:
            return await self._asked("GET", path, step=step)
        except DeploymentError as error:
            if error.failure is Failure.NOT_FOUND:
                return None
            raise

    async def get(self, path: str, *, step: str) -> Object:
        """Return an object."""
        return await self._asked("GET", path, step=step)

    async def listed(self, path: str, *, step: str, **query: str) -> list[Object]:
        """Return a short list."""
        told = await self._asked("GET", path, step=step, params=query)
        found: list[Object] = told.get("items") or []
        return found

    async def create(self, path: str, document: Object, *, step: str, dry_run: bool = False) -> None:
        """Make an object."""
        await self._asked("POST", path, step=step, json=document, params=_dry(dry_run))

    async def replace(self, path: str, document: Object, *, step: str, dry_run: bool = False) -> None:
        """Write an object back that was read: refused where somebody has changed it since."""
        await self._asked("PUT", path, step=step, json=document, params=_dry(dry_run))

    async def remove(self, path: str, document: Object, *, step: str) -> None:
        """Remove an object as it was read, where it still is so."""
        metadata = document["metadata"]
        preconditions = {name: metadata[name] for name in ("uid", "resourceVersion") if name in metadata}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}
        with failures(step):
            await self._api.ask("DELETE", path, json=body, accepted={HTTPStatus.NOT_FOUND})

    async def _asked(self, method: str, path: str, *, step: str, **question: Any) -> Object:
        with failures(step):
            told = (await self._api.ask(method, path, **question)).json()
            if isinstance(told, dict):
                return told
            raise NotFound(f"{path}: there is no object.", next_step="Check that it is a cluster's API.")


@asynccontextmanager
async def cluster_of(access: Access, options: KubernetesOptions) -> AsyncIterator[Cluster]:
    """Open the API of a cluster."""
    credential = access.credential
    if not isinstance(credential, KubernetesCredential):
        msg = f"no cluster can be logged into with a {type(credential).__name__}"
        raise TypeError(msg)
    if options.in_cluster and not access.pod_account:
        # Who may make targets known is not by that allowed to act as the platform itself.
        raise DeploymentError(
            Failure.LOGIN_REFUSED,
            "The service account of the pod may not be used: an operator can set EVERLEAF_PROVISIONER_POD_ACCOUNT.",
            step="connect",
        )
    with failures("connect"):
        login = login_of(options, credential)
        context = context_of(login)
    headers = {"Authorization": f"Bearer {login.token}"} if login.token else None
    async with plain_api(access, login.server, headers=headers, context=context) as api:
        cluster = Cluster(RenewingApi(api, make=service_account) if options.in_cluster else api)
        # The private key is asked for only when the cluster has let us in.
        await cluster.version()
        yield cluster


def secret_path(namespace: str, name: str = "") -> str:
    """Return the path of a secret, or of all of a namespace."""
    whole = SECRETS.format(namespace=quote(namespace))
    return f"{whole}/{quote(name)}" if name else whole


def tls_secret(namespace: str, name: str, data: Mapping[str, str], *, labels: Mapping[str, str]) -> Object:
    """Return a secret of the kind that Ingresses and Gateways read."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "type": TLS,
        "data": dict(data),
    }


def tls_data(pair: Pair) -> dict[str, str]:
    """Return the members of such a secret."""
    return {"tls.crt": _encoded(pair.chain), "tls.key": _encoded(pair.private_pem)}


def leaf_of(secret: Object | None) -> str | None:
    """Return the fingerprint of the leaf that a secret holds."""
    data = (secret or {}).get("data") or {}
    try:
        return leaf_in(base64.b64decode(data.get("tls.crt", ""), validate=True))
    except (binascii.Error, ValueError, TypeError):
        return None


def content_of(secret: Object) -> SecretStr:
    """Return what a secret holds now, to be sealed."""
    data = secret.get("data") or {}
    return SecretStr("\n".join(str(data.get(name, "")) for name in ("tls.crt", "tls.key")))


def data_of(content: SecretStr) -> dict[str, str]:
    """Return that as the members of a secret."""
    return dict(zip(("tls.crt", "tls.key"), content.get_secret_value().split("\n"), strict=True))


def refuse_foreign(secret: Object, *, what: str) -> None:
    """Raise `DeploymentError` (not_supported) where a secret cannot be changed, or somebody else would change it back."""
    annotations = secret["metadata"].get("annotations") or {}
    reason = None
    if secret.get("type") != TLS:
        reason = f"is of the type {secret.get('type')}, which cannot be changed into {TLS}"
    elif secret.get("immutable"):
        reason = "is immutable"
    elif _CERT_MANAGER in annotations:
        reason = (
            f"belongs to cert-manager's Certificate {annotations[_CERT_MANAGER]}, which would change it back"
        )
    if reason is not None:
        raise DeploymentError(Failure.NOT_SUPPORTED, f"{what} {reason}.", step="stage")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _dry(dry_run: bool) -> dict[str, str]:  # noqa: FBT001 - the one thing it is about
    return {"dryRun": "All"} if dry_run else {}
