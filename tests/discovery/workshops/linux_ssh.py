"""A host with a real sshd, whose account is not root: some of its folders may be closed to it."""

import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.discovery.workshops import Workshop
from tests.servers.ssh import Sshd, private_text
from tests.servers.tls import CertificateAuthority

ACCOUNT = "postgres"
"""An account that is not root; the tests' database brings it."""


class Host:
    """One host; `put` writes PEM files into its folders."""

    kind = "linux-ssh"

    def __init__(self, sshd: Sshd, directory: Path) -> None:
        self._sshd = sshd
        self._folders = (directory / "one", directory / "two")
        self._authority = CertificateAuthority("hosts")
        self._written = 0
        self._stalled: socket.socket | None = None
        for folder in self._folders:
            folder.mkdir()
        self.settings: Mapping[str, Any] = {
            "host": sshd.host,
            "port": sshd.port,
            "username": sshd.username,
            "host_key": sshd.host_key,
            "folders": [str(folder) for folder in self._folders],
            "configurations": {},
        }
        self.credential: Mapping[str, Any] = {"private_key": sshd.client_key}
        self.wrong_credential: Mapping[str, Any] = {"private_key": private_text(Ed25519PrivateKey.generate())}

    def put(self, count: int) -> Mapping[str, str]:
        """Write so many more, into one folder and the other in turn."""
        written = {}
        for _ in range(count):
            issued = self._authority.issue(f"h{self._written}.test")
            certificate = self._folders[self._written % 2] / f"{self._written:04}" / "cert.pem"
            certificate.parent.mkdir()
            certificate.write_bytes(issued.chain_pem)
            written[str(certificate)] = issued.fingerprint
            self._written += 1
        return written

    def forbid(self) -> frozenset[str]:
        """Close the second folder."""
        folder = self._folders[1]
        hidden = frozenset(str(path) for path in folder.rglob("cert.pem"))
        folder.chmod(0o000)
        return hidden

    def state(self) -> object:
        """Return every file with its content and times of change."""
        paths = (path for folder in self._folders for path in folder.rglob("*"))
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in paths
        }

    def stall(self) -> None:
        """Listen in the place of sshd, and say nothing."""
        self._sshd.stop()
        self._stalled = socket.create_server((self._sshd.host, self._sshd.port))

    def stop(self) -> None:
        """Stop sshd."""
        self._sshd.stop()

    def close(self) -> None:
        """Stop everything."""
        self._sshd.stop()
        if self._stalled is not None:
            self._stalled.close()
        with suppress(OSError):
            self._folders[1].chmod(0o755)


@asynccontextmanager
async def workshop(_directory: Path) -> AsyncIterator[Workshop]:
    """Start sshd as an account without rights, in folders that it may come to."""
    with tempfile.TemporaryDirectory(prefix="everleaf-host-") as folder:
        home, files = Path(folder) / "sshd", Path(folder) / "files"
        for each in (Path(folder), home, files):
            each.mkdir(exist_ok=True)
            each.chmod(0o755)
        sshd = Sshd(home, user=ACCOUNT)
        sshd.start()
        host = Host(sshd, files)
        try:
            yield host
        finally:
            host.close()
