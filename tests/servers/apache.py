"""A real Apache httpd with TLS virtual hosts on one port, in a directory of its own."""

import subprocess
from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import CertificateAuthority, Issued

PACKAGE = "apache2-bin"
MODULES = "/usr/lib/apache2/modules"
LOADED = ("mpm_event", "authz_core", "ssl", "socache_shmcb")


class Apache:
    """Virtual hosts told apart by SNI, one included file each; `write` before `start`."""

    def __init__(self, directory: Path, *, ca: CertificateAuthority) -> None:
        self.directory = directory
        self.port = free_port()
        self.start_file = directory / "httpd.conf"
        self.issued: dict[str, Issued] = {}
        self._ca = ca
        self._process: Process | None = None

    def write(self, *server_names: str, chain: str | None = None) -> None:
        """Write the configuration and a certificate for each name; `chain` names a file for its intermediates beside it."""
        sites = self.directory / "sites"
        sites.mkdir(parents=True)
        for name in server_names:
            self.issued[name] = self._ca.issue(name)
            self.issued[name].write(self.directory / name)
            chained = ""
            if chain is not None:
                (self.directory / name / chain).write_bytes(
                    self.issued[name].chain_pem.removeprefix(self.issued[name].certificate_pem)
                )
                chained = f"  SSLCertificateChainFile ${{TLS}}/{name}/{chain}\n"
            (sites / f"{name}.conf").write_text(
                f"<VirtualHost 127.0.0.1:{self.port}>\n  ServerName {name}\n  SSLEngine on\n"
                f"  SSLCertificateFile ${{TLS}}/{name}/cert.pem\n  SSLCertificateKeyFile ${{TLS}}/{name}/key.pem\n"
                f"{chained}</VirtualHost>\n"
            )
        modules = [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED]
        lines = [
            f"ServerRoot {self.directory}",
            f"Define TLS {self.directory}",
            "ServerName localhost",
            "PidFile httpd.pid",
            "ErrorLog error.log",
            f"DefaultRuntimeDir {self.directory}",
            *modules,
            f"Listen 127.0.0.1:{self.port}",
            "<IfModule mod_ssl.c>",
            "  IncludeOptional sites/*.conf",
            "</IfModule>",
        ]
        self.start_file.write_text("\n".join(lines) + "\n")

    @property
    def _command(self) -> list[str | Path]:
        return [program("apache2", package=PACKAGE), "-f", self.start_file]

    def virtual_hosts(self) -> str:
        """Return what it says itself of its virtual hosts."""
        done = subprocess.run([*self._command, "-S"], capture_output=True, text=True, check=True)
        return done.stdout

    def start(self) -> None:
        """Start it, and return when it listens."""
        self._process = Process([*self._command, "-DFOREGROUND"], log=self.directory / "apache.log")
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None
