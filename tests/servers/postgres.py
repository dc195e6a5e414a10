"""A real PostgreSQL cluster for the test run; each test gets databases of its own, with their own users."""

import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.servers.processes import MissingServer, NotStarted, Process, free_port

PACKAGE = "postgresql"
ACCOUNT = "postgres"  # PostgreSQL refuses to run as root
SUPERUSER = "everleaf_tests"


def binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        raise MissingServer(f"PostgreSQL is not installed. Install it with: apt-get install {PACKAGE}")
    return found[-1].parent


@dataclass(frozen=True, kw_only=True)
class OwnDatabase:
    """A fresh database, and the one user who may use it."""

    name: str
    user: str
    password: str
    port: int

    @property
    def url(self) -> str:
        """What `EVERLEAF_…_DATABASE_URL` takes, password included."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.name}"


class Postgres:
    """A private cluster in a directory that the account PostgreSQL runs as can reach; `tls` is its certificate and key."""

    def __init__(self, directory: Path, *, tls: tuple[Path, Path] | None = None) -> None:
        self.port = free_port()
        self.directory = directory
        self._password = secrets.token_urlsafe(16)
        self._tls = tls
        self._numbers = itertools.count(1)
        self._process: Process | None = None
        self._bin = binaries()

    def create(self) -> None:
        """Make the cluster."""
        self.directory.mkdir(parents=True, exist_ok=True)
        password = self.directory / "password"
        password.write_text(self._password)
        if os.getuid() == 0:
            shutil.chown(self.directory, ACCOUNT)
            shutil.chown(password, ACCOUNT)
        command = [self._bin / "initdb", "-D", self._data, "-U", SUPERUSER, "--pwfile", password]
        command += ["-A", "scram-sha-256", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=ACCOUNT if os.getuid() == 0 else None,
            group=pwd.getpwnam(ACCOUNT).pw_gid if os.getuid() == 0 else None,
            extra_groups=[] if os.getuid() == 0 else None,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )
        if done.returncode:
            raise NotStarted(f"initdb: {done.stderr}")

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.directory),
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": "300",
        }
        if self._tls:
            options |= {"ssl": "on", "ssl_cert_file": str(self._tls[0]), "ssl_key_file": str(self._tls[1])}
        arguments: list[str | Path] = [self._bin / "postgres", "-D", self._data]
        for name, value in options.items():
            arguments += ["-c", f"{name}={value}"]
        log = self.directory.parent / f"{self.directory.name}.log"
        self._process = Process(arguments, log=log, user=ACCOUNT)
        self._process.wait_port(self.port)
        self._until_answering()

    def _until_answering(self) -> None:
        command = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        for _ in range(200):
            if subprocess.run(command, check=False).returncode == 0:
                return
        raise NotStarted("PostgreSQL does not answer")

    def crash(self) -> None:
        """End it at once with all its connections, without a checkpoint (SIGQUIT); it recovers from its log at the next start."""
        if self._process is not None:
            self._process.stop(with_signal=signal.SIGQUIT)
            self._process = None

    @property
    def pid(self) -> int | None:
        """The process that all its others are children of, while it runs."""
        return self._process.pid if self._process is not None else None

    def stop(self) -> None:
        """Stop it at once, without waiting for clients (SIGINT: fast shutdown)."""
        if self._process is not None:
            self._process.stop(with_signal=signal.SIGINT)
            self._process = None

    def database(self, label: str = "test") -> OwnDatabase:
        """Make a database with a user of its own, whom nobody else's database lets in."""
        name = f"{label}_{next(self._numbers)}"
        password = secrets.token_urlsafe(12)
        self.sql(
            f"CREATE ROLE {name} LOGIN PASSWORD '{password}'",
            f"CREATE DATABASE {name} OWNER {name} STRATEGY file_copy",
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        )
        return OwnDatabase(name=name, user=name, password=password, port=self.port)

    @contextmanager
    def copy(self, of: OwnDatabase) -> Iterator[OwnDatabase]:
        """A database with what another one holds that nobody is connected to; it is dropped at the end."""
        name = f"{of.name}_{next(self._numbers)}"
        self.sql(
            f"CREATE DATABASE {name} OWNER {of.user} TEMPLATE {of.name} STRATEGY file_copy",
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        )
        yield replace(of, name=name)
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements as the superuser, one after the other, and return what they print, unaligned."""
        each = [part for statement in statements for part in ("-c", statement)]
        done = subprocess.run(
            # Not the one on the path: Debian's is a script that looks for this one, and takes longer than it.
            [self._bin / "psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", *each],
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": "/usr/bin:/bin",
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.port),
                "PGUSER": SUPERUSER,
                "PGPASSWORD": self._password,
                "PGDATABASE": database,
            },
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster for the test run: `postgres.database()` makes a fresh database with its own user."""
    # Not in pytest's own folder: each test run closes that to the account PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="everleaf-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = Postgres(Path(folder) / "cluster")
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
