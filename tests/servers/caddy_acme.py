"""Caddy as an ACME server (`acme_server`): a real one, on smallstep's implementation.

It asks the resolver of its host, at port 53, for TXT records. So it runs with a file of its own in place of
`/etc/resolv.conf`, in a mount namespace (unshare(1), which only root may), and our name server is at port 53 of a loopback
address of its own.
"""

import contextlib
import os
import random
import ssl
import time
from pathlib import Path

import httpx

from tests.servers.name_server import NameServer, Texts
from tests.servers.processes import MissingServer, NotStarted, Process, free_port, program

READY_IN = 30.0


class CaddyAcme:
    """A running one; it sees the TXT records that `texts` gives."""

    def __init__(self, directory: Path, *, texts: Texts) -> None:
        self._directory = directory
        self._port = free_port()
        address = ".".join(["127", *(str(random.randint(2, 250)) for _ in range(3))])
        self.names = NameServer(texts, host=address, port=53)
        self._process: Process | None = None

    @property
    def dir_url(self) -> str:
        """The ACME directory's URL (https)."""
        return f"https://localhost:{self._port}/acme/local/directory"

    @property
    def ca_pem(self) -> Path:
        """The root of its API's certificate, and of what it issues."""
        return self._directory / "storage/pki/authorities/local/root.crt"

    def start(self) -> None:
        """Start it, and return when its directory is there."""
        if os.getuid() != 0:
            raise MissingServer(
                "Only root can start Caddy with a resolver of its own: run this test as root."
            )
        self.names.start()
        (self._directory / "resolv.conf").write_text(f"nameserver {self.names.host}\n")
        (self._directory / "Caddyfile").write_text(self._config())
        here = self._directory
        command = 'mount --bind "$1/resolv.conf" /etc/resolv.conf && exec "$2" run --config "$1/Caddyfile" --adapter caddyfile'
        own = [program("unshare", package="util-linux"), "--mount", "--propagation", "private"]
        self._process = Process(
            [*own, "/bin/sh", "-c", command, "sh", here, program("caddy", package="caddy")],
            log=here / "caddy.log",
            env={"HOME": str(here)},
        )
        self._wait(self._process)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None
        self.names.stop()

    def _wait(self, process: Process) -> None:
        process.wait_port(self._port)
        deadline = time.monotonic() + READY_IN
        while time.monotonic() < deadline:
            process.check()
            # The root is there a little before the certificate of the API is.
            with contextlib.suppress(OSError, httpx.TransportError):
                verify = ssl.create_default_context(cafile=self.ca_pem)
                if httpx.get(self.dir_url, verify=verify, trust_env=False).is_success:
                    return
            time.sleep(0.05)
        raise NotStarted(f"Caddy gave no directory in {READY_IN} s. {process.tail()}")

    def _config(self) -> str:
        return f"""{{
    admin off
    skip_install_trust
    storage file_system "{self._directory}/storage"
    http_port {free_port()}
    https_port {self._port}
    auto_https disable_redirects
}}
https://localhost:{self._port} {{
    bind 127.0.0.1
    tls internal
    acme_server {{
        lifetime 24h
    }}
}}
"""
