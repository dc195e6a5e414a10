"""A real nginx as the gateway of a production set-up: one address, one path per service."""

from collections.abc import Mapping
from pathlib import Path

from tests.servers.nginx import PACKAGE, TEMPORARY
from tests.servers.processes import Process, free_port, program


class Gateway:
    """Leads `/NAME/…` to the port of that service, the path unchanged."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """The one address that clients and the services themselves use."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, ports: Mapping[str, int]) -> None:
        """Start it; the services may come and go behind it."""
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "nginx.conf"
        config.write_text(self._config(ports))
        here = self._directory
        args: list[str | Path] = [program("nginx", package=PACKAGE), "-p", here, "-e", here / "error.log"]
        args += ["-c", config, "-g", "daemon off;"]
        self._process = Process(args, log=self._directory / "gateway.log")
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _config(self, ports: Mapping[str, int]) -> str:
        temporary = "\n".join(f"{kind}_temp_path {self._directory}/tmp-{kind};" for kind in TEMPORARY)
        locations = "\n".join(
            f"location /{name}/ {{ proxy_pass http://127.0.0.1:{port}; }}" for name, port in ports.items()
        )
        return f"""
pid {self._directory}/nginx.pid;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
access_log off;
{temporary}
server {{ listen 127.0.0.1:{self.port}; {locations} }}
}}
"""
