"""The story itself: each chapter does one thing through the public APIs and waits until it is observed."""

import hashlib
import json
import socket
import ssl
import time
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from typing import Any

import httpx

from demo.estate import HOST, EstateInfo, SiteInfo, test_command
from demo.processes import DemoFailed, until

Json = dict[str, Any]


def served_fingerprint(site: SiteInfo) -> str:
    """Shake hands with a site and return the SHA-256 of the certificate it serves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with (
        socket.create_connection((HOST, site.port), 5) as connection,
        context.wrap_socket(connection, server_hostname=site.name) as tls,
    ):
        return hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()


@dataclass
class Story:
    """What has happened so far, as far as the next chapters need it."""

    api: httpx.Client
    estate: EstateInfo
    began: float = field(default_factory=time.monotonic)
    before: dict[str, str] = field(default_factory=dict)
    found: dict[str, Json] = field(default_factory=dict)
    lineage: str = ""
    order: Json = field(default_factory=dict)
    deployment: Json = field(default_factory=dict)
    alert: Json = field(default_factory=dict)

    @property
    def shop(self) -> SiteInfo:
        """The site whose certificate is about to expire."""
        return self.estate.sites[0]

    def channels(self) -> str:
        """Tell the notifier about the mail server and the webhook receiver."""
        estate = self.estate
        mail = {
            "host": "localhost",
            "port": estate.smtp_port,
            "security": "starttls",
            "username": estate.smtp_user,
            "from": "everleaf@demo.test",
            "to": ["operations@demo.test"],
            "ca_pem": estate.smtp_ca.read_text(),
        }
        login = {"password": estate.smtp_password}
        self._post("/notifier/v1/channels", name="mail", kind="email", options=mail, secrets=login)
        hook = {"url": f"http://{HOST}:{estate.webhook_port}/hooks/everleaf"}
        signing = {"signing_secret": estate.webhook_secret}
        self._post("/notifier/v1/channels", name="hook", kind="webhook", options=hook, secrets=signing)
        return "mail (STARTTLS, login) and a signed webhook"

    def authority(self) -> str:
        """Make the built-in CA and a profile that may issue for the demo's names."""
        authority = self._post("/renewal/v1/authorities", name="house-ca", kind="builtin", options={})
        self._post(
            "/renewal/v1/profiles",
            name="web",
            authority=authority["name"],
            key_type="ecdsa-p256",
            lifetime="P47D",
            allowed_names=["*.demo.test"],
        )
        return "a private CA, its key sealed; a profile for *.demo.test"

    def discover(self) -> str:
        """Scan the estate, without any credentials."""
        self.before = {site.name: served_fingerprint(site) for site in self.estate.sites}
        targets = [f"https://{HOST}:{site.port}" for site in self.estate.sites]
        scan = self._post("/discovery/v1/scans", targets=targets)
        self._wait_for(f"/discovery/v1/scans/{scan['id']}", "state", "finished", what="The scan")
        self.found = {site.name: self._known(self.before[site.name]) for site in self.estate.sites}
        self.lineage = self.found[self.shop.name]["lineage_id"]
        counts = self._get(f"/discovery/v1/scans/{scan['id']}")["counts"]
        return f"{counts['asked']} asked, {counts['tls']} with TLS, {len(self.found)} certificates known"

    def warn(self) -> str:
        """See the alert arrive as mail and as a webhook."""

        def alert() -> Json | None:
            items = self._get("/notifier/v1/alerts", state="open")["items"]
            return next((item for item in items if item["lineage_id"] == self.lineage), None)

        self.alert = until(alert, what="The alert", within=30)
        mail = until(lambda: self._mails(self.shop.name), what="The mail", within=30)[0]
        until(lambda: self._hooks(self.alert["id"]), what="The webhook", within=30)
        return f"“{mail['subject']}”"

    def bind(self) -> str:
        """Say where the lineage belongs: this target, these files, this endpoint."""
        estate, shop = self.estate, self.shop
        target = self._post(
            "/provisioner/v1/targets",
            name="shop-server",
            kind="files",
            host=HOST,
            port=estate.ssh_port,
            username="deploy",
            host_key=estate.ssh_host_key,
            credential={"private_key": estate.ssh_client_key.read_text()},
        )
        slot = {
            "certificate_path": str(shop.certificate),
            "key_path": str(shop.key),
            "test_command": test_command(shop),
            "reload_command": f"kill -HUP {estate.pid}",
        }
        endpoint = {"address": HOST, "port": shop.port, "server_name": shop.name}
        self._post(
            "/provisioner/v1/bindings",
            lineage_id=self.lineage,
            target_id=target["id"],
            slot=slot,
            endpoints=[endpoint],
        )
        return "SSH with the host key pinned, two files, test and reload"

    def renew(self) -> str:
        """Enrol the lineage; since it is expiring, a new certificate is ordered at once."""
        self._put(f"/renewal/v1/enrolments/{self.lineage}", profile="web")
        self.order = self._find("/renewal/v1/orders", "The renewal", lineage_id=self.lineage, state="renewed")
        return "new key, new CSR, issued by house-ca, checked"

    def deploy(self) -> str:
        """Wait until the provisioner has it in place and has seen it served."""
        self.deployment = self._find(
            "/provisioner/v1/deployments", "The deployment", lineage_id=self.lineage, state="deployed"
        )
        return "staged, tested, swapped, reloaded, handshake compared"

    def observe(self) -> str:
        """See for ourselves what is served, and that inventory has seen it too."""
        now = served_fingerprint(self.shop)
        if now == self.before[self.shop.name]:
            raise DemoFailed("The site still serves the old certificate.")
        self._find("/inventory/v1/replacements", "The replacement", lineage_id=self.lineage, state="replaced")
        until(
            lambda: self._get(f"/notifier/v1/alerts/{self.alert['id']}")["state"] == "resolved",
            what="The end of the alert",
            within=30,
        )
        self.found[self.shop.name] = self._known(now)
        return f"the wire shows {now[:8]}…; replaced; alert resolved"

    def _mails(self, name: str) -> list[Json]:
        mails = []
        for path in sorted(self.estate.mail_dir.glob("*.eml")):
            message = message_from_bytes(path.read_bytes(), policy=default)
            if name in str(message["subject"]):
                mails.append({"subject": str(message["subject"])})
        return mails

    def _hooks(self, alert_id: str) -> list[Json]:
        hooks = [json.loads(path.read_text()) for path in sorted(self.estate.webhook_dir.glob("*.json"))]
        return [hook for hook in hooks if alert_id in hook["body"]]

    def _known(self, fingerprint: str) -> Json:
        def look() -> Json | None:
            answer = self.api.get(f"/inventory/v1/certificates/{fingerprint}")
            return dict(answer.json()) if answer.is_success else None

        return until(look, what=f"Certificate {fingerprint[:16]}… in inventory", within=30)

    def _find(self, path: str, what: str, **wanted: str) -> Json:
        def look() -> Json | None:
            items = self._get(path)["items"]
            return next((i for i in items if all(i[key] == value for key, value in wanted.items())), None)

        return until(look, what=what, within=60)

    def _wait_for(self, path: str, key: str, value: str, *, what: str) -> None:
        until(lambda: self._get(path)[key] == value, what=what, within=60)

    def _get(self, path: str, **query: str) -> Json:
        return _accepted(self.api.get(path, params=query))

    def _post(self, path: str, **body: Any) -> Json:
        return _accepted(self.api.post(path, json=body))

    def _put(self, path: str, **body: Any) -> Json:
        return _accepted(self.api.put(path, json=body))


def _accepted(answer: httpx.Response) -> Json:
    if not answer.is_success:
        raise DemoFailed(f"{answer.request.method} {answer.request.url.path}: {answer.text}")
    return dict(answer.json())
