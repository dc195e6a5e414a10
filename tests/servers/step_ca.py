"""A real step-ca, with a root and an intermediate, a JWK provisioner and an ACME provisioner.

Debian has its Go packages and no program; `install.sh` builds one of them, from `step_ca.go`.
The JWK provisioner signs for example.test only, by its template: this version has no policies.
"""

import base64
import contextlib
import json
import ssl
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm

from tests.servers.processes import MissingServer, NotStarted, Process, free_port
from tests.servers.tls import CertificateAuthority

PROGRAM = Path("/usr/local/lib/everleaf-tests/step-ca/step-ca")
PROVISIONER = "everleaf"
READY_IN = 30.0
TEMPLATE = """{{- range .SANs }}{{ if and (eq .Type "dns") (not (hasSuffix ".example.test" .Value)) }}\
{{ fail "only names below example.test" }}{{ end }}{{ end }}{
  "subject": {{ toJson .Subject }},
  "sans": {{ toJson .SANs }},
  "keyUsage": ["digitalSignature"],
  "extKeyUsage": ["serverAuth", "clientAuth"]
}"""


class StepCa:
    """A running one, with data of its own that outlives a restart."""

    def __init__(self, directory: Path, *, dns_server: str | None = None, **claims: str) -> None:
        """`claims` are those of the provisioners: `maxTLSCertDuration="48h"`."""
        self.root = CertificateAuthority("step root")
        self.issuing = self.root.intermediate("step intermediate")
        self.port = free_port()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.key_id = "key of the provisioner"
        self._directory = directory
        self._claims = claims
        self._environment = {"STEP_CA_DNS": dns_server} if dns_server else {}
        self._process: Process | None = None
        self._log = directory / "step-ca.log"

    @property
    def url(self) -> str:
        """Of the API."""
        return f"https://localhost:{self.port}"

    @property
    def directory_url(self) -> str:
        """Of the ACME provisioner."""
        return f"{self.url}/acme/acme/directory"

    @property
    def jwk(self) -> str:
        """The private key of the JWK provisioner, as `step crypto jwe decrypt` writes it."""
        return json.dumps(
            {"use": "sig", "kid": self.key_id, "alg": "ES256", **ECAlgorithm.to_jwk(self.key, as_dict=True)}
        )

    @property
    def thumbprint(self) -> str:
        """Of the key (RFC 7638), by which step calls keys that it makes."""
        told = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        text = json.dumps({name: told[name] for name in sorted(told)}, separators=(",", ":"))
        return base64.urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()

    def start(self) -> None:
        """Start it with the key that it has now, and return when it is healthy."""
        if not PROGRAM.exists():
            raise MissingServer(f"{PROGRAM} is not there. Build it as root with: tests/servers/install.sh")
        here = self._directory
        (here / "root.crt").write_bytes(self.root.pem)
        (here / "issuing.crt").write_bytes(self.issuing.pem)
        pem = self.issuing.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (here / "issuing.key").write_bytes(pem)
        (here / "ca.json").write_text(json.dumps(self._config()))
        self._process = Process([PROGRAM, here / "ca.json"], log=self._log, env=self._environment)
        self._wait(self._process)

    def stop(self) -> None:
        """Stop it, however often it is said."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def change_key(self) -> None:
        """Give the provisioner another key."""
        self.stop()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.start()

    def issued(self) -> list[x509.Certificate]:
        """Return what the JWK provisioner has signed, as the log has it."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]
        return [
            x509.load_der_x509_certificate(base64.b64decode(each["certificate"]))
            for each in lines
            if each.get("path") == "/1.0/sign" and "certificate" in each
        ]

    def says_revoked(self, serial: int, token: str) -> bool:
        """Ask for the revocation of a certificate, and return whether it was revoked before."""
        asked = {"serial": str(serial), "ott": token, "reasonCode": 0, "passive": True}
        with self.client() as client:
            answer = client.post("/1.0/revoke", json=asked)
        return answer.status_code == 400 and "already revoked" in answer.text

    def client(self, identity: tuple[Path, Path] | None = None) -> httpx.Client:
        """Open a client of the API, with a certificate and key or without."""
        context = ssl.create_default_context(cadata=self.root.pem.decode())
        if identity is not None:
            context.load_cert_chain(*identity)
        return httpx.Client(base_url=self.url, verify=context, trust_env=False, timeout=10)

    def _wait(self, process: Process) -> None:
        process.wait_port(self.port)
        deadline = time.monotonic() + READY_IN
        with self.client() as client:
            while time.monotonic() < deadline:
                process.check()
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/health").is_success:
                        return
                time.sleep(0.01)
        raise NotStarted(f"step-ca was not healthy in {READY_IN} s. {process.tail()}")

    def _config(self) -> dict[str, Any]:
        public = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        claims = {"claims": self._claims}
        jwk = {
            "type": "JWK",
            "name": PROVISIONER,
            "key": {"use": "sig", "kid": self.key_id, "alg": "ES256", **public},
            "options": {"x509": {"template": TEMPLATE}},
            **claims,
        }
        return {
            "root": str(self._directory / "root.crt"),
            "crt": str(self._directory / "issuing.crt"),
            "key": str(self._directory / "issuing.key"),
            "address": f"127.0.0.1:{self.port}",
            "dnsNames": ["localhost"],
            "logger": {"format": "json"},
            "db": {"type": "bbolt", "dataSource": str(self._directory / "db")},
            "authority": {"provisioners": [jwk, {"type": "ACME", "name": "acme", **claims}]},
        }
