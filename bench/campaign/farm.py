"""Thousands of endpoints: one real nginx that reads, at each handshake, the files of the address that was asked.

Nothing has to be reloaded, so that what is measured is the platform and not nginx.
"""

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tests.servers.nginx import TEMPORARY
from tests.servers.processes import Process, free_port, program
from tests.servers.tls import CertificateAuthority

BLOCK = 256
"""Addresses are had in networks of this size."""
_FIRST = IPv4Address("127.64.0.0")
_WAIT = 5.0


class Farm:
    """Endpoints on addresses of their own, one port, each with a certificate of one CA."""

    def __init__(self, folder: Path, *, blocks: int, acme: int) -> None:
        """Of every 256 endpoints `acme` have names that an ACME authority is to be asked for."""
        self.folder, self.blocks, self._acme = folder, blocks, acme
        self.port = free_port()
        self.ca = CertificateAuthority("Distrusted root")
        self._process: Process | None = None

    @property
    def size(self) -> int:
        """Return the number of endpoints."""
        return self.blocks * BLOCK

    @property
    def networks(self) -> list[str]:
        """Return the networks that all endpoints are in, and nothing else."""
        return [str(IPv4Network((_FIRST + BLOCK * block, 24))) for block in range(self.blocks)]

    def addresses(self) -> Iterator[str]:
        """Return every address."""
        return (str(_FIRST + number) for number in range(self.size))

    def name(self, number: int) -> str:
        """Return the name of an endpoint's certificate."""
        return f"s{number}.{'acme' if number % BLOCK < self._acme else 'house'}.test"

    def files(self, address: str) -> tuple[Path, Path]:
        """Return where an endpoint's chain and key are."""
        return self.folder / f"{address}.pem", self.folder / f"{address}.key"

    def start(self) -> None:
        """Issue all certificates and start nginx."""
        self.folder.mkdir(parents=True)
        now = datetime.now(UTC)
        for number, address in enumerate(self.addresses()):
            issued = self.ca.issue(self.name(number), not_after=now + timedelta(days=300))
            chain, key = self.files(address)
            chain.write_bytes(issued.chain_pem)
            key.write_bytes(issued.key_pem)
        config = self.folder / "nginx.conf"
        config.write_text(self._configuration())
        command: list[str | Path] = [program("nginx", package="nginx-light"), "-p", self.folder, "-c", config]
        self._process = Process([*command, "-e", self.folder / "error.log"], log=self.folder / "nginx.log")
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop nginx."""
        if self._process is not None:
            self._process.stop()

    def _configuration(self) -> str:
        paths = " ".join(f"{name}_temp_path {self.folder}/temporary;" for name in TEMPORARY)
        files = f"ssl_certificate {self.folder}/$server_addr.pem; ssl_certificate_key {self.folder}/$server_addr.key;"
        return f"""
user root; daemon off; pid {self.folder}/nginx.pid; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; ssl_session_cache off; {paths}
  server {{ listen 0.0.0.0:{self.port} ssl backlog=4096; {files} return 200 ok; }}
}}
"""

    def served(self, address: str) -> str:
        """Return the SHA-256 of the certificate that an endpoint serves now."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((address, self.port), _WAIT) as plain,
            context.wrap_socket(plain) as secured,
        ):
            return sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()
