"""The estate of the journeys, and what an operator tells the platform about it through its APIs."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from tests.journeys.platforms import Json, accepted, items, until
from tests.servers.nginx import Nginx, Site
from tests.servers.smtp import Smtp
from tests.servers.ssh import Sshd
from tests.servers.tls import CertificateAuthority, fingerprint
from tests.servers.webhook import Request, Webhook


@dataclass
class Estate:
    """Real servers on loopback."""

    nginx: Nginx
    sshd: Sshd
    smtp: Smtp
    webhook: Webhook
    secret: str
    """What the webhooks are signed with."""

    def expiring_site(self, name: str, *, ca: CertificateAuthority) -> Site:
        """Add a site whose certificate of 90 days has 3 left."""
        now = datetime.now(UTC)
        issued = ca.issue(name, not_before=now - timedelta(days=87), not_after=now + timedelta(days=3))
        return self.nginx.add_site(name, issued=issued)

    def tell_notifier(self, client: httpx.Client) -> None:
        """Make the two channels."""
        mail = {
            "host": "localhost",
            "port": self.smtp.port,
            "username": self.smtp.user,
            "from": "everleaf@example.test",
            "to": ["operations@example.test"],
            "ca_pem": self.smtp.ca_pem.read_text(),
        }
        body = {"name": "mail", "kind": "email", "options": mail, "secrets": {"password": self.smtp.password}}
        accepted(client.post("/notifier/v1/channels", json=body))
        hook = {"url": self.webhook.url}
        body = {
            "name": "hook",
            "kind": "webhook",
            "options": hook,
            "secrets": {"signing_secret": self.secret},
        }
        accepted(client.post("/notifier/v1/channels", json=body))

    def target(self, site: Site) -> Json:
        """Return the body that makes this nginx a target, named after a site."""
        return {
            "name": f"web-{site.server_name}",
            "kind": "nginx",
            "host": self.sshd.host,
            "port": self.sshd.port,
            "username": self.sshd.username,
            "host_key": self.sshd.host_key,
            "credential": {"private_key": self.sshd.client_key},
            "options": {
                "test_command": self.nginx.test_command,
                "reload_command": self.nginx.reload_command,
            },
        }

    def bind(self, client: httpx.Client, site: Site, *, lineage_id: str) -> None:
        """Say that a lineage belongs in a site of this nginx."""
        target = accepted(client.post("/provisioner/v1/targets", json=self.target(site)))
        endpoint = {"address": site.address, "port": site.port, "server_name": site.server_name}
        accepted(
            client.post(
                "/provisioner/v1/bindings",
                json={
                    "lineage_id": lineage_id,
                    "target_id": target["id"],
                    "slot": {"certificate_path": str(site.certificate), "key_path": str(site.key)},
                    "endpoints": [endpoint],
                },
            )
        )

    def is_signed(self, request: Request) -> bool:
        """Check a webhook's signature as its receiver would (Standard Webhooks, HMAC-SHA256)."""
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
        mac = hmac.new(key, signed + request.body, hashlib.sha256).digest()
        return f"v1,{base64.b64encode(mac).decode()}" in request.headers["webhook-signature"].split(" ")


def scan(client: httpx.Client, *sites: Site) -> Json:
    """Scan these sites and return the finished scan."""
    body = {
        "targets": [
            f"https://{'[' + s.address + ']' if ':' in s.address else s.address}:{s.port}" for s in sites
        ],
        "server_names": [site.server_name for site in sites],
    }
    started = accepted(client.post("/discovery/v1/scans", json=body))

    def finished() -> Json | None:
        now = accepted(client.get(f"/discovery/v1/scans/{started['id']}"))
        return now if now["state"] == "finished" else None

    return dict(until(finished, what="the end of the scan"))


def known(client: httpx.Client, site: Site) -> Json:
    """Return what inventory knows of the certificate a site serves now."""
    path = f"/inventory/v1/certificates/{fingerprint(site.served())}"

    def look() -> Json | None:
        answer = client.get(path)
        return dict(answer.json()) if answer.is_success else None

    return dict(until(look, what=f"{site.server_name}'s certificate in inventory"))


def found(client: httpx.Client, path: str, *, within: float = 60, **wanted: str) -> Json:
    """Wait for an item with these values in a list, and return it."""
    return dict(until(lambda: items(client, path, **wanted), what=f"{wanted} in {path}", within=within)[0])
