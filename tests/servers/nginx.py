"""A real nginx in a directory of its own, with any number of TLS sites."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from tests.servers.processes import NotStarted, Process, free_port, program
from tests.servers.tls import CertificateAuthority, Issued, fingerprint, served_certificate

PACKAGE = "nginx-light"
IPV6 = "::1"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True, kw_only=True)
class Site:
    """One server block: where it listens, and the files it serves from (`certificate` holds the chain)."""

    server_name: str
    address: str
    port: int
    certificate: Path
    key: Path
    issued: Issued
    """What was in the files at first."""

    def served(self) -> x509.Certificate:
        """Return the certificate that is served for this site now."""
        return served_certificate(self.address, self.port, self.server_name)

    @property
    def listen(self) -> str:
        """What nginx's `listen` takes."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Nginx:
    """A running nginx; sites share `port` and are told apart by SNI unless they ask for one of their own."""

    def __init__(self, directory: Path, *, ca: CertificateAuthority) -> None:
        self.directory = directory
        self.port = free_port()
        self.sites: list[Site] = []
        self.settings = ""
        """Directives for all sites, as `ssl_protocols TLSv1.2;`; read at the next start or reload."""
        self._ca = ca
        self._process: Process | None = None

    @property
    def command(self) -> str:
        """The command line that all others begin with."""
        here = self.directory
        args = [
            program("nginx", package=PACKAGE),
            "-p",
            here,
            "-e",
            here / "error.log",
            "-c",
            here / "nginx.conf",
        ]
        return shlex.join(map(str, args))

    @property
    def test_command(self) -> str:
        """The command that checks the configuration and the files it names."""
        return f"{self.command} -t"

    @property
    def reload_command(self) -> str:
        """The command that makes the running nginx read its files again."""
        return f"{self.command} -s reload"

    @property
    def pid(self) -> int:
        """The master's process id."""
        if self._process is None:
            raise NotStarted("this nginx is not running")
        return self._process.pid

    def add_site(
        self,
        server_name: str,
        *,
        address: str = "127.0.0.1",
        port: int | None = None,
        issued: Issued | None = None,
        key_mode: int = 0o600,
        owner: str | None = None,
    ) -> Site:
        """Add a site, with a certificate of the test authority if none is given; reloads a running nginx.

        `owner` (an account's name; needs root) owns both files and their directory.
        """
        issued = issued or self._ca.issue(server_name)
        folder = self.directory / "tls" / f"{len(self.sites)}-{server_name}"
        certificate, key = issued.write(folder, key_mode=key_mode)
        if owner is not None:
            for path in (folder, certificate, key):
                shutil.chown(path, owner)
        site = Site(
            server_name=server_name,
            address=address,
            port=port or self.port,
            certificate=certificate,
            key=key,
            issued=issued,
        )
        self.sites.append(site)
        self._write()
        if self._process is not None:
            self.reload()
            self.until_served(site, site.issued)
        return site

    def start(self) -> None:
        """Start nginx and return when every site accepts connections."""
        self._write()
        args = [*shlex.split(self.command), "-g", "daemon off;"]
        self._process = Process(args, log=self.directory / "nginx.log")
        for site in self.sites:
            self._process.wait_port(site.port, address=site.address)

    def stop(self) -> None:
        """Stop the master and its workers."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def reload(self) -> None:
        """Make the master read its files again; old workers serve on until the new ones are up."""
        os.kill(self.pid, signal.SIGHUP)

    def test(self) -> subprocess.CompletedProcess[str]:
        """Run the test command."""
        return subprocess.run(shlex.split(self.test_command), capture_output=True, text=True, check=False)

    def served(self, port: int | None = None, server_name: str | None = None) -> x509.Certificate:
        """Return the certificate served on 127.0.0.1 (the shared port, if none is named) for an SNI name."""
        return served_certificate("127.0.0.1", port or self.port, server_name)

    def until_served(self, site: Site, issued: Issued, *, limit: float = 10.0) -> None:
        """Return when the site serves this certificate (workers change a moment after a reload)."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if fingerprint(site.served()) == issued.fingerprint:
                    return
            time.sleep(0.02)
        raise NotStarted(f"nginx did not serve {site.server_name} in {limit} s ")

    def _write(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = "\n".join(f"{kind}_temp_path {self.directory}/tmp-{kind};" for kind in TEMPORARY)
        (self.directory / "nginx.conf").write_text(f"""
pid {self.directory}/nginx.pid;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
access_log off;
{temporary}
{self.settings}
{"".join(_server_block(site) for site in self.sites)}
}}
""")


def _server_block(site: Site) -> str:
    return f"""
server {{
    listen {site.listen} ssl;
    server_name {site.server_name};
    ssl_certificate {site.certificate};
    ssl_certificate_key {site.key};
    location / {{ return 200 "{site.server_name}\\n"; }}
}}
"""


StartNginx = Callable[..., Nginx]
"""Takes server names, and `address` for all of them."""


@pytest.fixture
def start_nginx(tmp_path: Path, lab_ca: CertificateAuthority) -> Iterator[StartNginx]:
    """Start nginx with sites on one shared port: `start_nginx("a.test", "b.test", address="::1")`."""
    with contextlib.ExitStack() as running:
        started: list[Nginx] = []

        def start(*server_names: str, address: str = "127.0.0.1") -> Nginx:
            server = Nginx(tmp_path / f"nginx-{len(started)}", ca=lab_ca)
            started.append(server)
            for name in server_names or ("localhost",):
                server.add_site(name, address=address)
            running.callback(server.stop)
            server.start()
            return server

        yield start
