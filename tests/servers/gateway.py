"""A real nginx as the gateway of a production set-up: one address, one path per service."""

from collections.abc import Mapping, Sequence
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

    def start(self, ports: Mapping[str, int] | Mapping[str, Sequence[int]]) -> None:
        """Start it; the services, each on one port or with replicas on several, may come and go behind it."""
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

    def _config(self, ports: Mapping[str, int] | Mapping[str, Sequence[int]]) -> str:
        temporary = "\n".join(f"{kind}_temp_path {self._directory}/tmp-{kind};" for kind in TEMPORARY)
        locations = "\n".join(f"location /{name}/ {{ proxy_pass http://{name}; }}" for name in ports)
        upstreams = "\n".join(
            f"upstream {name} {{ {_servers([each] if isinstance(each, int) else each)} }}"
            for name, each in ports.items()
        )
        return f"""
pid {self._directory}/nginx.pid;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
access_log off;
{temporary}
{upstreams}
server {{ listen 127.0.0.1:{self.port}; {locations} }}
}}
"""


def _servers(ports: Sequence[int]) -> str:
    # One that refuses is asked again after a second: it is being started anew.
    return " ".join(f"server 127.0.0.1:{port} fail_timeout=1s;" for port in ports)
