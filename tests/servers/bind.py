"""BIND, a real authoritative name server that takes signed updates (RFC 2136, RFC 8945) of one zone's TXT records.

Every name in the zone is 127.0.0.1, but a name below which a TXT record was put loses that (RFC 4592
section 2.2.2): take challenge records out again.
"""

import base64
import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

from tests.servers.processes import NotStarted, Process, free_port, program

READY_IN = 30.0


class Bind:
    """A running named: its zone, and the TSIG key that may change it (`secret` in base64)."""

    zone = "example.test"
    key_name = "everleaf-acme."
    algorithm = "hmac-sha256"
    host = "127.0.0.1"

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.secret = base64.b64encode(secrets.token_bytes(32)).decode()
        self._directory = directory
        self._process: Process | None = None
        (directory / "zone").write_text(_zone())

    @property
    def address(self) -> str:
        """host:port, as Pebble's `dns_server` wants it."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """Start named and return when it answers for its zone."""
        config = self._directory / "named.conf"
        config.write_text(self._config())
        args = [program("named", package="bind9"), "-4", "-g", "-n", "1", "-c", str(config)]
        self._process = Process(args, log=self._directory / "named.log")
        self._wait(self._process)

    def stop(self) -> None:
        """Stop named; the zone's changes stay on disk for the next start."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def txt(self, name: str) -> list[str]:
        """Return the values of the TXT records of a name, as the server gives them now."""
        answer = self._ask(name, kind=dns.rdatatype.TXT)
        found = [record for rrset in answer.answer for record in rrset if record.rdtype == dns.rdatatype.TXT]
        return sorted(b"".join(record.strings).decode() for record in found)

    def _ask(self, name: str, *, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        return dns.query.tcp(dns.message.make_query(name, kind), self.host, port=self.port, timeout=2)

    def _wait(self, process: Process) -> None:
        deadline = time.monotonic() + READY_IN
        while time.monotonic() < deadline:
            process.check()
            with contextlib.suppress(OSError, dns.exception.DNSException, EOFError):
                if self._ask(self.zone, kind=dns.rdatatype.SOA).answer:
                    return
            time.sleep(0.02)
        raise NotStarted(f"named did not answer in {READY_IN} s. {process.tail()}")

    def _config(self) -> str:
        here = self._directory
        return f"""
options {{
    directory "{here}"; pid-file none; session-keyfile "{here}/session.key"; managed-keys-directory "{here}";
    listen-on port {self.port} {{ {self.host}; }}; listen-on-v6 {{ none; }};
    recursion no; dnssec-validation no; allow-transfer {{ none; }}; notify no;
}};
controls {{ }};
key "{self.key_name}" {{ algorithm {self.algorithm}; secret "{self.secret}"; }};
zone "{self.zone}" {{
    type primary; file "{here}/zone";
    update-policy {{ grant {self.key_name} subdomain {self.zone}. TXT; }};
}};
"""


def _zone() -> str:
    return """$TTL 1
@ IN SOA ns hostmaster 1 60 60 60 1
@ IN NS ns
@ IN A 127.0.0.1
ns IN A 127.0.0.1
* IN A 127.0.0.1
"""


@pytest.fixture(scope="session")
def bind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    """One name server for the whole run; use names of your own in its zone."""
    server = Bind(tmp_path_factory.mktemp("bind"))
    with contextlib.ExitStack() as running:
        running.callback(server.stop)
        server.start()
        yield server
