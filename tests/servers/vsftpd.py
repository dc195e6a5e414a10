"""A real vsftpd that lets nobody but anonymous in, to an empty folder. Needs root."""

from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import Issued


class Vsftpd:
    """A running vsftpd: FTP on `port`."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        self.port = free_port()
        self._directory = directory
        self._tls = tls
        self._process: Process | None = None

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        configuration = self._directory / "vsftpd.conf"
        configuration.write_text(self._config())
        (self._directory / "empty").mkdir()
        self._process = Process(
            [program("vsftpd", package="vsftpd"), configuration], log=self._directory / "output.log"
        )
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _config(self) -> str:
        text = f"""
listen=YES
background=NO
listen_address=127.0.0.1
listen_port={self.port}
anonymous_enable=YES
anon_root={self._directory}/empty
secure_chroot_dir={self._directory}/empty
xferlog_enable=NO
"""
        if self._tls:
            certificate, key = self._tls.write(self._directory / "tls")
            text += f"ssl_enable=YES\nrsa_cert_file={certificate}\nrsa_private_key_file={key}\n"
        return text
