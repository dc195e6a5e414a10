"""With whose rights files are handled on a host, and what they look like to its kernel."""

import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from services.provisioner.connectors import Access, Limits, SshAccess
from services.provisioner.connectors import ssh as connector
from services.provisioner.connectors.file_slots import FilesOptions, FilesSlot
from services.provisioner.connectors.files import Files
from services.provisioner.domain import DeploymentError, Failure, Material, pair
from shared.ssh import Credential
from tests.provisioner.connectors.test_files import opened, put, quietly
from tests.provisioner.ssh_host import SshHost
from tests.servers.ssh import GUEST, Sshd
from tests.servers.tls import Issued

PASSWORD = "correct horse, battery staple"
# Of the number: the account shares it with nobody, whose name comes first.
MAY = "#65534 ALL=(root) NOPASSWD: /usr/lib/openssh/sftp-server, /bin/sh, /usr/bin/id"
LABEL = "security.selinux"


@pytest.fixture
def material(new: Issued) -> Material:
    """The new certificate with its key."""
    chain = [each.public_bytes(Encoding.DER) for each in (new.certificate, *new.issuers)]
    return pair(chain, new.key_pem)


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Access]:
    """How a host is reached by an account that may do nothing there but by sudo."""
    folder = tmp_path / "sshd"
    folder.mkdir()
    server = Sshd(folder, options=["PasswordAuthentication yes"], password=PASSWORD, sudoers=MAY)
    limit = timedelta(seconds=10)
    try:
        server.start()
        yield Access(
            ssh=SshAccess(host=server.host, port=server.port, username=GUEST, host_key=server.host_key),
            credential=Credential.model_validate({"password": PASSWORD}),
            limits=Limits(connect=limit, transfer=limit, command=limit),
        )
    finally:
        server.stop()


async def test_by_sudo_files_are_written_that_the_account_may_not_even_see(
    guests: Access, old: Issued, material: Material, new: Issued, tmp_path: Path
) -> None:
    certificate, key = old.write(tmp_path / "tls", key_mode=0o640)
    os.chown(key, 0, 7)
    slot = FilesSlot(certificate_path=str(certificate), key_path=str(key))
    async with Files.open(guests, options=FilesOptions()) as files:
        with pytest.raises(DeploymentError) as refused:
            await files.stage(slot, material=material, report=quietly)
    assert refused.value.failure is Failure.PERMISSION_DENIED
    options = FilesOptions(file_prefix="sudo -n", command_prefix="sudo -n", test_command="id -u")
    async with Files.open(guests, options=options) as files:
        await put(files, slot, material)
    assert (certificate.read_bytes(), key.read_bytes()) == (new.chain_pem, new.key_pem)
    now = key.stat()
    assert (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (0, 7, 0o640)
    assert sorted(certificate.parent.iterdir()) == sorted([certificate, key])


async def test_an_account_that_may_not_use_sudo_is_told(guests: Access) -> None:
    with pytest.raises(DeploymentError, match="SFTP") as refused:
        async with Files.open(guests, options=FilesOptions(file_prefix="sudo -n -u nobody")):
            pass
    assert refused.value.failure is Failure.PERMISSION_DENIED


@pytest.mark.parametrize("refuses_links", [False, True])
async def test_where_there_is_selinux_the_new_files_have_the_context_of_the_old_ones(
    host: SshHost, material: Material, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refuses_links: bool
) -> None:
    enforce = tmp_path / "enforce"
    enforce.write_text("1")
    monkeypatch.setattr(connector, "SELINUX", str(enforce))
    host.refuses_links = refuses_links
    contexts = {path: f"system_u:object_r:{path.stem}_t:s0".encode() for path in (host.certificate, host.key)}
    for path, context in contexts.items():
        os.setxattr(path, LABEL, context)
    slot = FilesSlot(certificate_path=str(host.certificate), key_path=str(host.key))
    async with opened(host) as files:
        undo = await files.stage(slot, material=material, report=quietly)
        await files.bind(slot, undo=undo, report=quietly)
        assert _contexts(contexts) == contexts
        await files.restore(slot, undo=undo, report=quietly)
    assert _contexts(contexts) == contexts


def _contexts(paths: dict[Path, bytes]) -> dict[Path, bytes]:
    return {path: os.getxattr(path, LABEL).rstrip(b"\0") for path in paths}


async def test_a_context_that_cannot_be_given_stops_before_anything_is_in_force(
    host: SshHost, material: Material, old: Issued, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connector, "SELINUX", str(tmp_path))
    slot = FilesSlot(certificate_path=str(host.certificate), key_path=str(host.key))
    async with opened(host) as files:  # its files have no context that could be copied
        with pytest.raises(DeploymentError, match="SELinux") as refused:
            await files.stage(slot, material=material, report=quietly)
        await files.clear(slot)
    assert refused.value.failure is Failure.PERMISSION_DENIED
    assert (host.certificate.read_bytes(), host.key.read_bytes()) == (old.chain_pem, old.key_pem)
    assert sorted(host.certificate.parent.iterdir()) == sorted([host.certificate, host.key])
