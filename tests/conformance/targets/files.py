"""The bench of any files and commands: a host in the process of the test itself, where everything can be made to fail."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.provisioner.connectors.files import Files
from services.provisioner.connectors.wire import Endpoint
from shared.ssh import Credential
from tests.conformance.targets.bench import NAME, Bench, Break, Fault, Fixtures, Row
from tests.conformance.targets.ssh import SSH_FAULTS, held_pair, through_ssh
from tests.provisioner.ssh_host import SshHost
from tests.servers.tls import CertificateAuthority


@asynccontextmanager
async def _opened(fixtures: Fixtures) -> AsyncIterator[Bench]:
    folder: Path = fixtures("tmp_path")
    ca: CertificateAuthority = fixtures("lab_ca")
    certificate, key = ca.issue(NAME).write(folder / "tls", key_mode=0o640)
    async with SshHost(certificate, key).running() as host:
        slot = {"certificate_path": str(certificate), "key_path": str(key)}
        yield Bench(
            target={
                "kind": "files",
                "host": host.host,
                "port": host.port,
                "username": host.username,
                "host_key": host.host_key,
                "credential": Credential(private_key=host.client_key),
                "options": {"test_command": "true", "reload_command": "reload"},
            },
            slot=slot,
            endpoint=Endpoint(address=host.host, port=host.tls_port, server_name=NAME),
            present=lambda: held_pair(slot),
            breaks={
                **SSH_FAULTS,
                Fault.PERMISSION: _writing(host, errno.EACCES),
                Fault.DISK_FULL: _writing(host, errno.ENOSPC),
                Fault.BROKEN_BEFORE: _command("test_command", "echo unknown directive; false"),
                Fault.REFUSED: _gate(certificate),
                Fault.RELOAD_FAILS: _command("reload_command", "echo no such process; exit 3"),
                Fault.NO_EFFECT: _command("reload_command", "true"),
            },
            upstream=(host.host, host.port),
            through=through_ssh,
        )


def _writing(host: SshHost, error: int) -> Break:
    @asynccontextmanager
    async def broken(_bench: Bench) -> AsyncIterator[None]:
        host.write_error = error
        yield
        host.write_error = None

    return broken


def _command(name: str, command: str) -> Break:
    @asynccontextmanager
    async def broken(bench: Bench) -> AsyncIterator[None]:
        bench.slot[name] = command
        yield

    return broken


def _gate(certificate: Path) -> Break:
    """Let the test fail as long as anything but the present certificate is in the file."""

    @asynccontextmanager
    async def broken(bench: Bench) -> AsyncIterator[None]:
        before = certificate.parent.parent / "before.pem"
        before.write_bytes(certificate.read_bytes())
        bench.slot["test_command"] = f"cmp {before} {certificate}"
        yield

    return broken


ROWS = {"files": Row(kind=Files, server="a host in the tests' process", open=_opened, cuts=(5, 28))}
