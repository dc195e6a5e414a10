"""A real Prosody with one domain and no accounts; streams of clients and of servers on a port each."""

from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.starttls import SERVER_NAME
from tests.servers.tls import Issued


class Prosody:
    """A running Prosody, the server of the domain `SERVER_NAME`."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        self.client_port, self.server_port = free_port(), free_port()
        self._directory = directory
        self._tls = tls
        self._process: Process | None = None

    def start(self) -> None:
        """Start it and return when both ports accept connections."""
        configuration = self._directory / "prosody.cfg.lua"
        configuration.write_text(self._config())
        self._process = Process(
            [program("prosody", package="prosody"), "-F", "--config", configuration],
            log=self._directory / "output.log",
        )
        for port in (self.client_port, self.server_port):
            self._process.wait_port(port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _config(self) -> str:
        modules = ["saslauth", "disco", "s2s", "c2s", *(["tls"] if self._tls else [])]
        return f"""
run_as_root = true
pidfile = "{self._directory}/prosody.pid"
data_path = "{self._directory}/data"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {self.client_port} }}
s2s_ports = {{ {self.server_port} }}
c2s_direct_tls_ports = {{}}
s2s_direct_tls_ports = {{}}
c2s_require_encryption = false
s2s_require_encryption = false
modules_enabled = {{ {", ".join(f'"{each}"' for each in modules)} }}
VirtualHost "{SERVER_NAME}"
{self._encryption()}
"""

    def _encryption(self) -> str:
        if self._tls is None:
            return ""
        certificate, key = self._tls.write(self._directory / "tls")
        return f'ssl = {{ certificate = "{certificate}", key = "{key}" }}'
