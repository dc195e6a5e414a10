"""A cluster with TLS secrets in two namespaces; the login has a role in each of them."""

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.discovery.workshops import Workshop
from tests.servers.kubernetes import KubernetesApi
from tests.servers.tls import LOOPBACK, CertificateAuthority, Issued

USER = "system:serviceaccount:everleaf:reader"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.reader.c2lnbmF0dXJl"
NAMESPACES = ("shop", "web")
RESOURCES = (
    "secrets",
    "ingresses.networking.k8s.io",
    "gateways.gateway.networking.k8s.io",
    "referencegrants.gateway.networking.k8s.io",
    "certificates.cert-manager.io",
)


def tls_data(issued: Issued, *, key: bytes | None = None) -> dict[str, str]:
    """Return the data of a TLS secret."""
    parts = {"tls.crt": issued.chain_pem, "tls.key": issued.key_pem if key is None else key}
    return {name: base64.b64encode(value).decode() for name, value in parts.items()}


class Cluster:
    """One cluster; `put` makes secrets in one namespace and the other in turn."""

    kind = "kubernetes"

    def __init__(self, server: KubernetesApi, authority: CertificateAuthority) -> None:
        self.server = server
        self.authority = authority
        self._count = 0
        self.settings: Mapping[str, Any] = {
            "cluster": "test",
            "server": server.api.url,
            "trusted_ca": authority.pem.decode(),
            "namespaces": list(NAMESPACES),
        }
        self.credential: Mapping[str, Any] = {"token": TOKEN}
        self.wrong_credential: Mapping[str, Any] = {"token": "eyJhbGciOiJSUzI1NiJ9.somebody.bm90aGluZw"}
        server.tokens[TOKEN] = USER
        for namespace in NAMESPACES:
            server.allow(USER, *RESOURCES, namespace=namespace)

    def put(self, count: int) -> Mapping[str, str]:
        """Make so many secrets more."""
        made = {}
        for _ in range(count):
            issued = self.authority.issue(f"k{self._count}.test")
            namespace, name = NAMESPACES[self._count % 2], f"tls-{self._count:04}"
            self.server.put("secrets", namespace, name, type="kubernetes.io/tls", data=tls_data(issued))
            made[f"secrets/{namespace}/{name}"] = issued.fingerprint
            self._count += 1
        return made

    def forbid(self) -> frozenset[str]:
        """Take the right to the secrets of one namespace."""
        self.server.deny(USER, "secrets", namespace="web")
        names = (f"tls-{number:04}" for number in range(1, self._count, 2))
        return frozenset(f"secrets/web/{name}" for name in names)

    def state(self) -> object:
        """Return all objects, and how often a write was tried."""
        return self.server.state()

    def stall(self) -> None:
        """Accept connections and say nothing."""
        self.server.api.stall()

    def stop(self) -> None:
        """Do not answer."""
        self.server.api.stop()


@asynccontextmanager
async def workshop(directory: Path) -> AsyncIterator[Workshop]:
    """Start a cluster's API."""
    authority = CertificateAuthority("cluster")
    context = authority.issue(*LOOPBACK).server_context(directory / "kubernetes")
    server = KubernetesApi(context=context)
    server.api.start()
    try:
        yield Cluster(server, authority)
    finally:
        server.api.stop()
