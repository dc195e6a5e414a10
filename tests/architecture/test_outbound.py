"""Nobody opens a connection of their own: what a user names is reached through the one guarded way."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.tree import ROOT

OPENS = {
    "httpx.AsyncClient", "httpx.Client", "httpx.AsyncHTTPTransport", "httpx.HTTPTransport",
    "httpx.get", "httpx.post", "httpx.request", "httpx.stream",
    "httpcore.AsyncConnectionPool", "httpcore.ConnectionPool", "httpcore.AnyIOBackend",
    "socket.socket", "socket.create_connection", "asyncio.open_connection", "anyio.connect_tcp",
    "asyncssh.connect", "asyncssh.connect_reverse", "aiosmtplib.SMTP", "aiosmtplib.send",
    "boto3.client", "boto3.resource", "Session.client", "asyncpg.connect", "aio_pika.connect_robust",
    "snmp.send_notification",
}  # fmt: skip
PACKAGES = ("dns.asyncquery", "dns.query", "dns.resolver", "dns.asyncresolver")
METHODS = {"create_connection", "create_datagram_endpoint", "sock_connect", "connect_ex"}
"""Of an event loop or of a socket."""
MODULES = {
    "requests",
    "aiohttp",
    "urllib3",
    "http.client",
    "urllib.request",
    "ftplib",
    "telnetlib",
    "smtplib",
    "pycurl",
}
"""What must not be imported at all: each would bring a way of its own."""
MAY = {
    "shared/outbound.py": "the guarded client itself",
    "shared/ssh_connection.py": "SSH, held against the scanner's lists where a user names the host; the host key is verified",
    "services/program.py": "carries requests to our own services, at the address an operator has set",
    "services/cli/health.py": "asks the process on this host, for its supervisor",
    "services/run.py": "listens, and connects to nobody",
    "services/discovery/scanner/door.py": "the scanner, held against its allow and deny lists",
    "services/siblings.py": "our own services, at the address an operator has set",
    "services/discovery/scanner/engine.py": "the scanner, held against its allow and deny lists",
    "services/discovery/connectors/database.py": "dials what permitted_addresses has returned",
    "services/notifier/connectors/dial.py": "dials what the policy permits, for mail",
    "services/notifier/connectors/email.py": "speaks SMTP over the connection that dial.py has opened",
    "services/notifier/connectors/stream.py": "speaks TLS over the connection that dial.py has opened",
    "services/notifier/connectors/snmp/wire.py": "sends to an address that permitted_addresses has returned",
    "services/provisioner/connectors/wire.py": "a handshake with the target that was just changed, nothing sent",
    "services/renewal/connectors/dns/rfc2136.py": "dials the DNS server that the policy permits",
    "services/renewal/connectors/dns/servers.py": "dials the DNS servers that the policy permits",
    "services/renewal/connectors/dns/lookup.py": "asks the resolver of this host, or one that the policy permits",
}
"""By file: why it may, and what holds it back."""


def opened(path: Path) -> Iterator[str]:
    """Yield every way in which a file opens connections."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            yield from names & MODULES
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            package, _, method = called.rpartition(".")
            if called in OPENS or method in METHODS or package in PACKAGES:
                yield called


def sources() -> list[Path]:
    return [path for folder in ("services", "shared") for path in sorted((ROOT / folder).rglob("*.py"))]


def test_only_these_files_open_connections():
    opening = {str(path.relative_to(ROOT)): sorted(set(opened(path))) for path in sources()}
    assert {path: ways for path, ways in opening.items() if ways and path not in MAY} == {}
    assert {path for path in MAY if not opening.get(path)} == set(), "no longer needed"
