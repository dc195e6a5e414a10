"""A project of Google Cloud, with certificates in Certificate Manager and in Compute Engine."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.discovery.workshops import Workshop
from tests.servers.google import GoogleCloud
from tests.servers.tls import LOOPBACK, CertificateAuthority

PROJECT = "shop-production"


@cache
def rsa_key(whose: str) -> rsa.RSAPrivateKey:
    """Return somebody's key, the same each time: making one takes long."""
    return rsa.generate_private_key(65537, 2048)


class CloudProject:
    """One project; of four certificates that are put, one is in Compute Engine."""

    kind = "google-certificate-manager"

    def __init__(self, cloud: GoogleCloud, authority: CertificateAuthority) -> None:
        self.cloud = cloud
        self.authority = authority
        self._count = 0
        self.settings: Mapping[str, Any] = {
            "project": PROJECT,
            "certificate_manager_url": cloud.api.url,
            "compute_url": cloud.api.url,
            "token_uri": cloud.token_uri,
            "trusted_ca": authority.pem.decode(),
        }
        self.credential: Mapping[str, Any] = {"service_account_key": cloud.key_file()}
        self.wrong_credential: Mapping[str, Any] = {
            "service_account_key": cloud.key_file(rsa_key("somebody else"))
        }

    def put(self, count: int) -> Mapping[str, str]:
        """Make so many certificates more."""
        made = {}
        for _ in range(count):
            name = f"site-{self._count:04}"
            issued = self.authority.issue(f"{name}.test")
            pem = issued.chain_pem.decode()
            if self._count % 4 == 3:
                path = f"projects/{PROJECT}/global/sslCertificates/{name}"
                link = self.cloud.link(f"global/sslCertificates/{name}")
                self.cloud.put(
                    "sslCertificates", name=name, selfLink=link, type="SELF_MANAGED", certificate=pem
                )
            else:
                path = f"projects/{PROJECT}/locations/global/certificates/{name}"
                self.cloud.put("certificates", name=path, selfManaged={}, pemCertificate=pem)
            made[path] = issued.fingerprint
            self._count += 1
        return made

    def forbid(self) -> frozenset[str]:
        """Take the right to list Certificate Manager's."""
        self.cloud.permissions.discard("certificatemanager.certs.list")
        return frozenset(each["name"] for each in self.cloud.objects["certificates"])

    def state(self) -> object:
        """Return all resources, and how often a write was tried."""
        return self.cloud.state()

    def stall(self) -> None:
        """Accept connections and say nothing."""
        self.cloud.api.stall()

    def stop(self) -> None:
        """Do not answer."""
        self.cloud.api.stop()


@asynccontextmanager
async def workshop(directory: Path) -> AsyncIterator[Workshop]:
    """Start the project's APIs."""
    authority = CertificateAuthority("google")
    context = authority.issue(*LOOPBACK).server_context(directory / "google")
    cloud = GoogleCloud(context=context, project=PROJECT, key=rsa_key("reader"))
    cloud.api.start()
    try:
        yield CloudProject(cloud, authority)
    finally:
        cloud.api.stop()
