"""A real PostgreSQL with the tables of a step-ca, and a login that may read two of them.

The tables are those that step-ca makes: names and content from `db/db.go` of smallstep/certificates (the key is the
serial number in decimal, the value the DER), their columns from `postgresql/postgresql.go` of smallstep/nosql.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from tests.discovery.workshops import Workshop
from tests.servers.fault_proxy import FaultProxy
from tests.servers.postgres import ACCOUNT, OwnDatabase, Postgres
from tests.servers.tls import LOOPBACK, CertificateAuthority, Issued

TABLES = ("x509_certs", "x509_certs_data", "revoked_x509_certs", "used_ott")


class Tables:
    """One database; `put` issues as step-ca does."""

    kind = "step-ca"

    def __init__(self, server: Postgres, own: OwnDatabase, proxy: FaultProxy, *, trusted_ca: str) -> None:
        self._server = server
        self._own = own
        self._proxy = proxy
        self.root = CertificateAuthority("Smallstep root")
        self.authority = self.root.intermediate("Smallstep intermediate")
        columns = "(nkey BYTEA CHECK (octet_length(nkey) <= 255), nvalue BYTEA, PRIMARY KEY (nkey))"
        self.sql(
            f"DROP TABLE IF EXISTS {', '.join(TABLES)};"
            + "".join(f"CREATE TABLE {table} {columns};" for table in TABLES)
            + f"GRANT SELECT ON x509_certs, revoked_x509_certs TO {own.user}"
        )
        self.settings: Mapping[str, Any] = {
            "name": "ca.step.test",
            "host": "localhost",
            "port": proxy.port,
            "database": own.name,
            "username": own.user,
            "trusted_ca": trusted_ca,
            "issuers": (self.authority.pem + self.root.pem).decode(),
        }
        self.credential: Mapping[str, Any] = {"password": own.password}
        self.wrong_credential: Mapping[str, Any] = {"password": "not-its-password"}
        self._issued = 0

    def sql(self, statement: str) -> str:
        """Run a statement as the owner of the tables."""
        return self._server.sql(statement, database=self._own.name)

    def put(self, count: int) -> Mapping[str, str]:
        """Issue so many more."""
        made = [self.authority.issue(f"s{self._issued + at}.test") for at in range(count)]
        self._issued += count
        self.keep(*made)
        return {path_of(each): each.fingerprint for each in made}

    def issue(self, name: str, *, ends_in: timedelta) -> Issued:
        """Issue one that ends then."""
        now = datetime.now(UTC)
        made = self.authority.issue(name, not_before=now - timedelta(days=2), not_after=now + ends_in)
        self.keep(made)
        return made

    def keep(self, *made: Issued) -> None:
        """Store what was issued."""
        rows = [(key_of(each), each.certificate.public_bytes(Encoding.DER)) for each in made]
        values = ", ".join(f"('\\x{key.hex()}', '\\x{der.hex()}')" for key, der in rows)
        self.sql(f"INSERT INTO x509_certs VALUES {values}")

    def revoke(self, made: Issued) -> None:
        """Revoke one."""
        self.sql(f"INSERT INTO revoked_x509_certs VALUES ('\\x{key_of(made).hex()}', '{{}}')")

    def forbid(self) -> frozenset[str]:
        """Take the right to read the table of certificates away."""
        keys = self.sql("SELECT encode(nkey, 'escape') FROM x509_certs").split()
        self.sql(f"REVOKE SELECT ON x509_certs FROM {self._own.user}")
        return frozenset(f"issued/{int(key):x}" for key in keys)

    def state(self) -> object:
        """Return every row of every table."""
        return {table: self.sql(f"SELECT xmin, * FROM {table} ORDER BY nkey") for table in TABLES}

    def stall(self) -> None:
        """Take connections, and pass nothing on."""
        self._proxy.silent = True

    def stop(self) -> None:
        """Reset every connection."""
        self._proxy.refuse = True


def key_of(made: Issued) -> bytes:
    """Return the key of a certificate's row."""
    return str(made.certificate.serial_number).encode()


def path_of(made: Issued) -> str:
    """Return the path of a holding."""
    return f"issued/{made.certificate.serial_number:x}"


@cache
def cluster() -> tuple[Postgres, OwnDatabase, str]:
    """Return a cluster that speaks TLS, a database in it, and the CA of its certificate: for all tests of the process."""
    home = Path(tempfile.mkdtemp(prefix="everleaf-step-ca-"))
    home.chmod(0o711)
    authority = CertificateAuthority("The database's own TLS")
    files = authority.issue(*LOOPBACK).write(home / "tls")
    if os.getuid() == 0:
        for path in (home / "tls", *files):
            shutil.chown(path, ACCOUNT)
    server = Postgres(home / "cluster", tls=files)
    server.create()
    server.start()
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    atexit.register(server.stop)
    return server, server.database("stepca"), authority.pem.decode()


@asynccontextmanager
async def workshop(_directory: Path) -> AsyncIterator[Workshop]:
    """Make a database in the cluster, behind a proxy that can be silent."""
    server, own, trusted_ca = cluster()
    proxy = FaultProxy(("127.0.0.1", server.port))
    await proxy.start()
    try:
        yield Tables(server, own, proxy, trusted_ca=trusted_ca)
    finally:
        proxy.silent = False
        await proxy.stop()
