"""A real rsyslog that takes syslog over TLS (RFC 5425) and writes down what it has understood of each message."""

import itertools
import json
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import LOOPBACK, CertificateAuthority

PACKAGE = "rsyslog"
_MARKS = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Received:
    """A message as rsyslog has parsed it."""

    severity: str
    application: str
    message_id: str
    data: str
    text: str
    time: str


class Rsyslog:
    """A receiver on `port`; with `asks`, only who shows a certificate of the authority is taken."""

    def __init__(self, directory: Path, *, ca: CertificateAuthority, asks: bool = False) -> None:
        self.port = free_port()
        self._directory = directory
        self._got = directory / "got.jsonl"
        self._ca = ca
        self._process: Process | None = None
        directory.mkdir(exist_ok=True)
        (directory / "ca.pem").write_bytes(ca.pem)
        certificate, key = ca.issue(*LOOPBACK).write(directory / "server")
        mode = "x509/certvalid" if asks else "anon"
        (directory / "rsyslog.conf").write_text(
            f'global(workDirectory="{directory}" defaultNetstreamDriver="ossl"\n'
            f'  defaultNetstreamDriverCAFile="{directory}/ca.pem"\n'
            f'  defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}"\n'
            '  maxMessageSize="16k")\n'
            'module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1"'
            f' streamDriver.authMode="{mode}")\n'
            f'input(type="imtcp" address="127.0.0.1" port="{self.port}")\n'
            'template(name="parsed" type="list" option.jsonf="on") {\n'
            '  property(outname="severity" name="syslogseverity-text" format="jsonf")\n'
            '  property(outname="application" name="app-name" format="jsonf")\n'
            '  property(outname="message_id" name="msgid" format="jsonf")\n'
            '  property(outname="data" name="structured-data" format="jsonf")\n'
            '  property(outname="text" name="msg" format="jsonf")\n'
            '  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")\n'
            "}\n"
            f'action(type="omfile" file="{self._got}" template="parsed" flushOnTXEnd="on")\n'
        )

    def start(self) -> None:
        """Start it, and return when it listens."""
        command = [program("rsyslogd", package=PACKAGE), "-n", "-i", "NONE"]
        self._process = Process(
            [*command, "-f", self._directory / "rsyslog.conf"], log=self._directory / "output.log"
        )
        self._process.wait_port(self.port)

    def stop(self) -> None:
        """Stop it: connections are refused until the next start."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def arrived(self, *, identity: tuple[Path, Path] | None = None) -> list[Received]:
        """Return what it has got so far: a mark that is sent now comes last."""
        if self._process is not None:
            self._mark(identity)
        lines = self._got.read_text().splitlines() if self._got.exists() else []
        found = [Received(**json.loads(line)) for line in lines]
        return [each for each in found if each.application == "everleaf"]

    def _mark(self, identity: tuple[Path, Path] | None) -> None:
        mark = f"mark {next(_MARKS)}."
        content = f"<13>1 - - mark - - - {mark}".encode()
        context = ssl.create_default_context(cadata=self._ca.pem.decode())
        if identity is not None:
            context.load_cert_chain(*identity)
        with (
            socket.create_connection(("127.0.0.1", self.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            wrapped.sendall(b"%d %b" % (len(content), content))
        deadline = time.monotonic() + 10
        while not self._got.exists() or mark not in self._got.read_text():
            assert time.monotonic() < deadline, "rsyslog does not write"
            time.sleep(0.01)
