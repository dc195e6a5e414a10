"""A real Postfix with its queue in a folder of its own; it receives and delivers nothing. Needs root."""

import shutil
from pathlib import Path

from tests.servers.processes import MissingServer, Process, free_port
from tests.servers.tls import Issued

MASTER = Path("/usr/lib/postfix/sbin/master")
ACCOUNT = "postfix"


class Postfix:
    """A running Postfix: SMTP on `port`."""

    is_combined = False
    """Whether key and certificates are in one file."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        self.port = free_port()
        self._directory = directory
        self._tls = tls
        self._process: Process | None = None

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        if not MASTER.exists():
            raise MissingServer("Postfix is not installed. Install it with: apt-get install postfix")
        (self._directory / "main.cf").write_text(self._main())
        (self._directory / "master.cf").write_text(self._services())
        data = self._directory / "data"
        data.mkdir()
        shutil.chown(data, ACCOUNT)
        self._make_queue(self._directory / "queue")
        self._process = Process(
            [MASTER, "-c", self._directory, "-s"],
            log=self._directory / "master.log",
            env={"MAIL_CONFIG": str(self._directory), "MAIL_LOGTAG": "postfix"},
        )
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop the master and its children."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    @staticmethod
    def _make_queue(queue: Path) -> None:
        for name, mode in (("pid", 0o755), ("private", 0o700), ("public", 0o710)):
            folder = queue / name
            folder.mkdir(parents=True)
            folder.chmod(mode)
            if name != "pid":
                shutil.chown(folder, ACCOUNT)

    def _main(self) -> str:
        here = self._directory
        text = f"""
compatibility_level = 3.6
myhostname = starttls.test
queue_directory = {here}/queue
data_directory = {here}/data
maillog_file = {here}/postfix.log
maillog_file_prefixes = {here}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
smtpd_peername_lookup = no
smtpd_tls_security_level = {"may" if self._tls else "none"}
"""
        if self._tls:
            certificate, key = self._tls.write(here / "tls")
            files = f"{key}, {certificate}"
            if self.is_combined:
                key.write_bytes(key.read_bytes() + certificate.read_bytes())
                certificate.unlink()
                files = str(key.rename(key.with_name("smtp.pem")))
            text += f"smtpd_tls_chain_files = {files}\n"
        return text

    def _services(self) -> str:
        return f"""
127.0.0.1:{self.port} inet n - n - - smtpd
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""
