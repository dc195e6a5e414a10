"""OpenSSL's own test server: any mix of versions, suites and certificates, as its options say."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import Process, free_port, program
from tests.servers.tls import Issued


@contextmanager
def openssl_server(*options: str, issued: Issued, folder: Path, other: Issued | None = None) -> Iterator[int]:
    """Serve `issued` (and `other`, a certificate with another kind of key) on the port that is returned."""
    certificate, key = issued.write(folder)
    command: list[str | Path] = [program("openssl", package="openssl"), "s_server", "-www", "-quiet"]
    command += ["-cert", certificate, "-key", key, "-cert_chain", certificate]
    if other is not None:
        certificate, key = other.write(folder / "other")
        command += ["-dcert", certificate, "-dkey", key, "-dcert_chain", certificate]
    port = free_port()
    process = Process([*command, "-accept", f"127.0.0.1:{port}", *options], log=folder / "s_server.log")
    try:
        process.wait_port(port)
        yield port
    finally:
        process.stop()
