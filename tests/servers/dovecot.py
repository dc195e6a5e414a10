"""A real Dovecot in a folder of its own: IMAP, POP3, ManageSieve and LMTP, each on its port; nobody has mail. Needs root."""

import signal
from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import Issued

PACKAGE = "dovecot-imapd dovecot-pop3d dovecot-managesieved dovecot-lmtpd"


class Dovecot:
    """A running Dovecot."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        self.imap_port, self.pop3_port, self.sieve_port, self.lmtp_port = (free_port() for _ in range(4))
        self._directory = directory
        self._tls = tls
        self._process: Process | None = None

    def start(self) -> None:
        """Start it and return when every port accepts connections."""
        configuration = self._directory / "dovecot.conf"
        configuration.write_text(self._config())
        self._process = Process(
            [program("dovecot", package=PACKAGE), "-F", "-c", configuration],
            log=self._directory / "output.log",
        )
        for port in (self.imap_port, self.pop3_port, self.sieve_port, self.lmtp_port):
            self._process.wait_port(port)

    def stop(self) -> None:
        """Stop the master and its children."""
        if self._process is not None:
            self._process.stop(with_signal=signal.SIGTERM)
            self._process = None

    def _config(self) -> str:
        here = self._directory
        return f"""
protocols = imap pop3 lmtp sieve
listen = 127.0.0.1
base_dir = {here}/run
state_dir = {here}/state
log_path = {here}/dovecot.log
passdb {{
  driver = passwd-file
  args = /dev/null
}}
userdb {{
  driver = passwd-file
  args = /dev/null
}}
{self._encryption()}
{_service("imap-login", listener="imap", port=self.imap_port, unwanted="imaps")}
{_service("pop3-login", listener="pop3", port=self.pop3_port, unwanted="pop3s")}
{_service("managesieve-login", listener="sieve", port=self.sieve_port)}
{_service("lmtp", listener="lmtp", port=self.lmtp_port)}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

    def _encryption(self) -> str:
        if self._tls is None:
            return "ssl = no"
        certificate, key = self._tls.write(self._directory / "tls")
        return f"ssl = yes\nssl_cert = <{certificate}\nssl_key = <{key}"


def _service(name: str, *, listener: str, port: int, unwanted: str | None = None) -> str:
    without = f"inet_listener {unwanted} {{\n    port = 0\n  }}" if unwanted else ""
    return f"""service {name} {{
  chroot =
  inet_listener {listener} {{
    address = 127.0.0.1
    port = {port}
  }}
  {without}
}}"""
