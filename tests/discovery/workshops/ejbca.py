"""An EJBCA with two CAs, asked by an administrator with a client certificate."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.discovery.workshops import Workshop
from tests.servers.ejbca import Authority, Ejbca
from tests.servers.tls import CertificateAuthority, Issued

NAMES = ("Issuing CA 1", "Issuing/CA 2")
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)


class Searched:
    """One EJBCA; `put` issues from the one CA and the other in turn, one a minute."""

    kind = "ejbca"

    def __init__(self, server: Ejbca) -> None:
        self.server = server
        self.authorities = [server.add(name) for name in NAMES]
        self.settings: Mapping[str, Any] = {
            "url": server.api,
            "authorities": list(NAMES),
            "trusted_ca": server.tls.pem.decode(),
        }
        self.credential: Mapping[str, Any] = identity(server.clients)
        self.wrong_credential: Mapping[str, Any] = identity(CertificateAuthority("Somebody else"))
        self._issued = 0

    def put(self, count: int) -> Mapping[str, str]:
        """Issue so many more."""
        issued = {}
        for _ in range(count):
            authority = self.authorities[self._issued % 2]
            made = authority.issue(f"e{self._issued}.test", begins=START + timedelta(minutes=self._issued))
            issued[path_of(authority, made)] = made.fingerprint
            self._issued += 1
        return issued

    def forbid(self) -> frozenset[str]:
        """Take the second CA out of the role's access."""
        hidden = self.authorities[1]
        self.server.visible.discard(hidden.name)
        return frozenset(_path(hidden.name, row["serialNumber"]) for row in hidden.rows)

    def state(self) -> object:
        """Return all that EJBCA keeps."""
        return json.dumps([authority.rows for authority in self.authorities]), sorted(self.server.visible)

    def stall(self) -> None:
        """Read requests and say nothing."""
        self.server.is_stalled = True

    def stop(self) -> None:
        """Stop the server."""
        self.server.stop()


def identity(authority: CertificateAuthority) -> Mapping[str, Any]:
    """Return a client certificate of an authority, as a credential."""
    issued = authority.issue("everleaf", usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    return {"certificate": issued.chain_pem.decode(), "private_key": issued.key_pem.decode()}


def path_of(authority: Authority, made: Issued) -> str:
    """Return the path of a holding."""
    return _path(authority.name, f"{made.certificate.serial_number:x}")


def _path(name: str, serial: str) -> str:
    return f"{name.replace('/', '%2F')}/issued/{int(serial, 16):x}"


@asynccontextmanager
async def workshop(directory: Path, *, needs_certificate: bool = True) -> AsyncIterator[Workshop]:
    """Start an EJBCA."""
    server = Ejbca(directory / "ejbca", needs_certificate=needs_certificate)
    server.start()
    try:
        yield Searched(server)
    finally:
        server.stop()
