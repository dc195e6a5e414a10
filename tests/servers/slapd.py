"""A real OpenLDAP slapd without any entries."""

from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import Issued


class Slapd:
    """A running slapd: LDAP on `port`."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        self.port = free_port()
        self._directory = directory
        self._tls = tls
        self._process: Process | None = None

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        configuration = self._directory / "slapd.conf"
        configuration.write_text(self._config())
        url = f"ldap://127.0.0.1:{self.port}/"
        self._process = Process(
            [program("slapd", package="slapd"), "-d", "0", "-h", url, "-f", configuration],
            log=self._directory / "output.log",
        )
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _config(self) -> str:
        text = f"pidfile {self._directory}/slapd.pid\nargsfile {self._directory}/slapd.args\n"
        if self._tls:
            certificate, key = self._tls.write(self._directory / "tls")
            text += f"TLSCertificateFile {certificate}\nTLSCertificateKeyFile {key}\n"
        return text
