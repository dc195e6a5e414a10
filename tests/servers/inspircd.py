"""A real InspIRCd with nobody on it."""

from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import Issued


class Inspircd:
    """A running InspIRCd: IRC on `port`."""

    def __init__(self, directory: Path, *, tls: Issued | None) -> None:
        self.port = free_port()
        self._directory = directory
        self._tls = tls
        self._process: Process | None = None

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        configuration = self._directory / "inspircd.conf"
        configuration.write_text(self._config())
        self._process = Process(
            [
                program("inspircd", package="inspircd"),
                "--nofork",
                "--nopid",
                "--runasroot",
                "--config",
                configuration,
            ],
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
<server name="irc.starttls.test" description="test" network="test">
<admin name="test" nick="test" email="test@starttls.test">
<bind address="127.0.0.1" port="{self.port}" type="clients">
<connect allow="*" timeout="30">
<path configdir="{self._directory}" datadir="{self._directory}" logdir="{self._directory}" runtimedir="{self._directory}">
{self._encryption()}
"""

    def _encryption(self) -> str:
        # Without the module it would pass STARTTLS over in silence; without a certificate it says no.
        asked = '<module name="starttls">'
        if self._tls is None:
            return asked
        certificate, key = self._tls.write(self._directory / "tls")
        return f"""<module name="ssl_gnutls">
<sslprofile name="clients" provider="gnutls" certfile="{certificate}" keyfile="{key}">
{asked}
<starttls provider="clients">
"""
