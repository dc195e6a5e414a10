"""A real xrdp, without the session manager behind it: nobody can log in."""

from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import Issued


class Xrdp:
    """A running xrdp: RDP on `port`."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        self.port = free_port()
        self._directory = directory
        self._tls = tls
        self._process: Process | None = None

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        configuration = self._directory / "xrdp.ini"
        configuration.write_text(self._config())
        self._process = Process(
            [program("xrdp", package="xrdp"), "--nodaemon", "--config", configuration],
            log=self._directory / "output.log",
        )
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _config(self) -> str:
        return f"""
[Globals]
ini_version=1
fork=true
port=tcp://127.0.0.1:{self.port}
{self._encryption()}
[Logging]
LogFile={self._directory}/xrdp.log
LogLevel=INFO
EnableSyslog=false
[Xorg]
name=none
lib=libxup.so
"""

    def _encryption(self) -> str:
        if self._tls is None:
            return "security_layer=rdp"
        certificate, key = self._tls.write(self._directory / "tls")
        return f"security_layer=negotiate\ncertificate={certificate}\nkey_file={key}"
