"""Broker, database and gateway as `deploy/` configures them: its own files, with only paths and ports changed."""

import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography import x509

from tests.servers.nginx import PACKAGE as NGINX
from tests.servers.postgres import ACCOUNT, Postgres
from tests.servers.processes import Process, free_port, program
from tests.servers.rabbitmq import PROTOCOL, RabbitMQ, scripts
from tests.servers.tls import served_certificate

DEPLOY = Path(__file__).parents[2] / "deploy"
TLS = "/etc/everleaf/tls"


class Broker(RabbitMQ):
    """RabbitMQ with our configuration and definitions: nobody without a certificate and a password of ours."""

    def __init__(self, directory: Path, *, tls: Path, definitions: Path) -> None:
        self._tls_folder, self._definitions = tls, definitions
        super().__init__(directory, tls=(tls / "ca.pem", tls / "cert.pem", tls / "key.pem"))

    def _configure(self, tls: tuple[Path, Path, Path] | None) -> None:
        super()._configure(tls)
        text = (DEPLOY / "rabbitmq" / "rabbitmq.conf").read_text()
        for path, here in (
            (TLS, str(self._tls_folder)),
            ("/etc/everleaf/rabbitmq/definitions.json", str(self._definitions)),
            ("= 5671", f"= 127.0.0.1:{self.tls_port}"),
            ("disk_free_limit.relative = 1.0", "disk_free_limit.absolute = 50MB"),
        ):
            assert path in text
            text = text.replace(path, here)
        (self._directory / "rabbitmq.conf").write_text(f"log.console = false\n{text}")
        (self._directory / "enabled_plugins").write_text("[].")

    def reload_command(self) -> str:
        """Return what makes it read its certificate at the next connection, and not within two minutes."""
        known = ("HOME", "RABBITMQ_NODENAME", "RABBITMQ_CONF_ENV_FILE", "ERL_EPMD_PORT", "ERL_EPMD_ADDRESS")
        told = " ".join(f"{name}={shlex.quote(self._environ[name])}" for name in known)
        return f"env {told} {scripts()}/rabbitmqctl eval 'ssl:clear_pem_cache().'"

    def drop_connections(self) -> None:
        """Close every connection, which its clients make again."""
        self.control("close_all_connections", "dropped")

    def context(self) -> ssl.SSLContext:
        """Return what a client of the house speaks TLS with."""
        context = ssl.create_default_context(cafile=str(self._tls_folder / "ca.pem"))
        context.load_cert_chain(self._tls_folder / "cert.pem", self._tls_folder / "key.pem")
        return context

    def _speaks_amqp(self) -> bool:
        try:
            with (
                socket.create_connection(("127.0.0.1", self.tls_port or 0), 1) as plain,
                self.context().wrap_socket(plain, server_hostname="localhost") as connection,
            ):
                connection.settimeout(5)
                connection.sendall(PROTOCOL)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def _is_manageable(self) -> bool:
        return True  # by nobody: it has neither the plug-in nor an administrator


class DatabaseServer(Postgres):
    """PostgreSQL with our rules of entry and our roles; its folder must be within reach of the account it runs as."""

    def __init__(self, directory: Path, *, tls: Path) -> None:
        super().__init__(directory)
        self.tls = directory / "tls"
        self._given = tls

    def create(self) -> None:
        """Make the cluster, as `deploy/postgresql` has it."""
        super().create()
        shutil.copytree(self._given, self.tls)
        for path in (self.tls, *self.tls.iterdir()):
            if os.getuid() == 0:
                shutil.chown(path, ACCOUNT)
        settings = (DEPLOY / "postgresql" / "everleaf.conf").read_text().replace(TLS, str(self.tls))
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(settings)
        rules = (DEPLOY / "postgresql" / "pg_hba.conf").read_text()
        administrator = "host postgres,template1 everleaf_tests 127.0.0.1/32 scram-sha-256\nhost all everleaf_tests 127.0.0.1/32 scram-sha-256\n"
        (self._data / "pg_hba.conf").write_text(administrator + rules)

    def make_roles(self, passwords: Path) -> None:
        """Run `roles.sql` as the administrator."""
        done = subprocess.run(
            ["psql", "-X", "-q", "-f", str(DEPLOY / "postgresql" / "roles.sql")],
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": "/usr/bin:/bin",
                "EVERLEAF_PASSWORDS": str(passwords),
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.port),
                "PGUSER": "everleaf_tests",
                "PGPASSWORD": self._password,
                "PGDATABASE": "postgres",
            },
        )
        assert done.returncode == 0, done.stderr

    def reload_command(self) -> str:
        """Return what makes it read its certificate again."""
        return f"kill -HUP {self.pid}"


class FrontDoor:
    """nginx with our gateway; `upstreams` are the ports of each service's replicas."""

    def __init__(self, directory: Path, *, tls: Path) -> None:
        self.port, self.plain_port = free_port(), free_port()
        self.directory, self.tls = directory, tls
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """The one address of the platform."""
        return f"https://localhost:{self.port}"

    @property
    def plain_url(self) -> str:
        """Where there is only what must be had without TLS."""
        return f"http://localhost:{self.plain_port}"

    @property
    def command(self) -> list[str]:
        """What all commands begin with."""
        here = str(self.directory)
        return [
            program("nginx", package=NGINX),
            "-p",
            here,
            "-e",
            f"{here}/error.log",
            "-c",
            f"{here}/nginx.conf",
        ]

    def start(self, upstreams: Mapping[str, Sequence[int]]) -> None:
        """Start it; services may come and go behind it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for name in ("nginx.conf", "gateway.conf"):
            (self.directory / name).write_text(self._here((DEPLOY / "nginx" / name).read_text()))
        blocks = [
            f"upstream everleaf_{name} {{ {' '.join(f'server 127.0.0.1:{port};' for port in ports)} keepalive 16; }}"
            for name, ports in upstreams.items()
        ]
        (self.directory / "upstreams.conf").write_text("\n".join(blocks))
        checked = subprocess.run([*self.command, "-t"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "[warn]" not in checked.stderr, checked.stderr
        self._process = Process([*self.command, "-g", "daemon off;"], log=self.directory / "gateway.log")
        self._process.wait_port(self.port)

    def _here(self, text: str) -> str:
        for path, here in (
            ("/tmp/", f"{self.directory}/"),  # first: the others put folders below it in their place
            (TLS, str(self.tls)),
            ("/etc/everleaf/nginx", str(self.directory)),
            ("listen 8443", f"listen 127.0.0.1:{self.port}"),
            ("listen 8080", f"listen 127.0.0.1:{self.plain_port}"),
            ("/dev/stderr", f"{self.directory}/error.log"),
            ("/dev/stdout", f"{self.directory}/access.log"),
        ):
            text = text.replace(path, here)
        return text

    def reload_command(self) -> str:
        """Return what makes it read its certificate again."""
        assert self._process is not None
        return f"kill -HUP {self._process.pid}"

    def served(self) -> x509.Certificate:
        """Return the certificate it serves."""
        return served_certificate("127.0.0.1", self.port, "localhost")

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop(with_signal=signal.SIGTERM)
            self._process = None
