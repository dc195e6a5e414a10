"""A real HAProxy that presents a folder of certificates on one port."""

from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import CertificateAuthority, Issued

PACKAGE = "haproxy"


class HaProxy:
    """One bind line; each certificate is in a file with its key, as HAProxy likes it; `write` before `start`."""

    def __init__(self, directory: Path, *, ca: CertificateAuthority) -> None:
        self.directory = directory
        self.port = free_port()
        self.start_file = directory / "haproxy.cfg"
        self.issued: dict[str, Issued] = {}
        self._ca = ca
        self._process: Process | None = None

    def write(self, *server_names: str, socket: Path | None = None) -> None:
        """Write the configuration and a certificate for each name; at the socket it can be told what to do."""
        folder = self.directory / "tls"
        folder.mkdir(parents=True)
        for name in server_names:
            issued = self.issued[name] = self._ca.issue(name)
            path = folder / f"{name}.pem"
            path.touch(mode=0o600)
            path.write_bytes(issued.chain_pem + issued.key_pem)
        listens = f"  stats socket {socket} mode 600 level admin\n" if socket is not None else ""
        self.start_file.write_text(
            f"global\n{listens}  crt-base {self.directory}\n  ssl-default-bind-options ssl-min-ver TLSv1.2\n"
            "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n"
            f"frontend www\n  bind 127.0.0.1:{self.port} ssl crt tls\n  http-request return status 204\n"
        )

    def start(self) -> None:
        """Start it, and return when it listens."""
        command: list[str | Path] = [program("haproxy", package=PACKAGE), "-W", "-db", "-f", self.start_file]
        self._process = Process(command, log=self.directory / "haproxy.log")
        self._process.wait_port(self.port)

    @property
    def pid(self) -> int:
        """The master's process id: SIGUSR2 makes it read its files again."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None
