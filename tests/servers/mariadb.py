"""A real MariaDB without any databases or accounts."""

import shutil
from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import Issued

ACCOUNT = "mysql"  # it refuses to run as root


class Mariadb:
    """A running MariaDB on `port`."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        self.port = free_port()
        self._directory = directory
        self._tls = tls
        self._process: Process | None = None

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        data = self._directory / "data"
        data.mkdir()
        shutil.chown(data, ACCOUNT)
        self._process = Process(
            [program("mariadbd", package="mariadb-server"), *self._options(data)],
            log=self._directory / "output.log",
            user=ACCOUNT,
        )
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _options(self, data: Path) -> list[str]:
        options = [
            "--no-defaults",
            f"--datadir={data}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={data}/socket",
            "--skip-grant-tables",  # so the tables of the accounts need not be made first, which takes long
            "--skip-innodb",
            "--default-storage-engine=MyISAM",
        ]
        if self._tls:
            certificate, key = self._tls.write(self._directory / "tls")
            for path in (certificate.parent, key):
                shutil.chown(path, ACCOUNT)
            options += [f"--ssl-cert={certificate}", f"--ssl-key={key}"]
        return options
