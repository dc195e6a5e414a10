"""A real Caddy with certificates in files, and with some that it obtains from its own authority."""

from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import CertificateAuthority, Issued

PACKAGE = "caddy"


class Caddy:
    """Sites on one port; `write` before `start`."""

    def __init__(self, directory: Path, *, ca: CertificateAuthority) -> None:
        self.directory = directory
        self.port = free_port()
        self.start_file = directory / "Caddyfile"
        self.storage = directory / "storage"
        self.issued: dict[str, Issued] = {}
        self._ca = ca
        self._process: Process | None = None

    def write(self, *server_names: str, obtained: tuple[str, ...] = (), admin: str = "off") -> None:
        """Write the configuration, with a file for each name, and sites whose certificates Caddy makes by itself.

        `admin` is where it may be told to reload.
        """
        (self.directory / "sites").mkdir(parents=True)
        self.start_file.write_text(f"""{{
    admin {admin}
    auto_https disable_redirects
    skip_install_trust
    https_port {self.port}
    http_port {free_port()}
    storage file_system "{self.storage}"
}}
(here) {{
    bind {{args.0}}
    tls {{args.1}} {{args.2}} {{
        protocols tls1.2 tls1.3
    }}
}}
import sites/*
""")
        for name in server_names:
            issued = self.issued[name] = self._ca.issue(name)
            certificate, key = issued.write(self.directory / name)
            site = f"{name} {{ # this one has its own\n    import here 127.0.0.1 {certificate} {key}\n    respond 204\n}}\n"
            (self.directory / "sites" / name).write_text(site)
        for name in obtained:
            site = f"https://{name} {{\n    bind 127.0.0.1\n    tls internal\n    respond 204\n}}\n"
            (self.directory / "sites" / name).write_text(site)

    def start(self) -> None:
        """Start it, and return when it listens."""
        args: list[str | Path] = [program("caddy", package=PACKAGE), "run", "--config", self.start_file]
        env = {"HOME": str(self.directory), "PATH": "/usr/bin:/bin"}
        log = self.directory / "caddy.log"
        self._process = Process([*args, "--adapter", "caddyfile"], log=log, env=env)
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None
