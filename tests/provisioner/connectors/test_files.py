import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import ValidationError

from services.provisioner.connectors.file_slots import FilesOptions, FilesSlot
from services.provisioner.connectors.files import Files, prefixed
from services.provisioner.connectors.nginx import NginxOptions
from services.provisioner.connectors.sftp_files import NewFile
from services.provisioner.connectors.ssh import connect
from services.provisioner.domain import DeploymentError, Failure, Material, pair
from shared.errors import Invalid
from shared.ssh import Credential
from tests.provisioner.ssh_host import SshHost
from tests.provisioner.workshop import access
from tests.servers.fault_proxy import StartFaultProxy
from tests.servers.tls import Issued


@pytest.fixture
def material(new: Issued) -> Material:
    """The new certificate with its key."""
    chain = [each.public_bytes(Encoding.DER) for each in (new.certificate, *new.issuers)]
    return pair(chain, new.key_pem)


@asynccontextmanager
async def opened(host: SshHost, **options: Any) -> AsyncIterator[Files]:
    async with Files.open(access(host), options=FilesOptions(**options)) as files:
        yield files


def quietly(step: str, text: str) -> None:
    """Take a report and do nothing with it."""


async def put(files: Files, slot: FilesSlot, material: Material) -> None:
    """Stage, bind and tidy."""
    undo = await files.stage(slot, material=material, report=quietly)
    await files.bind(slot, undo=undo, report=quietly)
    await files.verify(slot, fingerprint=material.fingerprint, report=quietly)
    await files.tidy(undo=undo)


async def test_new_files_are_for_their_owner_and_the_certificate_for_all(
    host: SshHost, material: Material, tmp_path: Path
):
    slot = FilesSlot(certificate_path=f"{tmp_path}/new.pem", key_path=f"{tmp_path}/new.key")
    async with opened(host, test_command="false") as files:
        undo = await files.stage(slot, material=material, report=quietly)
        assert [file.existed for file in undo.files] == [False, False]
        await files.clear(slot)
    async with opened(host) as files:
        await put(files, slot, material)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("new.*")}
    assert modes == {"new.pem": 0o644, "new.key": 0o600}


async def test_files_that_were_not_there_are_removed_on_the_way_back(
    host: SshHost, material: Material, tmp_path: Path
):
    slot = FilesSlot(certificate_path=f"{tmp_path}/new.pem", key_path=f"{tmp_path}/new.key")
    async with opened(host) as files:
        undo = await files.stage(slot, material=material, report=quietly)
        await files.bind(slot, undo=undo, report=quietly)
        for _ in "ab":
            await files.restore(slot, undo=undo, report=quietly)
    assert list(tmp_path.glob("new.*")) == []


async def test_a_combined_file_holds_the_chain_and_then_the_key(
    host: SshHost, material: Material, new: Issued, tmp_path: Path
):
    slot = FilesSlot(certificate_path=f"{tmp_path}/both.pem")
    async with opened(host) as files:
        await put(files, slot, material)
    both = tmp_path / "both.pem"
    assert both.read_bytes() == new.chain_pem + new.key_pem
    assert both.stat().st_mode & 0o777 == 0o600


async def test_the_chain_is_left_out_where_the_slot_says_so(host: SshHost, material: Material, new: Issued):
    slot = FilesSlot(certificate_path=str(host.certificate), key_path=str(host.key), chain=False)
    async with opened(host) as files:
        await put(files, slot, material)
    assert host.certificate.read_bytes() == new.certificate_pem


async def test_a_link_stays_a_link_and_what_it_leads_to_is_replaced(
    host: SshHost, material: Material, new: Issued, tmp_path: Path
):
    (tmp_path / "link.pem").symlink_to(host.certificate)
    slot = FilesSlot(certificate_path=f"{tmp_path}/link.pem", key_path=str(host.key))
    async with opened(host) as files:
        await put(files, slot, material)
    assert (tmp_path / "link.pem").is_symlink()
    assert host.certificate.read_bytes() == new.chain_pem
    assert sorted(host.certificate.parent.iterdir()) == sorted([host.certificate, host.key])


async def test_where_hard_links_are_refused_the_old_files_are_copied(
    host: SshHost, material: Material, old: Issued
):
    host.refuses_links = True
    host.key.chmod(0o640)
    slot = FilesSlot(certificate_path=str(host.certificate), key_path=str(host.key))
    async with opened(host) as files:
        undo = await files.stage(slot, material=material, report=quietly)
        await files.bind(slot, undo=undo, report=quietly)
        await files.restore(slot, undo=undo, report=quietly)
    assert (host.certificate.read_bytes(), host.key.read_bytes()) == (old.chain_pem, old.key_pem)
    assert host.key.stat().st_mode & 0o777 == 0o640


async def test_what_an_attempt_that_was_cut_short_has_left_is_no_way_back(
    host: SshHost, material: Material, old: Issued
) -> None:
    for path in (host.certificate, host.key):
        for ending in (".everleaf-new", ".everleaf-old"):
            path.with_name(path.name + ending).write_bytes(b"of another time")
    slot = FilesSlot(certificate_path=str(host.certificate), key_path=str(host.key))
    async with opened(host) as files:
        undo = await files.stage(slot, material=material, report=quietly)
        await files.bind(slot, undo=undo, report=quietly)
        await files.restore(slot, undo=undo, report=quietly)
    assert (host.certificate.read_bytes(), host.key.read_bytes()) == (old.chain_pem, old.key_pem)
    assert sorted(host.certificate.parent.iterdir()) == sorted([host.certificate, host.key])


async def test_what_was_swapped_in_is_never_kept_as_what_was_there_before(host: SshHost, material: Material):
    slot = FilesSlot(certificate_path=str(host.certificate), key_path=str(host.key))
    async with opened(host) as files:
        undo = await files.stage(slot, material=material, report=quietly)
        await files.bind(slot, undo=undo, report=quietly)
        for kept in host.certificate.parent.glob("*.everleaf-old"):
            kept.unlink()
        await files.bind(slot, undo=undo, report=quietly)
    assert sorted(host.certificate.parent.iterdir()) == sorted([host.certificate, host.key])


async def test_a_file_of_several_pieces_is_written_and_read_whole(host: SshHost, tmp_path: Path):
    content = bytes(range(256)) * 257  # two pieces, and the beginning of a third
    path = str(tmp_path / "keystore")
    async with connect(access(host)) as session:
        await session.write(NewFile(path=path, content=content, like=None, mode=0o640))
        assert Path(path).read_bytes() == content
        assert await session.read(path) == content


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (errno.ENOSPC, Failure.DISK_FULL),
        (errno.EACCES, Failure.PERMISSION_DENIED),
        (errno.EIO, Failure.WRITE_FAILED),
    ],
)
async def test_a_file_that_cannot_be_written_says_why(
    host: SshHost, material: Material, number: int, failure: Failure
):
    host.write_error = number
    slot = FilesSlot(certificate_path=str(host.certificate), key_path=str(host.key))
    async with opened(host) as files:
        with pytest.raises(DeploymentError) as refused:
            await files.stage(slot, material=material, report=quietly)
        assert refused.value.failure is failure
        host.write_error = None
        await files.clear(slot)
    assert sorted(host.certificate.parent.iterdir()) == sorted([host.certificate, host.key])


async def test_a_folder_that_is_not_there_is_named(host: SshHost, material: Material):
    slot = FilesSlot(certificate_path="/no/such/folder/a.pem")
    async with opened(host) as files:
        with pytest.raises(DeploymentError, match="/no/such/folder") as refused:
            await files.stage(slot, material=material, report=quietly)
    assert refused.value.failure is Failure.NO_SUCH_FOLDER


async def test_a_file_changed_by_somebody_else_is_noticed(host: SshHost, material: Material):
    slot = FilesSlot(certificate_path=str(host.certificate), key_path=str(host.key))
    async with opened(host) as files:
        with pytest.raises(DeploymentError) as refused:
            await files.verify(slot, fingerprint=material.fingerprint, report=quietly)
    assert refused.value.failure is Failure.CHANGED_BY_OTHERS


async def test_commands_get_the_prefix(host: SshHost, material: Material):
    slot = FilesSlot(certificate_path=str(host.certificate), key_path=str(host.key))
    async with opened(host, command_prefix="env A=1", test_command="true", reload_command="false") as files:
        undo = await files.stage(slot, material=material, report=quietly)
        with pytest.raises(DeploymentError, match="exit 1"):
            await files.bind(slot, undo=undo, report=quietly)
    assert host.commands == ["env A=1 true", "env A=1 true", "env A=1 false"]


def test_nginx_knows_its_own_commands_and_takes_others():
    assert (NginxOptions().test_command, NginxOptions().reload_command) == ("nginx -t", "nginx -s reload")
    assert NginxOptions(reload_command="systemctl reload nginx").test_command == "nginx -t"


async def test_a_command_that_does_not_end_is_left(host: SshHost):
    async with connect(access(host, command=0.2)) as session:
        ran = await session.run("sleep 5")
    assert (ran.status, "0.2 s" in ran.output) == (None, True)


async def test_only_the_end_of_much_output_is_kept(host: SshHost):
    async with connect(access(host)) as session:
        ran = await session.run("yes line | head -n 5000; echo the end")
    assert len(ran.output) < 1100
    assert ran.output.endswith("the end")


@pytest.mark.parametrize("passphrase", [None, "a passphrase"])
async def test_a_key_with_or_without_a_passphrase_lets_us_in(host: SshHost, passphrase: str | None):
    key = asyncssh.import_private_key(host.client_key).export_private_key("pkcs8-pem", passphrase)
    credential = Credential.model_validate({"private_key": key.decode(), "passphrase": passphrase})
    async with connect(access(host, credential=credential)) as session:
        assert (await session.run("true")).status == 0


async def test_a_key_that_cannot_be_read_is_not_quoted(host: SshHost):
    credential = Credential.model_validate({"private_key": "-----BEGIN secret-----"})
    with pytest.raises(Invalid) as refused:
        async with connect(access(host, credential=credential)):
            pass
    assert "secret" not in str(refused.value)


async def test_a_password_lets_us_in(host: SshHost):
    async with connect(access(host, credential=Credential.model_validate({"password": host.password}))):
        pass


async def test_a_host_that_says_nothing_is_given_up(host: SshHost, fault_proxy: StartFaultProxy):
    async with fault_proxy(host.host, host.port) as proxy:
        proxy.silent = True
        with pytest.raises(DeploymentError, match=r"no answer in 0\.3 s") as refused:
            async with connect(access(host, port=proxy.port, connect=0.3)):
                pass
        proxy.silent = False
    assert refused.value.failure is Failure.UNREACHABLE


@pytest.mark.parametrize(
    ("command", "run"),
    [
        ("nginx -t", "sudo -n nginx -t"),
        ("a && b || c", "sudo -n a && sudo -n b || sudo -n c"),
        ("a -f '/x && y' && \"b || c\" 2>&1", "sudo -n a -f '/x && y' && sudo -n \"b || c\" 2>&1"),
        (r"a\&& b", r"sudo -n a\&& b"),
    ],
)
def test_a_prefix_stands_before_each_command_of_several(command: str, run: str) -> None:
    assert prefixed(command, prefix="sudo -n") == run


@pytest.mark.parametrize(
    "slot",
    [
        {"format": "pkcs12", "key_path": "/k.pem"},
        {"format": "jks", "chain_path": "/c.pem"},
        {"format": "jks", "key_first": True},
        {"alias": "www"},
    ],
)
def test_a_keystore_is_one_file_with_a_named_entry(slot: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FilesSlot.model_validate({"certificate_path": "/k", **slot})
    assert FilesSlot(certificate_path="/k", format="jks", alias="a/b").key == "/k/a%2Fb"
