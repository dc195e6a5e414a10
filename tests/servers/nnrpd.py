"""INN's real nnrpd, the part that speaks to readers, without a news server behind it. Needs root."""

import shutil
from pathlib import Path

from tests.servers.processes import MissingServer, Process, free_port
from tests.servers.tls import Issued

NNRPD = Path("/usr/lib/news/bin/nnrpd")
ACCOUNT = "news"


class Nnrpd:
    """A running nnrpd: NNTP on `port`."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        self.port = free_port()
        self._directory = directory
        self._tls = tls
        self._process: Process | None = None

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        if not NNRPD.exists():
            raise MissingServer("INN is not installed. Install it with: apt-get install inn2")
        configuration = self._directory / "inn.conf"
        configuration.write_text(self._config())
        readers = self._directory / "readers.conf"
        readers.write_text('auth all {\n  default: "reader"\n}\naccess all {\n  newsgroups: "*"\n}\n')
        storage = self._directory / "storage.conf"
        storage.write_text('method trash {\n  newsgroups: "*"\n  class: 0\n}\n')
        self._process = Process(
            [NNRPD, "-D", "-f", "-4", "127.0.0.1", "-p", str(self.port), "-c", readers],
            log=self._directory / "output.log",
            env={"INNCONF": str(configuration)},
        )
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def _config(self) -> str:
        text = f"""
domain: starttls.test
pathhost: starttls.test
pathnews: /usr/lib/news
mta: "/bin/true %s"
hismethod: hisv6
ovmethod: tradindexed
pathdb: {self._directory}/db
pathrun: {self._directory}/run
pathlog: {self._directory}
pathspool: {self._directory}/spool
pathetc: {self._directory}
"""
        for folder in ("db", "run", "spool", "spool/overview"):
            (self._directory / folder).mkdir()
            shutil.chown(self._directory / folder, ACCOUNT)
        (self._directory / "spool/overview/group.index").touch()
        if self._tls:
            certificate, key = self._tls.write(self._directory / "tls")
            for path in (certificate.parent, certificate, key):
                shutil.chown(path, ACCOUNT)
            text += f"tlscertfile: {certificate}\ntlskeyfile: {key}\n"
        return text
