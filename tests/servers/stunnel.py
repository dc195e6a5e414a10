"""A real stunnel in front of nothing, with a certificate for each name on one port."""

from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import CertificateAuthority, Issued

PACKAGE = "stunnel4"


class Stunnel:
    """One service that accepts, and one behind it for each further name; `write` before `start`."""

    def __init__(self, directory: Path, *, ca: CertificateAuthority) -> None:
        self.directory = directory
        self.port = free_port()
        self.start_file = directory / "stunnel.conf"
        self.issued: dict[str, Issued] = {}
        self._ca = ca
        self._process: Process | None = None

    def write(self, default: str, *server_names: str) -> None:
        """Write the configuration: a certificate for whoever asks for no name, and one for each name."""
        folder = self.directory / "services"
        folder.mkdir(parents=True)
        self.start_file.write_text(f"foreground = yes\npid =\nconnect = 127.0.0.1:9\ninclude = {folder}\n")
        accept = f"accept = 127.0.0.1:{self.port}\n"
        (folder / "10-first.conf").write_text(f"[first]\n{accept}{self._files(default)}")
        for name in server_names:
            text = f"[of {name}]\nsni = first:{name}\n{self._files(name)}"
            (folder / f"20-{name}.conf").write_text(text)

    def _files(self, name: str) -> str:
        issued = self.issued[name] = self._ca.issue(name)
        certificate, key = issued.write(self.directory / name)
        return f"cert = {certificate}\nkey = {key}\n"

    def start(self) -> None:
        """Start it, and return when it listens."""
        command: list[str | Path] = [program("stunnel4", package=PACKAGE), self.start_file]
        self._process = Process(command, log=self.directory / "stunnel.log")
        self._process.wait_port(self.port)

    @property
    def pid(self) -> int:
        """Its process id: SIGHUP makes it read its files again."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None
